//! Vectors of a text's passages, a bit a dimension: the signs. They are not scanned. They tell which of
//! the texts that a scan or full text brought says in one place what the query asks; the one vector of a
//! long text is the mean of all that it says.

/// Signs of passages' vectors, one after the other; empty where the model gives none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passages(Vec<u8>);

impl Passages {
    /// Adds a passage's vector, whose length is a multiple of 8.
    pub fn push(&mut self, vector: &[f32]) {
        let byte = |eight: &[f32]| {
            eight.iter().enumerate().fold(0, |byte, (bit, value)| byte | (u8::from(*value < 0.0) << bit))
        };
        self.0.extend(vector.chunks(8).map(byte));
    }

    /// As stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Passages {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

/// A query's vector, made ready to be compared with many passages.
pub struct PassageScorer {
    /// For each byte of a passage and each value it can have, what these eight dimensions add.
    sums: Vec<[f32; 256]>,
}

impl PassageScorer {
    /// For a query's vector of unit length.
    pub fn new(query: &[f32]) -> Self {
        // A passage's signs as a vector of unit length have this in every dimension.
        let unit = 1.0 / (query.len().max(1) as f32).sqrt();
        let table = |eight: &[f32]| {
            let mut sums = [0.0; 256];
            sums[0] = eight.iter().sum::<f32>() * unit;
            // What is known of the bits below, and the same with this bit, which turns its dimension's sign.
            for (bit, value) in eight.iter().enumerate() {
                let (known, with_bit) = sums.split_at_mut(1 << bit);
                for (sum, known) in with_bit.iter_mut().zip(known) {
                    *sum = *known - 2.0 * value * unit;
                }
            }
            sums
        };
        Self { sums: query.chunks(8).map(table).collect() }
    }

    /// The cosine of the query and the signs of the passage nearest to it; `None` where there are no
    /// passages of this many dimensions.
    pub fn best(&self, passages: &[u8]) -> Option<f32> {
        let passages = passages.chunks_exact(self.sums.len().max(1));
        let score = |passage: &[u8]| {
            self.sums.iter().zip(passage).map(|(sums, byte)| sums[usize::from(*byte)]).sum()
        };
        passages.map(score).max_by(f32::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::Mock;

    #[test]
    fn the_passage_that_is_nearest_counts() {
        let mock = Mock::with_dimensions(384);
        let mut passages = Passages::default();
        for text in ["one", "two", "three"] {
            passages.push(&mock.vector(text));
        }
        assert_eq!(passages.as_bytes().len(), 3 * 48);
        let best = |query: &str| PassageScorer::new(&mock.vector(query)).best(passages.as_bytes()).unwrap();
        // Signs keep about 0.8 of the length of such a vector, and nothing of an unrelated one.
        assert!(best("two") > 0.75, "{}", best("two"));
        assert!(best("four") < 0.25, "{}", best("four"));
    }

    #[test]
    fn the_score_is_the_cosine_with_the_signs() {
        let query = Mock::with_dimensions(16).vector("query");
        let passage = Mock::with_dimensions(16).vector("passage");
        let mut passages = Passages::default();
        passages.push(&passage);
        let slow: f32 = query.iter().zip(&passage).map(|(q, p)| q * p.signum() / 4.0).sum();
        let fast = PassageScorer::new(&query).best(passages.as_bytes()).unwrap();
        assert!((fast - slow).abs() < 1e-6, "{fast} {slow}");
    }

    #[test]
    fn without_passages_there_is_no_score() {
        assert_eq!(PassageScorer::new(&[1.0; 8]).best(&[]), None);
        assert_eq!(PassageScorer::new(&[1.0; 16]).best(&[1]), None);
    }
}
