//! PostgreSQL: the ledger and the stores of shapes with more than one machine. One pool of connections a
//! process; each call of a trait is one transaction; times are the server's.
//!
//! Read committed everywhere but where said: a statement sees what was committed when it began. So a row
//! is locked by one statement and read, or what depends on it, by the next. Who locks several rows does so in
//! ascending order; what still ends in a deadlock is run again, see `transaction.rs`.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

mod admissions;
mod audit;
mod batches;
mod check;
mod chunk_table;
mod claims;
mod classified;
mod commits;
mod deleted;
mod derived;
mod desk;
mod error;
mod export;
mod fills;
mod fleet;
mod graph;
mod hnsw;
mod indexes;
mod kept;
mod keys;
mod ledger_impl;
mod listing;
mod looks;
mod manifests;
mod migrate;
mod moves;
mod options;
mod rebuild;
mod search;
mod sources;
mod sql;
mod terms;
mod text;
mod tls;
mod transaction;
mod values;
mod vectors;

pub use tokio_postgres;

pub use admissions::{Admission, Admitted, Change, Content};
pub use batches::BatchRow;
pub use check::{Facts, Finding, Needs, Severity, findings};
pub use chunk_table::{ChunkTable, TableSink};
pub use classified::Otherwise;
pub use error::Error;
pub use export::{ExportedChunkRow, ExportedRow};
pub use fills::{FillDocument, FillRow};
pub use fleet::{LiveWorker, WorkerReport};
pub use graph::GraphSink;
pub use hnsw::{Hnsw, build_hnsw};
pub use keys::{KeyRow, NewKey};
pub use ledger_impl::PostgresLedger;
pub use listing::{DocumentFilter, DocumentRow, LaneCounts, LetterFilter};
pub use migrate::VERSION as SCHEMA_VERSION;
pub use options::{InvalidSchema, Options, SchemaName};
pub use rebuild::IndexRow;
pub use search::PostgresSearch;
pub use terms::{Terms, to_tsquery};
pub use text::TextSink;
pub use vectors::{VectorSink, table_of as vector_table};

/// Longest that a process may hold the lock of [`Database::alone`] without finishing.
const ALONE_IDLE_MAX: &str = "SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// A pool of connections to a server, and the schema of our tables there. Clones share the pool.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    schema: SchemaName,
    /// Whether connections are encrypted.
    tls: bool,
    /// Whether the server is on this machine.
    local: bool,
}

impl Database {
    /// Connects once, so that a wrong address or password is known now, and looks at nothing.
    ///
    /// # Errors
    /// [`Error::Options`], [`Error::Certificate`], [`Error::Login`], [`Error::Unreachable`].
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let config = options.client_config()?;
        let (tls, local) = (options.tls_ca_file.is_some(), options::is_local(&config));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &options.tls_ca_file {
            Some(file) => Manager::from_config(config, tls::connector(file)?, recycling),
            None => Manager::from_config(config, NoTls, recycling),
        };
        let connect = Duration::from_millis(options.connect_timeout_ms);
        let pool = Pool::builder(manager)
            .max_size(usize::try_from(options.pool_size.max(1)).unwrap_or(usize::MAX))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_millis(options.statement_timeout_ms)))
            // Beside the wait for the socket: a server that accepts and says nothing is none.
            .create_timeout(Some(connect))
            .recycle_timeout(Some(connect))
            .build()
            .map_err(|error| Error::Failed(error.to_string()))?;
        let database = Self { pool, schema: options.schema.clone(), tls, local };
        drop(database.client().await?);
        Ok(database)
    }

    /// Connects and brings the tables up to date.
    ///
    /// # Errors
    /// As [`Database::connect`] and [`Database::migrate`].
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let database = Self::connect(options).await?;
        database.migrate().await?;
        Ok(database)
    }

    /// Makes or updates the tables, a version at a time. Any number of processes may do so at once, and others may be
    /// at work meanwhile.
    ///
    /// # Errors
    /// [`Error::Newer`], or what remained took no effect: asked again, it goes on there.
    pub async fn migrate(&self) -> Result<(), Error> {
        migrate::run(self).await
    }

    /// Makes tables of the stores where somebody dropped them. Any number of processes may do so at once.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub(super) async fn make_stores(&self) -> Result<(), Error> {
        migrate::make_stores(self).await
    }

    /// Does the work unless another process is at work under this name in this schema; `None`: it is. The
    /// lock is this connection's and goes with it.
    ///
    /// # Errors
    /// The server did not answer; the work was not begun.
    pub async fn alone<T>(&self, name: &str, work: impl Future<Output = T>) -> Result<Option<T>, Error> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let name = format!("{}.{name}", self.schema.as_str());
        // Whoever stands still for so long, or is cut off, loses the lock; the work may run twice at once.
        sql::execute(&transaction, ALONE_IDLE_MAX, &[]).await?;
        let sql = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
        let ours: bool = sql::one(&transaction, sql, &[&name]).await?.try_get(0)?;
        if !ours {
            return Ok(None);
        }
        let done = work.await;
        // Only the lock was in it: a connection that is lost by now lost it earlier.
        let _ = transaction.rollback().await;
        Ok(Some(done))
    }

    /// Looks at the server and says what is wrong with it, for `needs`.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn check(&self, needs: &Needs) -> Result<Vec<Finding>, Error> {
        Ok(findings(&check::gather(self).await?, needs))
    }

    /// The schema of the tables.
    pub fn schema(&self) -> &SchemaName {
        &self.schema
    }

    pub(super) async fn client(&self) -> Result<Object, Error> {
        Ok(self.pool.get().await?)
    }
}
