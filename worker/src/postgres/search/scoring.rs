//! How good candidates are: by the words and the passages that they have.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use docmill_core::id::{ChunkId, DocumentId};
use docmill_core::search::{Explain, ExplainedTerm, Fused, Scored, fuse_explained};
use tokio_postgres::Row;
use uuid::Uuid;

use super::lexemes::{Fit, Form, Lexemes};
use super::meaning::Near;
use crate::postgres::Error;
use crate::postgres::values::{chunk_key, chunk_of};
use crate::vector::PassageScorer;

/// A chunk that one of the halves brought.
pub(super) struct Candidate {
    pub(super) document: DocumentId,
    /// Hash of its text.
    pub(super) text: [u8; 32],
    pub(super) near: Option<Near>,
}

pub(super) type Candidates = BTreeMap<ChunkId, Candidate>;

/// How candidates were scored.
pub(super) struct Scoring {
    pub(super) query: String,
    /// Best first.
    pub(super) fused: Vec<Fused<ChunkId>>,
    pub(super) words_share: f64,
    /// What words were scored by, and which of it each candidate has; where that was asked for.
    pub(super) explained: Option<(Vec<Form>, HashMap<ChunkId, Vec<usize>>, String)>,
}

/// What candidates are scored with.
pub(super) struct Scores {
    pub(super) query: String,
    pub(super) vector: Option<Arc<Vec<f32>>>,
    pub(super) forms: Vec<Form>,
    pub(super) mean_length: f64,
    pub(super) words_share: f64,
    /// What was asked, where scores are to be explained.
    pub(super) question: Option<String>,
}

impl Scores {
    /// Scores the candidates, whose terms are rows of (chunk, terms).
    pub(super) fn scoring(self, candidates: &Candidates, terms: &[Row]) -> Result<Scoring, Error> {
        let mut fits: HashMap<ChunkId, Fit> = HashMap::with_capacity(terms.len());
        for row in terms {
            let fit = row.try_get::<_, Lexemes<'_>>(1)?.fit(&self.forms, self.mean_length);
            fits.insert(chunk_of(row.try_get(0)?), fit);
        }
        let passages = self.vector.as_ref().map(|vector| PassageScorer::new(vector));
        let scored = |(chunk, candidate): (&ChunkId, &Candidate)| Scored {
            key: *chunk,
            words: fits.get(chunk).map_or(0.0, |fit| fit.score),
            meaning: passages.as_ref().and_then(|query| candidate.near.as_ref()?.score(query)),
        };
        let hits: Vec<Scored<ChunkId>> = candidates.iter().map(scored).collect();
        let fused = fuse_explained(&hits, self.words_share);
        let explained = self.question.map(|question| {
            let has = fits.into_iter().map(|(chunk, fit)| (chunk, fit.has)).collect();
            (self.forms, has, question)
        });
        Ok(Scoring { query: self.query, fused, words_share: self.words_share, explained })
    }
}

impl Scoring {
    /// How a hit was scored, where that was asked for.
    pub(super) fn explain(&self, fused: &Fused<ChunkId>) -> Option<Explain> {
        let (forms, has, question) = self.explained.as_ref()?;
        let term = |form: &Form| ExplainedTerm {
            term: form.text.clone(),
            chunks: form.chunks,
            rarity: form.weight,
        };
        let of_chunk = has.get(&fused.key).into_iter().flatten().filter_map(|at| forms.get(*at));
        Some(Explain {
            words: fused.words,
            words_best: fused.words_best,
            words_share: self.words_share,
            meaning: fused.meaning,
            meaning_best: fused.meaning_best,
            terms: of_chunk.map(term).collect(),
            question: question.clone(),
        })
    }
}

/// Places of the hits in their order, of equal texts the best alone.
pub(super) fn without_twins(fused: &[Fused<ChunkId>], candidates: &Candidates) -> Vec<usize> {
    let mut texts = HashSet::new();
    let mut is_new =
        |hit: &Fused<ChunkId>| candidates.get(&hit.key).is_some_and(|one| texts.insert(one.text));
    fused.iter().enumerate().filter(|(_, hit)| is_new(hit)).map(|(at, _)| at).collect()
}

pub(super) fn lacking(candidates: &Candidates) -> Vec<Uuid> {
    let without = candidates.iter().filter(|(_, candidate)| candidate.near.is_none());
    without.map(|(chunk, _)| chunk_key(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use docmill_core::id::TextHash;

    fn chunk(n: u8) -> ChunkId {
        ChunkId::from_bytes([n; 16])
    }

    fn fused(n: u8, score: f64) -> Fused<ChunkId> {
        let key = chunk(n);
        Fused { key, score, words: score, words_best: 1.0, meaning: None, meaning_best: 0.0 }
    }

    #[test]
    fn of_equal_texts_the_best_is_shown() {
        let candidate = |text: &str| Candidate {
            document: DocumentId::from_bytes([0; 16]),
            text: TextHash::of(text.as_bytes()).0,
            near: None,
        };
        let candidates: Candidates =
            [(chunk(1), candidate("a")), (chunk(2), candidate("b")), (chunk(3), candidate("a"))].into();
        let order = [fused(3, 0.9), fused(2, 0.5), fused(1, 0.4)];
        assert_eq!(without_twins(&order, &candidates), [0, 1]);
        assert_eq!(lacking(&candidates).len(), 3);
    }
}
