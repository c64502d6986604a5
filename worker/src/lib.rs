//! Queue in, rows out: what runs in a worker, on one machine or in a pod.
//!
//! The main path is [`delivery`]: claim → start → prepare (`stages`) → write ([`sink`]) → commit
//! ([`ledger`]) → ack ([`queue`]) → clean up. Knows nothing of Kubernetes.

pub mod clock;
pub mod delivery;
pub mod ledger;
pub mod queue;
pub mod sink;
pub mod verify;
