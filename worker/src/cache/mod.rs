//! What models answered, kept for a day outside of the ledger: an answer outlives the documents and even the
//! ledger it was paid for. The ledger's own derived values are asked first; this is never the truth.
//!
//! A cache that is away, slow or full costs its answers and nothing else: no call here fails a document.

mod key;
mod memory;
#[cfg(feature = "services")]
mod redis;

use async_trait::async_trait;

pub use key::CacheKey;
pub use memory::MemoryCache;
#[cfg(feature = "services")]
pub use redis::{RedisCache, check};

/// How long an answer is kept, in seconds.
pub const TTL_S: u64 = 86_400;
/// Largest answer that is kept, in bytes: a vector of 16,384 numbers.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// Answers by key. Values are bytes that the caller checks before it trusts them.
#[async_trait]
pub trait Cache: Send + Sync {
    /// One answer a key, in their order; `None` where there is none, or where the cache does not answer.
    async fn get(&self, keys: &[CacheKey]) -> Vec<Option<Vec<u8>>>;

    /// Keeps answers for the time of this cache; what is too large, and what cannot be kept, is not.
    async fn put(&self, values: Vec<(CacheKey, Vec<u8>)>);
}
