//! Taking in what an API was given: documents, where their uploaded content is, and the batch that they belong
//! to, in one transaction. What it leaves queued is the outbox: reconciliation enqueues what nobody did.

use std::collections::{BTreeMap, HashMap, HashSet};

use deadpool_postgres::Transaction;
use docmill_core::delivery::State;
use docmill_core::id::{ContentHash, DocumentId, Epoch, Generation, TenantId};
use uuid::Uuid;

use super::sources::{depends_on_place, register};
use super::sql::{execute, optional, rows};
use super::transaction::transaction;
use super::values::{big, document_key, document_of, number, state_of, uri_key};
use super::{Database, Error};
use crate::ledger::{Registered, Registration};
use crate::queue::Message;

/// What is known of the content of a document that is to be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It was uploaded.
    Uploaded {
        /// Its hash.
        hash: ContentHash,
        /// The name of the object that has it.
        object: String,
    },
    /// It was only looked at; a worker will read it.
    Seen {
        /// Names what the store said of it: equal for equal content.
        version: ContentHash,
    },
}

/// A document that is to be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it is.
    pub uri: String,
    /// Its content.
    pub content: Content,
    /// Its size.
    pub bytes: u64,
    /// The batch that it belongs to.
    pub batch: Option<Uuid>,
}

/// What an admission changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A document was born.
    New,
    /// A known document has other content, or is tried again.
    Changed,
    /// The document has this content already.
    Unchanged,
}

/// What became of an admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It is in the ledger.
    Document {
        /// The document.
        document: DocumentId,
        /// The generation of this content.
        generation: Generation,
        /// Where that is.
        state: State,
        /// What changed.
        change: Change,
        /// The object that the ledger relies on for the content, where it was uploaded.
        object: Option<String>,
        /// What the queue is to be told.
        message: Option<Message>,
    },
    /// Its batch is unknown, another tenant's, or was cancelled; nothing was taken in.
    NoBatch,
}

impl Database {
    /// Takes documents in, all or none apart from those whose batch is gone. After it returns, no crash loses
    /// them.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn admit(&self, admissions: &[Admission]) -> Result<Vec<Admitted>, Error> {
        transaction!(self, |transaction| admit(transaction, admissions))
    }

    /// The object that has a content which a tenant uploaded.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn object_of(
        &self,
        tenant: &TenantId,
        content: ContentHash,
    ) -> Result<Option<String>, Error> {
        transaction!(self, |transaction| object_of(transaction, tenant, content))
    }

    /// Relies on another object for a content, unless somebody was faster. False: somebody was.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn replace_object(
        &self,
        tenant: &TenantId,
        content: ContentHash,
        from: &str,
        to: &str,
    ) -> Result<bool, Error> {
        transaction!(self, |transaction| replace_object(transaction, tenant, content, from, to))
    }

    /// Marks objects as doomed that no document has needed for this long, and gives at most `limit` of the
    /// doomed: they are to be removed and then forgotten.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn doomed_objects(&self, unused_ms: u64, limit: i64) -> Result<Vec<String>, Error> {
        transaction!(self, |transaction| doom(transaction, unused_ms, limit))
    }

    /// Forgets doomed objects that were removed.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn forget_objects(&self, keys: &[String]) -> Result<u64, Error> {
        transaction!(self, |transaction| forget(transaction, keys))
    }

    /// Of these objects, those that no content relies on.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn unknown_objects(&self, keys: &[String]) -> Result<Vec<String>, Error> {
        transaction!(self, |transaction| unknown(transaction, keys))
    }

    /// Records the content of a generation that was only looked at when it was taken in. False: it was known
    /// already, or the claim no longer holds.
    pub(super) async fn settle_content(
        &self,
        document: DocumentId,
        generation: Generation,
        epoch: Epoch,
        content: ContentHash,
        bytes: u64,
    ) -> Result<bool, Error> {
        transaction!(self, |transaction| settle(transaction, document, generation, epoch, content, bytes))
    }
}

async fn admit(transaction: &Transaction<'_>, admissions: &[Admission]) -> Result<Vec<Admitted>, Error> {
    // Batches before documents: who cancels one locks in the same order.
    let open = open_batches(transaction, admissions).await?;
    let taken = |admission: &Admission| {
        admission.batch.is_none_or(|batch| open.contains(&(admission.tenant.as_str().to_owned(), batch)))
    };
    let seen = seen_before(transaction, admissions).await?;
    let mut told: Vec<Option<Admitted>> = vec![None; admissions.len()];
    let (mut places, mut registrations) = (Vec::new(), Vec::new());
    for (at, admission) in admissions.iter().enumerate() {
        if !taken(admission) {
            told[at] = Some(Admitted::NoBatch);
        } else if let Some(known) = seen.get(&place(admission)) {
            told[at] = Some(known.clone());
        } else {
            places.push(at);
            registrations.push(registration(admission));
        }
    }
    let registered = register(transaction, &registrations).await?;
    let generations = generations(transaction, &registered).await?;
    for (&at, registered) in places.iter().zip(&registered) {
        told[at] = Some(as_admitted(registered, &generations));
    }
    let mut told: Vec<Admitted> = told.into_iter().map(|told| told.unwrap_or(Admitted::NoBatch)).collect();
    mark_seen(transaction, admissions, &told).await?;
    keep_objects(transaction, admissions, &mut told).await?;
    attach(transaction, admissions, &told).await?;
    Ok(told)
}

fn place(admission: &Admission) -> (String, Vec<u8>) {
    (admission.tenant.as_str().to_owned(), uri_key(&admission.uri))
}

fn registration(admission: &Admission) -> Registration {
    Registration {
        tenant: admission.tenant.clone(),
        uri: admission.uri.clone(),
        content: match &admission.content {
            Content::Uploaded { hash, .. } => *hash,
            Content::Seen { version } => *version,
        },
        bytes: admission.bytes,
        stat: None,
        scanned_at_ns: 0,
        root: None,
    }
}

fn as_admitted(registered: &Registered, generations: &HashMap<DocumentId, Generation>) -> Admitted {
    let (document, state, change, message) = match *registered {
        Registered::New(message) => (message.document, State::Queued, Change::New, Some(message)),
        Registered::Changed(message) => (message.document, State::Queued, Change::Changed, Some(message)),
        Registered::Unchanged(document, state) => (document, state, Change::Unchanged, None),
    };
    let known = generations.get(&document).copied();
    let generation = message.map(|message| message.generation).or(known).unwrap_or(Generation(0));
    Admitted::Document { document, generation, state, change, object: None, message }
}

/// Batches that are there and not cancelled, and that stay so until the transaction ends.
async fn open_batches(
    transaction: &Transaction<'_>,
    admissions: &[Admission],
) -> Result<HashSet<(String, Uuid)>, Error> {
    let mut wanted: Vec<Uuid> = admissions.iter().filter_map(|admission| admission.batch).collect();
    if wanted.is_empty() {
        return Ok(HashSet::new());
    }
    wanted.sort_unstable();
    wanted.dedup();
    let found = rows(
        transaction,
        "SELECT tenant, batch FROM batches WHERE batch = ANY($1) AND cancelled_at_ms IS NULL
         ORDER BY batch FOR SHARE",
        &[&wanted],
    )
    .await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Places whose store says of them what it said when they were taken in last.
async fn seen_before(
    transaction: &Transaction<'_>,
    admissions: &[Admission],
) -> Result<HashMap<(String, Vec<u8>), Admitted>, Error> {
    let mut places: BTreeMap<(String, Vec<u8>), &[u8]> = BTreeMap::new();
    for admission in admissions {
        if let Content::Seen { version } = &admission.content {
            places.insert(place(admission), &version.0);
        }
    }
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let (keys, versions): (Vec<_>, Vec<&[u8]>) = places.into_iter().unzip();
    let (tenants, keys): (Vec<String>, Vec<Vec<u8>>) = keys.into_iter().unzip();
    let found = rows(
        transaction,
        "SELECT s.tenant, s.uri_key, d.document, d.generation, d.state, d.failure
         FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS p(tenant, uri_key, version)
         JOIN sources s ON s.tenant = p.tenant AND s.uri_key = p.uri_key AND s.version = p.version
         JOIN documents d ON d.document = s.document AND d.content IS NOT NULL",
        &[&tenants, &keys, &versions],
    )
    .await?;
    let mut known = HashMap::new();
    for row in &found {
        let failure: Option<&str> = row.try_get(5)?;
        if failure.is_some_and(depends_on_place) {
            continue;
        }
        let admitted = Admitted::Document {
            document: document_of(row.try_get(2)?),
            generation: Generation(number(row.try_get(3)?)),
            state: state_of(row.try_get(4)?)?,
            change: Change::Unchanged,
            object: None,
            message: None,
        };
        known.insert((row.try_get(0)?, row.try_get(1)?), admitted);
    }
    Ok(known)
}

/// The generations of documents that did not change.
async fn generations(
    transaction: &Transaction<'_>,
    registered: &[Registered],
) -> Result<HashMap<DocumentId, Generation>, Error> {
    let unchanged = |registered: &Registered| match registered {
        Registered::Unchanged(document, _) => Some(document_key(*document)),
        _ => None,
    };
    let documents: Vec<Uuid> = registered.iter().filter_map(unchanged).collect();
    if documents.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT document, generation FROM documents WHERE document = ANY($1)";
    let found = rows(transaction, sql, &[&documents]).await?;
    found
        .iter()
        .map(|row| Ok((document_of(row.try_get(0)?), Generation(number(row.try_get(1)?)))))
        .collect()
}

/// Notes of what was only looked at what its store said, and that a worker has to read it.
async fn mark_seen(
    transaction: &Transaction<'_>,
    admissions: &[Admission],
    told: &[Admitted],
) -> Result<(), Error> {
    let mut seen: BTreeMap<Uuid, (&str, Vec<u8>, &[u8])> = BTreeMap::new();
    for (admission, told) in admissions.iter().zip(told) {
        if let (Content::Seen { version }, Admitted::Document { document, message: Some(_), .. }) =
            (&admission.content, told)
        {
            let place = (admission.tenant.as_str(), uri_key(&admission.uri), &version.0[..]);
            seen.insert(document_key(*document), place);
        }
    }
    if seen.is_empty() {
        return Ok(());
    }
    let documents: Vec<Uuid> = seen.keys().copied().collect();
    let tenants: Vec<&str> = seen.values().map(|(tenant, _, _)| *tenant).collect();
    let keys: Vec<&[u8]> = seen.values().map(|(_, key, _)| &key[..]).collect();
    let versions: Vec<&[u8]> = seen.values().map(|(_, _, version)| *version).collect();
    let sql = "UPDATE documents SET provisional = true WHERE document = ANY($1)";
    execute(transaction, sql, &[&documents]).await?;
    execute(
        transaction,
        "UPDATE sources s SET version = p.version
         FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS p(tenant, uri_key, version)
         WHERE s.tenant = p.tenant AND s.uri_key = p.uri_key",
        &[&tenants, &keys, &versions],
    )
    .await
    .map(drop)
}

/// Keeps where uploaded content is. The first object of a content stays: a worker may be reading it.
async fn keep_objects(
    transaction: &Transaction<'_>,
    admissions: &[Admission],
    told: &mut [Admitted],
) -> Result<(), Error> {
    let mut offered: BTreeMap<(&str, &[u8]), (&str, i64)> = BTreeMap::new();
    for (admission, told) in admissions.iter().zip(told.iter()) {
        if let (Content::Uploaded { hash, object }, Admitted::Document { .. }) = (&admission.content, told)
        {
            offered.entry((admission.tenant.as_str(), &hash.0)).or_insert((object, big(admission.bytes)));
        }
    }
    if offered.is_empty() {
        return Ok(());
    }
    let tenants: Vec<&str> = offered.keys().map(|(tenant, _)| *tenant).collect();
    let contents: Vec<&[u8]> = offered.keys().map(|(_, content)| *content).collect();
    let keys: Vec<&str> = offered.values().map(|(key, _)| *key).collect();
    let sizes: Vec<i64> = offered.values().map(|(_, bytes)| *bytes).collect();
    let kept = rows(
        transaction,
        "INSERT INTO objects AS o(tenant, content, object_key, bytes, used_at_ms)
         SELECT p.tenant, p.content, p.object_key, p.bytes, now_ms()
         FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[]) AS p(tenant, content, object_key, bytes)
         ON CONFLICT (tenant, content) DO UPDATE SET used_at_ms = EXCLUDED.used_at_ms, doomed = false,
           object_key = CASE WHEN o.doomed THEN EXCLUDED.object_key ELSE o.object_key END
         RETURNING tenant, content, object_key",
        &[&tenants, &contents, &keys, &sizes],
    )
    .await?;
    let mut relied_on: HashMap<(String, Vec<u8>), String> = HashMap::new();
    for row in &kept {
        relied_on.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
    }
    for (admission, told) in admissions.iter().zip(told) {
        if let (Content::Uploaded { hash, .. }, Admitted::Document { object, .. }) =
            (&admission.content, told)
        {
            *object = relied_on.get(&(admission.tenant.as_str().to_owned(), hash.0.to_vec())).cloned();
        }
    }
    Ok(())
}

async fn attach(
    transaction: &Transaction<'_>,
    admissions: &[Admission],
    told: &[Admitted],
) -> Result<(), Error> {
    let mut members: BTreeMap<(Uuid, Uuid), i64> = BTreeMap::new();
    for (admission, told) in admissions.iter().zip(told) {
        if let (Some(batch), Admitted::Document { document, generation, .. }) = (admission.batch, told) {
            members.insert((batch, document_key(*document)), big(generation.0));
        }
    }
    if members.is_empty() {
        return Ok(());
    }
    let (keys, generations): (Vec<(Uuid, Uuid)>, Vec<i64>) = members.into_iter().unzip();
    let (batches, documents): (Vec<Uuid>, Vec<Uuid>) = keys.into_iter().unzip();
    execute(
        transaction,
        "INSERT INTO batch_documents SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[])
         ON CONFLICT (batch, document) DO UPDATE SET generation = EXCLUDED.generation",
        &[&batches, &documents, &generations],
    )
    .await
    .map(drop)
}

async fn object_of(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    content: ContentHash,
) -> Result<Option<String>, Error> {
    let sql = "SELECT object_key FROM objects WHERE tenant = $1 AND content = $2";
    let row = optional(transaction, sql, &[&tenant.as_str(), &&content.0[..]]).await?;
    row.map_or(Ok(None), |row| Ok(Some(row.try_get(0)?)))
}

async fn replace_object(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    content: ContentHash,
    from: &str,
    to: &str,
) -> Result<bool, Error> {
    let sql = "UPDATE objects SET object_key = $4, used_at_ms = now_ms(), doomed = false
               WHERE tenant = $1 AND content = $2 AND object_key = $3";
    Ok(execute(transaction, sql, &[&tenant.as_str(), &&content.0[..], &from, &to]).await? == 1)
}

async fn doom(transaction: &Transaction<'_>, unused_ms: u64, limit: i64) -> Result<Vec<String>, Error> {
    // Whoever takes the content in again meanwhile sets the time, which is looked at again after the wait.
    execute(
        transaction,
        "UPDATE objects o SET doomed = true FROM (
           SELECT tenant, content FROM objects c WHERE used_at_ms < (SELECT now_ms()) - $1 AND NOT doomed
             AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.content = c.content AND d.tenant = c.tenant)
           ORDER BY tenant, content LIMIT $2) AS unused
         WHERE o.tenant = unused.tenant AND o.content = unused.content AND o.used_at_ms < now_ms() - $1",
        &[&big(unused_ms), &limit],
    )
    .await?;
    let sql = "SELECT object_key FROM objects WHERE doomed ORDER BY used_at_ms LIMIT $1";
    let found = rows(transaction, sql, &[&limit]).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn forget(transaction: &Transaction<'_>, keys: &[String]) -> Result<u64, Error> {
    execute(transaction, "DELETE FROM objects WHERE doomed AND object_key = ANY($1)", &[&keys]).await
}

async fn unknown(transaction: &Transaction<'_>, keys: &[String]) -> Result<Vec<String>, Error> {
    let sql = "SELECT k.key FROM unnest($1::text[]) AS k(key)
               WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.object_key = k.key)";
    let found = rows(transaction, sql, &[&keys]).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn settle(
    transaction: &Transaction<'_>,
    document: DocumentId,
    generation: Generation,
    epoch: Epoch,
    content: ContentHash,
    bytes: u64,
) -> Result<bool, Error> {
    let settled = execute(
        transaction,
        "UPDATE documents SET content = $4, bytes = $5, provisional = false
         WHERE document = $1 AND generation = $2 AND epoch = $3 AND state = 'processing' AND provisional",
        &[&document_key(document), &big(generation.0), &big(epoch.0), &&content.0[..], &big(bytes)],
    )
    .await?;
    Ok(settled == 1)
}
