//! Certificates and keys of the operator, without cert-manager.
//!
//! One Secret in the operator's namespace holds an authority of its own and the key that signs tokens. The operator
//! may create and patch that Secret and never reads it through the API: it comes as a mounted directory. The leader
//! makes and rotates it, every replica issues its own certificate from it, valid for a day, in memory. The way is
//! `authority` and `tokens` (what the material is), `stored` (how it lies in the Secret and what is due), `secret`
//! (who writes it when), `server_tls` (how a server uses it).
//!
//! The other half of trust is `front_proxy`: whom Kubernetes' API server vouches for when it passes a request on.

pub mod authority;
pub mod front_proxy;
pub mod identity;
pub mod secret;
pub mod server_tls;
pub mod stored;
pub mod tokens;
mod x509;

use std::time::{SystemTime, UNIX_EPOCH};

/// A day in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// An error with what led to it.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
