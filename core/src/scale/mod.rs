//! How many workers there are to be.
//!
//! Unknown is never zero: while nothing is known of the queue, nothing is done.

mod observation;
mod policy;
mod reason;
mod wanted;
mod window;

pub use observation::{Depth, OBSERVATION_FRESH_MS, OBSERVATION_KNOWN_MS, Observation, Worker};
pub use policy::{Error, ModelBudget, Policy};
pub use reason::{Missing, Reason, ScalingLimited, Unknown};
pub use wanted::{Wanted, wanted};
pub use window::{Sample, Window};
