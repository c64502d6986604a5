//! Dead letters: what was given up and why, and having it done again. `/v1/dead-letters`.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use docmill_core::failure::FailureCode;
use docmill_core::id::DocumentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::admission::Door;
use super::auth::Caller;
use super::documents::Reason;
use super::problem::Problem;
use super::request::{Body, Id, Params, cursor, limit};
use crate::desk::{DocumentRow, LetterFilter};

/// Dead letters that one transaction queues again.
const REPLAY_BATCH: u32 = 500;
/// Documents that one request names.
const NAMED_MAX: usize = 1_000;
/// How long one request replays; the client asks again for the rest.
const REPLAY_TIME: Duration = Duration::from_secs(10);

/// A document that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The document.
    id: String,
    /// Where it is.
    uri: String,
    /// The number of the content that failed.
    generation: u64,
    /// Its size.
    bytes: u64,
    /// Why.
    reason: Reason,
    /// Times that its extractor died.
    extractor_deaths: u32,
    /// Failures that might have passed by themselves.
    transient_failures: u32,
    /// Starts without progress.
    starts: u32,
}

/// A page of dead letters, the last to fail first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetters {
    /// The dead letters.
    dead_letters: Vec<DeadLetter>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which dead letters are to be done again: exactly one of `documents`, `code` and `all`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplayRequest {
    /// These; at most 1,000. Cancelled documents may be named.
    documents: Option<Vec<String>>,
    /// All that failed with this code.
    code: Option<String>,
    /// All but cancelled ones.
    #[serde(default)]
    all: bool,
    /// Only what failed until then, in milliseconds since the Unix epoch: what an earlier answer said, so that
    /// nothing is done again twice. Without it, what failed until now.
    until_ms: Option<u64>,
}

/// What is done again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Dead letters that this request queued again.
    replayed: u64,
    /// Those that are left. Where it is not 0, send the same with `untilMs` as it is here.
    remaining: u64,
    /// Only what failed until then was meant.
    until_ms: u64,
}

/// Which part of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    code: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

fn letter(row: DocumentRow) -> Option<DeadLetter> {
    let reason = Reason::of(&row)?;
    let [starts, extractor_deaths, transient_failures] = row.attempts;
    Some(DeadLetter {
        id: row.id.to_string(),
        uri: row.uri,
        generation: row.generation,
        bytes: row.bytes,
        reason,
        extractor_deaths,
        transient_failures,
        starts,
    })
}

fn known_code(code: Option<String>) -> Result<Option<String>, Problem> {
    match &code {
        Some(name) if FailureCode::parse(name).is_none() => {
            Err(Problem::invalid("code", "is none", FailureCode::names()).given(name))
        }
        _ => Ok(code),
    }
}

/// `GET /v1/dead-letters`.
pub async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<DeadLetters>, Problem> {
    let limit = limit(wanted.limit)?;
    let filter = LetterFilter { code: known_code(wanted.code)?, ..LetterFilter::default() };
    let before = cursor(wanted.cursor.as_deref(), |text| {
        let (time, document) = text.split_once('.')?;
        Some((time.parse().ok()?, DocumentId::parse(document)?))
    })?;
    let rows = api.desk.dead_letters(&caller.tenant, &filter, before, limit).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full);
    let next = next.map(|row| format!("{}.{}", row.failed_at_ms.unwrap_or(0), row.id));
    Ok(Json(DeadLetters { dead_letters: rows.into_iter().filter_map(letter).collect(), next }))
}

/// `GET /v1/dead-letters/{id}`.
pub async fn get(
    State(api): State<Shared>,
    caller: Caller,
    Id(document): Id<DocumentId>,
) -> Result<Json<DeadLetter>, Problem> {
    let row = api.desk.document(&caller.tenant, document).await?;
    let found = row.filter(|row| row.state == "failed").and_then(letter);
    found.map(Json).ok_or_else(|| Problem::missing("dead letter", &document.to_string()))
}

/// `POST /v1/dead-letters/replay`. Each once, however often the request is sent again.
pub async fn replay(
    State(api): State<Shared>,
    caller: Caller,
    Body(wanted): Body<ReplayRequest>,
) -> Result<Json<Replayed>, Problem> {
    let one_of = "exactly one of documents, code and all: true";
    let given = [wanted.documents.is_some(), wanted.code.is_some(), wanted.all];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(Problem::invalid("body", "does not say which dead letters", one_of));
    }
    let documents = wanted.documents.map(named).transpose()?;
    let (_, now) = api.desk.commits().await?;
    let until_ms = wanted.until_ms.unwrap_or(now).min(now);
    let filter = LetterFilter { code: known_code(wanted.code)?, documents, until_ms: Some(until_ms) };
    let began = Instant::now();
    let mut replayed = 0;
    loop {
        let messages = api.desk.replay(&caller.tenant, &filter, REPLAY_BATCH).await?;
        replayed += messages.len() as u64;
        if messages.is_empty() {
            break;
        }
        Door::enqueue(api.queue.as_ref(), &messages).await;
        if began.elapsed() > REPLAY_TIME {
            break;
        }
    }
    let remaining = api.desk.count_letters(&caller.tenant, &filter).await?;
    Ok(Json(Replayed { replayed, remaining, until_ms }))
}

fn named(documents: Vec<String>) -> Result<Vec<DocumentId>, Problem> {
    if documents.len() > NAMED_MAX {
        return Err(Problem::invalid("documents", "are too many", format!("up to {NAMED_MAX}")));
    }
    let id = |text: String| {
        let unknown =
            || Problem::invalid("documents", "has what is no id", "ids of documents").given(&text);
        DocumentId::parse(&text).ok_or_else(unknown)
    };
    documents.into_iter().map(id).collect()
}
