//! The state of a data directory at a glance.

use std::collections::BTreeMap;
use std::path::Path;

use docmill_core::failure::Failure;
use docmill_core::id::TenantId;
use docmill_core::index::{IndexSpec, IndexState};
use docmill_core::lane::Lane;
use rusqlite::{Connection, params};
use serde::Serialize;

use crate::sqlite::claims::from_json;
use crate::sqlite::indexes;

/// An index and how full it is.
#[derive(Debug, Clone, Serialize)]
pub struct IndexStatus {
    /// What it is made with.
    #[serde(flatten)]
    pub spec: IndexSpec,
    /// Documents in it.
    pub documents: u64,
}

/// The process that writes.
#[derive(Debug, Clone, Serialize)]
pub struct WriterStatus {
    /// Its number.
    pub pid: String,
    /// When it took the lock.
    pub since: String,
}

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Documents by state.
    pub documents: BTreeMap<String, u64>,
    /// Documents that wait, by lane.
    pub waiting: BTreeMap<String, u64>,
    /// Chunks of the active index, of current generations.
    pub chunks: u64,
    /// Vectors of the active index.
    pub vectors: u64,
    /// Concepts.
    pub concepts: u64,
    /// Size of the directory.
    pub bytes_on_disk: u64,
    /// The index that searches read.
    pub active_index: Option<IndexStatus>,
    /// The index being built beside it.
    pub building_index: Option<IndexStatus>,
    /// The process that writes, if there is one.
    pub writer: Option<WriterStatus>,
    /// Dead letters by code.
    pub failures_by_code: BTreeMap<String, u64>,
}

/// Looks at the tenant's part of the directory.
pub fn status(connection: &Connection, tenant: &TenantId, dir: &Path) -> rusqlite::Result<Status> {
    let mut status = Status {
        documents: BTreeMap::new(),
        waiting: BTreeMap::new(),
        chunks: 0,
        vectors: 0,
        concepts: 0,
        bytes_on_disk: bytes_in(dir),
        active_index: None,
        building_index: None,
        writer: writer(dir),
        failures_by_code: BTreeMap::new(),
    };
    let mut statement = connection.prepare_cached(
        "SELECT state, bytes, failure FROM documents WHERE tenant = ? AND content IS NOT NULL",
    )?;
    let mut rows = statement.query([tenant.as_str()])?;
    while let Some(row) = rows.next()? {
        let state: String = row.get(0)?;
        if state == "queued" {
            let lane = Lane::of_bytes(row.get(1)?).as_str().to_owned();
            *status.waiting.entry(lane).or_default() += 1;
        }
        if let (true, Some(failure)) = (state == "failed", row.get::<_, Option<String>>(2)?) {
            let failure: Failure = from_json(&failure)?;
            *status.failures_by_code.entry(failure.code.as_str().to_owned()).or_default() += 1;
        }
        *status.documents.entry(state).or_default() += 1;
    }
    let count = |sql: &str, index: i64| -> rusqlite::Result<u64> {
        connection.prepare_cached(sql)?.query_row(params![tenant.as_str(), index], |row| row.get(0))
    };
    const LIVE: &str = "FROM manifests m JOIN documents d ON d.document = m.document
        WHERE d.tenant = ?1 AND d.content IS NOT NULL AND m.index_id = ?2 AND m.replaced_by IS NULL";
    for (id, spec, state) in indexes::all(connection, tenant)? {
        if state == IndexState::Retired {
            continue;
        }
        let index = IndexStatus { spec, documents: count(&format!("SELECT count(*) {LIVE}"), id.0)? };
        if state == IndexState::Building {
            status.building_index = Some(index);
            continue;
        }
        status.active_index = Some(index);
        let entries = |stores: &str| {
            format!(
                "SELECT count(*) FROM manifest_entries e WHERE {stores} e.manifest IN (SELECT m.manifest {LIVE})"
            )
        };
        status.chunks = count(&entries(""), id.0)?;
        status.vectors = count(&entries("(e.stores & 2) AND"), id.0)?;
    }
    status.concepts = connection
        .prepare_cached("SELECT count(*) FROM concepts WHERE tenant = ?")?
        .query_row([tenant.as_str()], |row| row.get(0))?;
    Ok(status)
}

fn bytes_in(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    // What is uploaded lies in directories. A link is not followed.
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// Tries the lock shared and lets it go at once: only a writer holds it otherwise.
fn writer(dir: &Path) -> Option<WriterStatus> {
    let path = dir.join(crate::sqlite::LOCK);
    let file = std::fs::File::open(&path).ok()?;
    if file.try_lock_shared().is_ok() {
        return None;
    }
    let holder = std::fs::read_to_string(&path).ok()?;
    let mut words = holder.split_whitespace().map(str::to_owned);
    Some(WriterStatus { pid: words.next()?, since: words.next()? })
}
