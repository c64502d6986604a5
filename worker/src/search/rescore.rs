//! The order of what both halves brought: every candidate is scored by the same words and by the passage
//! of it that is nearest to the query.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use docmill_core::search::{Fused, Scored, WORDS_SHARE, fuse_explained};
use rusqlite::Connection;

use super::full_text::{self, Questions};
use super::meaning::Meaning;

/// The candidates, rows of the text store, best first.
pub(super) fn rescore(
    connection: &Connection,
    questions: &Questions,
    meaning: &Meaning<'_>,
    words: &[i64],
    nearest: &[(i64, f32)],
) -> rusqlite::Result<Vec<Fused<i64>>> {
    let mut meanings: BTreeMap<i64, Option<f32>> =
        nearest.iter().map(|(row, near)| (*row, Some(*near))).collect();
    // In the order of rows: neighbours share pages.
    for row in words.iter().copied().collect::<BTreeSet<i64>>() {
        if let Entry::Vacant(vacant) = meanings.entry(row) {
            vacant.insert(meaning.of_text(connection, row)?);
        }
    }
    let by_words = full_text::scores(connection, questions, meanings.keys().copied())?;
    let scored = |(key, near): (i64, Option<f32>)| Scored {
        key,
        words: by_words.get(&key).copied().unwrap_or(0.0),
        meaning: near.map(f64::from),
    };
    let hits: Vec<Scored<i64>> = meanings.into_iter().map(scored).collect();
    Ok(fuse_explained(&hits, WORDS_SHARE))
}
