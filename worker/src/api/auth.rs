//! Who asks, and what they may: by an API key, by a token of an issuer ([`super::oidc`]), or with neither keys nor
//! an issuer, by being on this machine.
//!
//! The tenant comes from here alone; nothing in a request can name another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use docmill_core::id::TenantId;

use super::keys;
use super::problem::Problem;
use crate::desk::Desk;
use crate::secret::Secret;

/// How long a key that was found good is taken for good without asking: a revoked one may work so long.
const TRUSTED: Duration = Duration::from_secs(2);
/// Keys that are remembered at once.
const REMEMBERED_MAX: usize = 10_000;
/// How long it is taken for granted that there are no keys.
const NO_KEYS_FOR: Duration = Duration::from_secs(2);
/// The header of the token that changes need while there are no keys.
pub const TOKEN_HEADER: &str = "x-docmill-token";

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Look at documents, batches and dead letters.
    Read,
    /// Hand in, cancel, replay and delete.
    Write,
    /// Look at what all tenants share; includes the others.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The scope's name in keys and in documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// Somebody whose word was checked.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose documents they see.
    pub tenant: TenantId,
    /// What they may do.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// Whether they may do what needs this scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

/// Finds out who asks.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who sent this, for an operation of this scope. Never says why a credential is not good.
    async fn authenticate(&self, request: &Parts, scope: Scope) -> Result<Caller, Problem>;
}

/// By the keys in the ledger.
pub struct ByKey {
    desk: Arc<dyn Desk>,
    good: Mutex<HashMap<[u8; 32], (Caller, Instant)>>,
}

impl ByKey {
    /// By the keys in this ledger.
    pub fn new(desk: Arc<dyn Desk>) -> Self {
        Self { desk, good: Mutex::default() }
    }

    fn remembered(&self, hash: &[u8; 32]) -> Option<Caller> {
        let good = self.good.lock().expect("no code panics while holding it");
        good.get(hash).filter(|(_, since)| since.elapsed() < TRUSTED).map(|(caller, _)| caller.clone())
    }

    fn remember(&self, hash: [u8; 32], caller: &Caller) {
        let mut good = self.good.lock().expect("no code panics while holding it");
        if good.len() >= REMEMBERED_MAX {
            good.clear();
        }
        good.insert(hash, (caller.clone(), Instant::now()));
    }
}

#[async_trait]
impl Authenticator for ByKey {
    async fn authenticate(&self, request: &Parts, _: Scope) -> Result<Caller, Problem> {
        let key = bearer(&request.headers).ok_or_else(unknown)?;
        let hash = keys::hash_of(key);
        if let Some(caller) = self.remembered(&hash) {
            return Ok(caller);
        }
        let found = self.desk.valid_key(hash).await?.ok_or_else(unknown)?;
        let scopes = found.scopes.iter().filter_map(|name| Scope::parse(name)).collect();
        let caller = Caller { tenant: found.tenant, scopes };
        self.remember(hash, &caller);
        Ok(caller)
    }
}

/// Whoever is on this machine, while there are no keys: browsers must be on a page of ours, and changes need
/// what only this machine's user can read. To ask a question changes nothing, with whatever method.
pub struct OnThisMachine {
    token: Secret,
    desk: Arc<dyn Desk>,
    /// When the ledger said last that there are no keys.
    no_keys: Mutex<Option<Instant>>,
}

impl OnThisMachine {
    /// With the token that changes need.
    pub fn new(token: Secret, desk: Arc<dyn Desk>) -> Self {
        Self { token, desk, no_keys: Mutex::default() }
    }

    /// Whether keys were made by now, as far as it is known.
    async fn has_keys(&self) -> Result<bool, Problem> {
        let known = *self.no_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some_and(|since| since.elapsed() < NO_KEYS_FOR) {
            return Ok(false);
        }
        let has_keys = self.desk.has_keys().await?;
        *self.no_keys.lock().unwrap_or_else(PoisonError::into_inner) = (!has_keys).then(Instant::now);
        Ok(has_keys)
    }
}

#[async_trait]
impl Authenticator for OnThisMachine {
    async fn authenticate(&self, request: &Parts, scope: Scope) -> Result<Caller, Problem> {
        is_local(request)?;
        if needs_token(&request.method, scope) {
            let own = request.headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok());
            // Clients that know keys alone send it as one.
            let shown = own.or_else(|| bearer(&request.headers));
            if !shown.is_some_and(|shown| same(shown, self.token.expose())) {
                let detail = "changes need the token of this API while there are no keys";
                let what_to_do = "send X-Docmill-Token, or Authorization: Bearer, with the text of the file that the \
                                  API names at its start";
                return Err(Problem::new(StatusCode::UNAUTHORIZED, "token_needed", detail, what_to_do)
                    .at(TOKEN_HEADER, "the token"));
            }
        }
        if self.has_keys().await? {
            let detail = "there are keys by now, and this process began without";
            let what_to_do = "restart the API, and send a key as Authorization: Bearer";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "restart_needed", detail, what_to_do));
        }
        Ok(Caller { tenant: TenantId::default(), scopes: Scope::ALL.to_vec() })
    }
}

/// Whether an operation changes something.
fn needs_token(method: &Method, scope: Scope) -> bool {
    scope != Scope::Read && method != Method::GET && method != Method::HEAD
}

/// Names that lead to this machine alone. A page of somebody else whose name was made to lead here says its own.
fn is_local(request: &Parts) -> Result<(), Problem> {
    let local = |authority: &str| {
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        ["localhost", "127.0.0.1", "::1"].contains(&host)
    };
    let header = |name| request.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let refused = |field: &str| {
        let detail = "without keys only this machine is answered";
        let what_to_do = "ask by http://localhost or http://127.0.0.1, or make a key";
        Problem::new(StatusCode::FORBIDDEN, "not_this_machine", detail, what_to_do)
            .at(field, "localhost, 127.0.0.1, [::1]")
    };
    if !header(header::HOST).is_some_and(local) {
        return Err(refused("host"));
    }
    match header(header::ORIGIN) {
        Some(origin) if !origin.split_once("://").is_some_and(|(_, rest)| local(rest)) => {
            Err(refused("origin"))
        }
        _ => Ok(()),
    }
}

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether two secrets are equal; takes as long wherever they differ.
pub fn same(one: &str, other: &str) -> bool {
    // Of hashes, so that no length is told either.
    let (one, other) = (keys::hash_of(one), keys::hash_of(other));
    one.iter().zip(&other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn unknown() -> Problem {
    let detail = "no key that is good was sent";
    let what_to_do = "send Authorization: Bearer with a key that is neither revoked nor expired";
    Problem::new(StatusCode::UNAUTHORIZED, "key_needed", detail, what_to_do)
        .at("authorization", "Bearer and a key of `docmill-worker keys create`")
}

/// Who may not do what they asked for.
pub fn forbidden(scope: Scope) -> Problem {
    let detail = format!("the key or token lacks the scope {}", scope.as_str());
    Problem::new(StatusCode::FORBIDDEN, "scope_needed", detail, "use one that has it")
        .at("authorization", format!("a key or token with the scope {}", scope.as_str()))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        let cases = [
            ("localhost:8080", None, true),
            ("127.0.0.1", None, true),
            ("[::1]:8080", None, true),
            ("localhost:8080", Some("http://localhost:8080"), true),
            ("localhost", Some("https://evil.example"), false),
            ("localhost", Some("null"), false),
            ("evil.example", None, false),
            ("localhost.evil.example:8080", None, false),
            ("127.0.0.1.evil.example", None, false),
        ];
        for (host, origin, expected) in cases {
            let mut request = Request::builder().header(header::HOST, host);
            if let Some(origin) = origin {
                request = request.header(header::ORIGIN, origin);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_local(&parts).is_ok(), expected, "{host} {origin:?}");
        }
    }

    #[test]
    fn only_changes_need_the_token() {
        for (method, scope, expected) in [
            (Method::GET, Scope::Read, false),
            (Method::GET, Scope::Admin, false),
            (Method::HEAD, Scope::Write, false),
            // Questions are too long for a path.
            (Method::POST, Scope::Read, false),
            (Method::POST, Scope::Write, true),
            (Method::POST, Scope::Admin, true),
            (Method::DELETE, Scope::Write, true),
        ] {
            assert_eq!(needs_token(&method, scope), expected, "{method} {scope:?}");
        }
    }

    #[test]
    fn equal_secrets_are_equal() {
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", "ab") && !same("", "a"));
    }
}
