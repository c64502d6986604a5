//! Harness for the workspace tests: generated corpora, the command as users run it, chaos and measurements.

// Panics and long output are what a harness is for; the crate is never shipped.
#![allow(clippy::unwrap_used)]

pub mod bench;
pub mod chaos;
pub mod command;
pub mod corpus;
