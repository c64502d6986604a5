//! Documents whose categories were found by other rules than those of now.

use deadpool_postgres::Transaction;
use docmill_core::id::DocumentId;

use super::sql::{one, rows};
use super::transaction::transaction;
use super::values::{document_key, document_of, number};
use super::{Database, Error};

/// Documents on their way from which on none is added: new ones must not wait behind old ones.
const UNSETTLED_MAX: u64 = 1_000;

/// Rows that one look takes: an index of this would be read more often than it is of use.
const LOOK_ROWS: i64 = 5_000;

/// Before all documents.
fn first() -> DocumentId {
    DocumentId::from_bytes([0; 16])
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Otherwise {
    /// Documents whose category another recipe looked for.
    pub found: Vec<DocumentId>,
    /// The last document that was looked at; none: all were.
    pub last: Option<DocumentId>,
}

impl Database {
    /// Settled documents, of all tenants, whose category another recipe looked for, or none did: a part of those after
    /// `after`, by their ids, and fewer while many are on their way. Those whose newest content failed are not among them.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn classified_otherwise(
        &self,
        recipe: Option<&str>,
        after: Option<DocumentId>,
    ) -> Result<Otherwise, Error> {
        transaction!(self, |transaction| otherwise(transaction, recipe, after))
    }
}

async fn otherwise(
    transaction: &Transaction<'_>,
    recipe: Option<&str>,
    after: Option<DocumentId>,
) -> Result<Otherwise, Error> {
    let unsettled =
        "SELECT count(*) FROM (SELECT 1 FROM documents WHERE state IN ('queued', 'processing') LIMIT $1) d";
    let most = i64::try_from(UNSETTLED_MAX).unwrap_or(i64::MAX);
    let on_their_way = number(one(transaction, unsettled, &[&most]).await?.try_get(0)?);
    let room = usize::try_from(UNSETTLED_MAX.saturating_sub(on_their_way)).unwrap_or(usize::MAX);
    if room == 0 {
        return Ok(Otherwise { found: Vec::new(), last: Some(after.unwrap_or_else(first)) });
    }
    // The summary is JSON as text, in which quotes within a value are escaped: no title can look like a recipe.
    let looked = rows(
        transaction,
        r#"SELECT document, state = 'committed' AND content IS NOT NULL
                  AND substring(summary FROM '"classifier":"([^"\\]*)"') IS DISTINCT FROM $1::text
         FROM documents WHERE document > $2 ORDER BY document LIMIT $3"#,
        &[&recipe, &document_key(after.unwrap_or_else(first)), &LOOK_ROWS],
    )
    .await?;
    let mut otherwise = Otherwise::default();
    for row in &looked {
        let document = document_of(row.try_get(0)?);
        if row.try_get(1)? {
            otherwise.found.push(document);
        }
        otherwise.last = Some(document);
        if otherwise.found.len() == room {
            return Ok(otherwise);
        }
    }
    if (looked.len() as i64) < LOOK_ROWS {
        otherwise.last = None;
    }
    Ok(otherwise)
}
