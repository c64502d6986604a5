//! The concept graph: `/v1/concepts`, one of them, the way between two, and what the graph's store is busy with.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::auth::Caller;
use super::problem::Problem;
use super::request::{Params, cursor, limit};
use crate::concepts::{
    ConceptDetail, ConceptPage, ConceptQuery, Error, PathStep, Place, STEPS_MAX, SlowQuery,
};

/// Longest name that is looked for, in bytes; the graph has none longer.
const NAME_BYTES_MAX: usize = 512;
/// From when on a query is slow where nothing is said, in milliseconds.
const SLOW_MS: u64 = 1_000;
/// Longest such bound, in milliseconds.
const SLOW_MS_MAX: u64 = 3_600_000;
/// Seconds after which it is worth asking again what was away.
const AWAY_RETRY_S: u64 = 5;

/// The way between two concepts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathAnswer {
    /// From the one to the other, both included; empty where nothing leads there in so many steps.
    steps: Vec<PathStep>,
}

/// Queries that a store has been at for long.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlowQueries {
    /// The longest first, at most 100.
    queries: Vec<SlowQuery>,
}

/// Which concepts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    prefix: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Which way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    to: Option<String>,
    steps: Option<u8>,
}

/// From when on a query is slow.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slow {
    above_ms: Option<u64>,
}

/// The stores' own words are for the log: they may name hosts and users.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::Away(_) => {
                tracing::warn!(%error, "the ledger failed");
                Self::ledger_away()
            }
            Error::Graph(_) => {
                tracing::warn!(%error, "the graph failed");
                let detail = "the concept graph's server does not answer";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "graph_unavailable", detail, "ask again later")
                    .retry_after(AWAY_RETRY_S)
            }
            Error::TooDeep => {
                let what_to_do = "ask for fewer steps, or between concepts that are nearer";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too_deep", error.to_string(), what_to_do)
                    .at("steps", format!("1 to {STEPS_MAX}"))
            }
        }
    }
}

/// `GET /v1/concepts`.
pub async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<ConceptPage>, Problem> {
    let prefix = wanted.prefix.filter(|prefix| !prefix.is_empty());
    if let Some(prefix) = &prefix {
        checked("prefix", prefix)?;
    }
    let is_name = |place: &Place| checked("cursor", &place.canonical_name).is_ok();
    let after = cursor(wanted.cursor.as_deref(), |text| Place::read(text).filter(is_name))?;
    let query = ConceptQuery { prefix, limit: limit(wanted.limit)?, after };
    Ok(Json(api.concepts.list(&caller.tenant, &query).await?))
}

/// `GET /v1/concepts/{name}`.
pub async fn one(
    State(api): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ConceptDetail>, Problem> {
    checked("name", &name)?;
    let found = api.concepts.one(&caller.tenant, &name).await?;
    found.map(Json).ok_or_else(|| Problem::missing("concept", &name))
}

/// `GET /v1/concepts/{name}/path`.
pub async fn path(
    State(api): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Params(way): Params<Way>,
) -> Result<Json<PathAnswer>, Problem> {
    let to = way.to.ok_or_else(|| Problem::invalid("to", "is missing", "the name of a concept"))?;
    checked("name", &name)?;
    checked("to", &to)?;
    let steps = match way.steps.unwrap_or(STEPS_MAX) {
        steps @ 1..=STEPS_MAX => steps,
        other => {
            let wrong = Problem::invalid("steps", "is out of bounds", format!("1 to {STEPS_MAX}"));
            return Err(wrong.given(&other.to_string()));
        }
    };
    let found = api.concepts.path(&caller.tenant, &name, &to, steps).await?;
    // Which of the two it is can be asked for.
    let steps = found.ok_or_else(|| Problem::missing("concept", &format!("{name} or {to}")))?;
    Ok(Json(PathAnswer { steps }))
}

/// `GET /v1/slow-queries`.
pub async fn slow(
    State(api): State<Shared>,
    Params(wanted): Params<Slow>,
) -> Result<Json<SlowQueries>, Problem> {
    let above_ms = match wanted.above_ms.unwrap_or(SLOW_MS) {
        ms @ 0..=SLOW_MS_MAX => ms,
        other => {
            let wrong = Problem::invalid("aboveMs", "is out of bounds", format!("0 to {SLOW_MS_MAX}"));
            return Err(wrong.given(&other.to_string()));
        }
    };
    Ok(Json(SlowQueries { queries: api.concepts.slow(above_ms).await? }))
}

/// No concept has a name with control characters, which a server may refuse with words of its own.
fn checked(field: &str, name: &str) -> Result<(), Problem> {
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let allowed = format!("up to {NAME_BYTES_MAX} bytes without control characters");
        return Err(Problem::invalid(field, "is no name of a concept", allowed).given(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_concept_has_are_refused() {
        for name in ["a\0b", "line\nfeed", "x".repeat(NAME_BYTES_MAX + 1).as_str()] {
            assert_eq!(checked("name", name).unwrap_err().status(), 422);
        }
        for name in ["rust", "données 日本語", ""] {
            assert!(checked("name", name).is_ok());
        }
    }

    #[test]
    fn each_error_is_a_problem_of_its_own() {
        let statuses = [Error::Away("x".into()), Error::Graph("x".into()), Error::TooDeep]
            .map(|error| Problem::from(error).status());
        assert_eq!(statuses, [503, 503, 422]);
    }
}
