//! The category of a document, by what its chunks say: the same whether they were read now or are kept.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::index::IndexSpec;

use super::Stages;
use super::chunks::Chunked;
use super::models::{self, NONE};
use crate::classify::Looks;
use crate::embed::MiniLm;
use crate::ledger::{Grant, Summary};

/// The summary with the category that the document has now; with none where nothing gives any.
pub async fn with_category(
    stages: &Stages,
    grant: &Grant,
    chunked: &Chunked,
    summary: Summary,
) -> Result<Summary, Failure> {
    let bare = Summary { category: None, category_confidence: None, classifier: None, ..summary };
    let Some(classifier) = &stages.classifier else { return Ok(bare) };
    let failed = |detail: String| Failure::new(FailureCode::ModelFailed, detail);
    let by = compared_by(grant.indexes.iter().map(|(_, spec)| spec));
    let model = stages.models.embedder(&by).await.map_err(failed)?;
    let Some(model) = model else { return Ok(bare) };
    let chunks = chunked.chunks.iter().map(|chunk| (chunk.place.heading.as_deref(), &*chunk.text));
    let looks = Looks::of(bare.title.as_deref(), &chunked.language, chunks);
    let found = classifier.classify(&model, looks).await.map_err(|error| failed(error.to_string()))?;
    let (category, category_confidence) = match found {
        Some(found) => (Some(found.category), Some(found.confidence)),
        None => (None, None),
    };
    let classifier = Some(classifier.recipe().to_owned());
    Ok(Summary { category, category_confidence, classifier, ..bare })
}

/// The model of the newest of these indexes: when it is read, all documents have been compared by it. Without vectors the
/// built-in one.
pub fn compared_by<'a>(indexes: impl DoubleEndedIterator<Item = &'a IndexSpec>) -> IndexSpec {
    let with_vectors = indexes.rev().find(|spec| spec.embedder != NONE);
    match with_vectors {
        Some(spec) => spec.clone(),
        None => models::spec(MiniLm::FINGERPRINT, MiniLm::DIMENSIONS, NONE),
    }
}
