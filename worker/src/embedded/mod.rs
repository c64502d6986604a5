//! The one-machine shape: a directory of documents into one data directory, nothing else running.
//!
//! [`run`] is the main path: [`scan`] finds what changed, [`session`] delivers it, [`report`] says
//! what came of it. [`maintenance`] holds the other commands that write. `serve` answers the API on the same
//! directory, and delivers what comes by it.

mod categories;
mod counters;
mod error;
pub mod maintenance;
mod metrics;
mod options;
mod removal;
mod report;
mod run;
mod scan;
#[cfg(feature = "services")]
pub mod serve;
#[cfg(feature = "services")]
mod serving;
mod session;
mod take_in;
#[cfg(feature = "services")]
mod uploads;
#[cfg(feature = "services")]
mod watch;
#[cfg(feature = "services")]
mod workshop;

pub use counters::Counters;
pub use error::Error;
pub use metrics::Metrics;
pub use options::{Concepts, Embeddings, Extractor, RunOptions, Sync};
pub use report::{FailedDocument, LossyDocument, Report, ReportInput};
pub use run::run;
#[cfg(feature = "services")]
pub use serve::{ServeOptions, Served, serve};
