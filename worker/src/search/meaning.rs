//! How near a stored chunk is to what the query means, by the passage of it that is nearest.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::embed::vector_from_bytes;
use crate::vector::{PassageScorer, dot};

/// A query's vector, made ready.
pub(super) struct Meaning<'q> {
    query: &'q [f32],
    passages: PassageScorer,
}

impl<'q> Meaning<'q> {
    pub(super) fn of(query: &'q [f32]) -> Self {
        Self { query, passages: PassageScorer::new(query) }
    }

    /// The query's vector.
    pub(super) fn query(&self) -> &[f32] {
        self.query
    }

    /// By the vector's row: the chunk's row in the text store and how near it is, where this snapshot has
    /// both.
    pub(super) fn of_vector(
        &self,
        connection: &Connection,
        row: i64,
    ) -> rusqlite::Result<Option<(i64, f32)>> {
        connection
            .prepare_cached(
                "SELECT x.value, x.passages, c.row FROM vectors v CROSS JOIN chunks c ON c.chunk = v.chunk
                 CROSS JOIN vector_values x ON x.row = v.row WHERE v.row = ?",
            )?
            .query_row([row], |found| Ok((found.get(2)?, self.nearness(found)?)))
            .optional()
    }

    /// By the chunk's row in the text store; `None` where it has no vector.
    pub(super) fn of_text(&self, connection: &Connection, row: i64) -> rusqlite::Result<Option<f32>> {
        connection
            .prepare_cached(
                "SELECT x.value, x.passages FROM chunks c CROSS JOIN vectors v ON v.chunk = c.chunk
                 CROSS JOIN vector_values x ON x.row = v.row WHERE c.row = ?",
            )?
            .query_row([row], |found| self.nearness(found))
            .optional()
    }

    fn nearness(&self, found: &Row<'_>) -> rusqlite::Result<f32> {
        // A model that sees a text as one gives no passages.
        Ok(match self.passages.best(found.get_ref(1)?.as_blob()?) {
            Some(score) => score,
            None => dot(self.query, &vector_from_bytes(found.get_ref(0)?.as_blob()?)),
        })
    }
}
