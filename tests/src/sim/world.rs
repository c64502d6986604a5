//! What is ingested in the simulation: documents with a few contents each, whose chunks they share, and
//! the preparer that turns a content into rows without reading anything.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use docmill_core::delivery::{Progress, Stage};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{ChunkId, ContentHash, IndexId, TenantId, TextHash};
use docmill_core::index::IndexSpec;
use docmill_core::manifest::{Manifest, ManifestEntry, Occurrences, StoreSet};
use docmill_core::page::{Block, BlockKind, Page, PageSource};
use docmill_worker::delivery::{NotPrepared, Prepared, PreparedIndex, Preparer, Tracker};
use docmill_worker::embed::Embedding;
use docmill_worker::ledger::{Grant, Ledger, Summary};
use docmill_worker::sink::{ChunkRow, MentionRow};

use super::core::Core;

/// Documents that a seed may use.
pub const DOCUMENTS: usize = 12;
/// Contents that a document may have.
pub const VERSIONS: usize = 3;

/// A chunk's text with what is made of it.
pub struct Piece {
    text: Arc<str>,
    /// Its hash.
    pub hash: TextHash,
    embedding: Option<Arc<Embedding>>,
    mentions: Arc<[MentionRow]>,
}

/// A content: its hash and its chunks in order.
pub struct Content {
    /// Hash of the file.
    pub hash: ContentHash,
    /// Its chunks.
    pub pieces: Vec<Piece>,
}

static CONTENTS: LazyLock<Vec<Vec<Content>>> = LazyLock::new(|| {
    (0..DOCUMENTS)
        .map(|document| (0..VERSIONS).map(|version| content(document, version)).collect())
        .collect()
});

static BY_HASH: LazyLock<BTreeMap<ContentHash, (usize, usize)>> = LazyLock::new(|| {
    let all = CONTENTS.iter().enumerate();
    all.flat_map(|(d, versions)| versions.iter().enumerate().map(move |(v, c)| (c.hash, (d, v)))).collect()
});

/// The content of a document's version.
pub fn content_of(document: usize, version: usize) -> &'static Content {
    &CONTENTS[document][version]
}

/// The content with this hash.
pub fn content_by_hash(hash: ContentHash) -> Option<&'static Content> {
    BY_HASH.get(&hash).map(|(document, version)| content_of(*document, *version))
}

fn content_by_texts(texts: &[TextHash]) -> Option<&'static Content> {
    BY_HASH
        .values()
        .map(|(document, version)| content_of(*document, *version))
        .find(|content| content.pieces.iter().map(|piece| piece.hash).eq(texts.iter().copied()))
}

fn content(document: usize, version: usize) -> Content {
    let common = |n: usize| format!("document {document} part {n}");
    let own = format!("document {document} version {version}");
    let shared = |n: usize| format!("shared {}", (document + n) % 5);
    let texts = match version {
        0 => vec![common(0), own, common(1), shared(0)],
        1 => vec![common(0), shared(1), own, shared(1)],
        _ => vec![own, common(1), common(1)],
    };
    let hash = ContentHash::of(format!("{document}/{version}").as_bytes());
    Content { hash, pieces: texts.iter().map(|text| piece(text)).collect() }
}

fn piece(text: &str) -> Piece {
    let hash = TextHash::of(text.as_bytes());
    let mention = |n: u8| MentionRow {
        canonical_name: format!("concept {}", n % 7),
        display: format!("Concept {}", n % 7),
        kind: "term",
        count: 1,
    };
    let mentions = if hash.0[1].is_multiple_of(3) { vec![] } else { vec![mention(hash.0[2])] };
    let vector = || vec![f32::from(hash.0[3]), 1.0];
    let embedding = (!hash.0[0].is_multiple_of(4)).then(|| Arc::new(vector().into()));
    Piece { text: Arc::from(text), hash, embedding, mentions: mentions.into() }
}

/// The tenant of every simulated document.
pub fn tenant() -> TenantId {
    TenantId::default()
}

/// The index that is active first, and the one that may be built beside it.
pub fn index_spec(n: u32) -> IndexSpec {
    IndexSpec { chunker: "sim".into(), embedder: format!("sim-{n}"), dimensions: 2, concepts: "sim".into() }
}

/// What a content does to whoever prepares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// The extractor child dies, every time.
    Poison,
    /// The whole worker dies, every time.
    Killer,
}

/// A hang that began and is not over.
struct Hang<'a> {
    preparer: &'a SimPreparer,
    began: u64,
}

impl Drop for Hang<'_> {
    fn drop(&mut self) {
        let lasted = self.preparer.core.now() - self.began;
        let most = self.preparer.hang_most_ms;
        if lasted > most {
            self.preparer.core.violate(|| format!("work that stood still was cancelled after {lasted} ms"));
        }
    }
}

/// The preparer of one worker.
pub struct SimPreparer {
    /// The machine.
    pub core: Arc<Core>,
    /// The worker's ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Who it is, for the trace.
    pub who: u32,
    /// Longest time that a part takes.
    pub part_ms: u64,
    /// Longest time that a hang may last.
    pub hang_most_ms: u64,
    /// Contents that harm.
    pub natures: Arc<BTreeMap<ContentHash, Nature>>,
    /// Child crashes of each content.
    pub crashes: Arc<Mutex<BTreeMap<ContentHash, u32>>>,
    /// Takes the worker's process down.
    pub die: Arc<dyn Fn() + Send + Sync>,
}

/// More child crashes of one content than every replay and every lost answer together explain.
const CRASHES_MOST: u32 = 150;

impl SimPreparer {
    fn crash(&self, content: ContentHash) -> NotPrepared {
        let mut crashes = self.crashes.lock().expect("nothing panics while holding it");
        let count = crashes.entry(content).or_default();
        *count += 1;
        if *count > CRASHES_MOST {
            self.core.violate(|| format!("{count} child crashes of one content"));
        }
        Failure::new(FailureCode::ExtractorDied, "signal 11").into()
    }

    async fn part(&self, grant: &Grant, content: ContentHash) -> Result<(), NotPrepared> {
        let nature = self.natures.get(&content);
        let ms = self.core.draw(|rng| rng.below(self.part_ms));
        self.core.sleep(ms).await;
        if nature == Some(&Nature::Poison) {
            return Err(self.crash(content));
        }
        if nature == Some(&Nature::Killer) {
            self.core.note(self.who, || format!("killed by {}", grant.document));
            (self.die)();
            self.core.sleep(u64::MAX / 4).await;
        }
        if self.core.hits(|armed| &mut armed.child_crash) {
            return Err(self.crash(content));
        }
        if self.core.hits(|armed| &mut armed.hang) {
            self.core.note(self.who, || format!("hangs over {}", grant.document));
            let _hang = Hang { preparer: self, began: self.core.now() };
            self.core.sleep(u64::MAX / 4).await;
        }
        Ok(())
    }

    /// Values that are paid once a text: the first kept one counts, whoever computed it.
    async fn enrich(&self, content: &Content) -> Result<(), NotPrepared> {
        let internal = |error: docmill_worker::ledger::Error| {
            NotPrepared::Failed(Failure::new(FailureCode::Internal, error.to_string()))
        };
        let hashes: Vec<TextHash> = content.pieces.iter().map(|piece| piece.hash).collect();
        let known = self.ledger.derived(&tenant(), "embed", &hashes).await.map_err(internal)?;
        let lacking = hashes.iter().zip(known).filter(|(_, value)| value.is_none());
        let values: Vec<_> = lacking.map(|(hash, _)| (*hash, hash.0[..4].to_vec())).collect();
        if !values.is_empty() {
            self.ledger.keep_derived(&tenant(), "embed", values).await.map_err(internal)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Preparer for SimPreparer {
    async fn prepare(&self, grant: &Grant, tracker: &Tracker<'_>) -> Result<Prepared, NotPrepared> {
        let hash = grant.content.ok_or(NotPrepared::Superseded)?;
        let content = content_by_hash(hash).ok_or(NotPrepared::Superseded)?;
        let kept = match self.ledger.kept_pages(grant).await {
            Ok(pages) => pages.len(),
            Err(error) => return Err(Failure::new(FailureCode::Internal, error.to_string()).into()),
        };
        for (number, piece) in content.pieces.iter().enumerate().skip(kept) {
            self.part(grant, hash).await?;
            let block = Block { kind: BlockKind::Paragraph, text: piece.text.to_string() };
            let number = number as u32 + 1;
            let page = Page { number, source: PageSource::TextLayer, blocks: vec![block], note: None };
            tracker.mark(Progress { stage: Stage::Extract, units: number }, vec![page]).await?;
        }
        self.enrich(content).await?;
        tracker.mark(Progress { stage: Stage::Enrich, units: 1 }, Vec::new()).await?;
        let indexes = grant.indexes.iter().map(|(index, _)| rows_of(grant, *index, content)).collect();
        Ok(Prepared { summary: Summary::default(), indexes })
    }

    async fn prepare_shown(
        &self,
        grant: &Grant,
        tracker: &Tracker<'_>,
    ) -> Result<Option<Prepared>, NotPrepared> {
        let internal = |error: docmill_worker::ledger::Error| {
            NotPrepared::Failed(Failure::new(FailureCode::Internal, error.to_string()))
        };
        let first = Some((grant.document, IndexId(i64::MIN)));
        let shown = self.ledger.manifests(first, 1).await.map_err(internal)?;
        let Some(shown) = shown.into_iter().map(|committed| committed.manifest).next() else {
            return Ok(None);
        };
        if shown.document != grant.document {
            return Ok(None);
        }
        let texts: Vec<TextHash> = shown.entries.iter().map(|entry| entry.text_hash).collect();
        let Some(content) = content_by_texts(&texts) else { return Ok(None) };
        self.enrich(content).await?;
        tracker.touch();
        let grant = Grant { generation: shown.generation, ..grant.clone() };
        let indexes = grant.indexes.iter().map(|(index, _)| rows_of(&grant, *index, content)).collect();
        Ok(Some(Prepared { summary: Summary::default(), indexes }))
    }
}

/// The rows and the manifest of a content in an index.
pub fn rows_of(grant: &Grant, index: IndexId, content: &Content) -> PreparedIndex {
    let mut occurrences = Occurrences::default();
    let mut entries = Vec::new();
    let mut rows = Vec::new();
    for (ordinal, piece) in content.pieces.iter().enumerate() {
        let occurrence = occurrences.next(piece.hash);
        let chunk = ChunkId::of(grant.document, piece.hash, occurrence, index);
        entries.push(ManifestEntry {
            chunk,
            text_hash: piece.hash,
            occurrence,
            ordinal: ordinal as u32,
            page: ordinal as u32 + 1,
            start: 0,
            end: piece.text.len() as u32,
            heading: None,
            stores: StoreSet::of_chunk(piece.embedding.is_some(), !piece.mentions.is_empty()),
        });
        rows.push(Arc::new(ChunkRow {
            tenant: grant.tenant.clone(),
            chunk,
            document: grant.document,
            index,
            text_hash: piece.hash,
            text: piece.text.clone(),
            terms: piece.text.clone(),
            embedding: piece.embedding.clone(),
            mentions: piece.mentions.clone(),
        }));
    }
    let manifest = Manifest {
        document: grant.document,
        generation: grant.generation,
        index,
        language: "en".into(),
        entries,
    };
    PreparedIndex { manifest, rows }
}
