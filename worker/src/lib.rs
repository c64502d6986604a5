//! Queue in, rows out.

pub mod extract;
