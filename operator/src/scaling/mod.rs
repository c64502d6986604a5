//! Scaling of all pipelines: what their streams say and Kubernetes shows in, replicas, orders and marks out.
//!
//! ```text
//! API pod ──► stream ──► line ─┐
//!                              ├─► join ──► core's step ──► Hands: /scale, orders, deletion costs
//! watches of workers ──► seen ─┘   pure     pure        └─► Scaled: status, and the metric that an HPA reads
//! ```
//!
//! A task a pipeline, on the leader only. Nothing of it is stored: core's state, the measured rate and what was seen
//! are built anew by the next leader, and a start is safe by core's contract (what runs then counts as wanted then).
//! Which pipelines there are is said by whoever reconciles them; nothing here reads an IngestionPipeline.

mod api;
mod driver;
mod hands;
mod join;
mod line;
mod pipelines;
mod rate;
mod scaled;
mod seen;
mod stream;
mod token;

pub use api::{Error as ApiError, PipelineApi, Settings as ApiSettings};
pub use hands::{Error as HandsError, Hands, KubeHands, Target, Write};
pub use line::{GraphMemory, Line, LiveWorker};
pub use pipelines::Pipelines;
pub use scaled::{PipelineScaling, Scaled};
pub use seen::COST_ANNOTATION;
pub use token::{Error as TokenError, ISSUER, Signer, Tokens};

use tokio::time::Instant;

/// Milliseconds since it was started, by a clock that never goes back.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// It begins at 0.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What it shows.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
