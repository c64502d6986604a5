//! Harness for the workspace tests: contract suites that every back end passes, and the simulation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::large_futures)]

// contract
pub mod sim;
