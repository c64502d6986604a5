//! What the measurements of the one-machine shape ask; they judge by the document, not by our own answer.

pub mod paraphrases;
