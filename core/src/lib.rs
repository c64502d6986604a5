//! What ingestion means: identity, documents, chunks, concepts and the decisions of delivery.
//!
//! Nothing here does IO. Time, randomness and clients are arguments; decisions are functions that
//! return data, so that worker, simulation and operator share one meaning.

pub mod ask;
pub mod chunk;
pub mod classify;
pub mod concept;
pub mod delivery;
pub mod failure;
pub mod id;
pub mod index;
pub mod lane;
pub mod language;
pub mod limits;
pub mod manifest;
pub mod page;
pub mod report;
pub mod scale;
pub mod search;
pub mod segment;
pub mod sizing;
pub mod source;
