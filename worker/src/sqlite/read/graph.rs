//! The concept graph as it can be seen: only evidence of chunks that current manifests name counts.

use docmill_core::concept::Name;
use docmill_core::id::{ChunkId, DocumentId, IndexId, TenantId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::active_index;
use crate::ledger::Summary;
use crate::sqlite::claims::{document_of, from_json};
use crate::sqlite::manifests::chunk_of;

/// Neighbours shown of one concept.
const NEIGHBOURS_MAX: i64 = 20;
/// Documents shown of one concept.
const DOCUMENTS_MAX: i64 = 50;

/// A concept with its counts.
#[derive(Debug, Clone, Serialize)]
pub struct ConceptRow {
    /// The form to show.
    pub name: String,
    /// The key.
    pub canonical_name: String,
    /// `name`, `acronym` or `term`.
    pub kind: String,
    /// How often it is mentioned.
    pub mentions: u64,
    /// In how many documents.
    pub documents: u64,
}

/// A concept that stands in the same chunks.
#[derive(Debug, Clone, Serialize)]
pub struct Neighbour {
    /// The form to show.
    pub name: String,
    /// How many chunks mention both.
    pub chunks: u64,
}

/// A document that mentions a concept.
#[derive(Debug, Clone, Serialize)]
pub struct Mentioning {
    /// The document.
    pub id: DocumentId,
    /// Where it is.
    pub uri: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How often it mentions it.
    pub mentions: u64,
    /// The first page that does, from 1.
    pub page: u32,
    /// The first chunk that does.
    pub chunk: ChunkId,
}

/// A concept with its surroundings.
#[derive(Debug, Clone, Serialize)]
pub struct ConceptDetail {
    /// Its counts.
    #[serde(flatten)]
    pub concept: ConceptRow,
    /// What stands beside it, most often first.
    pub neighbours: Vec<Neighbour>,
    /// Where it is mentioned, most often first.
    pub mentioned_in: Vec<Mentioning>,
}

/// Where two concepts stand together.
#[derive(Debug, Clone)]
pub struct Together {
    /// The document.
    pub document: DocumentId,
    /// Where it is.
    pub uri: String,
    /// The page, from 1.
    pub page: u32,
    /// The chunk.
    pub chunk: ChunkId,
}

/// Which part of the list of concepts.
#[derive(Debug, Clone, Default)]
pub struct ConceptsFrom<'a> {
    /// Only those whose canonical name begins so.
    pub prefix: Option<&'a str>,
    /// Only those after one with these: documents, mentions, canonical name.
    pub after: Option<(u64, u64, &'a str)>,
    /// At most this many.
    pub limit: usize,
}

/// Evidence `v` of the index is current.
const CURRENT: &str = "v.index_id = ?2 AND EXISTS(SELECT 1 FROM manifest_entries e
    JOIN manifests m ON m.manifest = e.manifest WHERE e.chunk = v.chunk AND m.replaced_by IS NULL)";

fn row_of(row: &Row<'_>) -> rusqlite::Result<ConceptRow> {
    Ok(ConceptRow {
        name: row.get(0)?,
        canonical_name: row.get(1)?,
        kind: row.get(2)?,
        mentions: row.get(3)?,
        documents: row.get(4)?,
    })
}

/// The concepts in most documents.
pub fn concepts(
    connection: &Connection,
    tenant: &TenantId,
    top: usize,
) -> rusqlite::Result<Vec<ConceptRow>> {
    concepts_from(connection, tenant, &ConceptsFrom { limit: top, ..ConceptsFrom::default() })
}

/// A part of the list of concepts: those in most documents first, then those mentioned most, then by name.
pub fn concepts_from(
    connection: &Connection,
    tenant: &TenantId,
    from: &ConceptsFrom<'_>,
) -> rusqlite::Result<Vec<ConceptRow>> {
    let Some((index, _)) = active_index(connection, tenant)? else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT display, name, kind, mentions, documents FROM (
           SELECT c.display AS display, c.canonical_name AS name, c.kind AS kind,
                  sum(t.count) AS mentions, count(DISTINCT v.document) AS documents
           FROM evidence v JOIN mentions t ON t.row = v.row JOIN concepts c ON c.concept = t.concept
           WHERE c.tenant = ?1 AND {CURRENT}
             AND (?4 IS NULL OR substr(c.canonical_name, 1, length(?4)) = ?4)
           GROUP BY c.concept)
         WHERE ?5 IS NULL OR documents < ?5 OR (documents = ?5 AND (mentions < ?6 OR (mentions = ?6 AND name > ?7)))
         ORDER BY documents DESC, mentions DESC, name LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let limit = i64::try_from(from.limit).unwrap_or(i64::MAX);
    let (documents, mentions, name) = match from.after {
        Some((documents, mentions, name)) => (Some(count(documents)), count(mentions), name),
        None => (None, 0, ""),
    };
    let values = params![tenant.as_str(), index.0, limit, from.prefix, documents, mentions, name];
    statement.query_map(values, row_of)?.collect()
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many concepts the tenant's documents mention.
pub fn count_concepts(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<u64> {
    let Some((index, _)) = active_index(connection, tenant)? else { return Ok(0) };
    let sql = format!(
        "SELECT count(*) FROM concepts c WHERE c.tenant = ?1 AND EXISTS(
           SELECT 1 FROM mentions t JOIN evidence v ON v.row = t.row WHERE t.concept = c.concept AND {CURRENT})"
    );
    connection.prepare_cached(&sql)?.query_row(params![tenant.as_str(), index.0], |row| row.get(0))
}

/// The concept of this name, whatever its case and number, or else the one whose name is nearest to it
/// in spelling.
pub fn concept(
    connection: &Connection,
    tenant: &TenantId,
    name: &str,
) -> rusqlite::Result<Option<ConceptDetail>> {
    let Some((index, _)) = active_index(connection, tenant)? else { return Ok(None) };
    let Some(number) = number_of(connection, tenant, name)? else { return Ok(None) };
    let sql = format!(
        "SELECT c.display, c.canonical_name, c.kind, sum(t.count), count(DISTINCT v.document)
         FROM mentions t JOIN evidence v ON v.row = t.row JOIN concepts c ON c.concept = t.concept
         WHERE t.concept = ?1 AND {CURRENT} GROUP BY c.concept"
    );
    let found = connection.prepare_cached(&sql)?.query_row(params![number, index.0], row_of).optional()?;
    let Some(concept) = found else { return Ok(None) };
    let neighbours = neighbours(connection, number, index)?;
    let mentioned_in = mentioned_in(connection, number, index)?;
    Ok(Some(ConceptDetail { concept, neighbours, mentioned_in }))
}

/// The number of the concept that a name means, by the rules of [`concept`].
pub fn number_of(connection: &Connection, tenant: &TenantId, name: &str) -> rusqlite::Result<Option<i64>> {
    let name = Name::new(name);
    let [typed, canonical] = name.exact();
    let exact: Option<i64> = connection
        .prepare_cached(
            "SELECT concept FROM concepts WHERE tenant = ?1 AND canonical_name IN (?2, ?3)
             ORDER BY canonical_name = ?2 DESC LIMIT 1",
        )?
        .query_row(params![tenant.as_str(), typed, canonical], |row| row.get(0))
        .optional()?;
    if exact.is_some() {
        return Ok(exact);
    }
    // SQLite folds the case of ASCII only, and knows no spellings, so names are compared here.
    let mut statement = connection.prepare_cached(
        "SELECT concept, display, canonical_name FROM concepts WHERE tenant = ? ORDER BY canonical_name",
    )?;
    let rows = statement.query_map([tenant.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let known: Vec<(i64, String, String)> = rows.collect::<rusqlite::Result<_>>()?;
    let at = name.pick(known.iter().map(|(_, display, canonical)| (display.as_str(), canonical.as_str())));
    Ok(at.and_then(|at| known.get(at)).map(|(number, _, _)| *number))
}

/// The form in which a concept is shown.
pub fn display_of(connection: &Connection, concept: i64) -> rusqlite::Result<String> {
    connection
        .prepare_cached("SELECT display FROM concepts WHERE concept = ?")?
        .query_row([concept], |row| row.get(0))
}

/// Numbers of the concepts that stand in the same chunks, most often first: of the first `chunks_max` chunks that
/// mention it, at most `limit`.
pub fn beside(
    connection: &Connection,
    concept: i64,
    index: IndexId,
    chunks_max: usize,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    let sql = format!(
        "SELECT o.concept FROM (SELECT v.row AS row FROM mentions t JOIN evidence v ON v.row = t.row
           WHERE t.concept = ?1 AND {CURRENT} ORDER BY v.row LIMIT ?3) AS s
         JOIN mentions o ON o.row = s.row AND o.concept <> ?1
         GROUP BY o.concept ORDER BY count(*) DESC, o.concept LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let most = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let values = params![concept, index.0, most(chunks_max), most(limit)];
    statement.query_map(values, |row| row.get(0))?.collect()
}

/// A chunk that mentions both.
pub fn together(
    connection: &Connection,
    one: i64,
    other: i64,
    index: IndexId,
) -> rusqlite::Result<Option<Together>> {
    let sql = "SELECT d.document, d.uri, e.page, v.chunk FROM mentions t
         JOIN mentions o ON o.row = t.row AND o.concept = ?3
         JOIN evidence v ON v.row = t.row AND v.index_id = ?2
         JOIN manifest_entries e ON e.chunk = v.chunk
         JOIN manifests m ON m.manifest = e.manifest AND m.replaced_by IS NULL
         JOIN documents d ON d.document = v.document
         WHERE t.concept = ?1 ORDER BY d.uri, e.page, v.chunk LIMIT 1";
    let read = |row: &Row<'_>| {
        Ok(Together {
            document: document_of(&row.get::<_, Vec<u8>>(0)?)?,
            uri: row.get(1)?,
            page: row.get(2)?,
            chunk: chunk_of(&row.get::<_, Vec<u8>>(3)?)?,
        })
    };
    connection.prepare_cached(sql)?.query_row(params![one, index.0, other], read).optional()
}

fn neighbours(connection: &Connection, concept: i64, index: IndexId) -> rusqlite::Result<Vec<Neighbour>> {
    let sql = format!(
        "SELECT c.display, count(*) FROM mentions t JOIN evidence v ON v.row = t.row
         JOIN mentions o ON o.row = t.row AND o.concept <> t.concept
         JOIN concepts c ON c.concept = o.concept
         WHERE t.concept = ?1 AND {CURRENT} GROUP BY o.concept ORDER BY 2 DESC, c.canonical_name LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![concept, index.0, NEIGHBOURS_MAX], |row| {
        Ok(Neighbour { name: row.get(0)?, chunks: row.get(1)? })
    })?;
    rows.collect()
}

fn mentioned_in(
    connection: &Connection,
    concept: i64,
    index: IndexId,
) -> rusqlite::Result<Vec<Mentioning>> {
    let sql = format!(
        "SELECT d.document, d.uri, sum(t.count), d.summary FROM mentions t JOIN evidence v ON v.row = t.row
         JOIN documents d ON d.document = v.document
         WHERE t.concept = ?1 AND {CURRENT} GROUP BY d.document ORDER BY 3 DESC, d.uri LIMIT ?3"
    );
    let first = "SELECT e.page, e.chunk FROM mentions t
         JOIN evidence v ON v.row = t.row AND v.index_id = ?2 AND v.document = ?3
         JOIN manifest_entries e ON e.chunk = v.chunk
         JOIN manifests m ON m.manifest = e.manifest AND m.replaced_by IS NULL
         WHERE t.concept = ?1 ORDER BY e.ordinal LIMIT 1";
    let mut first = connection.prepare_cached(first)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![concept, index.0, DOCUMENTS_MAX], |row| {
        let document: Vec<u8> = row.get(0)?;
        let (page, chunk) = first.query_row(params![concept, index.0, document], |row| {
            Ok((row.get(0)?, chunk_of(&row.get::<_, Vec<u8>>(1)?)?))
        })?;
        let summary =
            row.get::<_, Option<String>>(3)?.map(|text| from_json::<Summary>(&text)).transpose()?;
        Ok(Mentioning {
            id: document_of(&document)?,
            uri: row.get(1)?,
            title: summary.and_then(|summary| summary.title),
            mentions: row.get(2)?,
            page,
            chunk,
        })
    })?;
    rows.collect()
}
