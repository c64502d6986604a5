//! The cache in memory: the twin of the one in Redis, for tests of what uses a cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Cache, CacheKey, TTL_S, VALUE_BYTES_MAX};
use crate::clock::Clock;

/// See the module. It has no limit on what it holds in all: tests are short.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<CacheKey, (u64, Vec<u8>)>>,
}

impl MemoryCache {
    /// An empty cache with this idea of time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, held: Mutex::default() }
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, keys: &[CacheKey]) -> Vec<Option<Vec<u8>>> {
        let now = self.clock.now_ms();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |key| held.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value.clone());
        keys.iter().map(one).collect()
    }

    async fn put(&self, values: Vec<(CacheKey, Vec<u8>)>) {
        let until = self.clock.now_ms() + TTL_S * 1_000;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in values {
            if value.len() <= VALUE_BYTES_MAX {
                held.insert(key, (until, value));
            }
        }
    }
}
