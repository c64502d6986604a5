//! What the stages look up again, in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, ContentHash, DocumentId, Generation, TenantId, TextHash};

use super::sql::{optional, rows};
use super::transaction::transaction;
use super::values::{chunk_keys, chunk_of, document_key, number, uri_key};
use super::{Database, Error, manifests};
use crate::ledger::{self, Grant};
use crate::stages::{Kept, KeptGeneration};

#[async_trait]
impl Kept for Database {
    async fn shown(&self, document: DocumentId) -> Result<Option<KeptGeneration>, ledger::Error> {
        Ok(transaction!(self, |transaction| load(transaction, document))?)
    }

    async fn root_of(&self, tenant: &TenantId, uri: &str) -> Result<Option<String>, ledger::Error> {
        Ok(transaction!(self, |transaction| root_of(transaction, tenant, uri))?)
    }

    async fn place_of(&self, document: DocumentId) -> Result<Option<(String, u64)>, ledger::Error> {
        Ok(transaction!(self, |transaction| place_of(transaction, document))?)
    }

    async fn settle_content(
        &self,
        grant: &Grant,
        content: ContentHash,
        bytes: u64,
    ) -> Result<bool, ledger::Error> {
        let settled =
            Self::settle_content(self, grant.document, grant.generation, grant.epoch, content, bytes);
        Ok(settled.await?)
    }
}

async fn load(
    transaction: &Transaction<'_>,
    document: DocumentId,
) -> Result<Option<KeptGeneration>, Error> {
    // One snapshot for all statements.
    let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
    transaction.batch_execute(snapshot).await?;
    let head = optional(
        transaction,
        "SELECT m.manifest, m.language, d.summary, m.generation
         FROM manifests m JOIN documents d ON d.document = m.document
         WHERE m.document = $1 AND m.replaced_by IS NULL ORDER BY m.generation DESC LIMIT 1",
        &[&document_key(document)],
    )
    .await?;
    let Some(head) = head else { return Ok(None) };
    let manifest: i64 = head.try_get(0)?;
    let summary = head.try_get::<_, Option<&str>>(2)?.and_then(|text| serde_json::from_str(text).ok());
    let entries = manifests::entries(transaction, &[manifest]).await?.remove(&manifest).unwrap_or_default();
    let chunks: Vec<ChunkId> = entries.iter().map(|entry| entry.chunk).collect();
    let held =
        rows(transaction, "SELECT chunk, text FROM chunks WHERE chunk = ANY($1)", &[&chunk_keys(&chunks)])
            .await?;
    let mut texts: HashMap<ChunkId, String> = HashMap::new();
    for row in &held {
        texts.insert(chunk_of(row.try_get(0)?), row.try_get(1)?);
    }
    let mut with_texts = Vec::with_capacity(entries.len());
    for entry in entries {
        let text = texts.remove(&entry.chunk);
        let Some(text) = text.filter(|text| TextHash::of(text.as_bytes()) == entry.text_hash) else {
            return Ok(None);
        };
        with_texts.push((entry, text));
    }
    Ok((!with_texts.is_empty()).then_some(KeptGeneration {
        generation: Generation(number(head.try_get(3)?)),
        entries: with_texts,
        language: head.try_get(1)?,
        summary: summary.unwrap_or_default(),
    }))
}

async fn root_of(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    uri: &str,
) -> Result<Option<String>, Error> {
    let sql = "SELECT root FROM sources WHERE tenant = $1 AND uri_key = $2";
    let row = optional(transaction, sql, &[&tenant.as_str(), &uri_key(uri)]).await?;
    row.map_or(Ok(None), |row| Ok(row.try_get(0)?))
}

async fn place_of(
    transaction: &Transaction<'_>,
    document: DocumentId,
) -> Result<Option<(String, u64)>, Error> {
    let sql = "SELECT uri, bytes FROM documents WHERE document = $1";
    let row = optional(transaction, sql, &[&document_key(document)]).await?;
    row.map(|row| Ok((row.try_get(0)?, number(row.try_get(1)?)))).transpose()
}
