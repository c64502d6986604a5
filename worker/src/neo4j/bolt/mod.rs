//! As much of Bolt, Neo4j's protocol, as a store needs: one connection, explicit transactions, plain values.
//!
//! Versions 5.1 to 5.4, and 4.4, which only older servers choose, so that they can be told that they are
//! too old. No routing, no streaming of results, no types of time and space, no nodes as values: statements
//! give back properties.

mod connection;
mod frame;
mod value;

pub use connection::{Access, Answer, Connection, Login};
pub use value::{Value, list, map};

/// What can go wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused a message; the connection can be used again after a reset.
    #[error("{message} ({code})")]
    Refused {
        /// The server's code, as `Neo.ClientError.Statement.SyntaxError`.
        code: String,
        /// What it said.
        message: String,
    },
    /// The connection broke, or never was.
    #[error("{0}")]
    Broken(String),
    /// No answer in time.
    #[error("no answer within {0} ms")]
    TimedOut(u128),
    /// The other side does not speak the protocol as we do.
    #[error("not understood: {0}")]
    Protocol(&'static str),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}
