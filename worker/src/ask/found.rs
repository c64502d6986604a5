//! What a search found, for tests of what is made of it.

use docmill_core::id::{ChunkId, DocumentId, IndexId, TenantId, TextHash};
use docmill_core::search::{Hit, HitDocument, Mode, SearchAnswer, Snippet};

/// An answer with these texts in this order, each of a document of its own.
pub fn found_texts(tenant: &TenantId, texts: &[&str]) -> SearchAnswer {
    let hit = |(n, text): (usize, &&str)| {
        let uri = format!("file:///{n}.txt");
        let id = DocumentId::born(tenant, &uri, 0);
        Hit {
            chunk: ChunkId::of(id, TextHash::of(text.as_bytes()), 0, IndexId(1)),
            document: HitDocument {
                id,
                uri,
                title: None,
                media_type: "text/plain".to_owned(),
                language: "en".to_owned(),
                category: None,
                committed_at_ms: None,
            },
            page: 1,
            heading: None,
            start: 0,
            end: text.len() as u32,
            score: 1.0,
            text: (*text).to_owned(),
            snippet: Snippet::default(),
            also_at: Vec::new(),
            explain: None,
        }
    };
    SearchAnswer {
        results: texts.iter().enumerate().map(hit).collect(),
        mode: Mode::Hybrid,
        reason: None,
        facets: Default::default(),
        facets_over: None,
        next: None,
        timings: Default::default(),
        passing: false,
    }
}
