//! The one-machine shape: a directory of documents into one data directory, nothing else running.

mod counters;
mod options;
mod report;

pub use counters::Counters;
pub use options::{Concepts, Embeddings, RunOptions, Sync};
pub use report::{FailedDocument, Report, ReportInput};
