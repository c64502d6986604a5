//! Everything that a tenant's documents consist of, a page at a time: what search shows of them, with its texts.

use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, DocumentId, TenantId};
use tokio_postgres::Row;

use super::sql::rows;
use super::transaction::transaction;
use super::values::{big, chunk_of, document_of, from_json, number, small};
use super::{Database, Error};
use crate::ledger::Summary;

/// A document with its chunks, as it was committed in the active index.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedRow {
    /// The document.
    pub id: DocumentId,
    /// Its place in the order of documents.
    pub arrived: u64,
    /// Where it is.
    pub uri: String,
    /// The generation that was committed.
    pub generation: u64,
    /// Its language.
    pub language: String,
    /// What is worth knowing of it.
    pub summary: Summary,
    /// Its chunks, in its order.
    pub chunks: Vec<ExportedChunkRow>,
}

/// A chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedChunkRow {
    /// The chunk.
    pub id: ChunkId,
    /// Its page, from 1.
    pub page: u32,
    /// Its heading.
    pub heading: Option<String>,
    /// Byte offset of its start in the page's text.
    pub start: u32,
    /// Byte offset of its end.
    pub end: u32,
    /// Its text.
    pub text: String,
    /// Its concepts, the most mentioned first; none where the graph has a server of its own.
    pub concepts: Vec<String>,
}

impl Database {
    /// The tenant's next documents, oldest first, after the one that arrived so: at most `limit`, and none more
    /// once there are `bytes_max` bytes of text. With whether there may be more.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn export(
        &self,
        tenant: &TenantId,
        after: Option<u64>,
        limit: u32,
        bytes_max: usize,
    ) -> Result<(Vec<ExportedRow>, bool), Error> {
        transaction!(self, |transaction| export(transaction, tenant, after, limit, bytes_max))
    }
}

async fn export(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    after: Option<u64>,
    limit: u32,
    bytes_max: usize,
) -> Result<(Vec<ExportedRow>, bool), Error> {
    // One snapshot for all statements: a document must not lose its chunks between two of them.
    let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
    transaction.batch_execute(snapshot).await?;
    let heads = rows(
        transaction,
        "SELECT m.manifest, d.document, d.arrived, d.uri, m.generation, m.language, d.summary
         FROM documents d
         JOIN indexes i ON i.tenant = d.tenant AND i.state = 'active'
         JOIN manifests m ON m.document = d.document AND m.index_id = i.index_id AND m.replaced_by IS NULL
         WHERE d.tenant = $1 AND d.content IS NOT NULL AND d.arrived > $2
         ORDER BY d.arrived LIMIT $3",
        &[&tenant.as_str(), &big(after.unwrap_or(0)), &i64::from(limit)],
    )
    .await?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for head in &heads {
        if bytes >= bytes_max {
            break;
        }
        let document = document(transaction, head).await?;
        bytes += document.chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>();
        found.push(document);
    }
    let more = found.len() < heads.len() || heads.len() == limit as usize;
    Ok((found, more))
}

async fn document(transaction: &Transaction<'_>, head: &Row) -> Result<ExportedRow, Error> {
    let chunks = rows(
        transaction,
        "SELECT e.chunk, e.page, e.heading, e.start_byte, e.end_byte, c.text,
                ARRAY(SELECT k.canonical_name FROM mentions n JOIN concepts k ON k.concept = n.concept
                      WHERE n.chunk = e.chunk ORDER BY n.count DESC, k.canonical_name)
         FROM manifest_entries e JOIN chunks c ON c.chunk = e.chunk
         WHERE e.manifest = $1 ORDER BY e.ordinal",
        &[&head.try_get::<_, i64>(0)?],
    )
    .await?;
    let chunk = |row: &Row| {
        Ok(ExportedChunkRow {
            id: chunk_of(row.try_get(0)?),
            page: small(row.try_get(1)?),
            heading: row.try_get(2)?,
            start: small(row.try_get(3)?),
            end: small(row.try_get(4)?),
            text: row.try_get(5)?,
            concepts: row.try_get(6)?,
        })
    };
    Ok(ExportedRow {
        id: document_of(head.try_get(1)?),
        arrived: number(head.try_get(2)?),
        uri: head.try_get(3)?,
        generation: number(head.try_get(4)?),
        language: head.try_get(5)?,
        summary: head.try_get::<_, Option<&str>>(6)?.map(from_json).transpose()?.unwrap_or_default(),
        chunks: chunks.iter().map(chunk).collect::<Result<_, Error>>()?,
    })
}
