//! The codes of an index's vectors in memory, kept up with the file: new rows are added before a search
//! that may see them, and removed ones go when a search meets them.
//!
//! The set may hold more than a search's snapshot: a hit counts only where the snapshot has its row.

use std::collections::HashMap;
use std::sync::RwLock;

use docmill_core::id::{DocumentId, IndexId};
use rusqlite::{Connection, params};

use super::meaning::Meaning;
use super::scope::Scope;
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
    /// Whose each code is, for filters.
    documents: HashMap<i64, DocumentId>,
}

impl Loaded {
    fn scan(&self, scope: &Scope<'_>, query: &[f32], k: usize) -> Vec<(i64, f32)> {
        if scope.admitted.is_none() {
            return self.codes.scan(query, k);
        }
        let holds = |row: i64| self.documents.get(&row).is_some_and(|document| scope.holds(document));
        self.codes.scan_where(query, k, &holds)
    }
}

impl Codes {
    /// The nearest chunks by their codes, nearest first: their rows in the text store and how near their
    /// passages are.
    pub(super) fn nearest(
        &self,
        connection: &Connection,
        scope: &Scope<'_>,
        meaning: &Meaning<'_>,
        k: usize,
    ) -> rusqlite::Result<Vec<(i64, f32)>> {
        let (query, index) = (meaning.query(), scope.index);
        let up_to = self.load(connection, scope, query.len())?;
        for last in (0..SCANS_MAX).rev() {
            let candidates = match self.read().as_ref() {
                Some(loaded) if loaded.index == index => loaded.scan(scope, query, k),
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
                    loaded.documents.remove(&row);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Loads what this snapshot has and is not loaded yet. Returns the snapshot's last row.
    pub(super) fn load(
        &self,
        connection: &Connection,
        scope: &Scope<'_>,
        dimensions: usize,
    ) -> rusqlite::Result<i64> {
        let up_to = connection
            .prepare_cached("SELECT coalesce(max(row), 0) FROM vectors")?
            .query_row([], |row| row.get(0))?;
        self.keep_up(connection, scope, dimensions, up_to)?;
        Ok(up_to)
    }

    /// Adds rows up to the snapshot's last. Many searches may ask at once; one loads, the others wait.
    fn keep_up(
        &self,
        connection: &Connection,
        scope: &Scope<'_>,
        dimensions: usize,
        up_to: i64,
    ) -> rusqlite::Result<()> {
        let index = scope.index;
        if self.read().as_ref().is_some_and(|loaded| loaded.index == index && loaded.up_to >= up_to) {
            return Ok(());
        }
        let mut kept = self.write();
        if kept.as_ref().is_none_or(|loaded| loaded.index != index) {
            *kept = Some(Loaded {
                index,
                up_to: 0,
                codes: CodeSet::new(dimensions),
                documents: HashMap::new(),
            });
        }
        let Some(loaded) = kept.as_mut().filter(|loaded| loaded.up_to < up_to) else { return Ok(()) };
        let mut statement = connection.prepare_cached(
            "SELECT v.row, v.scale, v.code, v.document
             FROM vectors v JOIN documents d ON d.document = v.document
             WHERE v.row > ? AND v.index_id = ? AND d.tenant = ? ORDER BY v.row",
        )?;
        let mut rows = statement.query(params![loaded.up_to, index.0, scope.tenant.as_str()])?;
        while let Some(row) = rows.next()? {
            let code = row.get_ref(2)?.as_blob().unwrap_or_default();
            if code.len() == dimensions {
                let code: Vec<i8> = code.iter().map(|byte| *byte as i8).collect();
                loaded.codes.push_codes(row.get(0)?, &code, row.get(1)?);
                loaded.documents.insert(row.get(0)?, DocumentId::from_bytes(row.get(3)?));
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
