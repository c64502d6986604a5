//! Batches: what was submitted together. `/v1/batches`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use docmill_core::id::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Caller;
use super::idempotency::{self, Fingerprint};
use super::plain;
use super::problem::Problem;
use super::request::{Body, Id, Params, cursor, limit};
use super::upload::{AcceptedDocument, told};
use super::{Shared, sources};
use crate::desk::{Admitted, BatchRow};
use crate::time_text::rfc3339_of_ms;

/// URIs of one request.
const URIS_MAX: usize = 1_000;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 200;

/// A batch that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewBatch {
    /// Its name, for people; at most 200 characters.
    name: Option<String>,
    /// Documents: objects of the configured store (`s3://…`) or files below `fileRoot` (`file:///…`); at most
    /// 1,000. More are added to the batch, and uploads name it as `batch`.
    #[serde(default)]
    uris: Vec<String>,
}

/// Documents that are added to a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoreDocuments {
    /// As for a new batch.
    uris: Vec<String>,
}

/// How far a batch is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Its name, for programs.
    id: String,
    /// Its name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `running`, `done` or `cancelled`. One without documents is done.
    state: &'static str,
    /// When it was made (UTC).
    created_at: String,
    /// When it was cancelled (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<String>,
    /// Its documents by state.
    documents: BatchDocuments,
    /// Settled documents of all, from 0 to 100.
    progress_percent: f64,
    /// Seconds until all are settled, at the rate of the last minute; absent where nothing was settled in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_s: Option<u64>,
    /// Documents that were settled a second, over the last minute; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_s: Option<f64>,
}

/// Documents of a batch by state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchDocuments {
    /// All.
    total: u64,
    /// They wait.
    queued: u64,
    /// They are worked on.
    processing: u64,
    /// They can be found.
    committed: u64,
    /// They were given up: see the dead letters.
    failed: u64,
    /// They were not begun, or stopped.
    cancelled: u64,
    /// Their place has other content by now.
    superseded: u64,
}

/// What was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedBatch {
    /// The batch.
    id: String,
    /// The documents, in the order of the request.
    documents: Vec<AcceptedDocument>,
}

/// A page of batches, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Batches {
    /// The batches.
    batches: Vec<Batch>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What cancelling did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelledBatch {
    /// The batch.
    id: String,
    /// Documents that were cancelled by this request.
    cancelled: u64,
}

/// Which part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl From<BatchRow> for Batch {
    fn from(row: BatchRow) -> Self {
        let open = row.queued + row.processing;
        let settled = row.total - open;
        let state = match (row.cancelled_at_ms, open) {
            (Some(_), _) => "cancelled",
            (None, 0) => "done",
            _ => "running",
        };
        let percent = if row.total == 0 { 100.0 } else { settled as f64 * 100.0 / row.total as f64 };
        let rate = row.settled_lately as f64 * 1_000.0 / row.lately_ms.max(1) as f64;
        Self {
            id: row.id.to_string(),
            name: row.name,
            state,
            created_at: rfc3339_of_ms(row.created_at_ms),
            cancelled_at: row.cancelled_at_ms.map(rfc3339_of_ms),
            documents: BatchDocuments {
                total: row.total,
                queued: row.queued,
                processing: row.processing,
                committed: row.committed,
                failed: row.failed,
                cancelled: row.cancelled,
                superseded: row.superseded,
            },
            progress_percent: (percent * 10.0).floor() / 10.0,
            eta_s: match open {
                0 => Some(0),
                open => (rate > 0.0).then(|| (open as f64 / rate).ceil() as u64),
            },
            rate_per_s: (rate > 0.0).then(|| (rate * 100.0).round() / 100.0),
        }
    }
}

/// `POST /v1/batches`.
pub async fn create(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<NewBatch>,
) -> Result<Response, Problem> {
    if let Some(name) = &new.name {
        plain::judged("name", name, NAME_CHARS_MAX)?;
    }
    let key = idempotency::key_of(&headers)?;
    let batch = match key {
        // The same for the same key: a process that died before it could answer made this one.
        Some(key) => {
            Uuid::new_v5(&Uuid::new_v5(&Uuid::NAMESPACE_URL, caller.tenant.as_str().as_bytes()), &key)
        }
        None => random()?,
    };
    let mut fingerprint = Fingerprint::default();
    fingerprint.add("batch");
    fingerprint.add(new.name.as_deref().unwrap_or_default());
    new.uris.iter().for_each(|uri| fingerprint.add(uri));
    let fingerprint = fingerprint.done();
    if let Some(answer) =
        idempotency::first_answer(api.desk.as_ref(), &caller.tenant, key, fingerprint).await?
    {
        return Ok(answer);
    }
    let admissions = looked(&api, &caller, batch, &new.uris).await?;
    api.desk.create_batch(batch, &caller.tenant, new.name.as_deref()).await?;
    let documents = admit(&api, &caller.tenant, batch, admissions).await?;
    let said = AcceptedBatch { id: batch.to_string(), documents };
    idempotency::answer(api.desk.as_ref(), &caller.tenant, key, fingerprint, &said).await
}

/// `POST /v1/batches/{id}/documents`. Naming a document again changes nothing, so it needs no key.
pub async fn add(
    State(api): State<Shared>,
    caller: Caller,
    Id(batch): Id<Uuid>,
    Body(more): Body<MoreDocuments>,
) -> Result<Response, Problem> {
    let admissions = looked(&api, &caller, batch, &more.uris).await?;
    let documents = admit(&api, &caller.tenant, batch, admissions).await?;
    let said = AcceptedBatch { id: batch.to_string(), documents };
    idempotency::answer(api.desk.as_ref(), &caller.tenant, None, [0; 32], &said).await
}

async fn looked(
    api: &Shared,
    caller: &Caller,
    batch: Uuid,
    uris: &[String],
) -> Result<Vec<crate::desk::Admission>, Problem> {
    if uris.len() > URIS_MAX {
        let detail = format!("has {} URIs", uris.len());
        return Err(Problem::invalid(
            "uris",
            detail,
            format!("up to {URIS_MAX}; add the others afterwards"),
        ));
    }
    api.load.admit(&caller.tenant, uris.len() as u64).await?;
    sources::look(api, &caller.tenant, batch, uris).await
}

/// Takes documents into a batch; naming one again changes nothing.
pub(super) async fn admit(
    api: &Shared,
    tenant: &TenantId,
    batch: Uuid,
    admissions: Vec<crate::desk::Admission>,
) -> Result<Vec<AcceptedDocument>, Problem> {
    let missing = || Problem::missing("open batch", &batch.to_string());
    if admissions.is_empty() {
        // Nothing goes through the door, so nobody else looks whose the batch is.
        let row = api.desk.batch(tenant, batch).await?;
        return match row.is_some_and(|row| row.cancelled_at_ms.is_none()) {
            true => Ok(Vec::new()),
            false => Err(missing()),
        };
    }
    let admitted = api.door.admit(admissions.clone()).await?;
    if admitted.contains(&Admitted::NoBatch) {
        return Err(missing());
    }
    api.metrics.documents.inc_by(admitted.len() as u64);
    Ok(told(&admissions, &admitted))
}

/// `GET /v1/batches`.
pub async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Json<Batches>, Problem> {
    let limit = limit(page.limit)?;
    let before = cursor(page.cursor.as_deref(), |text| text.parse().ok())?;
    let rows = api.desk.batches(&caller.tenant, before, limit).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| row.arrived.to_string());
    Ok(Json(Batches { batches: rows.into_iter().map(Batch::from).collect(), next }))
}

/// `GET /v1/batches/{id}`.
pub async fn get(
    State(api): State<Shared>,
    caller: Caller,
    Id(batch): Id<Uuid>,
) -> Result<Json<Batch>, Problem> {
    let row = api.desk.batch(&caller.tenant, batch).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| Problem::missing("batch", &batch.to_string()))
}

/// `POST /v1/batches/{id}/cancel`.
pub async fn cancel(
    State(api): State<Shared>,
    caller: Caller,
    Id(batch): Id<Uuid>,
) -> Result<Json<CancelledBatch>, Problem> {
    let cancelled = api.desk.cancel_batch(&caller.tenant, batch).await?;
    let cancelled = cancelled.ok_or_else(|| Problem::missing("batch", &batch.to_string()))?;
    Ok(Json(CancelledBatch { id: batch.to_string(), cancelled }))
}

fn random() -> Result<Uuid, Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Problem::ledger_away())?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

#[cfg(test)]
fn sample() -> Batch {
    BatchRow {
        total: 3,
        queued: 1,
        committed: 2,
        settled_lately: 2,
        lately_ms: 1_000,
        ..BatchRow::default()
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_says_how_far_it_is() {
        let batch = sample();
        assert_eq!((batch.state, batch.progress_percent, batch.eta_s), ("running", 66.6, Some(1)));
        assert_eq!(batch.rate_per_s, Some(2.0));
        let done = Batch::from(BatchRow { total: 2, committed: 1, failed: 1, ..BatchRow::default() });
        assert_eq!((done.state, done.progress_percent, done.eta_s), ("done", 100.0, Some(0)));
        let still = Batch::from(BatchRow { total: 2, queued: 2, ..BatchRow::default() });
        assert_eq!((still.progress_percent, still.eta_s), (0.0, None));
    }
}
