//! Connections that are kept, and transactions on them.
//!
//! A connection comes back only when its transaction ended well or was undone. One that was left in the
//! middle, by a time-out or because nobody waits any more, is closed: the server then undoes its transaction
//! and frees its locks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::Error;
use super::bolt::{self, Access, Answer, Connection, Value};
use super::connect::Connector;

/// How much longer than the server we wait for the end of a transaction, before we take it for lost.
const GRACE: Duration = Duration::from_secs(5);
/// Longest wait for an undo before the connection is closed instead.
const UNDO: Duration = Duration::from_secs(2);

/// The connections of a process.
pub(super) struct Pool {
    connector: Connector,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        let size = usize::try_from(connector.options().pool_size.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        Self { connector, permits: Semaphore::new(size), idle: Mutex::default() }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The longest time of a usual transaction.
    pub(super) fn usual(&self) -> Duration {
        Duration::from_millis(self.connector.options().transaction_timeout_ms)
    }

    /// Begins a transaction that may last as long as `limit`.
    pub(super) async fn begin(&self, access: Access, limit: Duration) -> Result<Transaction<'_>, Error> {
        let permit = match tokio::time::timeout(self.usual(), self.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            _ => {
                return Err(Error::Unreachable("no connection of the pool became free in time".to_owned()));
            }
        };
        let database = self.connector.options().database.as_deref();
        let connect = Duration::from_millis(self.connector.options().connect_timeout_ms);
        if let Some(mut connection) = self.take() {
            let begun = within(connect, connection.begin(database, access, limit)).await;
            match begun {
                Ok(()) => return Ok(Transaction { pool: self, connection, limit, _permit: permit }),
                Err(error @ bolt::Error::Refused { .. }) => return Err(error.into()),
                // The server was started anew, or a network forgot us: the others are as dead. Nothing was
                // begun, so a new connection may try.
                Err(_) => self.idle().clear(),
            }
        }
        let mut connection = self.connector.connect().await?;
        within(connect, connection.begin(database, access, limit)).await?;
        Ok(Transaction { pool: self, connection, limit, _permit: permit })
    }

    /// The one that was used last: the others may be let go by the server.
    fn take(&self) -> Option<Connection> {
        self.idle().pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // What is in it is whole at any time.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, bolt::Error>>,
) -> Result<T, bolt::Error> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(bolt::Error::TimedOut(limit.as_millis())))
}

/// A transaction. Dropped, it is undone, by closing its connection.
pub(super) struct Transaction<'a> {
    pool: &'a Pool,
    connection: Connection,
    limit: Duration,
    _permit: SemaphorePermit<'a>,
}

impl Transaction<'_> {
    /// Runs a statement and takes all of its rows.
    pub(super) async fn run(&mut self, statement: &str, parameters: Value) -> Result<Answer, Error> {
        Ok(within(self.limit + GRACE, self.connection.run(statement, parameters)).await?)
    }

    /// What the server calls itself.
    pub(super) fn server(&self) -> &str {
        self.connection.server()
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        let done = within(self.limit + GRACE, self.connection.commit()).await;
        match done {
            Ok(()) => self.give_back(),
            Err(bolt::Error::Refused { .. }) => self.connection_undone().await,
            Err(_) => {}
        }
        Ok(done?)
    }

    /// Runs these statements and commits, see [`Connection::finish`].
    pub(super) async fn finish(
        mut self,
        statements: &[(&str, Value)],
    ) -> Result<(Vec<Answer>, Option<Error>), Error> {
        let (answers, refused) = within(self.limit + GRACE, self.connection.finish(statements)).await?;
        match refused {
            None => self.give_back(),
            Some(_) => self.connection_undone().await,
        }
        Ok((answers, refused.map(Error::from)))
    }

    /// Undoes it, so that its locks are free before somebody waits for them.
    pub(super) async fn roll_back(self) {
        self.connection_undone().await;
    }
}

impl Transaction<'_> {
    async fn connection_undone(mut self) {
        if within(UNDO, self.connection.roll_back()).await.is_ok() {
            self.give_back();
        }
    }

    fn give_back(self) {
        self.pool.idle().push(self.connection);
    }
}
