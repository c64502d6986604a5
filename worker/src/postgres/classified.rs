//! Documents whose categories were found by other rules than those of now.

use deadpool_postgres::Transaction;
use docmill_core::id::DocumentId;

use super::sql::{one, rows};
use super::transaction::transaction;
use super::values::{document_of, number};
use super::{Database, Error};

/// Documents on their way from which on none is added: new ones must not wait behind old ones.
const UNSETTLED_MAX: u64 = 1_000;

impl Database {
    /// Settled documents, of all tenants, whose category another recipe looked for, or none did; at most `limit`, and
    /// fewer while many are on their way. Those whose newest content failed are not among them.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn classified_otherwise(
        &self,
        recipe: Option<&str>,
        limit: u32,
    ) -> Result<Vec<DocumentId>, Error> {
        transaction!(self, |transaction| otherwise(transaction, recipe, limit))
    }
}

async fn otherwise(
    transaction: &Transaction<'_>,
    recipe: Option<&str>,
    limit: u32,
) -> Result<Vec<DocumentId>, Error> {
    // The summary is JSON as text, in which quotes within a value are escaped: no title can look like a recipe.
    let found = rows(
        transaction,
        r#"SELECT document FROM documents
         WHERE state = 'committed' AND content IS NOT NULL
           AND substring(summary FROM '"classifier":"([^"\\]*)"') IS DISTINCT FROM $1::text
         LIMIT $2"#,
        &[&recipe, &i64::from(limit)],
    )
    .await?;
    let unsettled =
        "SELECT count(*) FROM (SELECT 1 FROM documents WHERE state IN ('queued', 'processing') LIMIT $1) d";
    let most = i64::try_from(UNSETTLED_MAX).unwrap_or(i64::MAX);
    let on_their_way = number(one(transaction, unsettled, &[&most]).await?.try_get(0)?);
    let room = usize::try_from(UNSETTLED_MAX.saturating_sub(on_their_way)).unwrap_or(usize::MAX);
    // One at least, so that whoever asks knows that not all are done.
    found.iter().take(room.max(1)).map(|row| Ok(document_of(row.try_get(0)?))).collect()
}
