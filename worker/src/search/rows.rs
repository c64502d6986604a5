//! From hits to what is shown: only chunks that current manifests name; equal texts are one hit.

use std::collections::HashSet;

use docmill_core::id::{DocumentId, IndexId, TenantId};
use docmill_core::search::{Snippet, snippet};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::ledger::Summary;

/// Longest snippet, in bytes.
const SNIPPET_BYTES: usize = 320;
/// Chunks with the same text that are looked at for each hit: a licence may stand in every document.
const TWINS_MAX: u32 = 32;

/// The document of a hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundDocument {
    /// The document.
    pub id: DocumentId,
    /// Where it is.
    pub uri: String,
    /// Its title.
    pub title: Option<String>,
}

/// One hit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Where it is from.
    pub document: FoundDocument,
    /// Page, from 1.
    pub page: u32,
    /// Headings it stands under.
    pub heading: Option<String>,
    /// Fused score; higher is better.
    pub score: f64,
    /// The chunk's text.
    pub text: String,
    /// The part of it worth showing.
    pub snippet: Snippet,
    /// Other documents with the same text.
    pub also_at: Vec<String>,
}

/// The first `k` hits that may be shown; the texts of twins count once.
pub(super) fn show(
    connection: &Connection,
    tenant: &TenantId,
    index: IndexId,
    query: &str,
    fused: &[(i64, f64)],
    k: usize,
) -> rusqlite::Result<Vec<Found>> {
    let mut shown: Vec<Found> = Vec::new();
    let mut texts: HashSet<Vec<u8>> = HashSet::new();
    // The tenant is part of the look-up: an index id is a hash of models, so tenants share it.
    let mut head = connection.prepare_cached(
        "SELECT d.document, d.uri, e.page, e.heading, d.summary
         FROM chunks c JOIN manifest_entries e ON e.chunk = c.chunk
         JOIN manifests m ON m.manifest = e.manifest AND m.replaced_by IS NULL
         JOIN documents d ON d.document = m.document
         WHERE c.row = ?1 AND m.index_id = ?2 AND d.tenant = ?3 LIMIT 1",
    )?;
    let mut head_of = |row: i64| -> rusqlite::Result<Option<(FoundDocument, u32, Option<String>)>> {
        head.query_row(params![row, index.0, tenant.as_str()], |row| {
            let id: [u8; 16] = row.get(0)?;
            let summary: Option<String> = row.get(4)?;
            let title = summary.and_then(|text| serde_json::from_str::<Summary>(&text).ok()?.title);
            let document = FoundDocument { id: DocumentId::from_bytes(id), uri: row.get(1)?, title };
            Ok((document, row.get(2)?, row.get(3)?))
        })
        .optional()
    };
    let mut text_of = connection.prepare_cached("SELECT text_hash, text FROM chunks WHERE row = ?")?;
    let mut twins_of =
        connection.prepare_cached("SELECT row FROM chunks WHERE text_hash = ?1 AND row <> ?2 LIMIT ?3")?;
    for (row, score) in fused {
        if shown.len() >= k {
            break;
        }
        let text = text_of
            .query_row([row], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))
            .optional()?;
        let Some((hash, text)) = text.filter(|(hash, _)| !texts.contains(hash)) else { continue };
        let Some((document, page, heading)) = head_of(*row)? else { continue };
        let mut also_at: Vec<String> = Vec::new();
        for twin in twins_of.query_map(params![hash, row, TWINS_MAX], |row| row.get::<_, i64>(0))? {
            if let Some((twin, _, _)) = head_of(twin?)?
                && twin.id != document.id
                && !also_at.contains(&twin.uri)
            {
                also_at.push(twin.uri);
            }
        }
        texts.insert(hash);
        let snippet = snippet(&text, query, SNIPPET_BYTES);
        shown.push(Found { document, page, heading, score: *score, text, snippet, also_at });
    }
    Ok(shown)
}
