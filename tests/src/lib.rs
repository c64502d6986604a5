//! Harness for the workspace tests: contract suites that every back end passes, the simulation,
//! generated corpora, the command as users run it, chaos and measurements.

// Panics and long output are what a harness is for; the crate is never shipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::large_futures)]

pub mod bench;
pub mod browser;
pub mod chaos;
pub mod cluster;
pub mod command;
pub mod contract;
pub mod corpus;
mod cpu;
pub mod hostile;
pub mod namespaces;
pub mod page;
pub mod sandbox;
pub mod services;
pub mod sim;
pub mod tenants;
