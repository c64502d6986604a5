//! What went wrong with a request, as `application/problem+json`: a code, what was wrong where, what would be
//! right, what to do. An outage is never a 500.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem_codes::is_known;
use crate::{desk, objects, queue};

/// Seconds after which it is worth asking again what was away.
const AWAY_RETRY_S: u64 = 5;

/// Why a request was not done (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Names the code as a URI.
    #[serde(rename = "type")]
    kind: String,
    /// The status, in words.
    title: String,
    /// The status.
    status: u16,
    /// What programs go by; never renamed.
    code: &'static str,
    /// What is wrong, for a person.
    detail: String,
    /// What of the request is wrong: a parameter, a header, a place in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What was given there, where it cannot be a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// What is allowed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    /// What to do.
    what_to_do: String,
    /// Seconds after which to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

/// Longest value that is repeated, in characters.
const VALUE_CHARS_MAX: usize = 200;

impl Problem {
    /// A problem with a code of [`PROBLEM_CODES`](super::PROBLEM_CODES), and the status that goes with it.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        what_to_do: &str,
    ) -> Self {
        debug_assert!(is_known(code, status), "{code} with {status} is not in the table of codes");
        Self {
            kind: format!("urn:docmill:problem:{code}"),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            field: None,
            value: None,
            allowed: None,
            what_to_do: what_to_do.to_owned(),
            retry_after_s: None,
        }
    }

    /// The same with what of the request is wrong, and what is allowed there.
    pub fn at(mut self, field: impl Into<String>, allowed: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self.allowed = Some(allowed.into());
        self
    }

    /// The same with what was given.
    pub fn given(mut self, value: &str) -> Self {
        self.value = Some(value.chars().filter(|c| !c.is_control()).take(VALUE_CHARS_MAX).collect());
        self
    }

    /// The same with the URI that was given, as far as it can hold no secret.
    pub fn given_uri(self, uri: &str) -> Self {
        self.given(&without_secrets(uri))
    }

    /// The same with when to try again.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A request that says something which is not allowed.
    pub fn invalid(field: &str, detail: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail, "correct the request")
            .at(field, allowed)
    }

    /// Something that is not there, or is somebody else's: the two are not told apart.
    pub fn missing(what: &str, id: &str) -> Self {
        let detail = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "not_found", detail, "check its id; lists name what is there")
            .given(id)
    }

    /// The ledger does not answer.
    pub fn ledger_away() -> Self {
        let detail = "the ledger does not answer";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ledger_unavailable",
            detail,
            "send the same again later",
        )
        .retry_after(AWAY_RETRY_S)
    }
}

/// A URI without what may be secret in it: user and password, query and fragment. A password may hold slashes, so
/// everything up to the last `@` goes; where it may hold more, all but the scheme does.
pub fn without_secrets(uri: &str) -> String {
    let bare = |text: &str| text[..text.find(['?', '#']).unwrap_or(text.len())].to_owned();
    let Some((before, after)) = uri.rsplit_once('@') else { return bare(uri) };
    let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
    let rest = if before.contains(['?', '#']) { String::new() } else { format!("@{}", bare(after)) };
    format!("{scheme}://…{rest}")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        const KIND: HeaderValue = HeaderValue::from_static("application/problem+json");
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, KIND)], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The ledger's own words are for the log: they may name hosts and users.
impl From<desk::Error> for Problem {
    fn from(error: desk::Error) -> Self {
        match error {
            desk::Error::NotHere(what) => {
                let what_to_do = "use a pipeline in a cluster for it";
                Self::new(
                    StatusCode::NOT_IMPLEMENTED,
                    "not_here",
                    format!("{what} is not done in this shape"),
                    what_to_do,
                )
            }
            desk::Error::Damaged(_) => {
                tracing::error!(%error, "the ledger is damaged");
                let what_to_do = "report it with the log of the API";
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "the ledger is damaged",
                    what_to_do,
                )
            }
            error => {
                tracing::warn!(%error, "the ledger failed");
                Self::ledger_away()
            }
        }
    }
}

impl From<objects::Error> for Problem {
    fn from(error: objects::Error) -> Self {
        use objects::Error;
        match &error {
            Error::TooLarge { max, .. } => {
                let detail = format!("the file has more than {max} bytes");
                Self::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_large",
                    detail,
                    "split the file, or raise the limit",
                )
                .at("file", format!("up to {max} bytes"))
            }
            Error::Sender(_) => {
                let detail = "the upload ended before its end";
                Self::new(StatusCode::BAD_REQUEST, "upload_interrupted", detail, "send it again")
            }
            Error::Name(_) => {
                Self::invalid("uri", "no object can have this name", "parts joined by slashes")
            }
            Error::Missing(_) | Error::Changed(_) => {
                let detail = "the object is not there";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "object_missing", detail, "check the URI")
            }
            Error::Denied(_) | Error::Unreachable(_) | Error::DiskFull(_) | Error::Failed(_) => {
                tracing::warn!(%error, "the object store failed");
                let detail = "the object store does not take or give objects";
                let code = "object_store_unavailable";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail, "send the same again later")
                    .retry_after(AWAY_RETRY_S)
            }
        }
    }
}

impl From<queue::Error> for Problem {
    fn from(error: queue::Error) -> Self {
        tracing::warn!(%error, "the queue failed");
        let detail = "the queue does not answer; what was handed in is safe";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue_unavailable", detail, "ask again later")
            .retry_after(AWAY_RETRY_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_repeated_without_its_secrets() {
        let cases = [
            ("s3://bucket/a b.txt", "s3://bucket/a b.txt"),
            ("s3://me:hunter2@bucket/a.txt", "s3://…@bucket/a.txt"),
            ("https://me:hun/ter@2@host/a?X-Amz-Signature=hunter2", "https://…@host/a"),
            ("https://host/a#hunter2", "https://host/a"),
            ("me:hunter2@host/a", "://…@host/a"),
            ("s3://me:hunt?er2@bucket/a", "s3://…"),
            ("https://host/a?sig=hunter@2", "https://…"),
            ("?hunter2", ""),
        ];
        for (uri, expected) in cases {
            assert_eq!(without_secrets(uri), expected);
        }
    }
}
