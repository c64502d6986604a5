//! What can go wrong with a PostgreSQL server, and what it means for ledger and stores.

use docmill_core::manifest::Store;
use tokio_postgres::error::SqlState;

use super::SchemaName;
use crate::{ledger, sink};

/// A server that cannot be used, or a call that failed.
///
/// A call that failed had no effect, with one exception that no client can rule out: when the
/// connection is lost while a transaction commits, its outcome is unknown. Every call may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options cannot be used.
    #[error("the options for PostgreSQL cannot be used: {0}")]
    Options(&'static str),
    /// The authority's certificate cannot be used.
    #[error("the certificate file for PostgreSQL cannot be used: {0}")]
    Certificate(String),
    /// The server refused the role or its password.
    #[error("PostgreSQL refused the login: {0}")]
    Login(String),
    /// No connection could be had.
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(String),
    /// The tables were made by a newer docmill.
    #[error("schema {schema:?} has version {found}; this docmill knows versions up to {known}", schema = .schema.as_str())]
    Newer {
        /// The schema.
        schema: SchemaName,
        /// Its version.
        found: i32,
        /// The newest that we know.
        known: i32,
    },
    /// A value that no version of docmill writes: reported, never guessed around.
    #[error("a row in PostgreSQL is damaged: {0}")]
    Damaged(&'static str),
    /// Two writers met; the same again will find what the other left.
    #[error("another writer came first: {0}")]
    Raced(&'static str),
    /// The server's disk is full.
    #[error("the disk of PostgreSQL is full")]
    DiskFull,
    /// The server refused a statement.
    #[error("PostgreSQL failed: {detail} (SQLSTATE {})", state.code())]
    Refused {
        /// The class of the error.
        state: SqlState,
        /// What it said.
        detail: String,
    },
    /// Anything else.
    #[error("PostgreSQL failed: {0}")]
    Failed(String),
}

impl Error {
    /// Whether it is as wrong the next time: somebody has to change something.
    pub fn stays(&self) -> bool {
        matches!(self, Self::Options(_) | Self::Certificate(_) | Self::Login(_) | Self::Newer { .. })
    }

    /// Whether the transaction failed only because it met another one: to be run again at once.
    pub(super) fn met_another(&self) -> bool {
        match self {
            Self::Raced(_) => true,
            Self::Refused { state, .. } => [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::FOREIGN_KEY_VIOLATION,
            ]
            .contains(state),
            _ => false,
        }
    }

    /// Whether the server says with it that the session is at its end.
    pub(super) fn ends_the_session(&self) -> bool {
        match self {
            Self::Refused { state, .. } => [
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
            ]
            .contains(state),
            _ => false,
        }
    }

    /// Whether a lock was not had in time: somebody else has it for longer.
    pub(super) fn is_locked_out(&self) -> bool {
        matches!(self, Self::Refused { state, .. } if *state == SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether a table is not there, which only a person removes.
    pub(super) fn lacks_a_table(&self) -> bool {
        matches!(self, Self::Refused { state, .. } if *state == SqlState::UNDEFINED_TABLE)
    }

    /// The same for a call on a store.
    pub(super) fn of_store(self, store: Store) -> sink::Error {
        match self {
            Self::DiskFull => sink::Error::DiskFull { store },
            other => sink::Error::Failed { store, detail: other.to_string() },
        }
    }
}

/// Text of an error with its causes: the client's own errors say little without them.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Failed(with_causes(&error));
        };
        let state = said.code();
        if *state == SqlState::DISK_FULL {
            return Self::DiskFull;
        }
        if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(state) {
            return Self::Login(said.message().to_owned());
        }
        let detail = match said.hint() {
            Some(hint) => format!("{} ({hint})", said.message()),
            None => said.message().to_owned(),
        };
        Self::Refused { state: state.clone(), detail }
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::{PoolError, TimeoutType};
        match error {
            PoolError::Backend(error) => match Self::from(error) {
                Self::Failed(detail) => Self::Unreachable(detail),
                other => other,
            },
            PoolError::Timeout(TimeoutType::Wait) => {
                Self::Unreachable("no connection of the pool became free in time".to_owned())
            }
            PoolError::Timeout(_) => Self::Unreachable("no connection in time".to_owned()),
            other => Self::Unreachable(with_causes(&other)),
        }
    }
}

impl From<Error> for crate::delivery::Error {
    fn from(error: Error) -> Self {
        Self::Ledger(error.into())
    }
}

impl From<Error> for ledger::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::DiskFull => Self::DiskFull,
            other => Self::Failed(other.to_string()),
        }
    }
}
