//! Queue in, rows out.

// A test that cannot go on should stop where it is.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod extract;
