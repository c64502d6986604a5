//! Deterministic vectors without a model: equal texts get equal vectors, others unrelated ones.

use async_trait::async_trait;

use super::{Embedding, EmbeddingModel, Error, normalize};

/// A model for tests and load runs; costs microseconds a text and declares every language.
#[derive(Debug, Clone)]
pub struct Mock {
    dimensions: usize,
    fingerprint: String,
}

impl Mock {
    /// Length of the vectors, unless told otherwise: as larger models have.
    pub const DIMENSIONS: usize = 768;
    /// Fingerprint at that length.
    pub const FINGERPRINT: &'static str = "mock-768/1";

    /// With [`Mock::DIMENSIONS`].
    pub fn new() -> Self {
        Self::with_dimensions(Self::DIMENSIONS)
    }

    /// Vectors of this length.
    pub fn with_dimensions(dimensions: usize) -> Self {
        Self { dimensions, fingerprint: format!("mock-{dimensions}/1") }
    }

    /// The vector of one text.
    pub fn vector(&self, text: &str) -> Vec<f32> {
        let mut state = hash(text.as_bytes());
        let mut vector = Vec::with_capacity(self.dimensions + 3);
        while vector.len() < self.dimensions {
            let bits = splitmix64(&mut state);
            // Four components a draw: 16 bits are plenty for a direction.
            vector.extend((0..4).map(|i| f32::from((bits >> (16 * i)) as i16) + 0.5));
        }
        vector.truncate(self.dimensions);
        normalize(&mut vector);
        vector
    }
}

impl Default for Mock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl EmbeddingModel for Mock {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn declares(&self, _language: &str) -> bool {
        true
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Embedding>, Error> {
        Ok(texts.iter().map(|text| self.vector(text).into()).collect())
    }
}

/// Not the standard library's hasher: vectors are stored, so the hash must never change.
fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64;
    for word in bytes.chunks(8) {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        state ^= u64::from_le_bytes(padded);
        state = splitmix64(&mut state);
    }
    state
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::cosine;
    use super::*;

    #[test]
    fn vectors_are_normalized_deterministic_and_distinct() {
        for mock in [Mock::new(), Mock::with_dimensions(384), Mock::with_dimensions(13)] {
            for text in ["", "a", "b", "a longer text of several words"] {
                let vector = mock.vector(text);
                assert_eq!(vector.len(), mock.dimensions());
                assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-4);
                assert_eq!(vector, mock.vector(text));
            }
        }
        let mock = Mock::new();
        assert!(cosine(&mock.vector("a"), &mock.vector("b")).abs() < 0.2);
    }

    #[test]
    fn vectors_never_change_between_versions() {
        let head: Vec<u32> = Mock::new().vector("docmill")[..2].iter().map(|x| x.to_bits()).collect();
        assert_eq!(head, PINNED, "stored mock vectors would no longer match");
    }

    const PINNED: [u32; 2] = [3171775620, 1015842440];
}
