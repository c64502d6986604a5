//! Under which name an answer is kept: everything that it depends on, hashed.

use std::fmt;

use docmill_core::id::TenantId;
use sha2::{Digest, Sha256};

/// What every key begins with.
const PREFIX: &str = "extraction:";

/// The name of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(String);

impl CacheKey {
    /// The answer of `model` to `text` under these parameters (its prompt's version among them), for one tenant:
    /// another one's answers are never found.
    pub fn new(tenant: &TenantId, model: &str, parameters: &str, text: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [tenant.as_str(), model, parameters, text] {
            // With its length: no two lists of parts are the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash = hash.finalize();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{PREFIX}{hex}"))
    }

    /// The key as Redis has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_makes_another_key() {
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let keys = [
            CacheKey::new(&tenant("a"), "m", "p", "text"),
            CacheKey::new(&tenant("b"), "m", "p", "text"),
            CacheKey::new(&tenant("a"), "n", "p", "text"),
            CacheKey::new(&tenant("a"), "m", "q", "text"),
            CacheKey::new(&tenant("a"), "m", "p", "texts"),
            // The same letters, cut elsewhere.
            CacheKey::new(&tenant("a"), "mp", "", "text"),
            CacheKey::new(&tenant("a"), "m", "ptext", ""),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(keys[0], CacheKey::new(&tenant("a"), "m", "p", "text"));
        assert_eq!(keys[0].as_str().len(), PREFIX.len() + 64);
    }
}
