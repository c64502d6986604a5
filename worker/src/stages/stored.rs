//! A generation that was committed before, prepared from its stored texts: reindex and repair need
//! neither the file nor another reading of it.

use docmill_core::chunk::Chunk;
use docmill_core::delivery::Stage;
use docmill_core::id::TextHash;
use docmill_core::language::{self, Detected, Language};
use docmill_core::manifest::ManifestEntry;
use docmill_core::segment;
use rusqlite::{Connection, OptionalExtension, params};

use super::chunks::{ChunkText, Chunked, believed, mentions};
use super::{Stages, enrich, internal, models};
use crate::delivery::{NotPrepared, Prepared, Tracker, reached};
use crate::ledger::{Grant, Summary};
use crate::sqlite::manifest_entries;

/// What is stored of a generation.
struct Stored {
    entries: Vec<(ManifestEntry, String)>,
    language: String,
    summary: Summary,
}

/// Prepares from what is stored; `None` where the texts are not all there, or never were.
pub async fn prepare(
    stages: &Stages,
    grant: &Grant,
    tracker: &Tracker<'_>,
) -> Result<Option<Prepared>, NotPrepared> {
    let readers = stages.readers.clone();
    let (document, generation) = (grant.document, grant.generation);
    let look = move || {
        readers
            .read(|connection| load(connection, &document.as_bytes()[..], generation.0))
            .map_err(internal)
    };
    let stored = tokio::task::spawn_blocking(look).await.map_err(internal)??.map_err(internal)?;
    let Some(stored) = stored else { return Ok(None) };
    let concepts = grant.indexes.iter().any(|(_, spec)| spec.concepts != models::NONE);
    let summary = stored.summary.clone();
    let chunked = tokio::task::spawn_blocking(move || chunked(stored, concepts)).await.map_err(internal)?;
    tracker.mark(reached(Stage::Chunk), Vec::new()).await?;
    let mut indexes = Vec::with_capacity(grant.indexes.len());
    for (index, spec) in &grant.indexes {
        indexes.push(enrich::enrich(stages, grant, tracker, *index, spec, &chunked).await?);
    }
    Ok(Some(Prepared { summary, indexes }))
}

fn load(connection: &Connection, document: &[u8], generation: u64) -> rusqlite::Result<Option<Stored>> {
    let head = connection
        .prepare_cached(
            "SELECT m.manifest, m.language, d.summary FROM manifests m JOIN documents d ON d.document = m.document
             WHERE m.document = ? AND m.generation = ? AND m.replaced_by IS NULL LIMIT 1",
        )?
        .query_row(params![document, generation], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
        })
        .optional()?;
    let Some((manifest, language, summary)) = head else { return Ok(None) };
    let summary = summary.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut statement = connection.prepare_cached("SELECT text FROM chunks WHERE chunk = ?")?;
    let mut entries = Vec::new();
    for entry in manifest_entries(connection, manifest)? {
        let text: Option<String> =
            statement.query_row([&entry.chunk.as_bytes()[..]], |row| row.get(0)).optional()?;
        let Some(text) = text.filter(|text| TextHash::of(text.as_bytes()) == entry.text_hash) else {
            return Ok(None);
        };
        entries.push((entry, text));
    }
    Ok((!entries.is_empty()).then_some(Stored { entries, language, summary }))
}

fn chunked(stored: Stored, concepts: bool) -> Chunked {
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
