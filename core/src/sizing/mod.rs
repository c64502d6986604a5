//! What runs on a node of an instance type.
//!
//! Published figures are kept as they are and are limits; requests are what must fit. All of it is arithmetic on
//! numbers that are given.

pub mod catalogue;
mod clients;
mod node;
mod published;
mod workers;

pub use catalogue::{CATALOGUE, Instance, UnknownInstance};
pub use clients::{Clients, clients};
pub use node::{Node, Resources, SYSTEM_RESERVE};
pub use published::{Neo4jRow, OwnNode, Part, ROWS, Row};
pub use workers::{Api, Documents, SLOTS, Workers, api, documents, workers};
