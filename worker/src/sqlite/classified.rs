//! Documents whose categories were found by other rules than those of now.

use rusqlite::{Connection, params};

use super::{Answer, Database};
use crate::ledger::Error;

/// Queues them again, as a replay does; what is kept of them is enough to find their categories anew. One whose newest
/// content failed is left as it is: it was not asked to be tried again.
fn queue_again(connection: &Connection, recipe: Option<&str>) -> rusqlite::Result<u64> {
    let queued = connection
        .prepare_cached(
            "UPDATE documents SET state = 'queued', owner = NULL, starts = 0, child_crashes = 0,
                    transient_failures = 0, best = 0, failure = NULL, failed_at_ms = NULL
             WHERE state = 'committed' AND content IS NOT NULL
               -- What is no JSON is nothing that this could be told of, and must not stop the others.
               AND CASE WHEN summary IS NULL THEN ?1 IS NOT NULL
                        WHEN json_valid(summary) THEN json_extract(summary, '$.classifier') IS NOT ?1
                        ELSE 0 END",
        )?
        .execute(params![recipe])?;
    Ok(queued as u64)
}

impl Database {
    /// Queues every document again whose category another recipe looked for, or none did. Returns how many.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub(crate) async fn classify_again(&self, recipe: Option<String>) -> Result<u64, Error> {
        self.job(Answer::Durable, move |connection| queue_again(connection, recipe.as_deref())).await
    }
}
