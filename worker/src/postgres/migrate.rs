//! The tables and their versions: numbered files, applied in order, each once, all or none.

use super::transaction::transaction;
use super::{Database, Error};

/// The files, in order; the number of a file is its place, from 1. Applied ones are never edited.
const MIGRATIONS: &[(&str, &str)] = &[
    ("ledger", include_str!("migrations/0001_ledger.sql")),
    ("stores", STORES),
    ("index begun", include_str!("migrations/0003_index_begun.sql")),
    ("api", include_str!("migrations/0004_api.sql")),
    ("fills", include_str!("migrations/0005_fills.sql")),
    ("search", include_str!("migrations/0006_search.sql")),
];

const STORES: &str = include_str!("migrations/0002_stores.sql");

/// The version that this docmill writes and reads.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// Key of the lock under which tables are made, the same for every schema of a database: "docmill" in ASCII.
const LOCK: i64 = 0x64_6f63_6d69_6c6c;

pub(super) async fn run(database: &Database) -> Result<(), Error> {
    // The usual case needs no rights beyond reading and takes no lock.
    let found = transaction!(database, |transaction| version(transaction, database))?;
    if found != VERSION {
        refuse_newer(database, found)?;
        transaction!(database, |transaction| apply(transaction, database))?;
    }
    Ok(())
}

/// Makes what lacks of the stores' tables and leaves the others as they are.
pub(super) async fn make_stores(database: &Database) -> Result<(), Error> {
    transaction!(database, |transaction| make_missing(transaction))
}

async fn make_missing(transaction: &deadpool_postgres::Transaction<'_>) -> Result<(), Error> {
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    // The file has nothing but these two kinds of statements.
    let where_lacking = STORES
        .replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ")
        .replace("CREATE INDEX ", "CREATE INDEX IF NOT EXISTS ");
    Ok(transaction.batch_execute(&where_lacking).await?)
}

fn refuse_newer(database: &Database, found: i32) -> Result<(), Error> {
    if found > VERSION {
        return Err(Error::Newer { schema: database.schema.clone(), found, known: VERSION });
    }
    Ok(())
}

/// 0 where there are no tables.
async fn version(
    transaction: &deadpool_postgres::Transaction<'_>,
    database: &Database,
) -> Result<i32, Error> {
    let schema = database.schema.quoted();
    let exists = "SELECT EXISTS(SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'versions')";
    if !transaction.query_one(exists, &[&database.schema.as_str()]).await?.get::<_, bool>(0) {
        return Ok(0);
    }
    let newest = format!("SELECT coalesce(max(version), 0) FROM {schema}.versions");
    Ok(transaction.query_one(&newest, &[]).await?.try_get(0)?)
}

async fn apply(transaction: &deadpool_postgres::Transaction<'_>, database: &Database) -> Result<(), Error> {
    let schema = database.schema.quoted();
    // Another process may be at it, for longer than a lock is usually waited for.
    transaction.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").await?;
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let found = version(transaction, database).await?;
    refuse_newer(database, found)?;
    let known = "SELECT EXISTS(SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)";
    if !transaction.query_one(known, &[&database.schema.as_str()]).await?.get::<_, bool>(0) {
        // Not `IF NOT EXISTS`: that asks for the right to make schemas even where there is nothing to make.
        transaction.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
    }
    transaction
        .batch_execute(&format!(
            "SET LOCAL search_path = {schema}, public;
             CREATE TABLE IF NOT EXISTS {schema}.versions(
               version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        ))
        .await?;
    for (version, (name, sql)) in (1i32..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        tracing::info!(schema = database.schema.as_str(), version, name, "applying a migration");
        transaction.batch_execute(sql).await?;
        let done = format!("INSERT INTO {schema}.versions(version, name) VALUES($1, $2)");
        transaction.execute(&done, &[&version, name]).await?;
    }
    Ok(())
}
