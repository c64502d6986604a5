//! A pipeline's API as the operator calls it: the stream of observations, and orders to workers.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use tokio::time::timeout;

use super::hands::Target;
use super::token::{self, Tokens};

const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Longest wait for an answer; of a stream, for its beginning.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next order.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Time between two lines, where nothing else is said: a quarter of what an upload may wait for its worker.
const INTERVAL: Duration = Duration::from_millis(250);
/// Most of an error that is told.
const TOLD_CHARS_MAX: usize = 300;
const BASE: &str = "http://{pipeline}-api-internal.{namespace}.svc:8082";

/// Why the API did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer in time.
    #[error("the API does not answer within {} s", ANSWER_MAX.as_secs())]
    Slow,
    /// There is no way to it.
    #[error("the API cannot be reached: {0}")]
    Unreachable(String),
    /// It answers something else.
    #[error("the API answers {0}")]
    Status(u16),
    /// Nothing comes any more.
    #[error("the stream says nothing")]
    Silent,
    /// It ended the stream.
    #[error("the stream ended")]
    Ended,
    /// A line is of no use.
    #[error("the stream says nonsense")]
    Line(#[from] super::line::Error),
    /// It names a worker as no worker is named.
    #[error("{0:?} is no name of a worker")]
    Name(String),
    /// There is nothing to show.
    #[error("no token can be made")]
    Token(#[from] token::Error),
    /// There can be no client.
    #[error("no client can be made: {0}")]
    Client(String),
}

/// How APIs are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where, `{pipeline}` and `{namespace}` being filled in.
    pub base: String,
    /// Time between two lines.
    pub interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { base: BASE.to_owned(), interval: INTERVAL }
    }
}

/// The APIs of all pipelines.
#[derive(Clone)]
pub struct PipelineApi {
    http: Client,
    tokens: Arc<Tokens>,
    settings: Settings,
}

impl PipelineApi {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(settings: Settings, tokens: Arc<Tokens>) -> Result<Self, Error> {
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(1)
            .http1_only()
            // It is within the cluster, without TLS: the machine's authorities are never read.
            .no_proxy()
            .tls_certs_only([])
            .user_agent(concat!("docmill-operator/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Client(innermost(&error)))?;
        Ok(Self { http, tokens, settings })
    }

    /// Time between two lines.
    pub(super) fn interval(&self) -> Duration {
        self.settings.interval
    }

    /// The tokens that it shows.
    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Opens the stream of observations.
    pub(super) async fn observations(&self, target: &Target) -> Result<Response, Error> {
        let interval_ms = self.settings.interval.as_millis();
        let path = format!("/internal/v1/observations?intervalMs={interval_ms}");
        let answer = self.send(target, self.http.get(self.url(target, &path))).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            other => Err(Error::Status(other.as_u16())),
        }
    }

    /// Gives an order to a worker: `drain` or `resume`. Given twice, it holds from the second time.
    pub(super) async fn order(&self, target: &Target, worker: &str, order: &str) -> Result<(), Error> {
        // It was said by the API itself, and becomes part of an address.
        let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-._".contains(&letter);
        if !worker.bytes().all(is_plain) || worker.bytes().all(|letter| letter == b'.') {
            return Err(Error::Name(worker.chars().take(80).collect()));
        }
        let path = format!("/internal/v1/workers/{worker}/{order}");
        let answer = self.send(target, self.http.post(self.url(target, &path))).await?;
        if answer.status().is_success() { Ok(()) } else { Err(Error::Status(answer.status().as_u16())) }
    }

    /// Tells the API what was decided, for those who look at it there. Told twice, it is what it was.
    pub(super) async fn tell(&self, target: &Target, decision: String) -> Result<(), Error> {
        let request = self.http.post(self.url(target, "/internal/v1/scaling"));
        let request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(decision);
        let answer = self.send(target, request).await?;
        if answer.status().is_success() { Ok(()) } else { Err(Error::Status(answer.status().as_u16())) }
    }

    fn url(&self, target: &Target, path: &str) -> String {
        let base = self.settings.base.trim_end_matches('/');
        let base =
            base.replace("{pipeline}", &target.key.name).replace("{namespace}", &target.key.namespace);
        format!("{base}{path}")
    }

    async fn send(&self, target: &Target, request: RequestBuilder) -> Result<Response, Error> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let token = self.tokens.token(&target.uid, now_s)?;
        match timeout(ANSWER_MAX, request.bearer_auth(token).send()).await {
            Ok(answered) => answered.map_err(unreachable),
            Err(_) => Err(Error::Slow),
        }
    }
}

/// What an error says and what its causes say, short enough for a status.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let (mut said, mut cause) = (error.to_string(), error.source());
    while let Some(deeper) = cause {
        said.push_str(": ");
        said.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    said.chars().take(TOLD_CHARS_MAX).collect()
}

pub(super) fn unreachable(error: reqwest::Error) -> Error {
    Error::Unreachable(innermost(&error))
}

/// The cause that has none: those around it repeat addresses.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::token::test_tokens;
    use super::*;
    use crate::pipeline_key::PipelineKey;

    #[test]
    fn addresses_and_names() {
        let api = PipelineApi::new(Settings::default(), Arc::new(test_tokens())).unwrap();
        let target = Target { key: PipelineKey::new("team", "books"), uid: "u".into() };
        assert_eq!(api.url(&target, "/x"), "http://books-api-internal.team.svc:8082/x");
    }

    #[tokio::test]
    async fn a_name_that_would_lead_elsewhere_is_refused() {
        let api = PipelineApi::new(Settings::default(), Arc::new(test_tokens())).unwrap();
        let target = Target { key: PipelineKey::new("team", "books"), uid: "u".into() };
        for name in ["", "..", "a/b", "a?b", "a%2fb", "ä"] {
            let refused = api.order(&target, name, "drain").await;
            assert!(matches!(refused, Err(Error::Name(_))), "{name}");
        }
    }
}
