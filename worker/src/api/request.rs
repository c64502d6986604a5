//! Reading requests: bodies, parameters and pages, with a problem that says what is wrong where.

use std::time::Duration;

use axum::body::{self, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use docmill_core::id::DocumentId;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::auth::Caller;
use super::problem::Problem;

/// Largest body that is no upload, in bytes: a thousand long URIs.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Longest time until such a body is there: who sends it more slowly holds a place for nothing.
const BODY_MAX: Duration = Duration::from_secs(30);
/// Most that one page of a list shows.
pub const PAGE_MAX: u32 = 1_000;
/// What a page shows where nothing is said.
pub const PAGE: u32 = 100;

/// A body in JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = whole(request.into_body()).await?;
        // Nothing is as good as an empty object: many requests need no body.
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            // Of the parser's words only the place and the kind: they may repeat what was sent.
            let place = format!("line {}, column {}", error.line(), error.column());
            let detail = match error.classify() {
                serde_json::error::Category::Data => format!("the body is not what is wanted at {place}"),
                _ => format!("the body is not JSON at {place}"),
            };
            Problem::invalid("body", detail, "see /openapi.json; unknown fields are refused")
        })
    }
}

/// The bytes of a body that is no upload.
///
/// # Errors
/// It is too large, or comes too slowly.
pub async fn whole(body: body::Body) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_MAX, to_bytes(body, BODY_BYTES_MAX)).await.map_err(|_| {
        let detail = format!("the body was not there after {} s", BODY_MAX.as_secs());
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            detail,
            "send it faster, or less at once",
        )
    })?;
    read.map_err(|_| {
        let detail = format!("the body has more than {BODY_BYTES_MAX} bytes, or ended early");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail, "send less at once")
    })
}

/// Parameters of the query.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let read = Query::try_from_uri(&parts.uri);
        read.map(|Query(params)| Self(params)).map_err(|error| {
            // Names of parameters and types; values are repeated only where they are no number.
            let detail = error.body_text();
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail, "correct the query")
                .at("query", "see /openapi.json; unknown parameters are refused")
        })
    }
}

/// Who asks, as the guard found.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::ledger_away)
    }
}

/// An id in the path.
pub struct Id<T>(pub T);

/// What an id in a path may be.
pub trait PathId: Sized {
    /// What it names.
    const WHAT: &'static str;
    /// Reads it.
    fn read(text: &str) -> Option<Self>;
}

impl PathId for DocumentId {
    const WHAT: &'static str = "document";
    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl PathId for Uuid {
    const WHAT: &'static str = "batch";
    fn read(text: &str) -> Option<Self> {
        Self::parse_str(text).ok()
    }
}

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text);
        let text = text.unwrap_or_default();
        T::read(&text).map(Self).ok_or_else(|| Problem::missing(T::WHAT, &text))
    }
}

/// How much of a list to show.
///
/// # Errors
/// It is none of the allowed numbers.
pub fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(PAGE) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        other => Err(Problem::invalid("limit", "is out of bounds", format!("1 to {PAGE_MAX}"))
            .given(&other.to_string())),
    }
}

/// Where to go on, which an earlier page said.
///
/// # Errors
/// No page said that.
pub fn cursor<T>(asked: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    let Some(text) = asked else { return Ok(None) };
    let unknown = || Problem::invalid("cursor", "is none that a list gave", "`next` of an earlier page");
    read(text).map(Some).ok_or_else(|| unknown().given(text))
}
