//! The operator: one `IngestionPipeline` becomes a running pipeline that scales on queue depth.
//!
//! ```text
//! dereference ──► validate ──► plan ──► build ──► apply ──► status
//! IO              pure         pure     pure      IO        one write, only on change
//!
//! observation streams ──► scaling (core's `step`) ──► /scale, drain orders, served metric
//! ```

pub mod apply;
pub mod child;
pub mod live;
pub mod names;
pub mod plan;
pub mod resource;
pub mod status;
pub mod trouble;
pub mod watches;
