//! Queue in, rows out: what runs in a worker, on one machine or in a pod.
//!
//! The main path is [`delivery`]: claim → start → prepare (`stages`) → write ([`sink`]) → commit
//! ([`ledger`]) → ack ([`queue`]) → clean up. Knows nothing of Kubernetes.

#[cfg(feature = "services")]
pub mod api;
#[cfg(feature = "services")]
pub mod ask;
#[cfg(feature = "services")]
mod attempts;
#[cfg(feature = "services")]
pub mod backends;
pub mod cache;
pub mod classify;
pub mod clock;
#[cfg(feature = "services")]
pub mod concepts;
#[cfg(feature = "services")]
pub mod config;
pub mod delivery;
#[cfg(feature = "services")]
pub mod desk;
pub mod embed;
pub mod embedded;
#[cfg(feature = "services")]
pub mod error_codes;
pub mod extract;
#[cfg(feature = "services")]
pub mod fill;
#[cfg(feature = "services")]
pub mod finding;
pub mod health;
#[cfg(feature = "services")]
pub mod http;
pub mod intake;
pub mod ledger;
mod machine_memory;
#[cfg(feature = "services")]
pub mod neo4j;
#[cfg(feature = "services")]
pub mod objects;
pub mod page_note;
mod percent;
#[cfg(feature = "services")]
pub mod postgres;
pub mod process_tree;
pub mod queue;
pub mod search;
pub mod secret;
#[cfg(feature = "services")]
pub mod service;
pub mod sink;
pub mod sqlite;
pub mod stages;
pub mod time_text;
#[cfg(feature = "services")]
pub mod upkeep;
pub mod vector;
pub mod verify;
pub mod walk;
pub mod whole_file;
