//! Queue in, rows out.

pub mod embed;
pub mod vector;
