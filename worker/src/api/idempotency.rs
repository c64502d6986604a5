//! `Idempotency-Key`: the same request sent again gets the first answer, and another one under the same key is
//! refused. Answers are kept for a day.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use docmill_core::id::TenantId;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::desk::Desk;

/// The header.
pub const HEADER: &str = "idempotency-key";
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// What a request was, so that another is told from it.
#[derive(Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds a part; each is framed by its length.
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The whole.
    pub fn done(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The hash of the request's key, if it has one.
///
/// # Errors
/// It is too long, or no text.
pub fn key_of(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Problem> {
    let Some(key) = headers.get(HEADER) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= KEY_BYTES_MAX => {
            Ok(Some(Sha256::digest(key.as_bytes()).into()))
        }
        _ => Err(Problem::invalid(
            HEADER,
            "cannot be a key",
            format!("1 to {KEY_BYTES_MAX} printable characters"),
        )),
    }
}

/// The first answer, if this request was answered before.
///
/// # Errors
/// 422 where the key was used for another request; the ledger does not answer.
pub async fn first_answer(
    desk: &dyn Desk,
    tenant: &TenantId,
    key: Option<[u8; 32]>,
    fingerprint: [u8; 32],
) -> Result<Option<Response>, Problem> {
    let Some(key) = key else { return Ok(None) };
    match desk.answer(tenant, key).await? {
        Some((asked, text)) => same(&asked, fingerprint, text).map(Some),
        None => Ok(None),
    }
}

/// The answer, kept for the case that the request comes again.
///
/// # Errors
/// As for [`first_answer`], when two requests with one key came at once.
pub async fn answer<T: Serialize>(
    desk: &dyn Desk,
    tenant: &TenantId,
    key: Option<[u8; 32]>,
    fingerprint: [u8; 32],
    said: &T,
) -> Result<Response, Problem> {
    let text = serde_json::to_string(said).unwrap_or_default();
    let Some(key) = key else { return Ok(accepted(text)) };
    let (asked, text) = desk.keep_answer(tenant, key, fingerprint, &text).await?;
    same(&asked, fingerprint, text)
}

fn same(asked: &[u8], fingerprint: [u8; 32], text: String) -> Result<Response, Problem> {
    if asked == fingerprint {
        return Ok(accepted(text));
    }
    let detail = "this key was used for another request";
    let what_to_do = "use a new key for a new request";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail, what_to_do)
        .at(HEADER, "a key that was not used within a day"))
}

/// 202 with a body in JSON.
fn accepted(text: String) -> Response {
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}
