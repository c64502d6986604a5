//! Nearest vectors by brute force, in three looks: signs choose rows (in large sets only), int8 codes
//! in memory order them, and the best are rescored with the stored floats; or, where there are any, with
//! the signs of their passages.
//!
//! No graph index: nothing to rebuild, no tombstones, and 100,000 vectors take about a millisecond. Above one or two million, a vector database is the better place.

mod dot;
mod passages;
mod quantize;
mod scan;
mod signs;

pub use dot::dot;
pub use passages::{PassageScorer, Passages};
pub use quantize::quantize;
pub use scan::CodeSet;
