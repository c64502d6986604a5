//! Asks an issuer for its keys: first its description of itself, which says where they are. Whatever it answers
//! has an end in time and in size, and nothing is asked that it redirects to.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, Url, redirect};
use serde_json::Value;

use super::keys::KeySet;
use crate::config::OidcSettings;

/// Where an issuer describes itself, below its URL (OpenID Connect Discovery 1.0, section 4).
const DESCRIPTION: &str = "/.well-known/openid-configuration";
/// Largest description, in bytes: real ones have some thousands.
const DESCRIPTION_BYTES_MAX: usize = 256 << 10;
/// Largest set of keys, in bytes: real ones with chains of certificates have some ten thousands.
const KEYS_BYTES_MAX: usize = 1 << 20;
/// Longest name of another issuer that is repeated, in characters.
const NAME_CHARS_MAX: usize = 200;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there.
    #[error("the issuer cannot be reached: {0}")]
    Unreachable(String),
    /// It is not who it should be, or not trusted.
    #[error("the issuer's certificate is not good: {0}")]
    Certificate(String),
    /// It takes too long.
    #[error("the issuer's keys are not there within {} ms", .0.as_millis())]
    Slow(Duration),
    /// It says no.
    #[error("the issuer answers with the status {status} when asked for {what}")]
    Status {
        /// What it was asked for.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// It says too much.
    #[error("the issuer answers with more than {max} bytes when asked for {what}")]
    TooLarge {
        /// What it was asked for.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// It says something else.
    #[error("the issuer's answer is not what {0} is")]
    Malformed(&'static str),
    /// It is another.
    #[error("the issuer calls itself {0:?}")]
    OtherIssuer(String),
    /// Its keys are where they may not be.
    #[error("the issuer has its keys at an address without TLS")]
    WithoutTls,
    /// The authorities of the configuration.
    #[error("{} is of no use: {what}", path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// There can be no client.
    #[error("no client can be made: {0}")]
    Client(String),
}

/// An issuer that can be asked.
pub(super) struct Issuer {
    http: Client,
    name: String,
    description: Url,
    allow_http: bool,
    timeout: Duration,
}

impl Issuer {
    /// Nothing is asked yet.
    pub(super) fn new(settings: &OidcSettings) -> Result<Self, Error> {
        let description = format!("{}{DESCRIPTION}", settings.issuer.trim_end_matches('/'));
        let description = Url::parse(&description).map_err(|error| Error::Client(error.to_string()))?;
        let mut http = Client::builder()
            .redirect(redirect::Policy::none())
            .https_only(!settings.allow_http)
            .connect_timeout(settings.timeout)
            // Minutes lie between two visits.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("docmill/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.tls_ca_file {
            http = http.tls_certs_only(authorities(path)?);
        }
        let http = http.build().map_err(|error| Error::Client(innermost(&error)))?;
        let (name, allow_http, timeout) = (settings.issuer.clone(), settings.allow_http, settings.timeout);
        Ok(Self { http, name, description, allow_http, timeout })
    }

    /// Its keys that can be used; there may be none.
    pub(super) async fn keys(&self) -> Result<KeySet, Error> {
        let asked = tokio::time::timeout(self.timeout, self.ask());
        asked.await.unwrap_or(Err(Error::Slow(self.timeout)))
    }

    async fn ask(&self) -> Result<KeySet, Error> {
        let what = "its description";
        let description = self.json(self.description.clone(), what, DESCRIPTION_BYTES_MAX).await?;
        let name = description.get("issuer").and_then(Value::as_str).ok_or(Error::Malformed(what))?;
        if name != self.name {
            return Err(Error::OtherIssuer(name.chars().take(NAME_CHARS_MAX).collect()));
        }
        let place = description.get("jwks_uri").and_then(Value::as_str);
        let place = place.and_then(|place| Url::parse(place).ok()).ok_or(Error::Malformed(what))?;
        if place.scheme() != "https" && !self.allow_http {
            return Err(Error::WithoutTls);
        }
        let what = "a set of keys";
        let published = self.json(place, what, KEYS_BYTES_MAX).await?;
        KeySet::read(&published).ok_or(Error::Malformed(what))
    }

    async fn json(&self, url: Url, what: &'static str, max: usize) -> Result<Value, Error> {
        let mut answer = self.http.get(url).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(Error::Status { what, status: answer.status().as_u16() });
        }
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            if text.len() + part.len() > max {
                return Err(Error::TooLarge { what, max });
            }
            text.extend_from_slice(&part);
        }
        serde_json::from_slice(&text).map_err(|_| Error::Malformed(what))
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, Error> {
    let useless = |what: String| Error::Authorities { path: path.to_owned(), what };
    let text = std::fs::read(path).map_err(|error| useless(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| useless(innermost(&error)))?;
    if found.is_empty() {
        return Err(useless("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

fn failed(error: reqwest::Error) -> Error {
    let said = innermost(&error);
    // The library has no kind for it; the words are those of the TLS library.
    if said.contains("certificate") { Error::Certificate(said) } else { Error::Unreachable(said) }
}

/// The cause that has none: those around it repeat addresses.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
