//! Where documents are: registration, deletion, moves, and what the last look at a file said.

use docmill_core::delivery::State;
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{ContentHash, DocumentId, Generation, TenantId};
use docmill_core::lane::Lane;
use docmill_core::source::FileStat;
use rusqlite::{Connection, OptionalExtension, params};

use super::claims::{document_of, forget_pages, hash_of, requeue, state_of};
use super::{Answer, Database, Error};
use crate::ledger::{Move, Registered, Registration};
use crate::queue::Message;

/// What the ledger knows of a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSource {
    /// The URI.
    pub uri: String,
    /// The document that it leads to.
    pub document: DocumentId,
    /// What the last look said.
    pub stat: Option<FileStat>,
    /// When the scan of that look began.
    pub scanned_at_ns: i64,
    /// Hash of the newest generation's content; `None`: deleted.
    pub content: Option<ContentHash>,
    /// Where the newest generation is.
    pub state: State,
    /// The PATH it was found under.
    pub root: Option<String>,
    /// It was given up only because its file was not there or could not be read: seen again, it is
    /// tried again.
    pub retry_when_seen: bool,
}

const KNOWN: &str = "SELECT s.uri, s.document, s.dev, s.inode, s.bytes, s.mtime_ns, s.ctime_ns, s.scanned_at_ns,
        d.content, d.state, s.root, d.failure FROM sources s JOIN documents d ON d.document = s.document WHERE s.tenant = ?";

fn known_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<KnownSource> {
    let dev: Option<i64> = row.get(2)?;
    let stat = match dev {
        None => None,
        Some(dev) => Some(FileStat {
            dev: dev as u64,
            inode: row.get::<_, i64>(3)? as u64,
            bytes: row.get(4)?,
            mtime_ns: row.get(5)?,
            ctime_ns: row.get(6)?,
        }),
    };
    let content: Option<Vec<u8>> = row.get(8)?;
    Ok(KnownSource {
        uri: row.get(0)?,
        document: document_of(&row.get::<_, Vec<u8>>(1)?)?,
        stat,
        scanned_at_ns: row.get(7)?,
        content: content.map(|bytes| hash_of(&bytes).map(ContentHash)).transpose()?,
        state: state_of(&row.get::<_, String>(9)?)?,
        root: row.get(10)?,
        retry_when_seen: row
            .get::<_, Option<String>>(11)?
            .is_some_and(|failure| depends_on_place(&failure)),
    })
}

/// Whether a stored failure says that the file was missing or unreadable, which another look may mend.
fn depends_on_place(failure: &str) -> bool {
    let failure: Option<Failure> = serde_json::from_str(failure).ok();
    failure.is_some_and(|failure| matches!(failure.code, FailureCode::Vanished | FailureCode::Unreadable))
}

/// Whether a stored failure says that it was cancelled, which another submission takes back. A scan that merely
/// sees the file again is none.
fn is_cancelled(failure: &str) -> bool {
    let failure: Option<Failure> = serde_json::from_str(failure).ok();
    failure.is_some_and(|failure| failure.code == FailureCode::Cancelled)
}

/// Queues a document again that was given up for such a failure.
fn retry_after(
    connection: &Connection,
    document: DocumentId,
    such: impl FnOnce(&str) -> bool,
) -> rusqlite::Result<Option<Message>> {
    let failure: Option<String> = connection
        .prepare_cached("SELECT failure FROM documents WHERE document = ? AND state = 'failed'")?
        .query_row([&document.as_bytes()[..]], |row| row.get(0))
        .optional()?
        .flatten();
    match failure {
        Some(failure) if such(&failure) => requeue(connection, document),
        _ => Ok(None),
    }
}

/// Every source of the tenant that is not deleted, by URI.
pub fn known_sources(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<Vec<KnownSource>> {
    let mut statement =
        connection.prepare_cached(&format!("{KNOWN} AND d.content IS NOT NULL ORDER BY s.uri"))?;
    let rows = statement.query_map([tenant.as_str()], known_of)?;
    rows.collect()
}

pub(super) fn register(
    connection: &Connection,
    new: &Registration,
    now_ms: i64,
) -> rusqlite::Result<Registered> {
    let known = connection
        .prepare_cached(
            "SELECT d.document, d.generation, d.content, d.state FROM sources s
             JOIN documents d ON d.document = s.document WHERE s.tenant = ? AND s.uri = ?",
        )?
        .query_row(params![new.tenant.as_str(), new.uri], |row| {
            let content: Option<Vec<u8>> = row.get(2)?;
            let document = document_of(&row.get::<_, Vec<u8>>(0)?)?;
            Ok((document, row.get::<_, u64>(1)?, content, row.get::<_, String>(3)?))
        })
        .optional()?;
    let Some((document, generation, content, state)) = known else {
        return Ok(Registered::New(give_birth(connection, new, now_ms)?));
    };
    look_again(connection, new, document)?;
    if content.as_deref() == Some(&new.content.0[..]) {
        let such = |failure: &str| depends_on_place(failure) || is_cancelled(failure);
        if let Some(message) = retry_after(connection, document, such)? {
            return Ok(Registered::Changed(message));
        }
        return Ok(Registered::Unchanged(document, state_of(&state)?));
    }
    let message = next_generation(connection, document, generation, Some(new.content), new.bytes, now_ms)?;
    Ok(Registered::Changed(message))
}

fn give_birth(connection: &Connection, new: &Registration, now_ms: i64) -> rusqlite::Result<Message> {
    let moved_away: u32 = connection
        .prepare_cached("SELECT moved_away FROM births WHERE tenant = ? AND uri = ?")?
        .query_row(params![new.tenant.as_str(), new.uri], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let document = DocumentId::born(&new.tenant, &new.uri, moved_away);
    connection
        .prepare_cached(
            "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, content, bytes, changed_at_ms)
             VALUES(?1, ?2, ?3, ?3, 1, 'queued', ?4, ?5, ?6)",
        )?
        .execute(params![
            &document.as_bytes()[..],
            new.tenant.as_str(),
            new.uri,
            &new.content.0[..],
            new.bytes,
            now_ms
        ])?;
    look_again(connection, new, document)?;
    Ok(Message { document, generation: Generation(1), lane: Lane::of_bytes(new.bytes) })
}

fn look_again(connection: &Connection, new: &Registration, document: DocumentId) -> rusqlite::Result<()> {
    let look = Look { stat: new.stat, scanned_at_ns: new.scanned_at_ns, root: new.root.as_deref() };
    store_look(connection, &new.tenant, &new.uri, document, &look)
}

struct Look<'a> {
    stat: Option<FileStat>,
    scanned_at_ns: i64,
    root: Option<&'a str>,
}

fn store_look(
    connection: &Connection,
    tenant: &TenantId,
    uri: &str,
    document: DocumentId,
    look: &Look<'_>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO sources VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            tenant.as_str(),
            uri,
            &document.as_bytes()[..],
            look.stat.map(|stat| stat.dev as i64),
            look.stat.map(|stat| stat.inode as i64),
            look.stat.map(|stat| stat.bytes as i64),
            look.stat.map(|stat| stat.mtime_ns),
            look.stat.map(|stat| stat.ctime_ns),
            look.scanned_at_ns,
            look.root
        ])
        .map(|_| ())
}

fn next_generation(
    connection: &Connection,
    document: DocumentId,
    generation: u64,
    content: Option<ContentHash>,
    bytes: u64,
    now_ms: i64,
) -> rusqlite::Result<Message> {
    connection
        .prepare_cached(
            "UPDATE documents SET generation = ?, state = 'queued', owner = NULL, content = ?, bytes = ?,
                    starts = 0, child_crashes = 0, transient_failures = 0, best = 0,
                    failure = NULL, failed_at_ms = NULL, changed_at_ms = ?
             WHERE document = ?",
        )?
        .execute(params![
            generation + 1,
            content.as_ref().map(|content| &content.0[..]),
            bytes,
            now_ms,
            &document.as_bytes()[..]
        ])?;
    forget_pages(connection, &document)?;
    Ok(Message { document, generation: Generation(generation + 1), lane: Lane::of_bytes(bytes) })
}

pub(super) fn delete(
    connection: &Connection,
    document: DocumentId,
    now_ms: i64,
) -> rusqlite::Result<Option<Message>> {
    let live = connection
        .prepare_cached("SELECT generation FROM documents WHERE document = ? AND content IS NOT NULL")?
        .query_row([&document.as_bytes()[..]], |row| row.get::<_, u64>(0))
        .optional()?;
    live.map(|generation| next_generation(connection, document, generation, None, 0, now_ms)).transpose()
}

/// Returns a message where the document is tried again in its new place.
fn carry_out(
    connection: &Connection,
    tenant: &TenantId,
    moved: &Move,
) -> rusqlite::Result<Option<Message>> {
    let document: Vec<u8> = connection
        .prepare_cached("DELETE FROM sources WHERE tenant = ? AND uri = ? RETURNING document")?
        .query_row(params![tenant.as_str(), moved.from], |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO births SELECT tenant, birth_uri, 1 FROM documents WHERE document = ? AND birth_uri = ?
             ON CONFLICT(tenant, uri) DO UPDATE SET moved_away = moved_away + 1",
        )?
        .execute(params![document, moved.from])?;
    connection
        .prepare_cached("UPDATE documents SET uri = ? WHERE document = ?")?
        .execute(params![moved.to, document])?;
    let look =
        Look { stat: Some(moved.stat), scanned_at_ns: moved.scanned_at_ns, root: moved.root.as_deref() };
    let document = document_of(&document)?;
    store_look(connection, tenant, &moved.to, document, &look)?;
    retry_after(connection, document, depends_on_place)
}

impl Database {
    /// Records that documents are somewhere else now; their content is what it was. Returns messages of
    /// those that are tried again, as they were given up when their file was not in its old place.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn move_sources(&self, tenant: TenantId, moves: Vec<Move>) -> Result<Vec<Message>, Error> {
        self.writer()
            .run(Answer::Durable, move |connection| {
                let retried = moves.iter().map(|moved| carry_out(connection, &tenant, moved));
                Ok(retried.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
            })
            .await
    }

    /// Records that files were seen again as they were, so that the next scan need not hash them.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn seen_again(
        &self,
        tenant: TenantId,
        looks: Vec<(String, FileStat, i64)>,
    ) -> Result<(), Error> {
        self.writer()
            .run(Answer::Applied, move |connection| {
                for (uri, stat, scanned_at_ns) in looks {
                    connection
                        .prepare_cached(
                            "UPDATE sources SET dev = ?, inode = ?, bytes = ?, mtime_ns = ?, ctime_ns = ?, scanned_at_ns = ?
                             WHERE tenant = ? AND uri = ?",
                        )?
                        .execute(params![
                            stat.dev as i64,
                            stat.inode as i64,
                            stat.bytes as i64,
                            stat.mtime_ns,
                            stat.ctime_ns,
                            scanned_at_ns,
                            tenant.as_str(),
                            uri
                        ])?;
                }
                Ok(())
            })
            .await
    }
}
