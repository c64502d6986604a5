//! Constraints and indexes, made at the start, and the version of what is written, which is refused when it
//! is newer than we know.

use super::bolt::{Access, Value, map};
use super::pool::Transaction;
use super::transaction::transaction;
use super::{Database, Error};

/// The version that this docmill writes and reads.
pub const VERSION: i64 = 1;

/// What must be there. Each is made by a transaction of its own, as the server mixes them with nothing else.
/// Only ever added to: what is made is kept by its name.
const MADE: &[&str] = &[
    "CREATE CONSTRAINT docmill_schema IF NOT EXISTS FOR (s:DocmillSchema) REQUIRE s.store IS UNIQUE",
    // Merging without it would make two of one under concurrency.
    "CREATE CONSTRAINT docmill_concept IF NOT EXISTS \
     FOR (k:CanonicalConcept) REQUIRE (k.tenant_id, k.canonical_name) IS UNIQUE",
    "CREATE CONSTRAINT docmill_chunk IF NOT EXISTS FOR (c:Chunk) REQUIRE c.id IS UNIQUE",
    // For counts a tenant: the composite index serves only those who give both.
    "CREATE INDEX docmill_concept_tenant IF NOT EXISTS FOR (k:CanonicalConcept) ON (k.tenant_id)",
];

/// Longest wait for an index over what is there already, in seconds.
const AWAIT_S: i64 = 600;

pub(super) async fn make(database: &Database) -> Result<(), Error> {
    let usual = database.pool.usual();
    // The usual case needs no rights beyond reading and takes no lock.
    let found = transaction!(database, Access::Read, usual, |transaction| version(transaction))?;
    if let Some(found) = found {
        refuse_newer(found)?;
        if found == VERSION {
            return Ok(());
        }
    }
    tracing::info!(version = VERSION, "making the constraints of the graph");
    let long = std::time::Duration::from_secs(AWAIT_S.unsigned_abs());
    for statement in MADE {
        transaction!(database, Access::Write, long, |transaction| transaction.run(statement, map([])))?;
    }
    transaction!(database, Access::Write, long, |transaction| wait_for_indexes(transaction))?;
    transaction!(database, Access::Write, usual, |transaction| set_version(transaction))
}

/// None where nothing was made.
pub(super) async fn version(transaction: &mut Transaction<'_>) -> Result<Option<i64>, Error> {
    let found =
        transaction.run("MATCH (s:DocmillSchema {store: 'graph'}) RETURN s.version", map([])).await?;
    match found.first() {
        None => Ok(None),
        Some(row) => {
            let version = row.first().and_then(Value::int);
            version.map(Some).ok_or(Error::Damaged("the version of the graph is no number"))
        }
    }
}

fn refuse_newer(found: i64) -> Result<(), Error> {
    if found > VERSION {
        return Err(Error::Newer { found, known: VERSION });
    }
    Ok(())
}

async fn wait_for_indexes(transaction: &mut Transaction<'_>) -> Result<(), Error> {
    transaction.run("CALL db.awaitIndexes($seconds)", map([("seconds", Value::Int(AWAIT_S))])).await?;
    Ok(())
}

async fn set_version(transaction: &mut Transaction<'_>) -> Result<(), Error> {
    // Locked by one statement and read by the next: a newer docmill may be at the same.
    transaction.run("MERGE (s:DocmillSchema {store: 'graph'}) SET s._lock = true", map([])).await?;
    if let Some(row) =
        transaction.run("MATCH (s:DocmillSchema {store: 'graph'}) RETURN s.version", map([])).await?.first()
        && let Some(found) = row.first().and_then(Value::int)
    {
        refuse_newer(found)?;
    }
    let set = "MATCH (s:DocmillSchema {store: 'graph'}) SET s.version = $version";
    transaction.run(set, map([("version", Value::Int(VERSION))])).await?;
    Ok(())
}
