//! When the approximate index over vectors is built: without it a search compares every vector.

use std::collections::HashMap;
use std::time::Duration;

use docmill_core::id::IndexId;

use crate::postgres::{Database, Error, Hnsw, build_hnsw};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Time until the next look after a build failed: what a server has no room for is not tried again and again.
const AGAIN_AFTER: Duration = Duration::from_secs(1_800);

/// From how many vectors of an index on it is worth building.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worth {
    /// Where none came since the last look: building once over all is several times cheaper than row by row, so a
    /// load is let end.
    pub settled: u64,
    /// However many come: searches cannot wait for a load of days.
    pub growing: u64,
}

impl Default for Worth {
    /// Comparing 5,000 vectors of 768 numbers takes a server some 20 ms of a core for each search.
    fn default() -> Self {
        Self { settled: 5_000, growing: 50_000 }
    }
}

impl Worth {
    /// Whether it is now, with so many vectors and so many at the look before.
    pub fn is_due(&self, vectors: u64, before: Option<u64>) -> bool {
        vectors >= self.growing || (vectors >= self.settled && before == Some(vectors))
    }
}

/// What a look did.
#[derive(Debug)]
pub struct Looked {
    /// Indexes that it built.
    pub built: Vec<IndexId>,
    /// Why another that was due could not be built.
    pub failed: Option<Error>,
}

/// Looks at the indexes that searches read or will read, and builds what is due.
pub struct VectorIndexes {
    database: Database,
    worth: Worth,
    /// Vectors of each index without one, at the last look.
    before: HashMap<IndexId, u64>,
}

impl VectorIndexes {
    /// Of this database.
    pub fn new(database: Database, worth: Worth) -> Self {
        Self { database, worth, before: HashMap::new() }
    }

    /// Looks again and again, until it is dropped. Every process may: one of them builds.
    pub(super) async fn keep_up(mut self) {
        loop {
            let next = match self.look().await {
                Ok(Looked { failed: None, .. }) => LOOK_EVERY,
                Ok(Looked { failed: Some(error), .. }) => {
                    tracing::warn!(%error, "the approximate index over vectors is not built; searches compare them all");
                    AGAIN_AFTER
                }
                // It was away, and may be back at the next look.
                Err(error) => {
                    tracing::debug!(%error, "no look at the indexes over vectors");
                    LOOK_EVERY
                }
            };
            tokio::time::sleep(next).await;
        }
    }

    /// One look.
    ///
    /// # Errors
    /// The server did not answer; what was built before stays.
    pub async fn look(&mut self) -> Result<Looked, Error> {
        let (mut built, mut failed) = (Vec::new(), None);
        let mut lacking = HashMap::new();
        for index in self.database.indexes_in_use().await? {
            let Some(vectors) = self.database.vectors_without_hnsw(index, self.worth.growing).await? else {
                continue;
            };
            if !self.worth.is_due(vectors, self.before.get(&index).copied()) {
                lacking.insert(index, vectors);
                continue;
            }
            // Beside work: one process of the server, as its others would need shared memory that containers rarely have.
            match build_hnsw(&self.database, index, Hnsw { parallel: false, ..Hnsw::default() }).await {
                Ok(true) => {
                    tracing::info!(index = index.0, "the approximate index over vectors is built");
                    built.push(index);
                }
                // Another process builds it.
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
        }
        self.before = lacking;
        Ok(Looked { built, failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_let_end_unless_searches_would_wait_for_long() {
        let worth = Worth { settled: 10, growing: 100 };
        assert!(!worth.is_due(50, None), "it may be growing");
        assert!(!worth.is_due(50, Some(40)));
        assert!(worth.is_due(50, Some(50)));
        assert!(!worth.is_due(9, Some(9)), "soon compared");
        assert!(worth.is_due(100, None) && worth.is_due(100, Some(40)));
    }
}
