//! Words and meaning become one order: scores, made comparable, are added by shares.
//!
//! Ranks alone, as reciprocal rank fusion takes them, forget by how much a hit is better than the next;
//! Bruch, Gai and Ingber (ACM TOIS 2023) found a sum of scaled scores better on every set they tried, and
//! so did we (docs/adr/0008).

/// Share of words in a hit's score; the rest is meaning. Less finds more of the paraphrases and fewer of the
/// known items of `bench machine --only quality`.
pub const WORDS_SHARE: f64 = 0.25;

/// What is known of a hit. Larger is better; a score is comparable with the same score of others only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored<K> {
    /// The hit.
    pub key: K,
    /// How well its words fit; 0 where none does.
    pub words: f64,
    /// How near its meaning is; `None` where it has no vector.
    pub meaning: Option<f64>,
}

/// A hit with its score, and what that came of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused<K> {
    /// The hit.
    pub key: K,
    /// From 0 to 1.
    pub score: f64,
    /// How well its words fit.
    pub words: f64,
    /// The most that any hit's words did.
    pub words_best: f64,
    /// How near its meaning counts as; `None` where no hit has a vector.
    pub meaning: Option<f64>,
    /// How near the nearest is.
    pub meaning_best: f64,
}

/// Fuses hits, best first, each with a score from 0 to 1. Ties go to the lower key, so that equal input
/// gives equal output. A hit without a vector is taken to be as far as the farthest that has one: nothing
/// is known against it.
pub fn fuse<K: Copy + Ord>(hits: &[Scored<K>], words_share: f64) -> Vec<(K, f64)> {
    fuse_explained(hits, words_share).into_iter().map(|hit| (hit.key, hit.score)).collect()
}

/// The same, with what each score came of.
pub fn fuse_explained<K: Copy + Ord>(hits: &[Scored<K>], words_share: f64) -> Vec<Fused<K>> {
    let words_best = hits.iter().map(|hit| hit.words).fold(0.0, f64::max);
    let meanings = || hits.iter().filter_map(|hit| hit.meaning);
    let meaning_best = meanings().fold(0.0, f64::max);
    let farthest = meanings().reduce(f64::min);
    let mut fused: Vec<Fused<K>> = hits
        .iter()
        .map(|hit| {
            let meaning = hit.meaning.or(farthest);
            let score = words_share * part(hit.words, words_best)
                + (1.0 - words_share) * part(meaning.unwrap_or(0.0), meaning_best);
            Fused { key: hit.key, score, words: hit.words, words_best, meaning, meaning_best }
        })
        .collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.key.cmp(&b.key)));
    fused
}

/// A score as a part of the best.
pub(super) fn part(score: f64, best: f64) -> f64 {
    if best > 0.0 { (score / best).clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hit(key: u32, words: f64, meaning: Option<f64>) -> Scored<u32> {
        Scored { key, words, meaning }
    }

    #[test]
    fn what_both_agree_on_comes_first() {
        let hits = [hit(1, 8.0, Some(0.2)), hit(2, 7.0, Some(0.5)), hit(3, 0.0, Some(0.6))];
        let keys: Vec<u32> = fuse(&hits, 0.5).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [2, 1, 3]);
    }

    #[test]
    fn the_distance_counts_not_the_place() {
        let far_ahead = [hit(1, 9.0, Some(0.58)), hit(2, 1.0, Some(0.6))];
        assert_eq!(fuse(&far_ahead, 0.5)[0].0, 1);
        let hardly_ahead = [hit(1, 1.1, Some(0.2)), hit(2, 1.0, Some(0.6))];
        assert_eq!(fuse(&hardly_ahead, 0.5)[0].0, 2);
    }

    #[test]
    fn without_a_vector_words_decide() {
        let hits = [hit(1, 5.0, None), hit(2, 1.0, Some(0.3)), hit(3, 0.0, Some(0.31))];
        assert_eq!(fuse(&hits, 0.4)[0].0, 1);
        let none = [hit(1, 2.0, None), hit(2, 5.0, None)];
        assert_eq!(fuse(&none, 0.4), [(2, 0.4), (1, 0.16000000000000003)]);
    }

    proptest! {
        #[test]
        fn scores_are_parts_of_one_in_order(
            hits in prop::collection::vec((0u32..50, 0.0..30.0f64, prop::option::of(-1.0..1.0f64)), 0..40),
            share in 0.0..1.0f64,
        ) {
            let hits: Vec<_> = hits.into_iter().map(|(key, words, meaning)| hit(key, words, meaning)).collect();
            let fused = fuse(&hits, share);
            prop_assert_eq!(fused.len(), hits.len());
            prop_assert!(fused.iter().all(|(_, score)| (0.0..=1.0).contains(score)));
            prop_assert!(fused.is_sorted_by(|(_, x), (_, y)| x >= y));
            for hit in fuse_explained(&hits, share) {
                let words = part(hit.words, hit.words_best);
                let meaning = part(hit.meaning.unwrap_or(0.0), hit.meaning_best);
                prop_assert!((hit.score - share * words - (1.0 - share) * meaning).abs() < 1e-12);
            }
        }
    }
}
