//! What the API shows and asks to be done again: documents, dead letters, what is unsettled, answers, usage.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use docmill_core::failure::Failure;
use docmill_core::id::{ContentHash, DocumentId, TenantId};
use docmill_core::lane::SMALL_BYTES_MAX;
use tokio_postgres::Row;
use uuid::Uuid;

use super::batches::SHOWN_STATE;
use super::sql::{execute, one, optional, rows};
use super::transaction::transaction;
use super::values::{
    big, content_of, document_key, document_of, from_json, message_of, number, small, uri_key,
};
use super::{Database, Error, sources};
use crate::ledger::Summary;
use crate::queue::Message;

/// Rows over which a tenant's usage of a day is spread.
const USAGE_PARTS: u64 = 16;
/// Answers to repeated requests are kept this long, in milliseconds.
const ANSWERS_KEPT_MS: i64 = 86_400_000;

/// A document as users are told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentRow {
    /// The document.
    pub id: DocumentId,
    /// Its place in the order of documents.
    pub arrived: u64,
    /// Where it is.
    pub uri: String,
    /// Where its newest generation is: a state, or `cancelled`.
    pub state: String,
    /// The newest generation.
    pub generation: u64,
    /// Its size.
    pub bytes: u64,
    /// The newest generation is a deletion.
    pub deleted: bool,
    /// What is worth knowing of the committed generation.
    pub summary: Option<Summary>,
    /// When that was committed, in milliseconds since the Unix epoch.
    pub committed_at_ms: Option<u64>,
    /// Why the newest generation failed.
    pub failure: Option<Failure>,
    /// When it did.
    pub failed_at_ms: Option<u64>,
    /// When the newest generation came.
    pub changed_at_ms: u64,
    /// Starts without progress, deaths of the extractor, transient failures.
    pub attempts: [u32; 3],
}

/// Which documents a list shows.
#[derive(Debug, Clone, Default)]
pub struct DocumentFilter {
    /// Only those in this state, as users are told it.
    pub state: Option<String>,
    /// Only those of this batch.
    pub batch: Option<Uuid>,
    /// Only the one that is there.
    pub uri: Option<String>,
    /// Only those that arrived before.
    pub before: Option<u64>,
    /// At most this many.
    pub limit: u32,
}

/// Which dead letters are meant.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// Only those with this code.
    pub code: Option<String>,
    /// Only these documents.
    pub documents: Option<Vec<DocumentId>>,
    /// Only those that failed until then, in milliseconds since the Unix epoch.
    pub until_ms: Option<u64>,
}

/// What is not settled, by lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Rows that wait.
    pub queued: u64,
    /// Rows in work.
    pub processing: u64,
    /// When the oldest of them came, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<u64>,
    /// Dead letters.
    pub dead: u64,
}

impl Database {
    /// Documents of the tenant, newest first; deleted ones are left out.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn documents(
        &self,
        tenant: &TenantId,
        filter: &DocumentFilter,
    ) -> Result<Vec<DocumentRow>, Error> {
        transaction!(self, |transaction| documents(transaction, tenant, filter))
    }

    /// A document of the tenant, a deleted one too.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn document(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<DocumentRow>, Error> {
        transaction!(self, |transaction| document_of_tenant(transaction, tenant, document))
    }

    /// The content of the newest generation of the tenant's document; `None` where it is deleted, or nobody read it yet.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn content_of(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<ContentHash>, Error> {
        transaction!(self, |transaction| content_of_tenants(transaction, tenant, document))
    }

    /// Makes the next generation of the tenant's document a deletion. `None`: unknown or deleted already.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn delete_document(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<Message>, Error> {
        transaction!(self, |transaction| delete(transaction, tenant, document))
    }

    /// Dead letters of the tenant, the last to fail first; `before` continues after (time, document).
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn dead_letters(
        &self,
        tenant: &TenantId,
        filter: &LetterFilter,
        before: Option<(u64, DocumentId)>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>, Error> {
        transaction!(self, |transaction| letters(transaction, tenant, filter, before, limit))
    }

    /// Queues at most `limit` dead letters again, those that failed first before others. Cancelled documents are
    /// none, unless they are named.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn replay(
        &self,
        tenant: &TenantId,
        filter: &LetterFilter,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        transaction!(self, |transaction| replay(transaction, tenant, filter, limit))
    }

    /// Dead letters that a filter means.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn count_letters(&self, tenant: &TenantId, filter: &LetterFilter) -> Result<u64, Error> {
        transaction!(self, |transaction| count_letters(transaction, tenant, filter))
    }

    /// Unsettled documents and dead letters by lane (small, large), of all tenants.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn lane_counts(&self) -> Result<[LaneCounts; 2], Error> {
        transaction!(self, |transaction| lane_counts(transaction))
    }

    /// Unsettled documents of each tenant that has any.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn unsettled_by_tenant(&self) -> Result<BTreeMap<String, u64>, Error> {
        transaction!(self, |transaction| unsettled(transaction))
    }

    /// How many commits there were, ever, and the server's time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn commits(&self) -> Result<(u64, u64), Error> {
        transaction!(self, |transaction| commits(transaction))
    }

    /// The first answer to a request with this key, with what that request was.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn answer(
        &self,
        tenant: &TenantId,
        key_hash: [u8; 32],
    ) -> Result<Option<(Vec<u8>, String)>, Error> {
        transaction!(self, |transaction| answer(transaction, tenant, &key_hash))
    }

    /// Keeps an answer unless there is one, and gives what is kept.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn keep_answer(
        &self,
        tenant: &TenantId,
        key_hash: [u8; 32],
        fingerprint: [u8; 32],
        text: &str,
    ) -> Result<(Vec<u8>, String), Error> {
        transaction!(self, |transaction| keep_answer(transaction, tenant, &key_hash, &fingerprint, text))
    }

    /// Forgets answers that are old enough, and usage of days gone by. Returns how many rows.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn forget_answers(&self) -> Result<u64, Error> {
        transaction!(self, |transaction| forget_answers(transaction))
    }

    /// Bytes that the tenant uploaded on a day (since 1970).
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn usage(&self, tenant: &TenantId, day: u64) -> Result<u64, Error> {
        transaction!(self, |transaction| usage(transaction, tenant, day))
    }

    /// Adds to the bytes that the tenant uploaded on a day. `spread` is any number, another each time.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn add_usage(
        &self,
        tenant: &TenantId,
        day: u64,
        bytes: u64,
        spread: u64,
    ) -> Result<(), Error> {
        transaction!(self, |transaction| add_usage(transaction, tenant, day, bytes, spread))
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), Error> {
        transaction!(self, |transaction| ping(transaction))
    }
}

/// Columns of documents `d` that [`read`] reads.
pub(super) fn columns() -> String {
    format!(
        "d.document, d.arrived, d.uri, {SHOWN_STATE}, d.generation, d.bytes, d.content IS NULL, d.summary,
         d.committed_at_ms, d.failure, d.failed_at_ms, d.changed_at_ms,
         d.starts, d.child_crashes, d.transient_failures"
    )
}

pub(super) fn read(row: &Row) -> Result<DocumentRow, Error> {
    let time =
        |at: usize| -> Result<Option<u64>, Error> { Ok(row.try_get::<_, Option<i64>>(at)?.map(number)) };
    Ok(DocumentRow {
        id: document_of(row.try_get(0)?),
        arrived: number(row.try_get(1)?),
        uri: row.try_get(2)?,
        state: row.try_get(3)?,
        generation: number(row.try_get(4)?),
        bytes: number(row.try_get(5)?),
        deleted: row.try_get(6)?,
        summary: row.try_get::<_, Option<&str>>(7)?.map(from_json).transpose()?,
        committed_at_ms: time(8)?,
        failure: row.try_get::<_, Option<&str>>(9)?.map(from_json).transpose()?,
        failed_at_ms: time(10)?,
        changed_at_ms: time(11)?.unwrap_or(0),
        attempts: [small(row.try_get(12)?), small(row.try_get(13)?), small(row.try_get(14)?)],
    })
}

async fn documents(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    filter: &DocumentFilter,
) -> Result<Vec<DocumentRow>, Error> {
    let of_batch = match filter.batch {
        Some(_) => "JOIN batch_documents b ON b.document = d.document AND b.batch = $5",
        None => "",
    };
    let sql = format!(
        "SELECT {} FROM documents d {of_batch}
         WHERE d.tenant = $1 AND d.content IS NOT NULL AND ($2::bigint IS NULL OR d.arrived < $2)
           AND ($3::text IS NULL OR {SHOWN_STATE} = $3) AND $5::uuid IS NOT DISTINCT FROM $5
           AND ($6::bytea IS NULL OR d.document = (SELECT document FROM sources WHERE tenant = $1 AND uri_key = $6))
         ORDER BY d.arrived DESC LIMIT $4",
        columns()
    );
    let place = filter.uri.as_deref().map(uri_key);
    let (before, limit) = (filter.before.map(big), i64::from(filter.limit));
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
        [&tenant.as_str(), &before, &filter.state, &limit, &filter.batch, &place];
    rows(transaction, &sql, &values).await?.iter().map(read).collect()
}

async fn document_of_tenant(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    document: DocumentId,
) -> Result<Option<DocumentRow>, Error> {
    let sql = format!("SELECT {} FROM documents d WHERE d.tenant = $1 AND d.document = $2", columns());
    let row = optional(transaction, &sql, &[&tenant.as_str(), &document_key(document)]).await?;
    row.as_ref().map(read).transpose()
}

async fn content_of_tenants(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    document: DocumentId,
) -> Result<Option<ContentHash>, Error> {
    let sql = "SELECT content FROM documents WHERE tenant = $1 AND document = $2 AND NOT provisional";
    match optional(transaction, sql, &[&tenant.as_str(), &document_key(document)]).await? {
        Some(row) => content_of(row.try_get(0)?),
        None => Ok(None),
    }
}

async fn delete(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    document: DocumentId,
) -> Result<Option<Message>, Error> {
    // Whose a document is never changes.
    let sql = "SELECT 1 FROM documents WHERE tenant = $1 AND document = $2";
    match optional(transaction, sql, &[&tenant.as_str(), &document_key(document)]).await? {
        Some(_) => sources::delete(transaction, document).await,
        None => Ok(None),
    }
}

/// Dead letters that $2 (code), $3 (documents) and $4 (until) mean. The code is the first field of the text.
const MEANT: &str = "d.tenant = $1 AND d.state = 'failed'
    AND ($2::text IS NULL OR starts_with(d.failure, '{\"code\":\"' || $2 || '\"'))
    AND ($3::uuid[] IS NULL OR d.document = ANY($3))
    AND ($3::uuid[] IS NOT NULL OR $2 = 'cancelled' OR NOT starts_with(d.failure, '{\"code\":\"cancelled\"'))
    AND ($4::bigint IS NULL OR d.failed_at_ms <= $4)";

type Meant = (Option<Vec<Uuid>>, Option<i64>);

fn meant(filter: &LetterFilter) -> Meant {
    let keys = |documents: &Vec<DocumentId>| documents.iter().copied().map(document_key).collect();
    (filter.documents.as_ref().map(keys), filter.until_ms.map(big))
}

async fn letters(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    filter: &LetterFilter,
    before: Option<(u64, DocumentId)>,
    limit: u32,
) -> Result<Vec<DocumentRow>, Error> {
    let (documents, until) = meant(filter);
    let (time, document) = before.map(|(time, document)| (big(time), document_key(document))).unzip();
    let sql = format!(
        "SELECT {} FROM documents d WHERE {MEANT}
           AND ($5::bigint IS NULL OR (d.failed_at_ms, d.document) < ($5, $6::uuid))
         ORDER BY d.failed_at_ms DESC, d.document DESC LIMIT $7",
        columns()
    );
    let limit = i64::from(limit);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&tenant.as_str(), &filter.code, &documents, &until, &time, &document, &limit];
    rows(transaction, &sql, &values).await?.iter().map(read).collect()
}

async fn replay(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    filter: &LetterFilter,
    limit: u32,
) -> Result<Vec<Message>, Error> {
    let (documents, until) = meant(filter);
    let lock = format!(
        "SELECT d.document FROM documents d WHERE {MEANT} ORDER BY d.failed_at_ms, d.document LIMIT $5 FOR UPDATE"
    );
    let limit = i64::from(limit);
    let found =
        rows(transaction, &lock, &[&tenant.as_str(), &filter.code, &documents, &until, &limit]).await?;
    let keys: Vec<Uuid> = found.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_, Error>>()?;
    let queued = rows(
        transaction,
        "UPDATE documents SET state = 'queued', owner = NULL, starts = 0, child_crashes = 0,
                transient_failures = 0, best = 0, failure = NULL, failed_at_ms = NULL, changed_at_ms = now_ms()
         WHERE document = ANY($1) RETURNING document, generation, bytes",
        &[&keys],
    )
    .await?;
    queued.iter().map(message_of).collect()
}

async fn count_letters(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    filter: &LetterFilter,
) -> Result<u64, Error> {
    let (documents, until) = meant(filter);
    let sql = format!("SELECT count(*) FROM documents d WHERE {MEANT}");
    let row = one(transaction, &sql, &[&tenant.as_str(), &filter.code, &documents, &until]).await?;
    Ok(number(row.try_get(0)?))
}

async fn lane_counts(transaction: &Transaction<'_>) -> Result<[LaneCounts; 2], Error> {
    let sql = "SELECT bytes >= $1, state, count(*), min(changed_at_ms) FROM documents
               WHERE state IN ('queued', 'processing') GROUP BY 1, 2";
    let mut lanes = [LaneCounts::default(); 2];
    for row in &rows(transaction, sql, &[&big(SMALL_BYTES_MAX)]).await? {
        let lane = &mut lanes[usize::from(row.try_get::<_, bool>(0)?)];
        let (counted, oldest) = (number(row.try_get(2)?), number(row.try_get(3)?));
        lane.oldest_ms = Some(lane.oldest_ms.map_or(oldest, |other| other.min(oldest)));
        match row.try_get(1)? {
            "queued" => lane.queued += counted,
            _ => lane.processing += counted,
        }
    }
    let sql = "SELECT bytes >= $1, count(*) FROM documents
               WHERE state = 'failed' AND NOT starts_with(failure, '{\"code\":\"cancelled\"') GROUP BY 1";
    for row in &rows(transaction, sql, &[&big(SMALL_BYTES_MAX)]).await? {
        lanes[usize::from(row.try_get::<_, bool>(0)?)].dead = number(row.try_get(1)?);
    }
    Ok(lanes)
}

async fn unsettled(transaction: &Transaction<'_>) -> Result<BTreeMap<String, u64>, Error> {
    let sql =
        "SELECT tenant, count(*) FROM documents WHERE state IN ('queued', 'processing') GROUP BY tenant";
    let found = rows(transaction, sql, &[]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get(1)?)))).collect()
}

async fn commits(transaction: &Transaction<'_>) -> Result<(u64, u64), Error> {
    let row = one(transaction, "SELECT value, now_ms() FROM counters WHERE name = 'commit'", &[]).await?;
    Ok((number(row.try_get(0)?), number(row.try_get(1)?)))
}

async fn answer(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    key_hash: &[u8; 32],
) -> Result<Option<(Vec<u8>, String)>, Error> {
    let sql = "SELECT fingerprint, answer FROM answers WHERE tenant = $1 AND key_hash = $2";
    let row = optional(transaction, sql, &[&tenant.as_str(), &&key_hash[..]]).await?;
    row.map_or(Ok(None), |row| Ok(Some((row.try_get(0)?, row.try_get(1)?))))
}

async fn keep_answer(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    key_hash: &[u8; 32],
    fingerprint: &[u8; 32],
    text: &str,
) -> Result<(Vec<u8>, String), Error> {
    let sql =
        "INSERT INTO answers VALUES($1, $2, $3, $4, now_ms()) ON CONFLICT (tenant, key_hash) DO NOTHING";
    execute(transaction, sql, &[&tenant.as_str(), &&key_hash[..], &&fingerprint[..], &text]).await?;
    let kept = answer(transaction, tenant, key_hash).await?;
    kept.ok_or(Error::Raced("an answer was forgotten as it was kept"))
}

async fn forget_answers(transaction: &Transaction<'_>) -> Result<u64, Error> {
    let sql = "DELETE FROM usage WHERE day < now_ms() / 86400000 - 1";
    let days = execute(transaction, sql, &[]).await?;
    let sql = "DELETE FROM answers WHERE answered_at_ms < now_ms() - $1";
    Ok(days + execute(transaction, sql, &[&ANSWERS_KEPT_MS]).await?)
}

async fn usage(transaction: &Transaction<'_>, tenant: &TenantId, day: u64) -> Result<u64, Error> {
    let sql = "SELECT coalesce(sum(bytes), 0)::bigint FROM usage WHERE tenant = $1 AND day = $2";
    Ok(number(one(transaction, sql, &[&tenant.as_str(), &big(day)]).await?.try_get(0)?))
}

async fn add_usage(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    day: u64,
    bytes: u64,
    spread: u64,
) -> Result<(), Error> {
    let part = i16::try_from(spread % USAGE_PARTS).unwrap_or(0);
    let sql = "INSERT INTO usage AS u VALUES($1, $2, $3, $4)
               ON CONFLICT (tenant, day, part) DO UPDATE SET bytes = u.bytes + EXCLUDED.bytes";
    execute(transaction, sql, &[&tenant.as_str(), &big(day), &part, &big(bytes)]).await.map(drop)
}

async fn ping(transaction: &Transaction<'_>) -> Result<(), Error> {
    one(transaction, "SELECT 1", &[]).await.map(drop)
}
