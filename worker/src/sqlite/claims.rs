//! Who works on what: workers, claims, starts, progress, failures. Decisions come from the core.

use docmill_core::delivery::{
    AfterFailure, ClaimDecision, ClaimView, History, Progress, StartDecision, State, decide_claim,
    decide_failure, decide_start,
};
use docmill_core::failure::Failure;
use docmill_core::id::{ContentHash, DocumentId, Epoch, Generation, TenantId};
use docmill_core::lane::Lane;
use docmill_core::page::Page;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::indexes;
use crate::ledger::{Claim, Failed, Grant, Start, WorkerId};
use crate::queue::Message;

/// A value that no version of docmill writes: reported, never guessed around.
pub(super) fn malformed(what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, what.into())
}

pub(super) fn document_of(bytes: &[u8]) -> rusqlite::Result<DocumentId> {
    Ok(DocumentId::from_bytes(bytes.try_into().map_err(|_| malformed("a document id has 16 bytes"))?))
}

pub(super) fn hash_of(bytes: &[u8]) -> rusqlite::Result<[u8; 32]> {
    bytes.try_into().map_err(|_| malformed("a hash has 32 bytes"))
}

pub(super) fn state_of(name: &str) -> rusqlite::Result<State> {
    State::parse(name).ok_or_else(|| malformed("unknown document state"))
}

pub(super) fn tenant_of(name: String) -> rusqlite::Result<TenantId> {
    TenantId::new(name).map_err(|_| malformed("tenant name that is not allowed"))
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// The next value of a gap-free sequence: taken back with the transaction that took it.
pub(super) fn next(connection: &Connection, sequence: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("UPDATE sequences SET value = value + 1 WHERE name = ? RETURNING value")?
        .query_row([sequence], |row| row.get(0))
}

/// The first one of a worker is its start.
pub(super) fn heartbeat(
    connection: &Connection,
    worker: &WorkerId,
    now_ms: i64,
    until_ms: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO workers(worker, started_at_ms, lease_until_ms) VALUES(?, ?, ?)
             ON CONFLICT(worker) DO UPDATE SET lease_until_ms = excluded.lease_until_ms",
        )?
        .execute(params![worker.0, now_ms, until_ms])
        .map(|_| ())
}

pub(super) fn retire(connection: &Connection, worker: &WorkerId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM workers WHERE worker = ?")?.execute([&worker.0]).map(|_| ())
}

fn history_of(row: &Row<'_>, first: usize) -> rusqlite::Result<History> {
    Ok(History {
        starts: row.get(first)?,
        child_crashes: row.get(first + 1)?,
        transient_failures: row.get(first + 2)?,
        best: Progress::from_i64(row.get(first + 3)?),
    })
}

pub(super) fn claim(
    connection: &Connection,
    message: &Message,
    worker: &WorkerId,
    now_ms: i64,
) -> rusqlite::Result<Claim> {
    let found = connection
        .prepare_cached(
            "SELECT d.generation, d.state, w.lease_until_ms, d.tenant, d.uri, d.content, d.bytes,
                    d.starts, d.child_crashes, d.transient_failures, d.best,
                    EXISTS(SELECT 1 FROM manifests m WHERE m.document = d.document
                             AND m.generation = d.generation AND m.replaced_by IS NULL)
             FROM documents d
             -- What its own worker asks for, that worker does not have: it lost the answer to a claim.
             LEFT JOIN workers w ON w.worker = d.owner AND d.owner <> ?2 WHERE d.document = ?1",
        )?
        .query_row(params![&message.document.as_bytes()[..], worker.0], |row| {
            let until_ms: Option<i64> = row.get(2)?;
            let view = ClaimView {
                generation: Generation(row.get(0)?),
                state: state_of(&row.get::<_, String>(1)?)?,
                owner_live: until_ms.is_some_and(|until_ms| until_ms > now_ms),
            };
            let content: Option<Vec<u8>> = row.get(5)?;
            let content = content.map(|bytes| hash_of(&bytes).map(ContentHash)).transpose()?;
            let grant = Grant {
                epoch: Epoch(0),
                document: message.document,
                tenant: tenant_of(row.get(3)?)?,
                generation: view.generation,
                content,
                uri: row.get(4)?,
                bytes: row.get(6)?,
                history: history_of(row, 7)?,
                committed_before: row.get(11)?,
                indexes: Vec::new(),
            };
            Ok((view, grant))
        })
        .optional()?;
    let decision = decide_claim(found.as_ref().map(|(view, _)| *view), message.generation);
    let Some((_, mut grant)) = found.filter(|_| decision == ClaimDecision::Grant) else {
        return Ok(Claim::Refused(decision));
    };
    grant.epoch = Epoch(next(connection, "epoch")?);
    grant.indexes = indexes::written(connection, &grant.tenant)?;
    connection
        .prepare_cached(
            "UPDATE documents SET state = 'processing', owner = ?1, epoch = ?2, started = 0, claimed_at_ms = ?4,
                    starts = CASE WHEN started AND owner = ?1 THEN max(starts - 1, 0) ELSE starts END
             WHERE document = ?3",
        )?
        .execute(params![worker.0, grant.epoch.0, &grant.document.as_bytes()[..], now_ms])?;
    Ok(Claim::Granted(Box::new(grant)))
}

/// The history, if the claim still holds.
fn held(connection: &Connection, grant: &Grant) -> rusqlite::Result<Option<History>> {
    connection
        .prepare_cached(
            "SELECT starts, child_crashes, transient_failures, best FROM documents
             WHERE document = ? AND epoch = ? AND generation = ? AND state = 'processing'",
        )?
        .query_row(params![&grant.document.as_bytes()[..], grant.epoch.0, grant.generation.0], |row| {
            history_of(row, 0)
        })
        .optional()
}

pub(super) fn still_held(connection: &Connection, grant: &Grant) -> rusqlite::Result<bool> {
    Ok(held(connection, grant)?.is_some())
}

fn store_history(connection: &Connection, grant: &Grant, history: History) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE documents SET starts = ?, child_crashes = ?, transient_failures = ?, best = ? WHERE document = ?",
        )?
        .execute(params![
            history.starts,
            history.child_crashes,
            history.transient_failures,
            history.best.to_i64(),
            &grant.document.as_bytes()[..]
        ])
        .map(|_| ())
}

pub(super) fn start(connection: &Connection, grant: &Grant, now_ms: i64) -> rusqlite::Result<Start> {
    let Some(history) = held(connection, grant)? else { return Ok(Start::Fenced) };
    let (decision, started) = decide_start(history);
    store_history(connection, grant, started)?;
    connection
        .prepare_cached("UPDATE documents SET started = 1 WHERE document = ?")?
        .execute([&grant.document.as_bytes()[..]])?;
    match decision {
        StartDecision::Together | StartDecision::Alone => Ok(Start::Go),
        StartDecision::GiveUp(failure) => {
            dead_letter(connection, grant, &failure, now_ms)?;
            Ok(Start::GaveUp(failure))
        }
    }
}

pub(super) fn progress(
    connection: &Connection,
    grant: &Grant,
    reached: Progress,
    pages: &[Page],
) -> rusqlite::Result<bool> {
    let Some(history) = held(connection, grant)? else { return Ok(false) };
    let after = history.after_progress(reached);
    if after != history {
        store_history(connection, grant, after)?;
    }
    for page in pages {
        connection.prepare_cached("INSERT OR REPLACE INTO kept_pages VALUES(?, ?, ?, ?)")?.execute(
            params![&grant.document.as_bytes()[..], grant.generation.0, page.number, json(page)?],
        )?;
    }
    Ok(true)
}

pub(super) fn kept_pages(connection: &Connection, grant: &Grant) -> rusqlite::Result<Vec<Page>> {
    let mut statement = connection.prepare_cached(
        "SELECT content FROM kept_pages WHERE document = ? AND generation = ? ORDER BY page",
    )?;
    let rows = statement.query_map(params![&grant.document.as_bytes()[..], grant.generation.0], |row| {
        from_json::<Page>(&row.get::<_, String>(0)?)
    })?;
    let mut pages = Vec::new();
    for (page, expected) in rows.zip(1u32..) {
        let page = page?;
        if page.number != expected {
            break;
        }
        pages.push(page);
    }
    Ok(pages)
}

pub(super) fn forget_pages(connection: &Connection, document: &DocumentId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM kept_pages WHERE document = ?")?
        .execute([&document.as_bytes()[..]])
        .map(|_| ())
}

fn dead_letter(
    connection: &Connection,
    grant: &Grant,
    failure: &Failure,
    now_ms: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE documents SET state = 'failed', owner = NULL, failure = ?, failed_at_ms = ? WHERE document = ?",
        )?
        .execute(params![json(failure)?, now_ms, &grant.document.as_bytes()[..]])?;
    forget_pages(connection, &grant.document)
}

pub(super) fn fail(
    connection: &Connection,
    grant: &Grant,
    failure: Failure,
    jitter: f64,
    now_ms: i64,
) -> rusqlite::Result<Failed> {
    let Some(history) = held(connection, grant)? else { return Ok(Failed::Fenced) };
    let (decision, counted) = decide_failure(history, failure, jitter);
    store_history(connection, grant, counted)?;
    match decision {
        AfterFailure::Retry { after_ms } => {
            release(connection, grant)?;
            Ok(Failed::Retry { after_ms })
        }
        AfterFailure::GiveUp(failure) => {
            dead_letter(connection, grant, &failure, now_ms)?;
            Ok(Failed::DeadLettered)
        }
    }
}

fn release(connection: &Connection, grant: &Grant) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE documents SET state = 'queued', owner = NULL WHERE document = ?")?
        .execute([&grant.document.as_bytes()[..]])
        .map(|_| ())
}

/// Gives the document back; a start that was counted is taken back.
pub(super) fn hand_back(connection: &Connection, grant: &Grant) -> rusqlite::Result<bool> {
    if !still_held(connection, grant)? {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "UPDATE documents SET state = 'queued', owner = NULL, starts = max(starts - started, 0), started = 0
             WHERE document = ?",
        )?
        .execute([&grant.document.as_bytes()[..]])?;
    Ok(true)
}

/// Gives back all that the worker holds, starts taken back: it is told to stop, nothing is at fault.
pub(super) fn hand_back_all(connection: &Connection, worker: &WorkerId) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE documents SET state = 'queued', owner = NULL, starts = max(starts - started, 0), started = 0
             WHERE owner = ? AND state = 'processing'",
        )?
        .execute([&worker.0])
}

pub(super) fn unsettled(
    connection: &Connection,
    limit: usize,
    now_ms: i64,
) -> rusqlite::Result<Vec<Message>> {
    let mut statement = connection.prepare_cached(
        "SELECT document, generation, bytes FROM documents d
         WHERE d.state IN ('queued', 'processing')
           AND (d.state = 'queued' OR NOT EXISTS
                (SELECT 1 FROM workers w WHERE w.worker = d.owner AND w.lease_until_ms > ?))
         ORDER BY d.rowid LIMIT ?",
    )?;
    let rows = statement.query_map(params![now_ms, limit as i64], |row| {
        Ok(Message {
            document: document_of(&row.get::<_, Vec<u8>>(0)?)?,
            generation: Generation(row.get(1)?),
            lane: Lane::of_bytes(row.get(2)?),
        })
    })?;
    rows.collect()
}

pub(super) fn requeue(connection: &Connection, document: DocumentId) -> rusqlite::Result<Option<Message>> {
    // Work that is on its way ends by writing every row anyway.
    connection
        .prepare_cached(
            "UPDATE documents SET state = 'queued', owner = NULL, starts = 0, child_crashes = 0,
                    transient_failures = 0, best = 0, failure = NULL, failed_at_ms = NULL
             WHERE document = ? AND state IN ('committed', 'failed')",
        )?
        .execute([&document.as_bytes()[..]])?;
    connection
        .prepare_cached("SELECT generation, bytes FROM documents WHERE document = ?")?
        .query_row([&document.as_bytes()[..]], |row| {
            Ok(Message { document, generation: Generation(row.get(0)?), lane: Lane::of_bytes(row.get(1)?) })
        })
        .optional()
}
