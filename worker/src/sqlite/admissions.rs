//! Taking in what the API was given: documents, where their uploaded content is, and the batch that they belong to,
//! in one job of the writer.
//!
//! A file that is only named is on this machine, so it is hashed at once, as a scan does; a worker of its own that
//! settles the content later, as in a cluster, is not needed.

use docmill_core::delivery::State;
use docmill_core::id::{ContentHash, DocumentId, Generation};
use docmill_core::source::FileStat;
use rusqlite::{Connection, OptionalExtension, params};

use super::{batches, objects, sources};
use crate::desk::{Admission, Admitted, Change, Content};
use crate::ledger::{Registered, Registration};
use crate::stages::{file_uri, named};

/// A file that was named, as it was when it was hashed.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    content: ContentHash,
    stat: FileStat,
    /// When the look began, in nanoseconds since the Unix epoch.
    began_ns: i64,
}

/// Looks at the files that are only named. `None`: it was uploaded, or is not what was named any more, or cannot be
/// read, which the stages then say.
pub(super) fn look(admissions: &[Admission]) -> Vec<Option<Looked>> {
    admissions.iter().map(look_at).collect()
}

fn look_at(admission: &Admission) -> Option<Looked> {
    let Content::Seen { version } = admission.content else { return None };
    let began_ns = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
    let mut file = file_uri::open(&file_uri::to_path(&admission.uri)?).ok()?;
    // Another file than the one that was judged may have its name by now.
    if named::version_of(&file.metadata().ok()?) != version {
        return None;
    }
    let (content, stat) = file_uri::hash_open(&mut file).ok()?;
    Some(Looked { content, stat, began_ns })
}

pub(super) fn admit(
    connection: &Connection,
    admissions: &[Admission],
    looked: &[Option<Looked>],
    now_ms: i64,
) -> rusqlite::Result<Vec<Admitted>> {
    let each = admissions.iter().zip(looked);
    each.map(|(admission, looked)| one(connection, admission, looked.as_ref(), now_ms)).collect()
}

fn one(
    connection: &Connection,
    admission: &Admission,
    looked: Option<&Looked>,
    now_ms: i64,
) -> rusqlite::Result<Admitted> {
    if let Some(batch) = admission.batch
        && !batches::is_open(connection, &admission.tenant, batch)?
    {
        return Ok(Admitted::NoBatch);
    }
    let registration = registration(connection, admission, looked)?;
    let registered = sources::register(connection, &registration, now_ms)?;
    let (document, state, change, message) = match registered {
        Registered::New(message) => (message.document, State::Queued, Change::New, Some(message)),
        Registered::Changed(message) => (message.document, State::Queued, Change::Changed, Some(message)),
        Registered::Unchanged(document, state) => (document, state, Change::Unchanged, None),
    };
    let generation = match message {
        Some(message) => message.generation,
        None => generation_of(connection, document)?,
    };
    let object = match &admission.content {
        Content::Uploaded { hash, object } => {
            let (tenant, bytes) = (&admission.tenant, admission.bytes);
            Some(objects::keep(connection, tenant, *hash, object, bytes, now_ms)?)
        }
        Content::Seen { .. } => None,
    };
    if let Some(batch) = admission.batch {
        batches::attach(connection, batch, document, generation)?;
    }
    Ok(Admitted::Document { document, generation, state, change, object, message })
}

fn registration(
    connection: &Connection,
    admission: &Admission,
    looked: Option<&Looked>,
) -> rusqlite::Result<Registration> {
    let content = match (&admission.content, looked) {
        (_, Some(looked)) => looked.content,
        (Content::Uploaded { hash, .. }, None) => *hash,
        // The document fails, or is the content that is there when it is read.
        (Content::Seen { version }, None) => *version,
    };
    // A file below a watched directory stays one.
    let root = connection
        .prepare_cached("SELECT root FROM sources WHERE tenant = ? AND uri = ?")?
        .query_row(params![admission.tenant.as_str(), admission.uri], |row| row.get::<_, Option<String>>(0))
        .optional()?
        .flatten();
    Ok(Registration {
        tenant: admission.tenant.clone(),
        uri: admission.uri.clone(),
        content,
        bytes: looked.map_or(admission.bytes, |looked| looked.stat.bytes),
        stat: looked.map(|looked| looked.stat),
        scanned_at_ns: looked.map_or(0, |looked| looked.began_ns),
        root,
    })
}

fn generation_of(connection: &Connection, document: DocumentId) -> rusqlite::Result<Generation> {
    connection
        .prepare_cached("SELECT generation FROM documents WHERE document = ?")?
        .query_row([&document.as_bytes()[..]], |row| Ok(Generation(row.get(0)?)))
}
