//! The codes of an index's vectors in memory, keyed by the number of the chunk's text row.

use docmill_core::id::{IndexId, TenantId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::vector_from_bytes;
use crate::vector::{CodeSet, dot};

/// Candidates rescored exactly for each hit wanted: codes lose little, so few are enough.
const RESCORED: usize = 4;

/// The codes as of one commit.
pub(super) struct Loaded {
    index: IndexId,
    commit: i64,
    codes: CodeSet,
}

impl Loaded {
    pub(super) fn is_of(&self, index: IndexId, commit: i64) -> bool {
        self.index == index && self.commit == commit
    }

    pub(super) fn is_older_than(&self, commit: i64) -> bool {
        self.commit < commit
    }

    pub(super) fn load(
        connection: &Connection,
        tenant: &TenantId,
        index: IndexId,
        dimensions: usize,
        commit: i64,
    ) -> rusqlite::Result<Self> {
        let mut codes = CodeSet::new(dimensions);
        // The join gives vectors the number under which full text knows the chunk.
        let mut statement = connection.prepare_cached(
            "SELECT c.row, v.scale, v.code FROM vectors v JOIN chunks c ON c.chunk = v.chunk
             JOIN documents d ON d.document = v.document WHERE v.index_id = ? AND d.tenant = ?",
        )?;
        let mut rows = statement.query(params![index.0, tenant.as_str()])?;
        while let Some(row) = rows.next()? {
            let code = row.get_ref(2)?.as_blob().unwrap_or_default();
            if code.len() == dimensions {
                let code: Vec<i8> = code.iter().map(|byte| *byte as i8).collect();
                codes.push_codes(row.get(0)?, &code, row.get(1)?);
            }
        }
        Ok(Self { index, commit, codes })
    }

    /// The nearest chunks, rescored with exact vectors.
    pub(super) fn nearest(
        &self,
        connection: &Connection,
        query: &[f32],
        k: usize,
    ) -> rusqlite::Result<Vec<i64>> {
        let candidates = self.codes.scan(query, k, None);
        let mut exact = connection.prepare_cached(
            "SELECT x.value FROM chunks c JOIN vectors v ON v.chunk = c.chunk
             JOIN vector_values x ON x.row = v.row WHERE c.row = ?",
        )?;
        let mut scored = Vec::with_capacity(candidates.len());
        for (place, (row, approximate)) in candidates.into_iter().enumerate() {
            // Far down the list the order hardly matters; the look-ups would.
            let score = if place < k.div_ceil(RESCORED).max(50) {
                exact
                    .query_row([row], |found| {
                        Ok(dot(query, &vector_from_bytes(found.get_ref(0)?.as_blob()?)))
                    })
                    .optional()?
                    .unwrap_or(approximate)
            } else {
                approximate
            };
            scored.push((row, score));
        }
        scored.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        Ok(scored.into_iter().map(|(row, _)| row).collect())
    }
}
