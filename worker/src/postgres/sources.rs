//! Where documents are: registration and deletion. A batch is looked up, decided and written by a few
//! statements, however many sources it names.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use docmill_core::delivery::State;
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{ContentHash, DocumentId, Generation};
use docmill_core::lane::Lane;
use docmill_core::source::FileStat;
use uuid::Uuid;

use super::Error;
use super::claims::forget_pages;
use super::sql::{execute, optional, rows};
use super::values::{
    big, content_of, document_key, document_of, from_json, number, small, state_of, storable, uri_key,
};
use crate::ledger::{Registered, Registration};
use crate::queue::Message;

/// A source: tenant and key of the URI.
type Place<'a> = (&'a str, Vec<u8>);

/// What the batch makes of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Born,
    NextGeneration,
    QueuedAgain,
}

/// A document as the batch has left it so far.
struct Row<'a> {
    document: DocumentId,
    generation: u64,
    content: Option<ContentHash>,
    state: State,
    /// It was given up only because its file was not there or could not be read.
    depends_on_place: bool,
    change: Change,
    /// The last that was said of its source.
    said: &'a Registration,
}

impl<'a> Row<'a> {
    fn born(said: &'a Registration, moved_away: u32) -> Self {
        Self {
            document: DocumentId::born(&said.tenant, &said.uri, moved_away),
            generation: 1,
            content: Some(said.content),
            state: State::Queued,
            depends_on_place: false,
            change: Change::Born,
            said,
        }
    }

    fn message(&self) -> Message {
        Message {
            document: self.document,
            generation: Generation(self.generation),
            lane: Lane::of_bytes(self.said.bytes),
        }
    }

    /// Decides what the registration changes.
    fn take(&mut self, said: &'a Registration) -> Registered {
        self.said = said;
        if self.content == Some(said.content) && !(self.state == State::Failed && self.depends_on_place) {
            return Registered::Unchanged(self.document, self.state);
        }
        let same = self.content == Some(said.content);
        self.change = match self.change {
            Change::None | Change::QueuedAgain if same => Change::QueuedAgain,
            Change::Born => Change::Born,
            _ => Change::NextGeneration,
        };
        self.generation += u64::from(!same);
        self.content = Some(said.content);
        self.state = State::Queued;
        Registered::Changed(self.message())
    }
}

pub(super) async fn register(
    transaction: &Transaction<'_>,
    registrations: &[Registration],
) -> Result<Vec<Registered>, Error> {
    let place = |said: &'_ Registration| (said.tenant.as_str().to_owned(), uri_key(&said.uri));
    let first: BTreeMap<(String, Vec<u8>), &Registration> =
        registrations.iter().rev().map(|said| (place(said), said)).collect();
    let mut known = look_up(transaction, &first).await?;
    let unknown: Vec<_> = first.iter().filter(|(place, _)| !known.contains_key(*place)).collect();
    let moved_away = births(transaction, &unknown).await?;
    let mut told = Vec::with_capacity(registrations.len());
    for said in registrations {
        let place = place(said);
        told.push(match known.get_mut(&place) {
            Some(row) => row.take(said),
            None => {
                let row = Row::born(said, moved_away.get(&place).copied().unwrap_or(0));
                let born = Registered::New(row.message());
                known.insert(place, row);
                born
            }
        });
    }
    let of = |change: Change| -> Vec<&Row<'_>> {
        let mut rows: Vec<&Row<'_>> = known.values().filter(|row| row.change == change).collect();
        rows.sort_unstable_by_key(|row| row.document);
        rows
    };
    give_birth(transaction, &of(Change::Born)).await?;
    next_generations(transaction, &of(Change::NextGeneration)).await?;
    queue_again(transaction, &of(Change::QueuedAgain)).await?;
    let seen_again: Vec<&Row<'_>> = known.values().filter(|row| row.change != Change::Born).collect();
    store_looks(transaction, &seen_again, false).await?;
    Ok(told)
}

/// The documents at these places, locked.
async fn look_up<'a>(
    transaction: &Transaction<'_>,
    places: &BTreeMap<(String, Vec<u8>), &'a Registration>,
) -> Result<BTreeMap<(String, Vec<u8>), Row<'a>>, Error> {
    let (tenants, keys): (Vec<&str>, Vec<&[u8]>) =
        places.keys().map(|(tenant, key)| (tenant.as_str(), &key[..])).unzip();
    // Both rows are locked: after a wait, a source that was not would be that from before a move.
    let found = rows(
        transaction,
        "SELECT s.tenant, s.uri_key, d.document, d.generation, d.content, d.state, d.failure
         FROM unnest($1::text[], $2::bytea[]) AS p(tenant, uri_key)
         JOIN sources s ON s.tenant = p.tenant AND s.uri_key = p.uri_key
         JOIN documents d ON d.document = s.document ORDER BY d.document FOR UPDATE OF d, s",
        &[&tenants, &keys],
    )
    .await?;
    let mut known = BTreeMap::new();
    for row in &found {
        let place: (String, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        let Some(said) = places.get(&place).copied() else { continue };
        let failure: Option<&str> = row.try_get(6)?;
        let read = Row {
            document: document_of(row.try_get(2)?),
            generation: number(row.try_get(3)?),
            content: content_of(row.try_get(4)?)?,
            state: state_of(row.try_get(5)?)?,
            depends_on_place: failure.is_some_and(depends_on_place),
            change: Change::None,
            said,
        };
        known.insert(place, read);
    }
    Ok(known)
}

/// Whether a stored failure says that the file was missing or unreadable, which another look may mend, or that
/// it was cancelled, which another submission takes back.
pub(super) fn depends_on_place(failure: &str) -> bool {
    use FailureCode::{Cancelled, Unreadable, Vanished};
    let failure: Result<Failure, Error> = from_json(failure);
    failure.is_ok_and(|failure| matches!(failure.code, Vanished | Unreadable | Cancelled))
}

/// How many documents were born at each place and have moved away, where any has.
async fn births(
    transaction: &Transaction<'_>,
    unknown: &[(&(String, Vec<u8>), &&Registration)],
) -> Result<BTreeMap<(String, Vec<u8>), u32>, Error> {
    if unknown.is_empty() {
        return Ok(BTreeMap::new());
    }
    let places: Vec<Place<'_>> =
        unknown.iter().map(|((tenant, key), _)| (tenant.as_str(), key.clone())).collect();
    let (tenants, keys): (Vec<&str>, Vec<Vec<u8>>) = places.into_iter().unzip();
    let found = rows(
        transaction,
        "SELECT b.tenant, b.uri_key, b.moved_away FROM unnest($1::text[], $2::bytea[]) AS p(tenant, uri_key)
         JOIN births b ON b.tenant = p.tenant AND b.uri_key = p.uri_key",
        &[&tenants, &keys],
    )
    .await?;
    let read = |row: &tokio_postgres::Row| Ok(((row.try_get(0)?, row.try_get(1)?), small(row.try_get(2)?)));
    found.iter().map(read).collect()
}

async fn give_birth(transaction: &Transaction<'_>, born: &[&Row<'_>]) -> Result<(), Error> {
    if born.is_empty() {
        return Ok(());
    }
    let documents: Vec<Uuid> = born.iter().map(|row| document_key(row.document)).collect();
    let tenants: Vec<&str> = born.iter().map(|row| row.said.tenant.as_str()).collect();
    let uris: Vec<_> = born.iter().map(|row| storable(&row.said.uri)).collect();
    let uris: Vec<&str> = uris.iter().map(|uri| &**uri).collect();
    let generations: Vec<i64> = born.iter().map(|row| big(row.generation)).collect();
    let contents: Vec<Option<&[u8]>> =
        born.iter().map(|row| row.content.as_ref().map(|content| &content.0[..])).collect();
    let sizes: Vec<i64> = born.iter().map(|row| big(row.said.bytes)).collect();
    let inserted = execute(
        transaction,
        "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, content, bytes, changed_at_ms)
         SELECT b.document, b.tenant, b.uri, b.uri, b.generation, 'queued', b.content, b.bytes, now_ms()
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bigint[])
              AS b(document, tenant, uri, generation, content, bytes)
         ON CONFLICT (document) DO NOTHING",
        &[&documents, &tenants, &uris, &generations, &contents, &sizes],
    )
    .await?;
    if inserted != born.len() as u64 {
        return Err(Error::Raced("a document was born twice at once"));
    }
    store_looks(transaction, born, true).await
}

/// Stores what was last said of the sources. `fresh`: they must not be there yet.
async fn store_looks(transaction: &Transaction<'_>, rows: &[&Row<'_>], fresh: bool) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let stat = |read: fn(&FileStat) -> i64| -> Vec<Option<i64>> {
        rows.iter().map(|row| row.said.stat.as_ref().map(read)).collect()
    };
    let tenants: Vec<&str> = rows.iter().map(|row| row.said.tenant.as_str()).collect();
    let keys: Vec<Vec<u8>> = rows.iter().map(|row| uri_key(&row.said.uri)).collect();
    let uris: Vec<_> = rows.iter().map(|row| storable(&row.said.uri)).collect();
    let uris: Vec<&str> = uris.iter().map(|uri| &**uri).collect();
    let documents: Vec<Uuid> = rows.iter().map(|row| document_key(row.document)).collect();
    // Devices and inodes use all 64 bits; their bits are kept.
    let devices = stat(|stat| stat.dev.cast_signed());
    let inodes = stat(|stat| stat.inode.cast_signed());
    let sizes = stat(|stat| big(stat.bytes));
    let (changed, touched) = (stat(|stat| stat.mtime_ns), stat(|stat| stat.ctime_ns));
    let scans: Vec<i64> = rows.iter().map(|row| row.said.scanned_at_ns).collect();
    let roots: Vec<Option<&str>> = rows.iter().map(|row| row.said.root.as_deref()).collect();
    let insert = "INSERT INTO sources
         SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[])
         ON CONFLICT (tenant, uri_key)";
    let sql = if fresh {
        format!("{insert} DO NOTHING")
    } else {
        format!(
            "{insert} DO UPDATE SET document = EXCLUDED.document, dev = EXCLUDED.dev, inode = EXCLUDED.inode,
               bytes = EXCLUDED.bytes, mtime_ns = EXCLUDED.mtime_ns, ctime_ns = EXCLUDED.ctime_ns,
               scanned_at_ns = EXCLUDED.scanned_at_ns, root = EXCLUDED.root, version = NULL"
        )
    };
    let stored = execute(
        transaction,
        &sql,
        &[
            &tenants, &keys, &uris, &documents, &devices, &inodes, &sizes, &changed, &touched, &scans,
            &roots,
        ],
    )
    .await?;
    if stored != rows.len() as u64 {
        return Err(Error::Raced("a source was registered twice at once"));
    }
    Ok(())
}

async fn next_generations(transaction: &Transaction<'_>, changed: &[&Row<'_>]) -> Result<(), Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let documents: Vec<Uuid> = changed.iter().map(|row| document_key(row.document)).collect();
    let generations: Vec<i64> = changed.iter().map(|row| big(row.generation)).collect();
    let contents: Vec<Option<&[u8]>> =
        changed.iter().map(|row| row.content.as_ref().map(|content| &content.0[..])).collect();
    let sizes: Vec<i64> = changed.iter().map(|row| big(row.said.bytes)).collect();
    set_generations(transaction, &documents, &generations, &contents, &sizes).await
}

async fn set_generations(
    transaction: &Transaction<'_>,
    documents: &[Uuid],
    generations: &[i64],
    contents: &[Option<&[u8]>],
    sizes: &[i64],
) -> Result<(), Error> {
    execute(
        transaction,
        "UPDATE documents d SET generation = c.generation, state = 'queued', owner = NULL, content = c.content,
                bytes = c.bytes, starts = 0, child_crashes = 0, transient_failures = 0, best = 0,
                failure = NULL, failed_at_ms = NULL, changed_at_ms = now_ms(), provisional = false
         FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::bigint[])
              AS c(document, generation, content, bytes)
         WHERE d.document = c.document",
        &[&documents, &generations, &contents, &sizes],
    )
    .await?;
    forget_pages(transaction, documents).await
}

async fn queue_again(transaction: &Transaction<'_>, again: &[&Row<'_>]) -> Result<(), Error> {
    if again.is_empty() {
        return Ok(());
    }
    let documents: Vec<Uuid> = again.iter().map(|row| document_key(row.document)).collect();
    execute(
        transaction,
        "UPDATE documents SET state = 'queued', owner = NULL, starts = 0, child_crashes = 0,
                transient_failures = 0, best = 0, failure = NULL, failed_at_ms = NULL
         WHERE document = ANY($1)",
        &[&documents],
    )
    .await
    .map(drop)
}

pub(super) async fn delete(
    transaction: &Transaction<'_>,
    document: DocumentId,
) -> Result<Option<Message>, Error> {
    let key = document_key(document);
    let sql = "SELECT generation FROM documents WHERE document = $1 AND content IS NOT NULL FOR UPDATE";
    let Some(row) = optional(transaction, sql, &[&key]).await? else { return Ok(None) };
    let generation = number(row.try_get(0)?) + 1;
    set_generations(transaction, &[key], &[big(generation)], &[None], &[0]).await?;
    Ok(Some(Message { document, generation: Generation(generation), lane: Lane::of_bytes(0) }))
}
