//! Reads all the time as a search does, in one snapshot: what manifests name that are committed must be in
//! the stores beside the ledger, whatever goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::look::Look;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(250);
/// Chunks of which a text or a vector lacks; and how many chunks there are.
const LACKING: &str =
    "SELECT count(*) FILTER (WHERE c.chunk IS NULL OR (e.stores & 2 <> 0 AND v.chunk IS NULL)), count(*)
    FROM manifests m JOIN manifest_entries e USING (manifest)
    LEFT JOIN chunks c ON c.chunk = e.chunk LEFT JOIN vectors v ON v.chunk = e.chunk
    WHERE m.replaced_by IS NULL AND m.seq IS NOT NULL";

/// See the module.
#[derive(Default)]
pub struct Reader {
    looks: AtomicU64,
    gaps: AtomicU64,
}

impl Reader {
    /// Looks until it is dropped.
    pub async fn run(self: Arc<Self>, look: Look) {
        loop {
            // The server may be away: then nobody searches.
            if let Ok(rows) = look.rows(LACKING, &[]).await
                && let Some(row) = rows.first()
                && let (Ok(lacking), Ok(all)) = (row.try_get::<_, i64>(0), row.try_get::<_, i64>(1))
                && all > 0
            {
                self.looks.fetch_add(1, Ordering::Relaxed);
                self.gaps.fetch_add(u64::from(lacking > 0), Ordering::Relaxed);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks that found something to read.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Looks that lacked something.
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }
}
