//! Reading requests: bodies, parameters and pages, with a problem that says what is wrong where.

use std::time::Duration;

use axum::body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use docmill_core::id::DocumentId;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::auth::Caller;
use super::problem::Problem;

/// Largest body that is no upload, in bytes: a thousand long URIs.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// The same where only a question is asked, which many may do who may do nothing else.
pub const QUESTION_BYTES_MAX: usize = 1 << 20;
/// How fast such a body has to come: who sends it more slowly holds a place, and memory, for nothing.
const PACE: Pace = Pace { begin: Duration::from_secs(10), bytes_per_s: 128 << 10 };
/// Time for which a body that is too large is still read, so that its sender gets to see why.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Most that one page of a list shows.
pub const PAGE_MAX: u32 = 1_000;
/// What a page shows where nothing is said.
pub const PAGE: u32 = 100;

/// Largest body of an operation, in bytes; where the guard says nothing, [`BODY_BYTES_MAX`].
#[derive(Debug, Clone, Copy)]
pub struct BodyBytesMax(pub usize);

/// The slowest that a body may come.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Time until its first bytes are there.
    begin: Duration,
    /// What each further second has to bring.
    bytes_per_s: u32,
}

impl Pace {
    /// When more than these bytes have to be there.
    fn more_until(self, began: Instant, bytes: usize) -> Instant {
        began + self.begin + Duration::from_secs_f64(bytes as f64 / f64::from(self.bytes_per_s))
    }
}

/// A body in JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes_max = request.extensions().get::<BodyBytesMax>().map_or(BODY_BYTES_MAX, |max| max.0);
        let bytes = whole(request.into_body(), bytes_max, PACE).await?;
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
async fn whole(body: body::Body, bytes_max: usize, pace: Pace) -> Result<Vec<u8>, Problem> {
    let began = Instant::now();
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    loop {
        let piece = timeout_at(pace.more_until(began, bytes.len()), pieces.next()).await;
        let Some(piece) = piece.map_err(|_| too_slow(began, bytes.len()))? else { return Ok(bytes) };
        let piece = piece.map_err(|_| broken_off())?;
        if bytes.len() + piece.len() > bytes_max {
            drop(bytes);
            let rest = async { while let Some(Ok(_)) = pieces.next().await {} };
            let _ = timeout(DRAIN_MAX, rest).await;
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&piece);
    }
}

fn too_slow(began: Instant, bytes: usize) -> Problem {
    let detail = format!("{bytes} bytes of the body were there after {} s", began.elapsed().as_secs());
    let what_to_do = "send it faster, or less at once";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail, what_to_do)
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body has more than {bytes_max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail, "send less at once")
}

/// Nobody reads it, as its sender is gone.
fn broken_off() -> Problem {
    Problem::invalid("body", "ended early", "a body that is as long as its head says")
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::{Body, Bytes};
    use futures::stream;

    use super::*;

    const FAST: Pace = Pace { begin: Duration::from_secs(60), bytes_per_s: 1 };

    fn code(read: Result<Vec<u8>, Problem>) -> u16 {
        read.map_or_else(|problem| problem.status(), |_| 200)
    }

    #[tokio::test]
    async fn bodies_are_as_large_as_they_may_be() {
        let body = |bytes: usize| Body::from(vec![b'x'; bytes]);
        assert_eq!(whole(body(10), 10, FAST).await.unwrap().len(), 10);
        assert_eq!(code(whole(body(11), 10, FAST).await), 413);
        assert!(whole(body(0), 0, FAST).await.unwrap().is_empty());
        let broken = [Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("cut"))];
        assert_eq!(code(whole(Body::from_stream(stream::iter(broken)), 10, FAST).await), 422);
    }

    #[tokio::test]
    async fn who_sends_nothing_or_too_little_is_let_go() {
        let slow = Pace { begin: Duration::from_millis(10), bytes_per_s: 1_000 };
        let nothing = stream::pending::<Result<Bytes, Infallible>>();
        assert_eq!(code(whole(Body::from_stream(nothing), 10, slow).await), 408);
        let begun = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"x"))]).chain(stream::pending());
        assert_eq!(code(whole(Body::from_stream(begun), 10, slow).await), 408);
    }

    #[test]
    fn what_came_buys_time() {
        let (pace, began) = (Pace { begin: Duration::from_secs(10), bytes_per_s: 1_000 }, Instant::now());
        assert_eq!(pace.more_until(began, 0), began + Duration::from_secs(10));
        assert_eq!(pace.more_until(began, 5_000), began + Duration::from_secs(15));
    }
}
