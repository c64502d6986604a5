//! Our values as the server keeps them, and back.

use std::borrow::Cow;

use docmill_core::delivery::{History, Progress, State};
use docmill_core::id::{ChunkId, ContentHash, DocumentId, TenantId};
use docmill_core::lane::Lane;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Error;
use crate::queue::Message;

pub(super) fn document_key(document: DocumentId) -> Uuid {
    Uuid::from_bytes(*document.as_bytes())
}

pub(super) fn document_of(key: Uuid) -> DocumentId {
    DocumentId::from_bytes(key.into_bytes())
}

pub(super) fn chunk_key(chunk: ChunkId) -> Uuid {
    Uuid::from_bytes(*chunk.as_bytes())
}

pub(super) fn chunk_of(key: Uuid) -> ChunkId {
    ChunkId::from_bytes(key.into_bytes())
}

/// Keys of the chunks, ascending and each once: the order in which rows are locked.
pub(super) fn chunk_keys(chunks: &[ChunkId]) -> Vec<Uuid> {
    let mut keys: Vec<Uuid> = chunks.iter().copied().map(chunk_key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The key of a URI, which may be longer than an index entry may be.
pub(super) fn uri_key(uri: &str) -> Vec<u8> {
    Sha256::digest(uri.as_bytes()).to_vec()
}

/// Counters and sizes; none ever comes near the limit.
pub(super) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Small counters and offsets, bounded by the limits far below this one's.
pub(super) fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn number(kept: i64) -> u64 {
    u64::try_from(kept).unwrap_or(0)
}

pub(super) fn small(kept: i32) -> u32 {
    u32::try_from(kept).unwrap_or(0)
}

/// Text as the server takes it: NUL, which it refuses, becomes a space, so that offsets stay.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', " ")) } else { Cow::Borrowed(text) }
}

pub(super) fn hash_of(bytes: &[u8]) -> Result<[u8; 32], Error> {
    bytes.try_into().map_err(|_| Error::Damaged("a hash has 32 bytes"))
}

pub(super) fn content_of(bytes: Option<&[u8]>) -> Result<Option<ContentHash>, Error> {
    bytes.map(|bytes| hash_of(bytes).map(ContentHash)).transpose()
}

pub(super) fn state_of(name: &str) -> Result<State, Error> {
    State::parse(name).ok_or(Error::Damaged("unknown document state"))
}

pub(super) fn tenant_of(name: String) -> Result<TenantId, Error> {
    TenantId::new(name).map_err(|_| Error::Damaged("tenant name that is not allowed"))
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Failed(error.to_string()))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|_| Error::Damaged("a value is not the JSON that it should be"))
}

/// The columns starts, child_crashes, transient_failures, best.
pub(super) fn history_of(row: &Row) -> Result<History, Error> {
    Ok(History {
        starts: small(row.try_get("starts")?),
        child_crashes: small(row.try_get("child_crashes")?),
        transient_failures: small(row.try_get("transient_failures")?),
        best: Progress::from_i64(row.try_get("best")?),
    })
}

/// The columns document, generation, bytes.
pub(super) fn message_of(row: &Row) -> Result<Message, Error> {
    Ok(Message {
        document: document_of(row.try_get("document")?),
        generation: docmill_core::id::Generation(number(row.try_get("generation")?)),
        lane: Lane::of_bytes(number(row.try_get("bytes")?)),
    })
}
