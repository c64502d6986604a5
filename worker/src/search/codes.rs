//! The codes of an index's vectors in memory, kept up with the file: new rows are added before a search
//! that may see them, and removed ones go when a search meets them.
//!
//! The set may hold more than a search's snapshot: a hit counts only where the snapshot has its row. New rows are read
//! before anybody is kept from scanning: who needs none of them waits for their copy in memory at most.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};

use docmill_core::id::{DocumentId, IndexId};
use rusqlite::{Connection, params};

use super::meaning::Meaning;
use super::scope::Scope;
use crate::vector::CodeSet;

/// Scans of one search: each that meets removed rows drops them and looks again.
const SCANS_MAX: usize = 4;

/// Rows that are read, and then added, together: half a megabyte or so.
const ROWS_TOGETHER: usize = 1_024;

/// See the module.
#[derive(Default)]
pub(super) struct Codes {
    loaded: RwLock<Option<Loaded>>,
    /// Held by who reads new rows: others that need them wait.
    loading: Mutex<()>,
}

/// A row as it was read.
struct New {
    row: i64,
    code: Vec<i8>,
    scale: f32,
    document: DocumentId,
}

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
        let reached =
            || self.read().as_ref().filter(|loaded| loaded.index == index).map(|loaded| loaded.up_to);
        if reached().is_some_and(|reached| reached >= up_to) {
            return Ok(());
        }
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = match reached() {
            Some(reached) => reached,
            None => {
                *self.write() = Some(Loaded {
                    index,
                    up_to: 0,
                    codes: CodeSet::new(dimensions),
                    documents: HashMap::new(),
                });
                0
            }
        };
        while from < up_to {
            let news = news(connection, scope, dimensions, from)?;
            from = match news.last() {
                Some(last) if news.len() == ROWS_TOGETHER => last.row,
                _ => up_to,
            };
            let mut kept = self.write();
            // Who loads is alone, so it is still this index.
            let Some(loaded) = kept.as_mut() else { return Ok(()) };
            for New { row, code, scale, document } in news {
                if code.len() == dimensions {
                    loaded.codes.push_codes(row, &code, scale);
                    loaded.documents.insert(row, document);
                }
            }
            loaded.up_to = from;
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Option<Loaded>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Option<Loaded>> {
        self.loaded.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next rows of the scope's tenant and index after this one.
fn news(
    connection: &Connection,
    scope: &Scope<'_>,
    dimensions: usize,
    from: i64,
) -> rusqlite::Result<Vec<New>> {
    let mut statement = connection.prepare_cached(
        "SELECT v.row, v.scale, v.code, v.document
         FROM vectors v JOIN documents d ON d.document = v.document
         WHERE v.row > ? AND v.index_id = ? AND d.tenant = ? ORDER BY v.row LIMIT ?",
    )?;
    let values = params![from, scope.index.0, scope.tenant.as_str(), ROWS_TOGETHER as i64];
    let mut rows = statement.query(values)?;
    let mut news = Vec::new();
    while let Some(row) = rows.next()? {
        let mut code = Vec::with_capacity(dimensions);
        code.extend(row.get_ref(2)?.as_blob().unwrap_or_default().iter().map(|byte| *byte as i8));
        let document = DocumentId::from_bytes(row.get(3)?);
        news.push(New { row: row.get(0)?, code, scale: row.get(1)?, document });
    }
    Ok(news)
}

#[cfg(test)]
mod tests {
    use docmill_core::id::TenantId;

    use super::*;

    /// More than are read together, of two tenants in turn.
    const ROWS: usize = 3 * ROWS_TOGETHER;

    fn file() -> Connection {
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch(include_str!("../sqlite/schema.sql")).unwrap();
        for (number, tenant) in ["default", "other"].into_iter().enumerate() {
            file.execute(
                "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, bytes, changed_at_ms)
                 VALUES(?, ?, 'u', 'u', 1, 'committed', 1, 1)",
                params![&[number as u8; 16][..], tenant],
            )
            .unwrap();
        }
        file.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO vectors(chunk, document, index_id, text_hash, epoch, scale, code)
             SELECT CAST(i AS BLOB), iif(i % 2, zeroblob(16), ?2), 7, x'00', 1, 0.5, zeroblob(8) FROM n",
            params![ROWS as i64, &[1u8; 16][..]],
        )
        .unwrap();
        file
    }

    #[test]
    fn all_rows_of_the_tenant_are_loaded_and_who_needs_no_more_waits_for_nobody() {
        let (file, tenant) = (file(), TenantId::default());
        let scope = Scope { tenant: &tenant, index: IndexId(7), admitted: None };
        let codes = Codes::default();
        assert_eq!(codes.load(&file, &scope, 8).unwrap(), ROWS as i64);
        assert_eq!(codes.read().as_ref().map(|loaded| loaded.codes.len()), Some(ROWS / 2));
        // As if somebody were reading new rows.
        let _loading = codes.loading.lock().unwrap();
        assert_eq!(codes.load(&file, &scope, 8).unwrap(), ROWS as i64);
    }
}
