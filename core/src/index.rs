//! An index: which chunker, embedder and concept model made the rows. Another model is another index.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::IndexId;

/// What an index was made with. Two runs that name the same parts share the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexSpec {
    /// Fingerprint of the chunker and its settings.
    pub chunker: String,
    /// Fingerprint of the embedding model, `none` for full text only.
    pub embedder: String,
    /// Dimensions of its vectors, 0 for `none`.
    pub dimensions: u32,
    /// Fingerprint of the concept model, `none` for no graph.
    pub concepts: String,
}

impl IndexSpec {
    /// The index's id: the first 8 bytes of the SHA-256 of its parts.
    pub fn id(&self) -> IndexId {
        let mut hash = Sha256::new();
        for part in [&self.chunker, &self.embedder, &self.concepts] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(self.dimensions.to_le_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        IndexId(i64::from_le_bytes(first))
    }
}

/// Where an index is in its life. One is active for a tenant; ingest writes that and one being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// Being filled beside the active one.
    Building,
    /// The one that search reads.
    Active,
    /// Replaced; its rows are cleaned up.
    Retired,
}

impl IndexState {
    /// The state's name in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    /// The state with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Building, Self::Active, Self::Retired].into_iter().find(|state| state.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_the_id() {
        let base = IndexSpec {
            chunker: "structure-1".into(),
            embedder: "mock".into(),
            dimensions: 768,
            concepts: "builtin-1".into(),
        };
        let others = [
            IndexSpec { chunker: "structure-2".into(), ..base.clone() },
            IndexSpec { embedder: "none".into(), ..base.clone() },
            IndexSpec { dimensions: 384, ..base.clone() },
            IndexSpec { concepts: "none".into(), ..base.clone() },
        ];
        for other in others {
            assert_ne!(other.id(), base.id());
        }
        assert_eq!(base.clone().id(), base.id());
    }
}
