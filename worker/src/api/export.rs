//! Everything that a tenant's documents consist of, page by page. `/v1/export`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::auth::Caller;
use super::problem::Problem;
use super::request::{Params, cursor, limit};
use crate::config::GraphStore;
use crate::desk::{ExportedChunkRow, ExportedRow};

/// Pages that are made at once; each is in memory whole.
pub const AT_ONCE: usize = 4;
/// Bytes of text from which on a page takes no further document.
const PAGE_BYTES: usize = 4 << 20;
/// Seconds after which it is worth asking again while others export.
const BUSY_RETRY_S: u64 = 2;

/// A document with its chunks, as search shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedDocument {
    /// Its name, for programs.
    id: String,
    /// Where it is.
    uri: String,
    /// Its title.
    title: Option<String>,
    /// Its language.
    language: String,
    /// Its media type.
    media_type: String,
    /// Its category, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    /// The content's number, from 1.
    generation: u64,
    /// Its pages.
    pages: u32,
    /// Its chunks, in its order.
    chunks: Vec<ExportedChunk>,
}

/// A chunk.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedChunk {
    /// Its name, for programs.
    id: String,
    /// Its page, from 1.
    page: u32,
    /// Its heading.
    heading: Option<String>,
    /// Byte offset of its start in the page's text.
    start: u32,
    /// Byte offset of its end.
    end: u32,
    /// Its text.
    text: String,
    /// Its concepts, the most mentioned first; absent where the graph has a server of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    concepts: Option<Vec<String>>,
}

/// A page of documents, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// The documents; a page may have fewer than were asked for, as large ones fill it.
    documents: Vec<ExportedDocument>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which part.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl ExportedDocument {
    fn of(row: ExportedRow, with_concepts: bool) -> Self {
        Self {
            id: row.id.to_string(),
            uri: row.uri,
            title: row.summary.title,
            language: row.language,
            media_type: row.summary.media_type,
            category: row.summary.category,
            generation: row.generation,
            pages: row.summary.pages,
            chunks: row.chunks.into_iter().map(|chunk| ExportedChunk::of(chunk, with_concepts)).collect(),
        }
    }
}

impl ExportedChunk {
    fn of(row: ExportedChunkRow, with_concepts: bool) -> Self {
        Self {
            id: row.id.to_string(),
            page: row.page,
            heading: row.heading,
            start: row.start,
            end: row.end,
            text: row.text,
            concepts: with_concepts.then_some(row.concepts),
        }
    }
}

/// `GET /v1/export`.
pub async fn page(
    State(api): State<Shared>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Json<Export>, Problem> {
    let limit = limit(page.limit)?;
    let after = cursor(page.cursor.as_deref(), |text| text.parse().ok())?;
    let _place = api.exports.try_acquire().map_err(|_| {
        let detail = format!("{AT_ONCE} exports are going on");
        let what_to_do = "wait as Retry-After says, then send the same again";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "exports_busy", detail, what_to_do)
            .retry_after(BUSY_RETRY_S)
    })?;
    let (rows, more) = api.desk.export(&caller.tenant, after, limit, PAGE_BYTES).await?;
    let next = rows.last().filter(|_| more).map(|row| row.arrived.to_string());
    let with_concepts = api.graph == GraphStore::Postgres;
    let documents = rows.into_iter().map(|row| ExportedDocument::of(row, with_concepts)).collect();
    Ok(Json(Export { documents, next }))
}
