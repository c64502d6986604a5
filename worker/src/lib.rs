//! Queue in, rows out.
