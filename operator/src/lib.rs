//! The operator: one `IngestionPipeline` becomes a running pipeline that scales on queue depth.
//!
//! ```text
//! dereference ──► validate ──► plan ──► build ──► apply ──► status
//! IO              pure         pure     pure      IO        one write, only on change
//!
//! observation streams ──► scaling (core's `step`) ──► /scale, drain orders, served metric
//! ```

pub mod apply;
pub mod args;
pub mod build;
pub mod certificates;
pub mod child;
pub mod context;
pub mod leadership;
pub mod live;
pub mod meters;
pub mod metrics_api;
pub mod names;
pub mod pipeline_key;
pub mod plan;
pub mod reconcile;
pub mod resource;
pub mod rollback;
pub mod run;
pub mod scaling;
mod served;
pub mod status;
pub mod time_text;
pub mod trouble;
pub mod watches;
