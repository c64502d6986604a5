//! The tables and their versions: numbered files, applied in order, each once, in a transaction of its own.
//!
//! Others are at work meanwhile, on the version before. Who waits for a table to himself keeps everybody behind him
//! from it, so that is done for moments only, again and again, until one finds it free.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::transaction::transaction;
use super::{Database, Error};
use crate::attempts::{Attempts, Plan};

/// The files, in order; the number of a file is its place, from 1. Applied ones are never edited.
const MIGRATIONS: &[(&str, &str)] = &[
    ("ledger", include_str!("migrations/0001_ledger.sql")),
    ("stores", STORES),
    ("index begun", include_str!("migrations/0003_index_begun.sql")),
    ("api", include_str!("migrations/0004_api.sql")),
    ("fills", include_str!("migrations/0005_fills.sql")),
    ("search", include_str!("migrations/0006_search.sql")),
    ("told", include_str!("migrations/0007_told.sql")),
];

const STORES: &str = include_str!("migrations/0002_stores.sql");

/// The version that this docmill writes and reads.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// Key of the lock under which tables are made, the same for every schema of a database: "docmill" in ASCII.
const LOCK: i64 = 0x64_6f63_6d69_6c6c;

/// Another process may be at it, for longer than a lock is usually waited for; and we may be idle between two trials.
const ALONE: &str = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// Longest wait for a table that is in use, in which who comes after us waits, too.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '3s'";

/// Trials to find a table free, and the time that others have it in between: some four minutes in all.
const TRIALS: Plan = Plan { most: 40, wait: Duration::from_millis(250), wait_max: Duration::from_secs(5) };

pub(super) async fn run(database: &Database) -> Result<(), Error> {
    // The usual case needs no rights beyond reading and takes no lock.
    let mut found = transaction!(database, |transaction| version(transaction, database))?;
    while found != VERSION {
        refuse_newer(database, found)?;
        found = transaction!(database, |transaction| apply_next(transaction, database))?;
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

/// Applies the one that comes next, and says which version there is then.
async fn apply_next(
    transaction: &deadpool_postgres::Transaction<'_>,
    database: &Database,
) -> Result<i32, Error> {
    transaction.batch_execute(ALONE).await?;
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let found = version(transaction, database).await?;
    refuse_newer(database, found)?;
    let next = (1i32..).zip(MIGRATIONS).find(|(version, _)| *version > found);
    let Some((version, (name, sql))) = next else { return Ok(found) };
    let schema = database.schema.quoted();
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
    let began = Instant::now();
    tracing::info!(schema = database.schema.as_str(), version, name, "applying a migration");
    when_free(transaction, sql, name).await?;
    let done = format!("INSERT INTO {schema}.versions(version, name) VALUES($1, $2)");
    transaction.execute(&done, &[&version, name]).await?;
    let took_ms = began.elapsed().as_millis();
    tracing::info!(schema = database.schema.as_str(), version, name, took_ms, "applied a migration");
    Ok(version)
}

/// Runs the statements once their tables are free. The turn among processes that would migrate, which is the
/// transaction's, is kept all the time; locks of tables are let go after each trial.
async fn when_free(
    transaction: &deadpool_postgres::Transaction<'_>,
    sql: &str,
    name: &str,
) -> Result<(), Error> {
    transaction.batch_execute(LOCK_WAIT).await?;
    transaction.batch_execute("SAVEPOINT before").await?;
    let mut trials = Attempts::new(TRIALS);
    loop {
        let tried = transaction.batch_execute(sql).await.map_err(Error::from);
        if tried.as_ref().is_err_and(Error::is_locked_out) {
            transaction.batch_execute("ROLLBACK TO SAVEPOINT before").await?;
            tracing::warn!(name, "a migration waits for a table that is in use");
        }
        match trials.after(tried, Error::is_locked_out).await {
            None => {}
            Some(Err(Error::Refused { state, detail })) if state == SqlState::LOCK_NOT_AVAILABLE => {
                let detail = format!(
                    "{detail}: the migration {name:?} found its tables in use at {} trials; pg_stat_activity shows \
                     by whom",
                    TRIALS.most
                );
                return Err(Error::Refused { state, detail });
            }
            Some(done) => return done,
        }
    }
}
