//! The models that indexes name: an index's specification says which, this says where they are.

use std::collections::HashMap;
use std::sync::Arc;

use docmill_core::chunk::ChunkerConfig;
use docmill_core::index::IndexSpec;
use tokio::sync::Mutex;

use crate::embed::{Batcher, BatcherOptions, Searched, model_named};

/// The fingerprint of having no model.
pub const NONE: &str = "none";
/// The fingerprint of the built-in key phrases and names; a change of their rules is another one.
pub const CONCEPTS_BUILTIN: &str = "builtin-1";

/// The fingerprint of concepts that stand in for a model's answers: as many a text, at once, and for nothing.
pub const CONCEPTS_MOCK: &str = "mock-1";

/// Embedding models by fingerprint. One that an index names and that is not there is loaded when it is first
/// asked for: in a cluster, indexes are begun while workers run.
pub struct Models {
    threads: usize,
    /// Searches that they give way to.
    beside: Option<Searched>,
    embedders: Mutex<HashMap<String, Arc<Batcher>>>,
}

impl Models {
    /// No model yet; each computes on this many threads.
    pub fn new(threads: usize) -> Self {
        Self { threads, beside: None, embedders: Mutex::default() }
    }

    /// The same beside searches, which they give way to.
    pub fn beside(threads: usize, searched: Searched) -> Self {
        Self { beside: Some(searched), ..Self::new(threads) }
    }

    /// The model that the index names; `None` where it names none.
    ///
    /// # Errors
    /// A sentence: it cannot be had here.
    pub async fn embedder(&self, spec: &IndexSpec) -> Result<Option<Arc<Batcher>>, String> {
        if spec.embedder == NONE {
            return Ok(None);
        }
        // Held while one is loaded: whoever else needs it waits for that one.
        let mut embedders = self.embedders.lock().await;
        if let Some(embedder) = embedders.get(&spec.embedder) {
            return Ok(Some(embedder.clone()));
        }
        let (name, threads, beside) = (spec.embedder.clone(), self.threads, self.beside.clone());
        let loaded = tokio::task::spawn_blocking(move || {
            let Some(model) = model_named(&name)? else { return Ok(None) };
            let options = BatcherOptions { threads, beside, ..BatcherOptions::default() };
            Batcher::new(model, options).map(|batcher| Some(Arc::new(batcher))).map_err(|e| e.to_string())
        });
        let loaded: Option<Arc<Batcher>> = loaded.await.map_err(|error| error.to_string())??;
        if let Some(embedder) = &loaded {
            embedders.insert(spec.embedder.clone(), embedder.clone());
        }
        Ok(loaded)
    }

    /// How often the loaded models were called.
    pub async fn calls(&self) -> u64 {
        self.embedders.lock().await.values().map(|embedder| embedder.stats().calls).sum()
    }
}

/// Whether the index's concepts are those that are read off the text when it is chunked.
pub fn reads_concepts(spec: &IndexSpec) -> bool {
    ![NONE, CONCEPTS_MOCK].contains(&spec.concepts.as_str())
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
