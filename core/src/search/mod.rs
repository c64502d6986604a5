//! What searching decides: what may be asked, which terms to ask for, how to fuse lists of hits, which text
//! to show and what an answer says.
//! Knows no store; back ends carry the plan out.

mod answer;
mod fuse;
mod query;
mod request;
mod snippet;
mod weight;

pub use answer::{Explain, ExplainedTerm, FacetCount, Hit, HitDocument, Mode, SearchAnswer, Timings};
pub use fuse::{Fused, Scored, WORDS_SHARE, fuse, fuse_explained};
pub use query::{Asked, PlanLimits, Question, plan_query, scoring_question};
pub use request::{
    DEPTH_MAX, FILTER_BYTES_MAX, FILTER_VALUES_MAX, Facet, Facts, Filter, K_MAX, OF_ONE_DOCUMENT_MAX,
    QUERY_BYTES_MAX, SearchRequest, Wrong, cursor_of, offset_of,
};
pub use snippet::{Highlighter, Snippet, snippet};
pub use weight::{fit, rarity};
