//! From candidates to what is shown: only chunks that current manifests name; equal texts are one hit.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use docmill_core::id::{ChunkId, DocumentId};
use docmill_core::search::{Explain, Fused, Highlighter, Hit, HitDocument};
use rusqlite::{Connection, OptionalExtension, params};

use super::scope::Scope;
use crate::ledger::Summary;

/// Longest snippet, in bytes.
const SNIPPET_BYTES: usize = 320;
/// Chunks with the same text that are looked at for each hit: a licence may stand in every document.
const TWINS_MAX: u32 = 32;

/// A chunk that is shown, and where it is from.
pub(super) struct Shown {
    pub fused: Fused<i64>,
    place: Place,
}

/// Where a current manifest has a chunk.
struct Place {
    chunk: ChunkId,
    document: DocumentId,
    uri: String,
    summary: Option<String>,
    committed_at_ms: Option<u64>,
    page: u32,
    heading: Option<String>,
    start: u32,
    end: u32,
}

/// A part of the order of what is shown.
#[derive(Default)]
pub(super) struct Order {
    /// Hits so far.
    pub count: usize,
    /// Hashes of their texts.
    texts: HashSet<Vec<u8>>,
    /// Those of them that were wanted.
    pub page: Vec<Shown>,
    /// Whether another hit is known to follow.
    pub more: bool,
    /// Hits of one document at most, where there is a bound.
    pub of_one_document: Option<usize>,
}

/// What the order goes on with.
pub(super) struct Further {
    /// Hashes of the texts, in order.
    texts: Vec<Vec<u8>>,
    page: Vec<Shown>,
    more: bool,
    /// Hits that were passed over, as their documents have enough.
    passed: usize,
}

impl Further {
    pub(super) fn count(&self) -> usize {
        self.texts.len()
    }

    /// Hits that were looked at: more candidates of the same documents would be passed over, too.
    pub(super) fn looked_at(&self) -> usize {
        self.texts.len() + self.passed
    }
}

impl Order {
    /// What of the candidates follows, until the order has `depth` hits. Hits in `wanted` are kept whole.
    pub(super) fn further(
        &self,
        connection: &Connection,
        scope: &Scope<'_>,
        candidates: &[Fused<i64>],
        depth: usize,
        wanted: &Range<usize>,
    ) -> rusqlite::Result<Further> {
        let mut further = Further { texts: Vec::new(), page: Vec::new(), more: false, passed: 0 };
        let mut of_document: HashMap<DocumentId, usize> = HashMap::new();
        let mut known: HashSet<Vec<u8>> = HashSet::new();
        let mut hash_of = connection.prepare_cached("SELECT text_hash FROM chunks WHERE row = ?")?;
        for fused in candidates {
            let hash: Option<Vec<u8>> = hash_of.query_row([fused.key], |row| row.get(0)).optional()?;
            let new = |hash: &Vec<u8>| !self.texts.contains(hash) && !known.contains(hash);
            let Some(hash) = hash.filter(new) else { continue };
            let Some(place) = place_of(connection, scope, fused.key)? else { continue };
            let at = self.count + further.count();
            if at >= depth {
                further.more = true;
                break;
            }
            if let Some(most) = self.of_one_document {
                let taken = of_document.entry(place.document).or_default();
                if *taken == most {
                    further.passed += 1;
                    continue;
                }
                *taken += 1;
            }
            if wanted.contains(&at) {
                further.page.push(Shown { fused: *fused, place });
            }
            known.insert(hash.clone());
            further.texts.push(hash);
        }
        Ok(further)
    }

    /// Goes on with these.
    pub(super) fn take(&mut self, further: Further) {
        self.count += further.count();
        self.texts.extend(further.texts);
        self.page.extend(further.page);
        self.more = further.more;
    }
}

fn place_of(connection: &Connection, scope: &Scope<'_>, row: i64) -> rusqlite::Result<Option<Place>> {
    // The tenant is part of the look-up: an index id is a hash of models, so tenants share it.
    let place = connection
        .prepare_cached(
            "SELECT e.chunk, d.document, d.uri, d.summary, d.committed_at_ms, e.page, e.heading, e.start, e.\"end\"
             FROM chunks c JOIN manifest_entries e ON e.chunk = c.chunk
             JOIN manifests m ON m.manifest = e.manifest AND m.replaced_by IS NULL
             JOIN documents d ON d.document = m.document
             WHERE c.row = ?1 AND m.index_id = ?2 AND d.tenant = ?3 LIMIT 1",
        )?
        .query_row(params![row, scope.index.0, scope.tenant.as_str()], |row| {
            Ok(Place {
                chunk: ChunkId::from_bytes(row.get(0)?),
                document: DocumentId::from_bytes(row.get(1)?),
                uri: row.get(2)?,
                summary: row.get(3)?,
                committed_at_ms: row.get(4)?,
                page: row.get(5)?,
                heading: row.get(6)?,
                start: row.get(7)?,
                end: row.get(8)?,
            })
        })
        .optional()?;
    Ok(place.filter(|place| scope.holds(&place.document)))
}

/// The hit with its text, the part of it worth showing, and where else that text is if that is wanted.
pub(super) fn hit(
    connection: &Connection,
    scope: &Scope<'_>,
    (highlighter, with_twins): (&mut Highlighter, bool),
    shown: Shown,
    explain: Option<Explain>,
) -> rusqlite::Result<Hit> {
    let Shown { fused, place } = shown;
    let (hash, text): (Vec<u8>, String) = connection
        .prepare_cached("SELECT text_hash, text FROM chunks WHERE row = ?")?
        .query_row([fused.key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let also_at = if with_twins { twins(connection, scope, fused.key, &hash, &place)? } else { Vec::new() };
    let summary: Summary =
        place.summary.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(Hit {
        chunk: place.chunk,
        document: HitDocument {
            id: place.document,
            uri: place.uri,
            title: summary.title,
            media_type: summary.media_type,
            language: summary.language,
            category: summary.category,
            committed_at_ms: place.committed_at_ms,
        },
        page: place.page,
        heading: place.heading,
        start: place.start,
        end: place.end,
        score: fused.score,
        snippet: highlighter.snippet(&text, SNIPPET_BYTES),
        text,
        also_at,
        explain,
    })
}

/// Where else the text of a row is.
fn twins(
    connection: &Connection,
    scope: &Scope<'_>,
    row: i64,
    hash: &[u8],
    place: &Place,
) -> rusqlite::Result<Vec<String>> {
    let mut also_at: Vec<String> = Vec::new();
    let mut twins_of =
        connection.prepare_cached("SELECT row FROM chunks WHERE text_hash = ?1 AND row <> ?2 LIMIT ?3")?;
    for twin in twins_of.query_map(params![hash, row, TWINS_MAX], |row| row.get::<_, i64>(0))? {
        if let Some(twin) = place_of(connection, scope, twin?)?
            && twin.document != place.document
            && !also_at.contains(&twin.uri)
        {
            also_at.push(twin.uri);
        }
    }
    Ok(also_at)
}
