//! A generation that was committed before, prepared from its stored texts: reindex and repair need
//! neither the file nor another reading of it.

use docmill_core::chunk::Chunk;
use docmill_core::delivery::Stage;
use docmill_core::language::{self, Detected, Language};
use docmill_core::segment;

use super::chunks::{ChunkText, Chunked, believed, mentions};
use super::{KeptGeneration, Stages, classified, enrich, internal, models};
use crate::delivery::{NotPrepared, Prepared, Tracker, reached};
use crate::ledger::Grant;

/// Prepares the granted generation; `None` where its texts are not all there, or never were.
pub async fn prepare(
    stages: &Stages,
    grant: &Grant,
    tracker: &Tracker<'_>,
) -> Result<Option<Prepared>, NotPrepared> {
    match stages.kept.shown(grant.document).await.map_err(internal)? {
        Some(stored) if stored.generation == grant.generation => {
            prepared(stages, grant, tracker, stored).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Prepares the older generation that search shows for the indexes of the grant.
pub async fn prepare_shown(
    stages: &Stages,
    grant: &Grant,
    tracker: &Tracker<'_>,
) -> Result<Option<Prepared>, NotPrepared> {
    let Some(stored) = stages.kept.shown(grant.document).await.map_err(internal)? else { return Ok(None) };
    let grant = Grant { generation: stored.generation, ..grant.clone() };
    prepared(stages, &grant, tracker, stored).await.map(Some)
}

async fn prepared(
    stages: &Stages,
    grant: &Grant,
    tracker: &Tracker<'_>,
    stored: KeptGeneration,
) -> Result<Prepared, NotPrepared> {
    let concepts = grant.indexes.iter().any(|(_, spec)| models::reads_concepts(spec));
    let summary = stored.summary.clone();
    let chunked = tokio::task::spawn_blocking(move || chunked(stored, concepts)).await.map_err(internal)?;
    tracker.mark(reached(Stage::Chunk), Vec::new()).await?;
    let mut indexes = Vec::with_capacity(grant.indexes.len());
    for (index, spec) in &grant.indexes {
        indexes.push(enrich::enrich(stages, grant, tracker, *index, spec, &chunked).await?);
    }
    let summary = classified::with_category(stages, grant, &chunked, summary).await?;
    Ok(Prepared { summary, indexes })
}

fn chunked(stored: KeptGeneration, concepts: bool) -> Chunked {
    let main = Language::parse(&stored.language).unwrap_or(Language::UND);
    let main = Detected { language: main, confidence: 1.0 };
    let chunks = stored
        .entries
        .into_iter()
        .map(|(entry, text)| {
            let language = believed(language::detect(&text), main);
            ChunkText {
                place: Chunk {
                    ordinal: entry.ordinal,
                    page: entry.page,
                    heading: entry.heading,
                    start: entry.start,
                    end: entry.end,
                    text: String::new(),
                },
                hash: entry.text_hash,
                terms: segment::segment(&text, language.language).into(),
                mentions: if concepts { mentions(&text, language.language) } else { Default::default() },
                text: text.into(),
                language,
            }
        })
        .collect();
    Chunked { chunks, language: stored.language, first_heading: None }
}
