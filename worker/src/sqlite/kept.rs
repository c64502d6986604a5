//! What the stages look up again, in the data directory's file.

use async_trait::async_trait;
use docmill_core::id::{DocumentId, Generation, TenantId, TextHash};
use rusqlite::{Connection, OptionalExtension};

use super::{Readers, manifest_entries};
use crate::ledger::Error;
use crate::stages::{Kept, KeptGeneration};

#[async_trait]
impl Kept for Readers {
    async fn shown(&self, document: DocumentId) -> Result<Option<KeptGeneration>, Error> {
        let readers = self.clone();
        let look = move || readers.read(|connection| load(connection, document));
        tokio::task::spawn_blocking(look).await.map_err(failed)?.map_err(failed)?.map_err(failed)
    }

    async fn root_of(&self, tenant: &TenantId, uri: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT root FROM sources WHERE tenant = ? AND uri = ?";
        let looked = self.read(|connection| {
            connection
                .query_row(sql, [tenant.as_str(), uri], |row| row.get::<_, Option<String>>(0))
                .optional()
        });
        Ok(looked.map_err(failed)?.map_err(failed)?.flatten())
    }

    async fn place_of(&self, document: DocumentId) -> Result<Option<(String, u64)>, Error> {
        let looked = self.read(|connection| {
            connection
                .prepare_cached("SELECT uri, bytes FROM documents WHERE document = ?")?
                .query_row([&document.as_bytes()[..]], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        });
        looked.map_err(failed)?.map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

fn load(connection: &Connection, document: DocumentId) -> rusqlite::Result<Option<KeptGeneration>> {
    let head = connection
        .prepare_cached(
            "SELECT m.manifest, m.generation, m.language, d.summary
             FROM manifests m JOIN documents d ON d.document = m.document
             WHERE m.document = ? AND m.replaced_by IS NULL ORDER BY m.generation DESC LIMIT 1",
        )?
        .query_row([&document.as_bytes()[..]], |row| {
            let generation = Generation(row.get(1)?);
            Ok((
                row.get::<_, i64>(0)?,
                generation,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
            ))
        })
        .optional()?;
    let Some((manifest, generation, language, summary)) = head else { return Ok(None) };
    let summary = summary.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut statement = connection.prepare_cached("SELECT text FROM chunks WHERE chunk = ?")?;
    let mut entries = Vec::new();
    for entry in manifest_entries(connection, manifest)? {
        let text: Option<String> =
            statement.query_row([&entry.chunk.as_bytes()[..]], |row| row.get(0)).optional()?;
        let Some(text) = text.filter(|text| TextHash::of(text.as_bytes()) == entry.text_hash) else {
            return Ok(None);
        };
        entries.push((entry, text));
    }
    Ok((!entries.is_empty()).then_some(KeptGeneration { generation, entries, language, summary }))
}
