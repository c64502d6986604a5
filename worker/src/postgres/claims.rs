//! Who works on what: workers, claims, starts, progress, failures. Decisions come from the core.

use deadpool_postgres::Transaction;
use docmill_core::delivery::{
    AfterFailure, ClaimDecision, ClaimView, History, Progress, StartDecision, decide_claim, decide_failure,
    decide_start,
};
use docmill_core::failure::Failure;
use docmill_core::id::{DocumentId, Epoch, Generation};
use docmill_core::page::Page;

use super::sql::{execute, one, optional, rows};
use super::values::{
    big, content_of, document_key, from_json, history_of, int, json, message_of, number, state_of,
    tenant_of,
};
use super::{Error, indexes};
use crate::ledger::{Claim, Failed, Grant, Start, WorkerId};
use crate::queue::Message;

pub(super) async fn heartbeat(
    transaction: &Transaction<'_>,
    worker: &WorkerId,
    lease_ms: u64,
) -> Result<(), Error> {
    let sql = "INSERT INTO workers VALUES($1, now_ms() + $2)
               ON CONFLICT (worker) DO UPDATE SET lease_until_ms = EXCLUDED.lease_until_ms";
    execute(transaction, sql, &[&worker.0, &big(lease_ms)]).await.map(drop)
}

pub(super) async fn retire(transaction: &Transaction<'_>, worker: &WorkerId) -> Result<(), Error> {
    execute(transaction, "DELETE FROM workers WHERE worker = $1", &[&worker.0]).await.map(drop)
}

/// Locks the document's row, and with it all that is decided about the document.
pub(super) async fn lock(transaction: &Transaction<'_>, document: DocumentId) -> Result<(), Error> {
    let sql = "SELECT 1 FROM documents WHERE document = $1 FOR UPDATE";
    optional(transaction, sql, &[&document_key(document)]).await.map(drop)
}

pub(super) async fn claim(
    transaction: &Transaction<'_>,
    message: &Message,
    worker: &WorkerId,
) -> Result<Claim, Error> {
    // The lock by a statement of its own: after a wait, one statement would join the new row with the
    // worker that owned the old one, and grant what a live worker has.
    lock(transaction, message.document).await?;
    let document = document_key(message.document);
    let found = optional(
        transaction,
        "SELECT d.generation, d.state, coalesce(w.lease_until_ms > now_ms(), false) AS owner_live,
                d.tenant, d.uri, d.content, d.bytes, d.starts, d.child_crashes, d.transient_failures, d.best,
                EXISTS(SELECT 1 FROM manifests m WHERE m.document = d.document
                         AND m.generation = d.generation AND m.replaced_by IS NULL) AS committed_before
         FROM documents d
         -- What its own worker asks for, that worker does not have: it lost the answer to a claim.
         LEFT JOIN workers w ON w.worker = d.owner AND d.owner <> $2 WHERE d.document = $1",
        &[&document, &worker.0],
    )
    .await?;
    let view = match &found {
        Some(row) => Some(ClaimView {
            generation: Generation(number(row.try_get("generation")?)),
            state: state_of(row.try_get("state")?)?,
            owner_live: row.try_get("owner_live")?,
        }),
        None => None,
    };
    let decision = decide_claim(view, message.generation);
    let Some(row) = found.filter(|_| decision == ClaimDecision::Grant) else {
        return Ok(Claim::Refused(decision));
    };
    let tenant = tenant_of(row.try_get("tenant")?)?;
    // Shared from here on: an epoch later than an index's beginning says that the claim knows of the index.
    indexes::lock(transaction, &tenant, indexes::Lock::Shared).await?;
    let indexes = indexes::written(transaction, &tenant).await?;
    let epoch = one(
        transaction,
        "UPDATE documents SET state = 'processing', owner = $1, epoch = nextval('epochs'), started = false, claimed_at_ms = now_ms(),
                starts = CASE WHEN started AND owner = $1 THEN greatest(starts - 1, 0) ELSE starts END
         WHERE document = $2 RETURNING epoch",
        &[&worker.0, &document],
    )
    .await?;
    Ok(Claim::Granted(Box::new(Grant {
        epoch: Epoch(number(epoch.try_get(0)?)),
        document: message.document,
        tenant,
        generation: message.generation,
        content: content_of(row.try_get("content")?)?,
        uri: row.try_get("uri")?,
        bytes: number(row.try_get("bytes")?),
        history: history_of(&row)?,
        committed_before: row.try_get("committed_before")?,
        indexes,
    })))
}

/// Locks the row and gives its history, if the claim still holds.
pub(super) async fn held(transaction: &Transaction<'_>, grant: &Grant) -> Result<Option<History>, Error> {
    let row = optional(
        transaction,
        "SELECT starts, child_crashes, transient_failures, best FROM documents
         WHERE document = $1 AND epoch = $2 AND generation = $3 AND state = 'processing' FOR UPDATE",
        &[&document_key(grant.document), &big(grant.epoch.0), &big(grant.generation.0)],
    )
    .await?;
    row.as_ref().map(history_of).transpose()
}

async fn store_history(
    transaction: &Transaction<'_>,
    grant: &Grant,
    history: History,
    started: bool,
) -> Result<(), Error> {
    execute(
        transaction,
        "UPDATE documents SET starts = $2, child_crashes = $3, transient_failures = $4, best = $5,
                started = started OR $6 WHERE document = $1",
        &[
            &document_key(grant.document),
            &int(history.starts),
            &int(history.child_crashes),
            &int(history.transient_failures),
            &history.best.to_i64(),
            &started,
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn start(transaction: &Transaction<'_>, grant: &Grant) -> Result<Start, Error> {
    let Some(history) = held(transaction, grant).await? else { return Ok(Start::Fenced) };
    let (decision, started) = decide_start(history);
    store_history(transaction, grant, started, true).await?;
    match decision {
        StartDecision::Together | StartDecision::Alone => Ok(Start::Go),
        StartDecision::GiveUp(failure) => {
            dead_letter(transaction, grant, &failure).await?;
            Ok(Start::GaveUp(failure))
        }
    }
}

pub(super) async fn progress(
    transaction: &Transaction<'_>,
    grant: &Grant,
    reached: Progress,
    pages: &[Page],
) -> Result<bool, Error> {
    let Some(history) = held(transaction, grant).await? else { return Ok(false) };
    let after = history.after_progress(reached);
    if after != history {
        store_history(transaction, grant, after, false).await?;
    }
    if !pages.is_empty() {
        // A page given twice keeps its last form; one statement may touch a row only once.
        let pages: std::collections::BTreeMap<i32, String> =
            pages.iter().map(|page| Ok((int(page.number), json(page)?))).collect::<Result<_, Error>>()?;
        let (numbers, contents): (Vec<i32>, Vec<String>) = pages.into_iter().unzip();
        execute(
            transaction,
            "INSERT INTO kept_pages SELECT $1, $2, p.page, p.content
             FROM unnest($3::integer[], $4::text[]) AS p(page, content)
             ON CONFLICT (document, generation, page) DO UPDATE SET content = EXCLUDED.content",
            &[&document_key(grant.document), &big(grant.generation.0), &numbers, &contents],
        )
        .await?;
    }
    Ok(true)
}

pub(super) async fn kept_pages(transaction: &Transaction<'_>, grant: &Grant) -> Result<Vec<Page>, Error> {
    let kept = rows(
        transaction,
        "SELECT content FROM kept_pages WHERE document = $1 AND generation = $2 ORDER BY page",
        &[&document_key(grant.document), &big(grant.generation.0)],
    )
    .await?;
    let mut pages = Vec::with_capacity(kept.len());
    for (row, expected) in kept.iter().zip(1u32..) {
        let page: Page = from_json(row.try_get(0)?)?;
        if page.number != expected {
            break;
        }
        pages.push(page);
    }
    Ok(pages)
}

pub(super) async fn forget_pages(
    transaction: &Transaction<'_>,
    documents: &[uuid::Uuid],
) -> Result<(), Error> {
    execute(transaction, "DELETE FROM kept_pages WHERE document = ANY($1)", &[&documents]).await.map(drop)
}

async fn dead_letter(transaction: &Transaction<'_>, grant: &Grant, failure: &Failure) -> Result<(), Error> {
    let document = document_key(grant.document);
    execute(
        transaction,
        "UPDATE documents SET state = 'failed', owner = NULL, failure = $2, failed_at_ms = now_ms()
         WHERE document = $1",
        &[&document, &json(failure)?],
    )
    .await?;
    forget_pages(transaction, &[document]).await
}

pub(super) async fn fail(
    transaction: &Transaction<'_>,
    grant: &Grant,
    failure: &Failure,
    jitter: f64,
) -> Result<Failed, Error> {
    let Some(history) = held(transaction, grant).await? else { return Ok(Failed::Fenced) };
    let (decision, counted) = decide_failure(history, failure.clone(), jitter);
    store_history(transaction, grant, counted, false).await?;
    match decision {
        AfterFailure::Retry { after_ms } => {
            let sql = "UPDATE documents SET state = 'queued', owner = NULL WHERE document = $1";
            execute(transaction, sql, &[&document_key(grant.document)]).await?;
            Ok(Failed::Retry { after_ms })
        }
        AfterFailure::GiveUp(failure) => {
            dead_letter(transaction, grant, &failure).await?;
            Ok(Failed::DeadLettered)
        }
    }
}

/// Gives the document back; a start that was counted is taken back.
pub(super) async fn hand_back(transaction: &Transaction<'_>, grant: &Grant) -> Result<bool, Error> {
    let given = execute(
        transaction,
        "UPDATE documents SET state = 'queued', owner = NULL, started = false,
                starts = CASE WHEN started THEN greatest(starts - 1, 0) ELSE starts END
         WHERE document = $1 AND epoch = $2 AND generation = $3 AND state = 'processing'",
        &[&document_key(grant.document), &big(grant.epoch.0), &big(grant.generation.0)],
    )
    .await?;
    Ok(given == 1)
}

/// Gives back all that the worker holds, starts taken back: it is told to stop, nothing is at fault.
pub(super) async fn hand_back_all(transaction: &Transaction<'_>, worker: &WorkerId) -> Result<u64, Error> {
    execute(
        transaction,
        "UPDATE documents d SET state = 'queued', owner = NULL, started = false,
                starts = CASE WHEN started THEN greatest(starts - 1, 0) ELSE starts END
         FROM (SELECT document FROM documents WHERE owner = $1 AND state = 'processing'
               ORDER BY document FOR UPDATE) AS held
         WHERE d.document = held.document AND d.owner = $1 AND d.state = 'processing'",
        &[&worker.0],
    )
    .await
}

pub(super) async fn unsettled(transaction: &Transaction<'_>, limit: usize) -> Result<Vec<Message>, Error> {
    let found = rows(
        transaction,
        "SELECT document, generation, bytes FROM documents d
         WHERE d.state IN ('queued', 'processing')
           AND (d.state = 'queued' OR NOT EXISTS
                (SELECT 1 FROM workers w WHERE w.worker = d.owner AND w.lease_until_ms > (SELECT now_ms())))
         ORDER BY d.arrived LIMIT $1",
        &[&i64::try_from(limit).unwrap_or(i64::MAX)],
    )
    .await?;
    found.iter().map(message_of).collect()
}

pub(super) async fn requeue(
    transaction: &Transaction<'_>,
    document: DocumentId,
) -> Result<Option<Message>, Error> {
    // Work that is on its way ends by writing every row anyway.
    let key = document_key(document);
    execute(
        transaction,
        "UPDATE documents SET state = 'queued', owner = NULL, starts = 0, child_crashes = 0,
                transient_failures = 0, best = 0, failure = NULL, failed_at_ms = NULL
         WHERE document = $1 AND state IN ('committed', 'failed')",
        &[&key],
    )
    .await?;
    let sql = "SELECT document, generation, bytes FROM documents WHERE document = $1";
    optional(transaction, sql, &[&key]).await?.as_ref().map(message_of).transpose()
}
