//! Tokens of an OpenID Connect issuer: who they are for, whose they are, what they allow.
//!
//! The signature and the standard claims are judged by a library, the keys come from the issuer
//! ([`keyring`]), tenant and scopes from two claims ([`claims`]). No user is sent anywhere to log in: how
//! callers come by their tokens is theirs and the issuer's affair.

mod check;
mod claims;
mod issuer;
mod keyring;
mod keys;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::http::request::Parts;
use jsonwebtoken::{Header, Validation, decode, decode_header};

use super::auth::{self, Authenticator, ByKey, Caller, Scope};
use super::problem::Problem;
use crate::config::OidcSettings;

pub use check::check;
pub use issuer::Error;
pub use keyring::Keeper;

use claims::{Claims, Refused};
use issuer::Issuer;
use keyring::{Keyring, Missing};
use keys::Key;

/// Longest token that is looked at, in bytes: headers of proxies end near this.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Seconds after which it is worth asking again while the issuer is away.
const AWAY_RETRY_S: u64 = 5;

/// By a token of the issuer.
pub struct ByToken {
    settings: OidcSettings,
    keyring: Keyring,
}

impl ByToken {
    /// By tokens of this issuer, and what fetches its keys, which has to be run beside.
    ///
    /// # Errors
    /// The file of authorities is of no use.
    pub fn new(settings: &OidcSettings) -> Result<(Self, Keeper), Error> {
        let issuer = Issuer::new(settings)?;
        let (keyring, keeper) = Keyring::new(issuer, settings);
        Ok((Self { settings: settings.clone(), keyring }, keeper))
    }

    async fn caller(&self, token: &str) -> Result<Caller, Problem> {
        let header = header_of(token).map_err(refused)?;
        let Some(kid) = header.kid.as_deref() else { return Err(refused("it names no key (`kid`)")) };
        let key = self.keyring.key(kid, header.alg).await.map_err(|missing| match missing {
            Missing::Unknown => refused("the issuer has no such key for its algorithm"),
            Missing::Away => away(),
        })?;
        let claims = verified(token, &header, &key, &self.settings).map_err(refused)?;
        claims.caller(&self.settings).map_err(|reason| match reason {
            Refused::Token(reason) => refused(reason),
            Refused::Tenant => no_tenant(&self.settings.tenant_claim),
        })
    }
}

#[async_trait]
impl Authenticator for ByToken {
    async fn authenticate(&self, request: &Parts, _: Scope) -> Result<Caller, Problem> {
        match auth::bearer(&request.headers) {
            Some(token) => self.caller(token).await,
            None => Err(refused("there is none")),
        }
    }
}

/// Tokens and keys side by side: what has the form of a token is one, the rest are keys.
pub struct ByTokenOrKey {
    /// Tokens.
    pub tokens: ByToken,
    /// Keys.
    pub keys: ByKey,
}

#[async_trait]
impl Authenticator for ByTokenOrKey {
    async fn authenticate(&self, request: &Parts, scope: Scope) -> Result<Caller, Problem> {
        if auth::bearer(&request.headers).is_some_and(is_token) {
            return self.tokens.authenticate(request, scope).await;
        }
        self.keys.authenticate(request, scope).await
    }
}

/// Whether it has the form of a signed token, an empty signature included; no key of ours has a dot.
fn is_token(bearer: &str) -> bool {
    bearer.bytes().filter(|&byte| byte == b'.').count() == 2
}

/// What a token says of itself; nothing of it is believed yet.
fn header_of(token: &str) -> Result<Header, &'static str> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err("it is too long");
    }
    // `none` and whatever else the library does not know is no header to it.
    let header = decode_header(token).map_err(|_| "it is no signed token of a known algorithm")?;
    if !keys::ASYMMETRIC.contains(&header.alg) {
        return Err("its algorithm is none of a key pair");
    }
    // RFC 7515, 4.1.11: what we do not understand and must, we have to refuse.
    if header.crit.is_some() {
        return Err("it has critical extensions");
    }
    Ok(header)
}

/// The claims of a token that this key signed for this API, now.
fn verified(
    token: &str,
    header: &Header,
    key: &Key,
    settings: &OidcSettings,
) -> Result<Claims, &'static str> {
    use jsonwebtoken::errors::ErrorKind;
    let mut validation = Validation::new(header.alg);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&[&settings.audience]);
    validation.leeway = settings.leeway.as_secs();
    validation.validate_nbf = true;
    let decoded = decode::<Claims>(token, key.decoding(), &validation);
    decoded.map(|decoded| decoded.claims).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => "its signature is not the key's",
        ErrorKind::ExpiredSignature => "it expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "its issuer is another",
        ErrorKind::InvalidAudience => "it is for somebody else",
        ErrorKind::MissingRequiredClaim(_) => "it lacks `exp`, `iss` or `aud`",
        _ => "it is malformed",
    })
}

/// One answer for all reasons: whoever tries tokens out learns nothing. The reason is for the log.
fn refused(reason: &'static str) -> Problem {
    tracing::debug!(reason, "a token was refused");
    let detail = "the token is not good";
    let what_to_do =
        "get a new token from the issuer, for the audience of this API; its log says at debug why";
    Problem::new(StatusCode::UNAUTHORIZED, "token_refused", detail, what_to_do)
        .at("authorization", "Bearer and a token of the issuer that is neither expired nor for another")
}

/// A good token that leads to nobody's documents.
fn no_tenant(claim: &str) -> Problem {
    tracing::debug!(claim, "a token names no tenant");
    let detail = format!("the token names no tenant in its claim {claim:?}");
    let what_to_do = "have the issuer add the claim: 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-'";
    Problem::new(StatusCode::FORBIDDEN, "tenant_needed", detail, what_to_do)
        .at("authorization", "a token that names a tenant")
}

/// The issuer's keys are not known, and it does not answer.
fn away() -> Problem {
    let detail = "the issuer of tokens does not answer, and the token's key is not known yet";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "issuer_unavailable", detail, "send the same again later")
        .retry_after(AWAY_RETRY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_ours_are_no_tokens() {
        let cases = [
            ("docmill_0a1b2c_00ff", false),
            ("a.b.c", true),
            // Without a signature: refused as a token, never asked for as a key.
            ("a.b.", true),
            ("..", true),
            ("a.b", false),
            // An encrypted token.
            ("a.b.c.d.e", false),
            ("", false),
        ];
        for (bearer, expected) in cases {
            assert_eq!(is_token(bearer), expected, "{bearer}");
        }
    }

    #[test]
    fn what_is_no_header_of_a_key_pair_is_refused() {
        // {"alg":"none"}, {"alg":"HS256"}, {"alg":"RS256","crit":["b64"]}, {"alg":"XX"}
        for header in [
            "eyJhbGciOiJub25lIn0",
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJhbGciOiJSUzI1NiIsImNyaXQiOlsiYjY0Il19",
            "eyJhbGciOiJYWCJ9",
            "",
            "!",
        ] {
            assert!(header_of(&format!("{header}.e30.")).is_err(), "{header}");
        }
        // {"alg":"RS256"}
        assert!(header_of("eyJhbGciOiJSUzI1NiJ9.e30.").is_ok());
        assert!(header_of(&format!("eyJhbGciOiJSUzI1NiJ9.{}.", "e".repeat(TOKEN_BYTES_MAX))).is_err());
    }
}
