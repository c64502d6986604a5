//! The enrich stage: vectors for chunks, paid once a text, and the manifest with its rows.

use std::sync::Arc;

use docmill_core::chunk::is_contents;
use docmill_core::delivery::{Progress, Stage};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{ChunkId, IndexId, TextHash};
use docmill_core::index::IndexSpec;
use docmill_core::manifest::{Manifest, ManifestEntry, Occurrences, StoreSet};

use super::chunks::{ChunkText, Chunked, LANGUAGE_CONFIDENCE_MIN};
use super::{Stages, internal, mock_concepts, models};
use crate::cache::CacheKey;
use crate::delivery::{NotPrepared, PreparedIndex, Tracker};
use crate::embed::{Batcher, Embedding};
use crate::embedded::Counters;
use crate::ledger::Grant;
use crate::sink::ChunkRow;

/// Texts embedded between two progress marks: what a crash costs at most.
const TEXTS_BETWEEN_MARKS: usize = 64;

/// Enriches a document's chunks for one index.
pub async fn enrich(
    stages: &Stages,
    grant: &Grant,
    tracker: &Tracker<'_>,
    index: IndexId,
    spec: &IndexSpec,
    chunked: &Chunked,
) -> Result<PreparedIndex, NotPrepared> {
    tracker.enter(Stage::Enrich);
    let embedder = stages.models.embedder(spec).await;
    let embedder = embedder.map_err(|detail| Failure::new(FailureCode::ModelFailed, detail))?;
    let wanted: Vec<bool> = chunked
        .chunks
        .iter()
        .map(|chunk| {
            let sure = chunk.language.confidence >= LANGUAGE_CONFIDENCE_MIN;
            // A table of contents would be near to every question and answer none; words still find it.
            embedder.as_ref().is_some_and(|model| {
                model.model().declares(chunk.language.language.code()) && sure && !is_contents(&chunk.text)
            })
        })
        .collect();
    let mut embeddings: Vec<Option<Arc<Embedding>>> = vec![None; chunked.chunks.len()];
    if let Some(embedder) = &embedder {
        let positions: Vec<usize> = (0..wanted.len()).filter(|&i| wanted[i]).collect();
        let mut done = 0;
        for some in positions.chunks(TEXTS_BETWEEN_MARKS) {
            let texts: Vec<&ChunkText> = some.iter().map(|&i| &chunked.chunks[i]).collect();
            let made = embed(stages, grant, embedder, &texts).await?;
            for (&position, embedding) in some.iter().zip(made) {
                embeddings[position] = Some(embedding);
            }
            done += some.len();
            if positions.len() > TEXTS_BETWEEN_MARKS {
                tracker.mark(Progress { stage: Stage::Enrich, units: done as u32 }, Vec::new()).await?;
            } else {
                tracker.touch();
            }
        }
    }
    Ok(prepared(grant, index, spec, chunked, &embeddings))
}

/// Embeddings of texts: those that were paid for before, and the others from the model, kept at once.
async fn embed(
    stages: &Stages,
    grant: &Grant,
    embedder: &Batcher,
    chunks: &[&ChunkText],
) -> Result<Vec<Arc<Embedding>>, Failure> {
    let stage = embedder.model().fingerprint();
    let hashes: Vec<TextHash> = chunks.iter().map(|chunk| chunk.hash).collect();
    let kept = stages.ledger.derived(&grant.tenant, stage, &hashes).await.map_err(internal)?;
    let lacking: Vec<usize> = (0..chunks.len()).filter(|&i| kept[i].is_none()).collect();
    let mut bytes: Vec<Option<Vec<u8>>> = kept;
    if !lacking.is_empty() {
        let texts: Vec<&str> = lacking.iter().map(|&i| &*chunks[i].text).collect();
        let made = answers(stages, grant, embedder, &texts).await?;
        let values = lacking.iter().zip(made).map(|(&i, made)| (hashes[i], made)).collect();
        let won = stages.ledger.keep_derived(&grant.tenant, stage, values).await.map_err(internal)?;
        for (&i, value) in lacking.iter().zip(won) {
            bytes[i] = Some(value);
        }
    }
    bytes
        .into_iter()
        .map(|value| {
            let value = value.unwrap_or_default();
            Embedding::from_bytes(&value, embedder.model().dimensions()).map(Arc::new).ok_or_else(|| {
                let (bytes, dimensions) = (value.len(), embedder.model().dimensions());
                let detail = format!("{bytes} bytes are no embedding of {dimensions} dimensions");
                Failure::new(FailureCode::ModelFailed, detail)
            })
        })
        .collect()
}

/// Embeddings of texts as bytes: from the cache, and what it lacks from the model.
async fn answers(
    stages: &Stages,
    grant: &Grant,
    embedder: &Batcher,
    texts: &[&str],
) -> Result<Vec<Vec<u8>>, Failure> {
    let model = embedder.model();
    // An embedding model has no prompt and no parameters but those that its fingerprint names.
    let key = |text: &str| CacheKey::new(&grant.tenant, model.fingerprint(), "", text);
    let keys: Vec<CacheKey> = texts.iter().map(|text| key(text)).collect();
    let mut answers = match &stages.cache {
        Some(cache) => cache.get(&keys).await,
        None => vec![None; texts.len()],
    };
    for answer in &mut answers {
        // What is no embedding of this model is not believed, and asked for anew.
        answer.take_if(|bytes| Embedding::from_bytes(bytes, model.dimensions()).is_none());
    }
    let lacking: Vec<usize> = (0..texts.len()).filter(|&i| answers[i].is_none()).collect();
    Counters::add(&stages.counters.cache_hits, (texts.len() - lacking.len()) as u64);
    if !lacking.is_empty() {
        let asked = lacking.iter().map(|&i| texts[i].to_owned()).collect();
        let made = embedder.embed(asked).await;
        let made = made.map_err(|error| Failure::new(FailureCode::ModelFailed, error.to_string()))?;
        Counters::add(&stages.counters.embedded, lacking.len() as u64);
        for (&i, made) in lacking.iter().zip(&made) {
            answers[i] = Some(made.to_bytes());
        }
        if let Some(cache) = &stages.cache {
            let new = lacking.iter().filter_map(|&i| Some((keys[i].clone(), answers[i].clone()?)));
            cache.put(new.collect()).await;
        }
    }
    Ok(answers.into_iter().map(Option::unwrap_or_default).collect())
}

/// The manifest and its rows.
fn prepared(
    grant: &Grant,
    index: IndexId,
    spec: &IndexSpec,
    chunked: &Chunked,
    embeddings: &[Option<Arc<Embedding>>],
) -> PreparedIndex {
    let mut occurrences = Occurrences::default();
    let mut entries = Vec::with_capacity(chunked.chunks.len());
    let mut rows = Vec::with_capacity(chunked.chunks.len());
    for (chunk, embedding) in chunked.chunks.iter().zip(embeddings) {
        let occurrence = occurrences.next(chunk.hash);
        let id = ChunkId::of(grant.document, chunk.hash, occurrence, index);
        let mentions = match spec.concepts.as_str() {
            models::NONE => Arc::new([]),
            models::CONCEPTS_MOCK => mock_concepts::mentions(chunk.hash),
            _ => chunk.mentions.clone(),
        };
        entries.push(ManifestEntry {
            chunk: id,
            text_hash: chunk.hash,
            occurrence,
            ordinal: chunk.place.ordinal,
            page: chunk.place.page,
            start: chunk.place.start,
            end: chunk.place.end,
            heading: chunk.place.heading.clone(),
            stores: StoreSet::of_chunk(embedding.is_some(), !mentions.is_empty()),
        });
        rows.push(Arc::new(ChunkRow {
            tenant: grant.tenant.clone(),
            chunk: id,
            document: grant.document,
            index,
            text_hash: chunk.hash,
            text: chunk.text.clone(),
            terms: chunk.terms.clone(),
            embedding: embedding.clone(),
            mentions,
        }));
    }
    let manifest = Manifest {
        document: grant.document,
        generation: grant.generation,
        index,
        language: chunked.language.clone(),
        entries,
    };
    PreparedIndex { manifest, rows }
}
