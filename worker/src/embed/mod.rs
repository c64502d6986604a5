//! Vectors for texts: the trait that models implement, and how many documents share one model.

mod batch;
mod beside;
#[cfg(test)]
mod double;
mod embedding;
mod minilm;
mod mock;

use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::failure::FailureClass;

pub use batch::{Batcher, BatcherOptions, BatcherStats};
pub use beside::{Searched, give_way};
#[cfg(test)]
pub(crate) use double::Double;
pub use embedding::{Embedding, vector_from_bytes, vector_to_bytes};
pub use minilm::MiniLm;
pub use mock::Mock;

use crate::stages::models::NONE;

/// A model that gives each text one vector of unit length, and may give the signs of its passages.
///
/// A call is not retried here; the caller looks at [`Error::class`]. Calling twice with the same texts
/// gives the same vectors. Dropping the future loses nothing but the work done.
#[async_trait]
pub trait EmbeddingModel: Send + Sync {
    /// What makes two vectors comparable: model, precision, pooling. Part of the index's identity.
    fn fingerprint(&self) -> &str;

    /// Length of every vector.
    fn dimensions(&self) -> usize;

    /// True when texts of this language (ISO 639-1) may be embedded; others are found by full text only.
    fn declares(&self, language: &str) -> bool;

    /// One embedding a text, in the order of the texts.
    ///
    /// A local model computes on the calling thread: call it through a [`Batcher`], not from an async task.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Embedding>, Error>;
}

/// The model that an index names by its embedder; `None` where the index has no vectors.
///
/// # Errors
/// A sentence: the model is not one of ours, or cannot be loaded here.
pub fn model_named(embedder: &str) -> Result<Option<Arc<dyn EmbeddingModel>>, String> {
    match embedder {
        NONE => Ok(None),
        Mock::FINGERPRINT => Ok(Some(Arc::new(Mock::default()))),
        MiniLm::FINGERPRINT => match MiniLm::load_default() {
            Ok(model) => Ok(Some(Arc::new(model))),
            Err(error) => Err(error.to_string()),
        },
        other => Err(format!(
            "{other} is not a model that this docmill has: `docmill reindex --embeddings builtin` builds an index with one"
        )),
    }
}

/// Why there is no vector. Clone, as one failed batch answers several documents.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The model's files are nowhere on the search path.
    #[error("the embedding model is not installed (looked in {searched}): `make setup` installs it")]
    Missing {
        /// The directories looked in.
        searched: String,
    },
    /// The model's files are there and cannot be used.
    #[error(
        "the embedding model in {dir} cannot be loaded ({detail}): remove the directory and run `make setup`"
    )]
    Load {
        /// The directory.
        dir: String,
        /// What is wrong.
        detail: String,
    },
    /// The model loads and computes something else than it should.
    #[error("the embedding model fails its self-test ({detail}): its vectors would poison the index")]
    SelfTest {
        /// What differs.
        detail: String,
    },
    /// The tokenizer refused a text.
    #[error("text cannot be tokenized: {detail}")]
    Tokenize {
        /// What the tokenizer said.
        detail: String,
    },
    /// The model gave an error, panicked, or answered in the wrong shape.
    #[error("embedding failed: {detail}")]
    Inference {
        /// What happened.
        detail: String,
    },
    /// The batcher's threads are gone.
    #[error("embedding has stopped")]
    Stopped,
}

impl Error {
    /// What a retry can change.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Missing { .. } | Self::Load { .. } | Self::SelfTest { .. } | Self::Tokenize { .. } => {
                FailureClass::Permanent
            }
            Self::Inference { .. } | Self::Stopped => FailureClass::Transient,
        }
    }
}

/// Scales a vector to unit length; a vector of zeros stays as it is.
fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
}

#[cfg(test)]
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
