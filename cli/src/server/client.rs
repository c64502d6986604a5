//! Requests to a server: sent again while it is full or away, within a patience. What may be repeated is repeated,
//! as every change of the API is the same when it is asked for twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use docmill_worker::secret::Secret;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use serde_json::Value;

use super::error::{Error, Refusal};
use super::retry::{self, Tried};
use crate::failure::Failure;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest time of a request that sends no file.
const REQUEST_MAX: Duration = Duration::from_secs(180);
/// Largest answer that is read, in bytes: a page of an export with the longest document.
const ANSWER_BYTES_MAX: usize = 512 << 20;
/// The header for the token that a server without keys wants.
const TOKEN_HEADER: &str = "x-docmill-token";
/// What docmill's own keys begin with.
const KEY_MARK: &str = "docmill_";

/// Whether a request may be sent again whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Twice is as once.
    Always,
    /// Only if the server said that it did nothing.
    IfRefused,
}

/// A server and who asks it.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<Secret>,
    patience: Duration,
    /// It answered once.
    known: AtomicBool,
}

impl Client {
    pub fn new(base: Url, key: Option<Secret>, patience: Duration) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            // A redirection would repeat a body as something else; it is told instead.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("docmill/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::internal(error.to_string()))?;
        Ok(Self { http, base, key, patience, known: AtomicBool::new(false) })
    }

    /// The address, for people.
    pub fn address(&self) -> &str {
        self.base.as_str()
    }

    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Error> {
        self.ask(Again::Always, async || Ok(self.request(Method::GET, path, query)?.timeout(REQUEST_MAX)))
            .await
    }

    pub async fn post(&self, path: &[&str], body: &Value, again: Again) -> Result<Value, Error> {
        self.ask(again, async || {
            Ok(with_json(self.request(Method::POST, path, &[])?, body).timeout(REQUEST_MAX))
        })
        .await
    }

    /// With a key under which the server keeps its first answer.
    pub async fn post_once(&self, path: &[&str], body: &Value, key: &str) -> Result<Value, Error> {
        self.ask(Again::Always, async || {
            let request = with_json(self.request(Method::POST, path, &[])?, body);
            Ok(request.header("idempotency-key", key).timeout(REQUEST_MAX))
        })
        .await
    }

    pub async fn delete(&self, path: &[&str]) -> Result<(), Error> {
        let request = async || Ok(self.request(Method::DELETE, path, &[])?.timeout(REQUEST_MAX));
        self.send(Again::Always, request).await.map(drop)
    }

    /// Begins a request.
    pub fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, Error> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut parts) => parts.pop_if_empty().extend(path),
            Err(()) => return Err(Error::Unreachable("the address takes no paths".to_owned())),
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(key) = &self.key {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| Error::Unreachable("the key cannot be sent".to_owned()))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
            // A server without keys wants the token of its file, which is no key.
            if !key.expose().starts_with(KEY_MARK)
                && let Ok(mut token) = HeaderValue::from_str(key.expose())
            {
                token.set_sensitive(true);
                request = request.header(TOKEN_HEADER, token);
            }
        }
        Ok(request)
    }

    /// Sends what `make` makes until it is answered with success, and reads the JSON.
    pub async fn ask(
        &self,
        again: Again,
        make: impl AsyncFn() -> Result<RequestBuilder, Error>,
    ) -> Result<Value, Error> {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            let read = match self.once(&make).await {
                Ok(response) => json(response).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(value) => return Ok(value),
                Err(error) => self.pause(error, again, &mut tries, began).await?,
            }
        }
    }

    /// The same, with the answer still to be read.
    pub async fn send(
        &self,
        again: Again,
        make: impl AsyncFn() -> Result<RequestBuilder, Error>,
    ) -> Result<Response, Error> {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            match self.once(&make).await {
                Ok(response) => return Ok(response),
                Err(error) => self.pause(error, again, &mut tries, began).await?,
            }
        }
    }

    async fn once(
        &self,
        make: &impl AsyncFn() -> Result<RequestBuilder, Error>,
    ) -> Result<Response, Error> {
        let response = make().await?.send().await.map_err(|error| Error::of_client(&error))?;
        self.known.store(true, Ordering::Relaxed);
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = body(response).await.unwrap_or_default();
        Err(Error::Refused(Refusal::read(status, &headers, &body)))
    }

    /// Waits for the next try; the error, where there is none.
    async fn pause(
        &self,
        error: Error,
        again: Again,
        tries: &mut u32,
        began: Instant,
    ) -> Result<(), Error> {
        *tries += 1;
        let retry_after = match &error {
            Error::Refused(refusal) if refusal.passes() => refusal.retry_after,
            Error::Unreachable(_) => None,
            Error::Broken(_) if again == Again::Always => None,
            _ => return Err(error),
        };
        let known = self.known.load(Ordering::Relaxed);
        let tried = Tried { tries: *tries, spent: began.elapsed(), retry_after, known };
        let Some(wait) = retry::wait(tried, self.patience, chance()) else { return Err(error) };
        tracing::info!(?error, wait_ms = wait.as_millis() as u64, "sent again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

async fn json(response: Response) -> Result<Value, Error> {
    let body = body(response).await?;
    serde_json::from_slice(&body).map_err(|error| Error::foreign(&error.to_string()))
}

async fn body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|error| Error::of_client(&error))? {
        if body.len() + bytes.len() > ANSWER_BYTES_MAX {
            return Err(Error::foreign("it is too long"));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

/// From 0 to 1; the middle where the system has no random numbers.
fn chance() -> f64 {
    let mut drawn = [0; 4];
    match getrandom::fill(&mut drawn) {
        Ok(()) => f64::from(u32::from_le_bytes(drawn)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
