//! What answering a question decides: which found texts a model is shown and how they are set apart from orders,
//! what is answered without a model, and what of an answer people may get. Asks no model and no store.

mod extractive;
mod mock;
mod prompt;
mod sanitise;
mod sources;
mod stops;

pub use extractive::{Extract, extractive};
pub use mock::{MOCK_WORDS, mock_answer};
pub use prompt::{Prompt, prompt};
pub use sanitise::{ANSWER_BYTES_MAX, HELD_BYTES_MAX, Sanitiser};
pub use sources::{CONTEXT_BYTES, SOURCES, Source, sources};
pub use stops::Stops;
