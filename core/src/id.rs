//! Typed identities: a tenant cannot be passed where a document is meant, and every id that two
//! runs must agree on is derived from content, never drawn at random.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Namespace of every UUIDv5 that docmill derives; fixed for ever, as ids outlive versions.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f0c_8a0e_6d3b_4d52_9a3e_d0c3_1111_0001);

/// Whose documents these are. Taken from the credential (or the command line), never from content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

/// A tenant name that is not allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("tenant {0:?} is not allowed: use 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-'")]
pub struct InvalidTenant(pub String);

impl TenantId {
    /// Longest tenant name, in bytes: it becomes part of keys and labels.
    pub const BYTES_MAX: usize = 64;

    /// Checks and wraps a tenant name.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidTenant> {
        let name = name.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > Self::BYTES_MAX || !name.chars().all(allowed) {
            return Err(InvalidTenant(name));
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidTenant;
    fn try_from(name: String) -> Result<Self, InvalidTenant> {
        Self::new(name)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps bytes read back from a store.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes that stores keep.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads the hyphenated form that people and JSON use.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::parse_str(text).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id! {
    /// A document: UUIDv5 of (tenant, birth URI, n), see protocol "Identity".
    DocumentId
}
uuid_id! {
    /// A chunk: UUIDv5 of (document, text hash, occurrence, index). Immutable and content-addressed.
    ChunkId
}

/// Joins parts so that no two lists of parts give the same bytes: each is preceded by its length.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|p| p.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

impl DocumentId {
    /// The id of the `n`-th document born at `birth_uri` (n = how many were born there and moved away).
    pub fn born(tenant: &TenantId, birth_uri: &str, n: u32) -> Self {
        let name = framed(&[tenant.as_str().as_bytes(), birth_uri.as_bytes(), &n.to_le_bytes()]);
        Self(Uuid::new_v5(&NAMESPACE, &name))
    }
}

impl ChunkId {
    /// The id of the `occurrence`-th (from 0) chunk of `document` with this text, in this index.
    pub fn of(document: DocumentId, text: TextHash, occurrence: u32, index: IndexId) -> Self {
        let name =
            framed(&[document.as_bytes(), &text.0, &occurrence.to_le_bytes(), &index.0.to_le_bytes()]);
        Self(Uuid::new_v5(&NAMESPACE, &name))
    }
}

macro_rules! sha256_hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Hashes the bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(Sha256::digest(bytes).into())
            }

            /// Reads 64 hexadecimal digits.
            pub fn parse_hex(text: &str) -> Option<Self> {
                let text = text.as_bytes();
                if text.len() != 64 {
                    return None;
                }
                let mut bytes = [0u8; 32];
                for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
                    let pair = std::str::from_utf8(pair).ok()?;
                    *byte = u8::from_str_radix(pair, 16).ok()?;
                }
                Some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in &self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse_hex(&text).ok_or_else(|| serde::de::Error::custom("not a sha256"))
            }
        }
    };
}

sha256_hash! {
    /// SHA-256 of a file's bytes.
    ContentHash
}
sha256_hash! {
    /// SHA-256 of a chunk's text (UTF-8).
    TextHash
}

/// First 8 bytes of the hash of an index's specification: chunker, embedder, dimensions, concepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IndexId(pub i64);

/// A content of a document: 1 for the first, one more for each new content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// The fence: one ledger sequence, taken anew by every claim. Commits and deletes are conditional on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Gap-free number of a commit; readers show what was committed up to the one they took first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitSeq(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_ids_differ_by_every_part() {
        let (a, b) = (TenantId::default(), TenantId::new("b").unwrap());
        let base = DocumentId::born(&a, "file:///x", 0);
        assert_eq!(base, DocumentId::born(&a, "file:///x", 0));
        assert_ne!(base, DocumentId::born(&b, "file:///x", 0));
        assert_ne!(base, DocumentId::born(&a, "file:///y", 0));
        assert_ne!(base, DocumentId::born(&a, "file:///x", 1));
    }

    #[test]
    fn ids_survive_text_and_bytes() {
        let id = DocumentId::born(&TenantId::default(), "file:///x", 0);
        assert_eq!(DocumentId::parse(&id.to_string()), Some(id));
        assert_eq!(DocumentId::from_bytes(*id.as_bytes()), id);
        let hash = TextHash::of(b"text");
        assert_eq!(TextHash::parse_hex(&hash.to_string()), Some(hash));
    }

    #[test]
    fn tenant_names_are_checked() {
        for bad in ["", "a b", "a/b", "ü", &"x".repeat(65)] {
            assert_eq!(TenantId::new(bad), Err(InvalidTenant(bad.to_owned())));
        }
    }
}
