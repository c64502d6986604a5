//! What came of a request that was not done: the server's word, or that there was none.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;

use crate::failure::Failure;

/// Longest text of a server that is no docmill's which is repeated, in characters.
const FOREIGN_CHARS_MAX: usize = 200;

/// Why a request was not done.
#[derive(Debug)]
pub enum Error {
    /// The server refused it.
    Refused(Refusal),
    /// Nobody answers at the address.
    Unreachable(String),
    /// The connection broke: whether it was done is not known.
    Broken(String),
    /// A file of this machine cannot be read.
    File(std::io::Error),
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub advice: String,
    pub retry_after: Option<Duration>,
}

/// As much of `application/problem+json` as is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    code: String,
    detail: String,
    field: Option<String>,
    value: Option<String>,
    allowed: Option<String>,
    what_to_do: String,
    retry_after_s: Option<u64>,
}

impl Refusal {
    /// Reads an answer that is no success.
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // Of the two forms only seconds: a date would need a clock that agrees with the server's.
        let asked = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            return Self::of_problem(status, problem, asked);
        }
        let (message, advice) = match header(LOCATION) {
            Some(place) if status.is_redirection() => {
                (format!("the server sends us to {place}"), "give that address as --server")
            }
            _ => {
                let said: String = String::from_utf8_lossy(body).chars().take(FOREIGN_CHARS_MAX).collect();
                (
                    format!("the server answers {status}: {}", said.trim()),
                    "check --server: is docmill there?",
                )
            }
        };
        Self {
            status: status.as_u16(),
            code: format!("http_{}", status.as_u16()),
            message,
            advice: advice.to_owned(),
            retry_after: asked.map(Duration::from_secs),
        }
    }

    fn of_problem(status: StatusCode, problem: Problem, asked: Option<u64>) -> Self {
        let mut message = problem.detail;
        if let Some(value) = problem.value {
            message += &format!(": {value}");
        }
        if let (Some(field), Some(allowed)) = (problem.field, problem.allowed) {
            message += &format!(" ({field}: {allowed})");
        }
        let advice = match problem.code.as_str() {
            // The server speaks to programs; this is what a person at this command does.
            "key_needed" | "token_needed" => {
                "set DOCMILL_API_KEY or give --api-key-file FILE; `docmill-worker keys create` makes a key"
                    .to_owned()
            }
            _ => problem.what_to_do,
        };
        Self {
            status: status.as_u16(),
            code: problem.code,
            message,
            advice,
            retry_after: asked.or(problem.retry_after_s).map(Duration::from_secs),
        }
    }

    /// Whether the same may be done later: the server is full or away, or a proxy before it has nobody.
    pub fn passes(&self) -> bool {
        matches!(self.status, 429 | 502 | 503 | 504)
    }
}

impl Error {
    /// Of what the HTTP client says. Its own words name the address, which may be long; the cause is what helps.
    pub fn of_client(error: &reqwest::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(below) = cause.source() {
            cause = below;
        }
        let said = match error.is_timeout() {
            true => "it took too long".to_owned(),
            false => cause.to_string(),
        };
        if error.is_connect() { Self::Unreachable(said) } else { Self::Broken(said) }
    }

    /// Whether it is this code of the server.
    pub fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == code)
    }

    /// An answer that docmill's API would not give.
    pub fn foreign(what: &str) -> Self {
        Self::Refused(Refusal {
            status: 200,
            code: "not_docmill".to_owned(),
            message: format!("the answer is not one of docmill's API: {what}"),
            advice: "check --server: is docmill there, and of this version?".to_owned(),
            retry_after: None,
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => Self::of_server(&refusal.code, refusal.message, &refusal.advice),
            Error::Unreachable(cause) => {
                let advice = "check --server and that the server runs; own authorities of certificates are named \
                              by SSL_CERT_FILE";
                Self::new("server_unreachable", format!("the server cannot be reached: {cause}"), advice)
            }
            Error::Broken(cause) => {
                let message = format!("the connection to the server broke: {cause}");
                Self::new("connection_broken", message, "run the same command again; nothing is done twice")
            }
            Error::File(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Refusal {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Refusal::read(StatusCode::from_u16(status).unwrap(), &map, body.as_bytes())
    }

    #[test]
    fn a_problem_is_told_with_what_is_allowed() {
        let body = r#"{"type":"urn:x","code":"invalid","detail":"is out of bounds","field":"limit","value":"0",
            "allowed":"1 to 1000","whatToDo":"correct the request","status":422,"title":"x"}"#;
        let refusal = read(422, &[], body);
        assert_eq!(refusal.message, "is out of bounds: 0 (limit: 1 to 1000)");
        assert_eq!((refusal.code.as_str(), refusal.passes()), ("invalid", false));
    }

    #[test]
    fn what_passes_says_when() {
        let body = r#"{"code":"queue_full","detail":"full","whatToDo":"wait","retryAfterS":10}"#;
        let refusal = read(429, &[], body);
        assert_eq!((refusal.passes(), refusal.retry_after), (true, Some(Duration::from_secs(10))));
        let refusal = read(429, &[("retry-after", "3")], body);
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(read(502, &[], "<html>").code, "http_502");
    }

    #[test]
    fn a_redirection_names_the_other_address() {
        let refusal = read(308, &[("location", "https://docs.example/")], "");
        assert!(refusal.message.ends_with("https://docs.example/"), "{}", refusal.message);
    }
}
