//! The concept graph as it can be seen: only evidence of chunks that current manifests name counts.

use docmill_core::concept::{block_key, normalise, resolve};
use docmill_core::id::{DocumentId, IndexId, TenantId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::active_index;
use crate::sqlite::claims::document_of;

/// Neighbours shown of one concept.
const NEIGHBOURS_MAX: i64 = 20;
/// Documents shown of one concept.
const DOCUMENTS_MAX: i64 = 50;

/// A concept with its counts.
#[derive(Debug, Clone, Serialize)]
pub struct ConceptRow {
    /// The form to show.
    pub name: String,
    /// The key.
    pub canonical_name: String,
    /// `name`, `acronym` or `term`.
    pub kind: String,
    /// How often it is mentioned.
    pub mentions: u64,
    /// In how many documents.
    pub documents: u64,
}

/// A concept that stands in the same chunks.
#[derive(Debug, Clone, Serialize)]
pub struct Neighbour {
    /// The form to show.
    pub name: String,
    /// How many chunks mention both.
    pub chunks: u64,
}

/// A document that mentions a concept.
#[derive(Debug, Clone, Serialize)]
pub struct Mentioning {
    /// The document.
    pub id: DocumentId,
    /// Where it is.
    pub uri: String,
    /// How often it mentions it.
    pub mentions: u64,
}

/// A concept with its surroundings.
#[derive(Debug, Clone, Serialize)]
pub struct ConceptDetail {
    /// Its counts.
    #[serde(flatten)]
    pub concept: ConceptRow,
    /// What stands beside it, most often first.
    pub neighbours: Vec<Neighbour>,
    /// Where it is mentioned, most often first.
    pub mentioned_in: Vec<Mentioning>,
}

/// Evidence `v` of the index is current.
const CURRENT: &str = "v.index_id = ?2 AND EXISTS(SELECT 1 FROM manifest_entries e
    JOIN manifests m ON m.manifest = e.manifest WHERE e.chunk = v.chunk AND m.replaced_by IS NULL)";

fn row_of(row: &Row<'_>) -> rusqlite::Result<ConceptRow> {
    Ok(ConceptRow {
        name: row.get(0)?,
        canonical_name: row.get(1)?,
        kind: row.get(2)?,
        mentions: row.get(3)?,
        documents: row.get(4)?,
    })
}

/// The concepts in most documents.
pub fn concepts(
    connection: &Connection,
    tenant: &TenantId,
    top: usize,
) -> rusqlite::Result<Vec<ConceptRow>> {
    let Some((index, _)) = active_index(connection, tenant)? else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT c.display, c.canonical_name, c.kind, sum(t.count), count(DISTINCT v.document)
         FROM evidence v JOIN mentions t ON t.row = v.row JOIN concepts c ON c.concept = t.concept
         WHERE c.tenant = ?1 AND {CURRENT} GROUP BY c.concept
         ORDER BY 5 DESC, 4 DESC, c.canonical_name LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let limit = i64::try_from(top).unwrap_or(i64::MAX);
    statement.query_map(params![tenant.as_str(), index.0, limit], row_of)?.collect()
}

/// The concept of this name, whatever its case and number, or else the one whose name is nearest to it
/// in spelling.
pub fn concept(
    connection: &Connection,
    tenant: &TenantId,
    name: &str,
) -> rusqlite::Result<Option<ConceptDetail>> {
    let Some((index, _)) = active_index(connection, tenant)? else { return Ok(None) };
    let Some(number) = number_of(connection, tenant, name)? else { return Ok(None) };
    let sql = format!(
        "SELECT c.display, c.canonical_name, c.kind, sum(t.count), count(DISTINCT v.document)
         FROM mentions t JOIN evidence v ON v.row = t.row JOIN concepts c ON c.concept = t.concept
         WHERE t.concept = ?1 AND {CURRENT} GROUP BY c.concept"
    );
    let found = connection.prepare_cached(&sql)?.query_row(params![number, index.0], row_of).optional()?;
    let Some(concept) = found else { return Ok(None) };
    let neighbours = neighbours(connection, number, index)?;
    let mentioned_in = mentioned_in(connection, number, index)?;
    Ok(Some(ConceptDetail { concept, neighbours, mentioned_in }))
}

fn number_of(connection: &Connection, tenant: &TenantId, name: &str) -> rusqlite::Result<Option<i64>> {
    let canonical = normalise(name);
    let exact: Option<i64> = connection
        .prepare_cached("SELECT concept FROM concepts WHERE tenant = ? AND canonical_name IN (?, ?)")?
        .query_row(params![tenant.as_str(), name, canonical], |row| row.get(0))
        .optional()?;
    if exact.is_some() {
        return Ok(exact);
    }
    // SQLite folds the case of ASCII only, and knows no spellings, so names are compared here.
    let (lower, block) = (name.to_lowercase(), block_key(&canonical));
    let mut alike: Vec<(i64, String)> = Vec::new();
    let mut statement = connection
        .prepare_cached("SELECT concept, display, canonical_name FROM concepts WHERE tenant = ?")?;
    let mut rows = statement.query([tenant.as_str()])?;
    while let Some(row) = rows.next()? {
        let (number, display, known): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if display.to_lowercase() == lower {
            return Ok(Some(number));
        }
        if block_key(&known) == block {
            alike.push((number, known));
        }
    }
    let names: Vec<&str> = alike.iter().map(|(_, name)| name.as_str()).collect();
    Ok(resolve(&canonical, &names).map(|at| alike[at].0))
}

fn neighbours(connection: &Connection, concept: i64, index: IndexId) -> rusqlite::Result<Vec<Neighbour>> {
    let sql = format!(
        "SELECT c.display, count(*) FROM mentions t JOIN evidence v ON v.row = t.row
         JOIN mentions o ON o.row = t.row AND o.concept <> t.concept
         JOIN concepts c ON c.concept = o.concept
         WHERE t.concept = ?1 AND {CURRENT} GROUP BY o.concept ORDER BY 2 DESC, c.canonical_name LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![concept, index.0, NEIGHBOURS_MAX], |row| {
        Ok(Neighbour { name: row.get(0)?, chunks: row.get(1)? })
    })?;
    rows.collect()
}

fn mentioned_in(
    connection: &Connection,
    concept: i64,
    index: IndexId,
) -> rusqlite::Result<Vec<Mentioning>> {
    let sql = format!(
        "SELECT d.document, d.uri, sum(t.count) FROM mentions t JOIN evidence v ON v.row = t.row
         JOIN documents d ON d.document = v.document
         WHERE t.concept = ?1 AND {CURRENT} GROUP BY d.document ORDER BY 3 DESC, d.uri LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![concept, index.0, DOCUMENTS_MAX], |row| {
        Ok(Mentioning {
            id: document_of(&row.get::<_, Vec<u8>>(0)?)?,
            uri: row.get(1)?,
            mentions: row.get(2)?,
        })
    })?;
    rows.collect()
}
