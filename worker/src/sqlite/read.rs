//! What reading commands ask of the data directory. Each question is answered within one read
//! transaction, so that an answer never mixes two states.

use docmill_core::id::{DocumentId, IndexId, TenantId};
use docmill_core::index::{IndexSpec, IndexState};
use rusqlite::{Connection, OptionalExtension, params};

mod documents;
mod export;
mod graph;
mod status;

pub use documents::{ChunkPlace, DocumentDetail, DocumentRow, Filter, document, documents, find};
pub use export::export;
#[cfg(feature = "services")]
pub(in crate::sqlite) use export::{ChunkFound, chunks};
pub use graph::{
    ConceptDetail, ConceptRow, ConceptsFrom, Mentioning, Neighbour, Together, beside, concept, concepts,
    concepts_from, count_concepts, display_of, number_of, together,
};
pub use status::{IndexStatus, Status, WriterStatus, status};

/// The tenant's active index.
pub fn active_index(
    connection: &Connection,
    tenant: &TenantId,
) -> rusqlite::Result<Option<(IndexId, IndexSpec)>> {
    let all = super::indexes::all(connection, tenant)?;
    Ok(all.into_iter().find(|(_, _, state)| *state == IndexState::Active).map(|(id, spec, _)| (id, spec)))
}

/// The manifest of the document in the index that is not replaced.
fn live_manifest(
    connection: &Connection,
    document: &DocumentId,
    index: IndexId,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT manifest FROM manifests WHERE document = ? AND index_id = ? AND replaced_by IS NULL",
        )?
        .query_row(params![&document.as_bytes()[..], index.0], |row| row.get(0))
        .optional()
}
