//! What searching decides: which terms to ask for, how to fuse lists of hits, which text to show.
//! Knows no store; back ends carry the plan out.

mod fuse;
mod query;
mod snippet;
mod weight;

pub use fuse::{Scored, WORDS_SHARE, fuse};
pub use query::{Asked, PlanLimits, Question, plan_query, scoring_question};
pub use snippet::{Snippet, snippet};
pub use weight::{fit, rarity};
