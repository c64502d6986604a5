//! Neo4j: the concept graph of shapes with more than one machine. One pool of connections a process; each
//! call of the trait is one transaction.
//!
//! Read committed: a statement sees what was committed when it looks. So a node is locked by one statement, by
//! setting its property `_lock`, and read, or what depends on it, by the next. Who locks several nodes does
//! so in ascending order, chunks before concepts; what still ends in a deadlock is run again, see
//! `transaction.rs`.

use std::sync::Arc;

pub mod bolt;
mod check;
mod connect;
mod error;
mod graph;
mod memory;
mod options;
mod pool;
mod schema;
mod transaction;

pub use check::{Facts, findings};
pub use error::Error;
pub use graph::GraphSink;
pub use memory::Memory;
pub use options::Options;
pub use schema::VERSION as SCHEMA_VERSION;

use crate::finding::Finding;
use bolt::{Access, Answer, Value};
use connect::Connector;
use pool::{Pool, Transaction};
use transaction::transaction;

/// A pool of connections to a server. Clones share the pool.
#[derive(Clone)]
pub struct Database {
    pool: Arc<Pool>,
}

impl Database {
    /// Connects once, so that a wrong address or password is known now, and changes nothing.
    ///
    /// # Errors
    /// [`Error::Options`], [`Error::Certificate`], [`Error::Login`], [`Error::Unreachable`].
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let pool = Pool::new(Connector::new(options.clone())?);
        // Not through `transaction!`: what fails here is told and not tried again.
        let begun = pool.begin(Access::Read, pool.usual()).await?;
        begun.roll_back().await;
        Ok(Self { pool: Arc::new(pool) })
    }

    /// Connects and makes the constraints where they lack.
    ///
    /// # Errors
    /// As [`Database::connect`] and [`Database::make_schema`].
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let database = Self::connect(options).await?;
        database.make_schema().await?;
        Ok(database)
    }

    /// Makes constraints and indexes where they lack. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`Error::Newer`], or the server refused.
    pub async fn make_schema(&self) -> Result<(), Error> {
        schema::make(self).await
    }

    /// Looks at the server and says what is wrong with it.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn check(&self) -> Result<Vec<Finding>, Error> {
        Ok(findings(&check::gather(self).await?))
    }

    /// The memory that the server has in force.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn memory(&self) -> Result<Memory, Error> {
        Memory::gather(self).await
    }

    /// Runs one statement in a transaction of its own and takes all of its rows.
    ///
    /// # Errors
    /// The server refused it, or cannot be reached.
    pub async fn run(&self, statement: &str, parameters: Value) -> Result<Answer, Error> {
        let limit = self.pool.usual();
        transaction!(self, Access::Write, limit, |transaction| run_one(transaction, statement, &parameters))
    }
}

async fn run_one(
    transaction: &mut Transaction<'_>,
    statement: &str,
    parameters: &Value,
) -> Result<Answer, Error> {
    transaction.run(statement, parameters.clone()).await
}
