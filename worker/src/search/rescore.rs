//! The order of what both halves brought: every candidate is scored by the same words and by the passage
//! of it that is nearest to the query.

use std::collections::BTreeSet;

use docmill_core::search::{Scored, WORDS_SHARE, fuse};
use rusqlite::{Connection, OptionalExtension};

use super::full_text::{self, Questions};
use crate::embed::vector_from_bytes;
use crate::vector::{PassageScorer, dot};

/// The candidates, rows of the text store, best first.
pub(super) fn rescore(
    connection: &Connection,
    questions: &Questions,
    query: &[f32],
    words: &[i64],
    meanings: &[i64],
) -> rusqlite::Result<Vec<(i64, f64)>> {
    let candidates: BTreeSet<i64> = words.iter().chain(meanings).copied().collect();
    let by_words = full_text::scores(connection, questions, &candidates)?;
    let passages = PassageScorer::new(query);
    let mut stored = connection.prepare_cached(
        "SELECT x.value, x.passages FROM chunks c CROSS JOIN vectors v ON v.chunk = c.chunk
         CROSS JOIN vector_values x ON x.row = v.row WHERE c.row = ?",
    )?;
    let mut hits = Vec::with_capacity(candidates.len());
    for key in candidates {
        let meaning = stored
            .query_row([key], |row| {
                let best = passages.best(row.get_ref(1)?.as_blob()?);
                // A model that sees a text as one gives no passages.
                Ok(match best {
                    Some(score) => score,
                    None => dot(query, &vector_from_bytes(row.get_ref(0)?.as_blob()?)),
                })
            })
            .optional()?;
        let words = by_words.get(&key).copied().unwrap_or(0.0);
        hits.push(Scored { key, words, meaning: meaning.map(f64::from) });
    }
    Ok(fuse(&hits, WORDS_SHARE))
}
