//! Documents: list, look, delete. `/v1/documents`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use docmill_core::delivery::Stage;
use docmill_core::id::DocumentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Shared;
use super::admission::Door;
use super::auth::Caller;
use super::problem::Problem;
use super::request::{Id, Params, cursor, limit};
use crate::desk::{DocumentFilter, DocumentRow};
use crate::time_text::rfc3339_of_ms;

/// States that a list may be asked for.
pub(super) const STATES: [&str; 5] = ["queued", "processing", "committed", "failed", "cancelled"];

/// A document.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Its name, for programs.
    id: String,
    /// Where it is.
    uri: String,
    /// Where its newest content is: queued, processing, committed, failed, cancelled.
    state: String,
    /// The newest content's number, from 1.
    generation: u64,
    /// Its size.
    bytes: u64,
    /// It is deleted, or will be as soon as its state is committed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    /// When the newest content came (UTC).
    changed_at: String,
    /// When what can be found was committed (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    committed_at: Option<String>,
    /// Title of what can be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Its media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    /// Its language.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// Its category, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    /// How near it is to that, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    category_confidence: Option<f32>,
    /// Its pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<u32>,
    /// Its chunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<u32>,
    /// Why the newest content failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Reason>,
}

/// Why a document failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// What programs go by; never renamed.
    pub code: &'static str,
    /// What the code means.
    pub meaning: &'static str,
    /// What happened here.
    pub detail: String,
    /// The stage in which it happened: fetch, extract, chunk, enrich, index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
    /// The page, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Last lines that the extractor wrote to standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// What to do.
    pub what_to_do: &'static str,
    /// When it failed (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<String>,
}

/// A page of documents, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Documents {
    /// The documents.
    documents: Vec<Document>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which documents.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    state: Option<String>,
    batch: Option<Uuid>,
    uri: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl Reason {
    /// Of a row that failed.
    pub fn of(row: &DocumentRow) -> Option<Self> {
        let failure = row.failure.as_ref()?;
        Some(Self {
            code: failure.code.as_str(),
            meaning: failure.code.meaning(),
            detail: failure.detail.clone(),
            stage: failure.stage.map(Stage::as_str),
            page: failure.page,
            stderr: failure.stderr.clone(),
            what_to_do: failure.code.advice(),
            failed_at: row.failed_at_ms.map(rfc3339_of_ms),
        })
    }
}

impl From<DocumentRow> for Document {
    fn from(row: DocumentRow) -> Self {
        let failure = Reason::of(&row);
        let summary = row.summary.filter(|_| !row.deleted);
        Self {
            id: row.id.to_string(),
            uri: row.uri,
            state: row.state,
            generation: row.generation,
            bytes: row.bytes,
            deleted: row.deleted,
            changed_at: rfc3339_of_ms(row.changed_at_ms),
            committed_at: row.committed_at_ms.map(rfc3339_of_ms),
            media_type: summary.as_ref().map(|summary| summary.media_type.clone()),
            language: summary.as_ref().map(|summary| summary.language.clone()),
            category: summary.as_ref().and_then(|summary| summary.category.clone()),
            category_confidence: summary.as_ref().and_then(|summary| summary.category_confidence),
            pages: summary.as_ref().map(|summary| summary.pages),
            chunks: summary.as_ref().map(|summary| summary.chunks),
            title: summary.and_then(|summary| summary.title),
            failure,
        }
    }
}

/// `GET /v1/documents`.
pub async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Documents>, Problem> {
    if let Some(state) = wanted.state.as_deref().filter(|state| !STATES.contains(state)) {
        return Err(Problem::invalid("state", "is none", STATES.join(", ")).given(state));
    }
    let limit = limit(wanted.limit)?;
    let before = cursor(wanted.cursor.as_deref(), |text| text.parse().ok())?;
    let filter =
        DocumentFilter { state: wanted.state, batch: wanted.batch, uri: wanted.uri, before, limit };
    let rows = api.desk.documents(&caller.tenant, &filter).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| row.arrived.to_string());
    Ok(Json(Documents { documents: rows.into_iter().map(Document::from).collect(), next }))
}

/// `GET /v1/documents/{id}`.
pub async fn get(
    State(api): State<Shared>,
    caller: Caller,
    Id(document): Id<DocumentId>,
) -> Result<Json<Document>, Problem> {
    let row = api.desk.document(&caller.tenant, document).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| Problem::missing("document", &document.to_string()))
}

/// `DELETE /v1/documents/{id}`. Deleting what is deleted is no mistake.
pub async fn delete(
    State(api): State<Shared>,
    caller: Caller,
    Id(document): Id<DocumentId>,
) -> Result<Response, Problem> {
    match api.desk.delete_document(&caller.tenant, document).await? {
        Some(message) => Door::enqueue(api.queue.as_ref(), &[message]).await,
        None if api.desk.document(&caller.tenant, document).await?.is_some() => {}
        None => return Err(Problem::missing("document", &document.to_string())),
    }
    Ok(StatusCode::ACCEPTED.into_response())
}
