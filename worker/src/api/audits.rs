//! Audits: what the ledger says was committed against what the stores hold, of all tenants. `/v1/audits`.
//!
//! Nothing is kept of one: it goes on while somebody reads its lines, and who is cut off asks again. It repairs
//! where that is asked for, and then what was found was there before.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::Shared;
use super::problem::Problem;
use super::request::Params;
use crate::delivery;
use crate::verify::{self, Findings, Options, Repaired};

/// Audits of a process at once: each reads everything.
pub const AT_ONCE: usize = 1;
/// Time between two lines while it works, so that nobody on the way takes the silence for an end.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Seconds after which it is worth asking again while another audit goes on.
const BUSY_RETRY_S: u64 = 10;
/// Seconds after which it is worth asking again what was away.
const AWAY_RETRY_S: u64 = 5;

/// How an audit is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditParams {
    #[serde(default)]
    repair: bool,
}

/// A line of an audit: it goes on, or its end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// How long it has been going on, in seconds.
    elapsed_s: u64,
    /// What it found: the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<AuditFindings>,
    /// What was put right then; absent where nothing was wrong or nobody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<AuditRepair>,
    /// Why it found nothing out: the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// What an audit found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditFindings {
    /// Whether nothing is wrong.
    clean: bool,
    /// Entries of committed documents that a store lacks, or holds with another text.
    missing: u64,
    /// Rows that nothing names or accounts for.
    orphan: u64,
    /// Removals overdue.
    stale: u64,
    /// Things that are there twice.
    duplicate: u64,
    /// Documents that wait without an entry in the queue.
    queue: u64,
    /// Removals not yet due; no finding.
    cleanup_pending: u64,
    /// Manifests looked at.
    checked_manifests: u64,
    /// Rows looked at, of all stores.
    checked_rows: u64,
    /// Some of the findings, one line each.
    examples: Vec<String>,
}

/// What a repair did. What is done again is settled by the workers: audit again afterwards.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRepair {
    /// Documents that are done again, as a store lacks rows of theirs.
    requeued: u64,
    /// Rows removed that nothing named or accounted for.
    removed: u64,
    /// Things removed that no row held up.
    loose_ends: u64,
}

impl From<Repaired> for AuditRepair {
    fn from(repaired: Repaired) -> Self {
        let Repaired { requeued, removed, loose_ends } = repaired;
        Self { requeued, removed, loose_ends }
    }
}

impl From<Findings> for AuditFindings {
    fn from(found: Findings) -> Self {
        Self {
            clean: found.is_clean(),
            missing: found.missing,
            orphan: found.orphan,
            stale: found.stale,
            duplicate: found.duplicate,
            queue: found.queue,
            cleanup_pending: found.cleanup_pending,
            checked_manifests: found.checked_manifests,
            checked_rows: found.checked_rows,
            examples: found.examples,
        }
    }
}

/// What an audit comes to: what it found, and what it then put right.
type Done = Result<(Findings, Option<Repaired>), delivery::Error>;

/// An audit that somebody reads.
struct Going {
    /// None once it has ended.
    audit: Option<BoxFuture<'static, Done>>,
    began: Instant,
    _place: OwnedSemaphorePermit,
}

/// `POST /v1/audits`: a line of JSON now and then, the findings in the last.
pub async fn create(
    State(api): State<Shared>,
    Params(AuditParams { repair }): Params<AuditParams>,
) -> Result<Response, Problem> {
    let place = api.audits.clone().try_acquire_owned().map_err(|_| {
        let what_to_do = "wait as Retry-After says, then send the same again";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "audit_busy", "an audit is going on", what_to_do)
            .retry_after(BUSY_RETRY_S)
    })?;
    let sinks = (api.sinks)().await?;
    let (ledger, queue) = (api.ledger.clone(), api.queue.clone());
    let audit = async move {
        let (queue, options) = (Some(queue.as_ref()), Options::default());
        let found = verify::verify(ledger.as_ref(), &sinks, queue, &options).await?;
        let repaired = match repair && !found.is_clean() {
            true => Some(verify::repair(ledger.as_ref(), &sinks, queue, &options).await?),
            false => None,
        };
        Ok((found, repaired))
    };
    let going = Going { audit: Some(Box::pin(audit)), began: Instant::now(), _place: place };
    let lines = stream::unfold(going, |mut going| async move {
        let audit = going.audit.as_mut()?;
        let done = tokio::time::timeout(LINE_EVERY, audit).await;
        let elapsed_s = going.began.elapsed().as_secs();
        let mut said = AuditLine { elapsed_s, findings: None, repaired: None, problem: None };
        if let Ok(done) = done {
            going.audit = None;
            match done {
                Ok((findings, repaired)) => {
                    said.findings = Some(findings.into());
                    said.repaired = repaired.map(AuditRepair::from);
                }
                Err(error) => said.problem = Some(unknown(&error)),
            }
        }
        let mut line = serde_json::to_vec(&said).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), going))
    });
    let head = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(lines)).into_response())
}

fn unknown(error: &delivery::Error) -> Problem {
    tracing::warn!(%error, "the audit failed");
    let detail = "a back end did not answer: the audit says nothing";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "audit_failed", detail, "ask again later")
        .retry_after(AWAY_RETRY_S)
}
