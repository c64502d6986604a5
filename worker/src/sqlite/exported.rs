//! Everything that a tenant's documents consist of, a page at a time: what search shows of them, with its texts.

use docmill_core::id::TenantId;
use rusqlite::{Connection, params};

use super::claims::{document_of, from_json};
use super::read::{ChunkFound, chunks};
use crate::desk::ExportedRow;
use crate::postgres::ExportedChunkRow;

/// The tenant's next documents, oldest first, after the one that arrived so: at most `limit`, and none more once there
/// are `bytes_max` bytes of text. With whether there may be more.
pub(super) fn export(
    connection: &Connection,
    tenant: &TenantId,
    after: Option<u64>,
    limit: u32,
    bytes_max: usize,
) -> rusqlite::Result<(Vec<ExportedRow>, bool)> {
    let mut statement = connection.prepare_cached(
        "SELECT m.manifest, d.document, d.rowid, d.uri, m.generation, m.language, d.summary
         FROM documents d
         JOIN indexes i ON i.tenant = d.tenant AND i.state = 'active'
         JOIN manifests m ON m.document = d.document AND m.index_id = i.index_id AND m.replaced_by IS NULL
         WHERE d.tenant = ? AND d.content IS NOT NULL AND d.rowid > ?
         ORDER BY d.rowid LIMIT ?",
    )?;
    let heads = statement.query_map(params![tenant.as_str(), after.unwrap_or(0), limit], |row| {
        let summary = row.get::<_, Option<String>>(6)?.map(|text| from_json(&text)).transpose()?;
        let head = ExportedRow {
            id: document_of(&row.get::<_, Vec<u8>>(1)?)?,
            arrived: row.get(2)?,
            uri: row.get(3)?,
            generation: row.get(4)?,
            language: row.get(5)?,
            summary: summary.unwrap_or_default(),
            chunks: Vec::new(),
        };
        Ok((row.get::<_, i64>(0)?, head))
    })?;
    let heads: Vec<(i64, ExportedRow)> = heads.collect::<rusqlite::Result<_>>()?;
    let count = heads.len();
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (manifest, mut document) in heads {
        if bytes >= bytes_max {
            break;
        }
        document.chunks = chunks(connection, manifest)?.into_iter().map(exported).collect();
        bytes += document.chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>();
        found.push(document);
    }
    let more = found.len() < count || count == limit as usize;
    Ok((found, more))
}

fn exported(found: ChunkFound) -> ExportedChunkRow {
    let ChunkFound { id, page, heading, start, end, text, concepts } = found;
    ExportedChunkRow { id, page, heading, start, end, text, concepts }
}
