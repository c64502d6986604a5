//! Documents as lists and one by one.

use docmill_core::delivery::State;
use docmill_core::failure::Failure;
use docmill_core::id::{ChunkId, DocumentId, TenantId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::{active_index, live_manifest};
use crate::ledger::Summary;
use crate::page_note::PageNote;
use crate::sqlite::claims::{document_of, from_json, state_of};
use crate::sqlite::manifests;
use crate::time_text::rfc3339_of_ms;

/// Which documents a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those whose URI begins so.
    pub uri_prefix: Option<String>,
    /// At most this many.
    pub limit: usize,
    /// Leave out this many first.
    pub offset: usize,
}

/// A document as the ledger knows it.
#[derive(Debug, Clone, Serialize)]
pub struct DocumentRow {
    /// The document.
    pub id: DocumentId,
    /// Where it is.
    pub uri: String,
    /// Where its newest generation is.
    pub state: State,
    /// The newest generation.
    pub generation: u64,
    /// Its size.
    pub bytes: u64,
    /// What is worth knowing of the committed generation.
    pub summary: Option<Summary>,
    /// When that was committed.
    pub committed_at: Option<String>,
    /// Why the newest generation failed.
    pub failure: Option<Failure>,
    /// When it did.
    pub failed_at: Option<String>,
}

/// A chunk's place in its document.
#[derive(Debug, Clone, Serialize)]
pub struct ChunkPlace {
    /// The chunk.
    pub id: ChunkId,
    /// Page, from 1.
    pub page: u32,
    /// Headings it stands under.
    pub heading: Option<String>,
    /// First byte in the page's text.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

/// A document with what it consists of.
#[derive(Debug, Clone, Serialize)]
pub struct DocumentDetail {
    /// Its row.
    #[serde(flatten)]
    pub document: DocumentRow,
    /// What its pages say of themselves: how their text was come by, why there is none.
    pub page_notes: Vec<PageNote>,
    /// Its chunks in the active index.
    pub chunks: Vec<ChunkPlace>,
}

const COLUMNS: &str =
    "document, uri, state, generation, bytes, summary, committed_at_ms, failure, failed_at_ms";

fn at(ms: Option<i64>) -> Option<String> {
    ms.map(|ms| rfc3339_of_ms(ms.max(0) as u64))
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<DocumentRow> {
    Ok(DocumentRow {
        id: document_of(&row.get::<_, Vec<u8>>(0)?)?,
        uri: row.get(1)?,
        state: state_of(&row.get::<_, String>(2)?)?,
        generation: row.get(3)?,
        bytes: row.get(4)?,
        summary: row.get::<_, Option<String>>(5)?.map(|text| from_json(&text)).transpose()?,
        committed_at: at(row.get(6)?),
        failure: row.get::<_, Option<String>>(7)?.map(|text| from_json(&text)).transpose()?,
        failed_at: at(row.get(8)?),
    })
}

/// The tenant's documents by URI, without deleted ones.
pub fn documents(
    connection: &Connection,
    tenant: &TenantId,
    filter: &Filter,
) -> rusqlite::Result<Vec<DocumentRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM documents WHERE tenant = ?1 AND content IS NOT NULL
           AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR substr(uri, 1, length(?3)) = ?3)
         ORDER BY uri LIMIT ?4 OFFSET ?5"
    );
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(
        params![
            tenant.as_str(),
            filter.state.map(State::as_str),
            filter.uri_prefix,
            limit,
            filter.offset as i64
        ],
        row_of,
    )?;
    rows.collect()
}

/// The tenant's document with this id or URI (a path counts as its `file://` URI).
pub fn find(
    connection: &Connection,
    tenant: &TenantId,
    name: &str,
) -> rusqlite::Result<Option<DocumentRow>> {
    let id = DocumentId::parse(name).map(|id| id.as_bytes().to_vec());
    let sql = format!(
        "SELECT {COLUMNS} FROM documents WHERE tenant = ?1 AND content IS NOT NULL
           AND document = coalesce(?2, (SELECT document FROM sources WHERE tenant = ?1 AND uri IN (?3, 'file://' || ?3)))"
    );
    connection.prepare_cached(&sql)?.query_row(params![tenant.as_str(), id, name], row_of).optional()
}

/// The same with its chunks.
pub fn document(
    connection: &Connection,
    tenant: &TenantId,
    name: &str,
) -> rusqlite::Result<Option<DocumentDetail>> {
    let Some(document) = find(connection, tenant, name)? else { return Ok(None) };
    let manifest = match active_index(connection, tenant)? {
        Some((index, _)) => live_manifest(connection, &document.id, index)?,
        None => None,
    };
    let entries = manifest.map(|number| manifests::entries(connection, number)).transpose()?;
    let chunks = entries.unwrap_or_default().into_iter().map(|entry| ChunkPlace {
        id: entry.chunk,
        page: entry.page,
        heading: entry.heading,
        start: entry.start,
        end: entry.end,
    });
    let page_notes =
        document.summary.as_ref().map(|summary| PageNote::all(&summary.notes)).unwrap_or_default();
    Ok(Some(DocumentDetail { document, page_notes, chunks: chunks.collect() }))
}
