//! From candidates to what is shown: places, texts, documents, twins, and how values are spread over documents.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, DocumentId};
use docmill_core::search::{Facet, FacetCount, Highlighter, Hit, HitDocument};
use tokio_postgres::Row;
use uuid::Uuid;

use super::scope::Scope;
use super::scoring::Scoring;
use crate::ledger::Summary;
use crate::postgres::Error;
use crate::postgres::sql::rows;
use crate::postgres::values::{chunk_key, chunk_of, document_key, document_of, hash_of, number, small};

/// Longest snippet, in bytes.
const SNIPPET_BYTES: usize = 320;
/// Chunks with the same text that are looked at for each hit: a licence may stand in every document of every tenant.
const TWINS_LOOKED_AT: i64 = 256;
/// Places that are told beside a hit.
const TWINS_MAX: usize = 32;
/// Values that are counted of a facet, those of most documents.
const FACET_VALUES_MAX: usize = 50;

/// A chunk that is shown, as the ledger and the text store have it.
pub(super) struct Place {
    document: HitDocument,
    page: u32,
    heading: Option<String>,
    start: u32,
    end: u32,
    text: String,
    also_at: Vec<String>,
}

/// Documents with the same text, by its hash, in the order of their arrival.
type Twins = HashMap<[u8; 32], Vec<(DocumentId, String)>>;

/// What is known of these chunks, those that current manifests name; where else their texts are if that is wanted.
pub(super) async fn places(
    transaction: &Transaction<'_>,
    scope: &Scope<'_>,
    chunks: &[ChunkId],
    with_twins: bool,
) -> Result<HashMap<ChunkId, Place>, Error> {
    let keys: Vec<Uuid> = chunks.iter().copied().map(chunk_key).collect();
    let sql = format!(
        "SELECT c.chunk, c.text_hash, d.document, d.uri, d.summary, d.committed_at_ms,
                e.page, e.heading, e.start_byte, e.end_byte, c.text
         FROM chunks c
         JOIN manifests m ON m.document = c.document AND m.index_id = $2 AND m.replaced_by IS NULL
                          AND m.seq IS NOT NULL
         JOIN manifest_entries e ON e.manifest = m.manifest AND e.chunk = c.chunk
         JOIN documents d ON d.document = m.document AND d.tenant = $1
         WHERE c.chunk = ANY($3){}",
        scope.conditions(1)
    );
    let found = rows(transaction, &sql, &scope.and(&[&keys])).await?;
    let mut twins = Twins::new();
    if with_twins {
        let hashes: Vec<&[u8]> = found.iter().map(|row| row.try_get(1)).collect::<Result<_, _>>()?;
        twins = self::twins(transaction, scope, &hashes).await?;
    }
    found.iter().map(|row| Ok((chunk_of(row.try_get(0)?), place(row, &twins)?))).collect()
}

fn place(row: &Row, twins: &Twins) -> Result<Place, Error> {
    let hash = hash_of(row.try_get(1)?)?;
    let id = document_of(row.try_get(2)?);
    let summary = row.try_get::<_, Option<&str>>(4)?;
    let summary: Summary = summary.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut also_at: Vec<String> = Vec::new();
    for (other, uri) in twins.get(&hash).into_iter().flatten() {
        if *other != id && also_at.len() < TWINS_MAX && !also_at.contains(uri) {
            also_at.push(uri.clone());
        }
    }
    Ok(Place {
        document: HitDocument {
            id,
            uri: row.try_get(3)?,
            title: summary.title,
            media_type: summary.media_type,
            language: summary.language,
            category: summary.category,
            committed_at_ms: row.try_get::<_, Option<i64>>(5)?.map(number),
        },
        page: small(row.try_get(6)?),
        heading: row.try_get(7)?,
        start: small(row.try_get(8)?),
        end: small(row.try_get(9)?),
        text: row.try_get(10)?,
        also_at,
    })
}

async fn twins(transaction: &Transaction<'_>, scope: &Scope<'_>, hashes: &[&[u8]]) -> Result<Twins, Error> {
    // The bound is on entries, before it is known whose they are: many others' must cost no more than a few.
    let sql = format!(
        "SELECT w.text_hash, d.document, d.uri FROM unnest($3::bytea[]) AS w(text_hash)
         CROSS JOIN LATERAL (SELECT e.manifest FROM manifest_entries e WHERE e.text_hash = w.text_hash LIMIT $4) AS t
         JOIN manifests m ON m.manifest = t.manifest AND m.index_id = $2 AND m.replaced_by IS NULL
                          AND m.seq IS NOT NULL
         JOIN documents d ON d.document = m.document AND d.tenant = $1
         WHERE true{} ORDER BY d.arrived",
        scope.conditions(2)
    );
    let found = rows(transaction, &sql, &scope.and(&[&hashes, &TWINS_LOOKED_AT])).await?;
    let mut twins = Twins::new();
    for row in &found {
        let of_text = twins.entry(hash_of(row.try_get(0)?)?).or_default();
        of_text.push((document_of(row.try_get(1)?), row.try_get(2)?));
    }
    Ok(twins)
}

/// How many of these documents have which value.
pub(super) async fn facets(
    transaction: &Transaction<'_>,
    documents: &BTreeSet<DocumentId>,
    asked: &[Facet],
) -> Result<BTreeMap<String, Vec<FacetCount>>, Error> {
    let keys: Vec<Uuid> = documents.iter().copied().map(document_key).collect();
    let sql = "SELECT category, media_type, language FROM documents WHERE document = ANY($1)";
    let found = rows(transaction, sql, &[&keys]).await?;
    let mut facets = BTreeMap::new();
    for facet in asked {
        let column = match facet {
            Facet::Category => 0,
            Facet::MediaType => 1,
            Facet::Language => 2,
        };
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for row in &found {
            if let Some(value) = row.try_get::<_, Option<&str>>(column)?.filter(|value| !value.is_empty()) {
                *counts.entry(value).or_default() += 1;
            }
        }
        let count = |(value, documents): (&str, u32)| FacetCount { value: value.to_owned(), documents };
        let mut counts: Vec<FacetCount> = counts.into_iter().map(count).collect();
        // Stable: equal counts stay in the order of values.
        counts.sort_by_key(|count| std::cmp::Reverse(count.documents));
        counts.truncate(FACET_VALUES_MAX);
        facets.insert(facet.as_str().to_owned(), counts);
    }
    Ok(facets)
}

/// The hits, in their order.
pub(super) fn hits(scoring: &Scoring, order: &[usize], mut places: HashMap<ChunkId, Place>) -> Vec<Hit> {
    let mut highlighter = Highlighter::new(&scoring.query);
    let hit = |at: &usize| {
        let fused = scoring.fused.get(*at)?;
        let place = places.remove(&fused.key)?;
        let explain = scoring.explain(fused);
        let snippet = highlighter.snippet(&place.text, SNIPPET_BYTES);
        Some(Hit {
            chunk: fused.key,
            document: place.document,
            page: place.page,
            heading: place.heading,
            start: place.start,
            end: place.end,
            score: fused.score,
            text: place.text,
            snippet,
            also_at: place.also_at,
            explain,
        })
    };
    order.iter().filter_map(hit).collect()
}
