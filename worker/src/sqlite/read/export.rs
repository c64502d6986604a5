//! Everything that a tenant's documents consist of, one JSON line a document, in constant memory.

use std::io::Write;

use docmill_core::id::{ChunkId, TenantId};
use rusqlite::{Connection, params};
use serde::Serialize;

use super::active_index;
use crate::ledger::Summary;
use crate::sqlite::claims::{document_of, from_json};
use crate::sqlite::manifests::chunk_of;

#[derive(Serialize)]
struct Line<'a> {
    id: String,
    uri: &'a str,
    title: Option<&'a str>,
    language: &'a str,
    media_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    generation: u64,
    pages: u32,
    chunks: Vec<ChunkFound>,
}

/// Writes a line for each committed document of the active index. Returns how many.
///
/// # Errors
/// The database, or the writer (as [`std::io::Error`] within).
pub fn export(connection: &Connection, tenant: &TenantId, out: &mut dyn Write) -> anyhow::Result<u64> {
    let Some((index, _)) = active_index(connection, tenant)? else { return Ok(0) };
    let mut documents = connection.prepare_cached(
        "SELECT m.manifest, d.document, d.uri, m.generation, m.language, d.summary
         FROM documents d JOIN manifests m ON m.document = d.document
         WHERE d.tenant = ? AND d.content IS NOT NULL AND m.index_id = ? AND m.replaced_by IS NULL
         ORDER BY d.document",
    )?;
    let mut rows = documents.query(params![tenant.as_str(), index.0])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let uri: String = row.get(2)?;
        let language: String = row.get(4)?;
        let summary: Summary =
            row.get::<_, Option<String>>(5)?.map(|text| from_json(&text)).transpose()?.unwrap_or_default();
        let line = Line {
            id: document_of(&row.get::<_, Vec<u8>>(1)?)?.to_string(),
            uri: &uri,
            title: summary.title.as_deref(),
            language: &language,
            media_type: &summary.media_type,
            category: summary.category.as_deref(),
            generation: row.get(3)?,
            pages: summary.pages,
            chunks: chunks(connection, row.get(0)?)?,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}

/// A chunk as both exports tell it; in a line, in these words and this order.
#[derive(Serialize)]
pub(in crate::sqlite) struct ChunkFound {
    pub id: ChunkId,
    pub page: u32,
    pub heading: Option<String>,
    pub start: u32,
    pub end: u32,
    pub text: String,
    pub concepts: Vec<String>,
}

/// The chunks of a manifest, in their order, each with its concepts.
pub(in crate::sqlite) fn chunks(
    connection: &Connection,
    manifest: i64,
) -> rusqlite::Result<Vec<ChunkFound>> {
    let mut concepts = connection.prepare_cached(
        "SELECT c.canonical_name FROM evidence v JOIN mentions m ON m.row = v.row
         JOIN concepts c ON c.concept = m.concept WHERE v.chunk = ? ORDER BY m.count DESC, c.canonical_name",
    )?;
    let mut statement = connection.prepare_cached(
        "SELECT e.chunk, e.page, e.heading, e.start, e.\"end\", c.text FROM manifest_entries e
         JOIN chunks c ON c.chunk = e.chunk WHERE e.manifest = ? ORDER BY e.ordinal",
    )?;
    let mut rows = statement.query([manifest])?;
    let mut chunks = Vec::new();
    while let Some(row) = rows.next()? {
        let chunk: Vec<u8> = row.get(0)?;
        chunks.push(ChunkFound {
            id: chunk_of(&chunk)?,
            page: row.get(1)?,
            heading: row.get(2)?,
            start: row.get(3)?,
            end: row.get(4)?,
            text: row.get(5)?,
            concepts: concepts.query_map([&chunk], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?,
        });
    }
    Ok(chunks)
}
