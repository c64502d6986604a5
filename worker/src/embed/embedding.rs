//! What a model gives for a text.

use crate::vector::Passages;

/// The vector of a text, and what tells its passages apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The whole text's, of unit length.
    pub vector: Vec<f32>,
    /// Its passages', in order; none where the model sees a text as one.
    pub passages: Passages,
}

impl From<Vec<f32>> for Embedding {
    fn from(vector: Vec<f32>) -> Self {
        Self { vector, passages: Passages::default() }
    }
}

impl Embedding {
    /// As bytes: the vector as little-endian floats, then the passages.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&vector_to_bytes(&self.vector), self.passages.as_bytes()].concat()
    }

    /// Reads [`Embedding::to_bytes`]; `None` where it is none of so many dimensions.
    pub fn from_bytes(bytes: &[u8], dimensions: usize) -> Option<Self> {
        let (vector, passages) = bytes.split_at_checked(dimensions * size_of::<f32>())?;
        let whole = passages.len().is_multiple_of(dimensions.div_ceil(8).max(1));
        whole.then(|| Self { vector: vector_from_bytes(vector), passages: passages.into() })
    }
}

/// Little-endian bytes of a vector.
pub fn vector_to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Reads [`vector_to_bytes`]; bytes that make no whole number are left out.
pub fn vector_from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_the_embedding_back() {
        let mut embedding = Embedding::from(vec![0.5, -0.5, 0.25, 1.0, -1.0, 0.0, 2.0, 3.0]);
        for _ in 0..2 {
            let bytes = embedding.to_bytes();
            assert_eq!(Embedding::from_bytes(&bytes, 8), Some(embedding.clone()));
            assert_eq!(Embedding::from_bytes(&bytes[..31], 8), None);
            embedding.passages.push(&[-1.0; 8]);
        }
        let bytes = embedding.to_bytes();
        assert_eq!(Embedding::from_bytes(&bytes, 16), None, "a passage of another length");
    }
}
