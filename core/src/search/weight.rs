//! How well the words of a chunk fit a question: Okapi BM25 with its customary constants (Robertson and
//! Zaragoza, "The Probabilistic Relevance Framework", 2009).

/// How soon a word said again adds nothing more.
const SATURATION: f64 = 1.2;
/// How much of a chunk's length counts against it.
const LENGTH_SHARE: f64 = 0.75;
/// What a word counts that is in more than half of all chunks: less than any other, yet something.
const LEAST: f64 = 1e-6;

/// What a form of a word counts that is in `with` of `total` chunks: the rarer, the more.
pub fn rarity(with: u64, total: u64) -> f64 {
    let (with, total) = (with.min(total) as f64, total as f64);
    ((total - with + 0.5) / (with + 0.5)).ln().max(LEAST)
}

/// What a form that counts `weight` adds to the score of a chunk of `length` words that has it `count`
/// times; chunks have `mean_length` words on average.
pub fn fit(weight: f64, count: u32, length: f64, mean_length: f64) -> f64 {
    let count = f64::from(count);
    let relative = if mean_length > 0.0 { length / mean_length } else { 1.0 };
    let damped = SATURATION * (1.0 - LENGTH_SHARE + LENGTH_SHARE * relative);
    weight * count * (SATURATION + 1.0) / (count + damped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_count_more_and_none_counts_nothing() {
        assert!(rarity(1, 1_000) > rarity(10, 1_000));
        assert!(rarity(900, 1_000) > 0.0);
        assert_eq!(rarity(2_000, 1_000), LEAST, "counts may be older than totals");
    }

    #[test]
    fn more_often_and_shorter_is_better() {
        assert!(fit(2.0, 2, 100.0, 100.0) > fit(2.0, 1, 100.0, 100.0));
        assert!(fit(2.0, 1, 50.0, 100.0) > fit(2.0, 1, 100.0, 100.0));
        assert_eq!(fit(2.0, 0, 50.0, 100.0), 0.0);
        assert!(
            (fit(2.0, 1, 100.0, 100.0) - 2.0).abs() < 1e-12,
            "once in a chunk of mean length: its weight"
        );
        assert!(fit(2.0, 1, 0.0, 0.0).is_finite());
    }
}
