//! The Neo4j graph store on a real server: every contract case, and what only a server can show.
//!
//! nextest runs each test in a process of its own, and a server takes seconds of processor to start: so
//! there are few tests, each with several things to show.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

mod contract {
    use docmill_tests::services::neo4j::backend;

    docmill_tests::sink_cases!(one after another: backend());
}

#[path = "neo4j/content.rs"]
mod content;
#[path = "neo4j/crossing.rs"]
mod crossing;
#[path = "neo4j/faults.rs"]
mod faults;
#[path = "neo4j/reach.rs"]
mod reach;

use std::sync::Arc;

use docmill_core::id::{ChunkId, DocumentId, TenantId, TextHash};
use docmill_tests::contract::spec;
use docmill_worker::sink::{ChunkRow, MentionRow};

/// A chunk of a tenant with this text, which mentions these names.
fn chunk(tenant: &str, text: &str, names: &[&str]) -> Arc<ChunkRow> {
    let tenant = TenantId::new(tenant).unwrap();
    let document = DocumentId::born(&tenant, "u", 0);
    let text_hash = TextHash::of(text.as_bytes());
    let mention = |name: &&str| MentionRow {
        canonical_name: (*name).to_owned(),
        display: (*name).to_owned(),
        kind: "term",
        count: 1,
    };
    Arc::new(ChunkRow {
        chunk: ChunkId::of(document, text_hash, 0, spec(1).id()),
        tenant,
        document,
        index: spec(1).id(),
        text_hash,
        text: Arc::from(text),
        terms: Arc::from(text),
        embedding: None,
        mentions: names.iter().map(mention).collect(),
    })
}
