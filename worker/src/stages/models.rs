//! The models that indexes name: an index's specification says which, this says where they are.

use std::collections::HashMap;
use std::sync::Arc;

use docmill_core::chunk::ChunkerConfig;
use docmill_core::index::IndexSpec;

use crate::embed::Batcher;

/// The fingerprint of having no model.
pub const NONE: &str = "none";
/// The fingerprint of the built-in key phrases and names; a change of their rules is another one.
pub const CONCEPTS_BUILTIN: &str = "builtin-1";

/// Embedding models by fingerprint.
#[derive(Default)]
pub struct Models {
    embedders: HashMap<String, Arc<Batcher>>,
}

impl Models {
    /// Adds a model.
    pub fn add(&mut self, embedder: Arc<Batcher>) {
        self.embedders.insert(embedder.model().fingerprint().to_owned(), embedder);
    }

    /// The model that the index names; `None` where it names none.
    ///
    /// # Errors
    /// The fingerprint, when the index names a model that is not loaded.
    pub fn embedder(&self, spec: &IndexSpec) -> Result<Option<&Arc<Batcher>>, String> {
        if spec.embedder == NONE {
            return Ok(None);
        }
        self.embedders.get(&spec.embedder).map(Some).ok_or_else(|| spec.embedder.clone())
    }

    /// Every loaded model.
    pub fn embedders(&self) -> impl Iterator<Item = &Arc<Batcher>> {
        self.embedders.values()
    }
}

/// The specification of an index made with these models.
pub fn spec(embedder: &str, dimensions: usize, concepts: &str) -> IndexSpec {
    IndexSpec {
        chunker: ChunkerConfig::default().fingerprint(),
        embedder: embedder.to_owned(),
        dimensions: dimensions as u32,
        concepts: concepts.to_owned(),
    }
}
