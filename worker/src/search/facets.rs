//! Facets: what the documents of a search's candidates are, counted.

use std::collections::{BTreeMap, HashSet};

use docmill_core::id::DocumentId;
use docmill_core::search::{Facet, FacetCount};
use rusqlite::{Connection, OptionalExtension, params};

use super::scope::Scope;

/// Chunks whose documents are counted, at most.
pub(super) const CHUNKS_MAX: usize = 1_000;
/// Values of one facet that an answer gives, at most.
const VALUES_MAX: usize = 50;

/// Values of each facet with their documents, most first, and of how many chunks the documents are.
pub(super) fn count(
    connection: &Connection,
    scope: &Scope<'_>,
    rows: &[i64],
    facets: &[Facet],
) -> rusqlite::Result<(BTreeMap<String, Vec<FacetCount>>, u32)> {
    let mut counts: BTreeMap<Facet, BTreeMap<String, u32>> =
        facets.iter().map(|facet| (*facet, BTreeMap::new())).collect();
    let mut known: HashSet<DocumentId> = HashSet::new();
    let mut chunks = 0;
    let mut of_row = connection.prepare_cached(
        "SELECT d.document, d.category, d.media_type, d.language
         FROM chunks c JOIN manifest_entries e ON e.chunk = c.chunk
         JOIN manifests m ON m.manifest = e.manifest AND m.replaced_by IS NULL
         JOIN documents d ON d.document = m.document
         WHERE c.row = ?1 AND m.index_id = ?2 AND d.tenant = ?3 LIMIT 1",
    )?;
    for row in rows.iter().take(CHUNKS_MAX) {
        let found = of_row
            .query_row(params![row, scope.index.0, scope.tenant.as_str()], |row| {
                let values: [Option<String>; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
                Ok((DocumentId::from_bytes(row.get(0)?), values))
            })
            .optional()?;
        let Some((document, [category, media_type, language])) =
            found.filter(|(document, _)| scope.holds(document))
        else {
            continue;
        };
        chunks += 1;
        if !known.insert(document) {
            continue;
        }
        for (facet, of_value) in &mut counts {
            let value = match facet {
                Facet::Category => &category,
                Facet::MediaType => &media_type,
                Facet::Language => &language,
            };
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                *of_value.entry(value.clone()).or_default() += 1;
            }
        }
    }
    let most_first = |of_value: BTreeMap<String, u32>| {
        let mut values: Vec<FacetCount> =
            of_value.into_iter().map(|(value, documents)| FacetCount { value, documents }).collect();
        values.sort_by(|a, b| b.documents.cmp(&a.documents).then_with(|| a.value.cmp(&b.value)));
        values.truncate(VALUES_MAX);
        values
    };
    let counts =
        counts.into_iter().map(|(facet, of_value)| (facet.as_str().to_owned(), most_first(of_value)));
    Ok((counts.collect(), chunks))
}
