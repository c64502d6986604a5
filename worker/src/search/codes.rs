//! The codes of an index's vectors in memory, kept up with the file: new rows are added before a search
//! that may see them, and removed ones go when a search meets them.
//!
//! The set may hold more than a search's snapshot: a hit counts only where the snapshot has its row.

use std::sync::RwLock;

use docmill_core::id::{IndexId, TenantId};
use rusqlite::{Connection, params};

use super::meaning::Meaning;
use crate::vector::CodeSet;

/// Scans of one search: each that meets removed rows drops them and looks again.
const SCANS_MAX: usize = 4;

/// See the module.
#[derive(Default)]
pub(super) struct Codes(RwLock<Option<Loaded>>);

struct Loaded {
    index: IndexId,
    /// The highest row that was looked at.
    up_to: i64,
    codes: CodeSet,
}

impl Codes {
    /// The nearest chunks by their codes, nearest first: their rows in the text store and how near their
    /// passages are.
    pub(super) fn nearest(
        &self,
        connection: &Connection,
        tenant: &TenantId,
        index: IndexId,
        meaning: &Meaning<'_>,
        k: usize,
    ) -> rusqlite::Result<Vec<(i64, f32)>> {
        let up_to = connection
            .prepare_cached("SELECT coalesce(max(row), 0) FROM vectors")?
            .query_row([], |row| row.get(0))?;
        let query = meaning.query();
        self.keep_up(connection, tenant, index, query.len(), up_to)?;
        for last in (0..SCANS_MAX).rev() {
            let candidates = match self.read().as_ref() {
                Some(loaded) if loaded.index == index => loaded.codes.scan(query, k),
                // The index was switched meanwhile, and this snapshot is of the old one.
                _ => return Ok(Vec::new()),
            };
            let mut known = Vec::with_capacity(candidates.len());
            let mut removed = Vec::new();
            for (row, _) in candidates {
                match meaning.of_vector(connection, row)? {
                    Some(chunk) => known.push(chunk),
                    // A row above the snapshot's last is new, not removed.
                    None if row <= up_to => removed.push(row),
                    None => {}
                }
            }
            if removed.is_empty() || last == 0 {
                return Ok(known);
            }
            if let Some(loaded) = self.write().as_mut().filter(|loaded| loaded.index == index) {
                for row in removed {
                    loaded.codes.remove(row);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Adds rows up to the snapshot's last. Many searches may ask at once; one loads, the others wait.
    fn keep_up(
        &self,
        connection: &Connection,
        tenant: &TenantId,
        index: IndexId,
        dimensions: usize,
        up_to: i64,
    ) -> rusqlite::Result<()> {
        if self.read().as_ref().is_some_and(|loaded| loaded.index == index && loaded.up_to >= up_to) {
            return Ok(());
        }
        let mut kept = self.write();
        if kept.as_ref().is_none_or(|loaded| loaded.index != index) {
            *kept = Some(Loaded { index, up_to: 0, codes: CodeSet::new(dimensions) });
        }
        let Some(loaded) = kept.as_mut().filter(|loaded| loaded.up_to < up_to) else { return Ok(()) };
        let mut statement = connection.prepare_cached(
            "SELECT v.row, v.scale, v.code FROM vectors v JOIN documents d ON d.document = v.document
             WHERE v.row > ? AND v.index_id = ? AND d.tenant = ? ORDER BY v.row",
        )?;
        let mut rows = statement.query(params![loaded.up_to, index.0, tenant.as_str()])?;
        while let Some(row) = rows.next()? {
            let code = row.get_ref(2)?.as_blob().unwrap_or_default();
            if code.len() == dimensions {
                let code: Vec<i8> = code.iter().map(|byte| *byte as i8).collect();
                loaded.codes.push_codes(row.get(0)?, &code, row.get(1)?);
            }
        }
        loaded.up_to = up_to;
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Option<Loaded>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Option<Loaded>> {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
