//! What can go wrong with a Neo4j server, and what it means for the graph store.

use docmill_core::manifest::Store;

use super::bolt;
use crate::sink;

/// A server that cannot be used, or a call that failed.
///
/// A call that failed had no effect, with one exception that no client can rule out: when the
/// connection is lost while a transaction commits, its outcome is unknown. Every call may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options cannot be used.
    #[error("the options for Neo4j cannot be used: {0}")]
    Options(&'static str),
    /// The authorities' certificates cannot be used.
    #[error("the certificates for Neo4j cannot be used: {0}")]
    Certificate(String),
    /// The server refused the user or its password.
    #[error("Neo4j refused the login: {0}")]
    Login(String),
    /// No connection could be had, or it broke.
    #[error("Neo4j cannot be reached: {0}")]
    Unreachable(String),
    /// The graph was made by a newer docmill.
    #[error("the graph in Neo4j has version {found}; this docmill knows versions up to {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// A value that no version of docmill writes: reported, never guessed around.
    #[error("a node in Neo4j is damaged: {0}")]
    Damaged(&'static str),
    /// Two transactions met; the same again will find what the other left.
    #[error("another writer came first: {0}")]
    Raced(&'static str),
    /// What was made at the start is not there any more: the server was emptied.
    #[error("the constraints of the graph are gone")]
    NoSchema,
    /// The server's disk is full.
    #[error("the disk of Neo4j is full")]
    DiskFull,
    /// The server refused a statement.
    #[error("Neo4j failed: {detail} ({code})")]
    Refused {
        /// The server's code.
        code: String,
        /// What it said.
        detail: String,
    },
}

impl Error {
    /// Whether it is as wrong the next time: somebody has to change something.
    pub fn stays(&self) -> bool {
        matches!(self, Self::Options(_) | Self::Certificate(_) | Self::Login(_) | Self::Newer { .. })
    }

    /// Whether the transaction failed only because of what went on beside it: to be run again soon.
    pub(super) fn met_another(&self) -> bool {
        // A node that a statement had found was removed before its lock came, or made by two at once; and
        // `IF NOT EXISTS` looks before it locks.
        const MET: &[&str] = &[
            "Neo.ClientError.Statement.EntityNotFound",
            "Neo.ClientError.Schema.ConstraintValidationFailed",
            "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists",
            "Neo.ClientError.Schema.ConstraintAlreadyExists",
            "Neo.ClientError.Schema.ConstraintWithNameAlreadyExists",
            "Neo.ClientError.Schema.IndexAlreadyExists",
            "Neo.ClientError.Schema.IndexWithNameAlreadyExists",
        ];
        match self {
            Self::Raced(_) => true,
            Self::Refused { code, .. } => {
                code.starts_with("Neo.TransientError.") || MET.contains(&code.as_str())
            }
            _ => false,
        }
    }

    /// What our statements do where they do not find what they are about.
    pub(super) fn divided_by_zero(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "Neo.ClientError.Statement.ArithmeticError")
    }

    /// Whether the server refused for want of rights.
    pub(super) fn forbidden(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "Neo.ClientError.Security.Forbidden")
    }

    /// The same for a call on the store.
    pub(super) fn of_store(self) -> sink::Error {
        let store = Store::Graph;
        match self {
            Self::DiskFull => sink::Error::DiskFull { store },
            other => sink::Error::Failed { store, detail: other.to_string() },
        }
    }
}

impl From<bolt::Error> for Error {
    fn from(error: bolt::Error) -> Self {
        const LOGIN: &[&str] = &[
            "Neo.ClientError.Security.Unauthorized",
            "Neo.ClientError.Security.AuthenticationRateLimit",
            "Neo.ClientError.Security.CredentialsExpired",
        ];
        match error {
            bolt::Error::Refused { code, message } if LOGIN.contains(&code.as_str()) => {
                Self::Login(message)
            }
            // There is no code for it.
            bolt::Error::Refused { message, .. } if message.contains("No space left on device") => {
                Self::DiskFull
            }
            bolt::Error::Refused { code, message } => Self::Refused { code, detail: message },
            other => Self::Unreachable(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, message: &str) -> Error {
        bolt::Error::Refused { code: code.to_owned(), message: message.to_owned() }.into()
    }

    #[test]
    fn refusals_are_told_apart() {
        assert!(refused("Neo.TransientError.Transaction.DeadlockDetected", "").met_another());
        assert!(refused("Neo.ClientError.Statement.EntityNotFound", "").met_another());
        assert!(!refused("Neo.ClientError.Statement.SyntaxError", "").met_another());
        assert!(Error::Raced("again").met_another());
        assert!(!Error::DiskFull.met_another());
        assert!(matches!(refused("Neo.ClientError.Security.Unauthorized", "no"), Error::Login(_)));
        assert!(refused("Neo.ClientError.Security.Forbidden", "no").forbidden());
        let full = refused("Neo.DatabaseError.Transaction.TransactionLogError", "No space left on device");
        assert!(matches!(full.of_store(), sink::Error::DiskFull { store: Store::Graph }));
    }
}
