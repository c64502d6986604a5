//! What searching decides: which terms to ask for, how to fuse lists of hits, which text to show.
//! Knows no store; back ends carry the plan out.

mod fuse;
mod query;
mod snippet;

pub use fuse::{RRF_K, WORDS_WEIGHT, rrf};
pub use query::{PlanLimits, Question, plan_query};
pub use snippet::{Snippet, snippet};
