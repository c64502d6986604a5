//! The stages of one document: fetch → extract → chunk → enrich. Gives rows; writes none of them.
//!
//! Order, limits and resumption are here; what each stage does to bytes and text is in its own module.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use docmill_core::delivery::{Progress, Stage};
use docmill_core::failure::{Failure, FailureClass, FailureCode};
use docmill_core::id::ContentHash;
use docmill_core::page::{DocumentInfo, Page, PageSource};

use crate::cache::Cache;
use crate::classify::Classifier;
use crate::delivery::{NotPrepared, Prepared, Preparer, Tracker, reached};
use crate::embedded::Counters;
use crate::extract::{Event, Input, Pool};
use crate::ledger::{Grant, Ledger, Registration, Summary};
use crate::page_note::kept_notes;

mod chunks;
pub mod classified;
mod enrich;
pub mod fetch;
pub mod file_uri;
mod kept;
mod mock_concepts;
pub mod models;
#[cfg(feature = "services")]
pub mod named;
mod stored;
#[cfg(feature = "services")]
pub mod upload_uri;

pub use fetch::{Fetch, LocalFiles};
pub use kept::{Kept, KeptGeneration};
pub use models::Models;

/// Pages after which a checkpoint is kept, once [`CHECKPOINT_SECONDS_MIN`] went by.
const CHECKPOINT_PAGES: usize = 10;
/// A document read faster than this needs no checkpoint: reading it again costs less.
const CHECKPOINT_SECONDS_MIN: f64 = 1.0;
/// Seconds after which a checkpoint is kept, however few pages there are.
const CHECKPOINT_SECONDS: f64 = 5.0;
/// Pages that may wait between the extractor and the chunker.
const PAGES_IN_FLIGHT: usize = 16;
/// Notes of pages kept in a summary.
const NOTES_MAX: usize = 50;

/// The stages with what they need; one for a worker process.
pub struct Stages {
    /// Extractor children.
    pub pool: Arc<Pool>,
    /// Embedding and concept models by the index that asks for them.
    pub models: Arc<Models>,
    /// Where checkpoints and derived values are.
    pub ledger: Arc<dyn Ledger>,
    /// Where answers of models are kept beside the ledger; on one machine the ledger is enough.
    pub cache: Option<Arc<dyn Cache>>,
    /// Where documents come from.
    pub sources: Arc<dyn Fetch>,
    /// Where texts already chunked are read from.
    pub kept: Arc<dyn Kept>,
    /// What is shown while it works.
    pub counters: Arc<Counters>,
    /// What gives documents their categories; none: they have none.
    pub classifier: Option<Arc<Classifier>>,
}

/// Milliseconds by stage.
#[derive(Default)]
struct Timings(BTreeMap<String, f64>);

impl Timings {
    fn add(&mut self, stage: Stage, since: Instant) {
        *self.0.entry(stage.as_str().to_owned()).or_default() += since.elapsed().as_secs_f64() * 1e3;
    }
}

/// A document's pages with what is known of it.
struct Extracted {
    info: DocumentInfo,
    pages: Vec<Page>,
}

#[async_trait]
impl Preparer for Stages {
    async fn prepare(&self, grant: &Grant, tracker: &Tracker<'_>) -> Result<Prepared, NotPrepared> {
        if grant.indexes.is_empty() {
            // A commit without a manifest would say that the document can be found.
            return Err(Failure::new(FailureCode::Internal, "the tenant has no index to write to").into());
        }
        if grant.committed_before
            && let Some(prepared) = stored::prepare(self, grant, tracker).await?
        {
            return Ok(prepared);
        }
        let mut timings = Timings::default();
        let began = Instant::now();
        let fetched = self.fetch(grant, tracker).await?;
        timings.add(Stage::Fetch, began);

        tracker.enter(Stage::Extract);
        let began = Instant::now();
        let extracted = {
            let _showing = Showing::new(&self.counters.extracting);
            self.extract(grant, tracker, fetched.path).await?
        };
        // Its place in scratch is another document's from here on.
        drop(fetched.keep);
        timings.add(Stage::Extract, began);

        tracker.enter(Stage::Chunk);
        let began = Instant::now();
        let summary = summary_of(&extracted);
        let concepts_wanted = grant.indexes.iter().any(|(_, spec)| models::reads_concepts(spec));
        let chunked = chunks::chunk(extracted.pages, concepts_wanted).await?;
        Counters::add(&self.counters.chunks, chunked.chunks.len() as u64);
        if summary.pages > 1 {
            tracker.mark(reached(Stage::Chunk), Vec::new()).await?;
        }
        timings.add(Stage::Chunk, began);

        let began = Instant::now();
        let _showing = Showing::new(&self.counters.enriching);
        let mut indexes = Vec::with_capacity(grant.indexes.len());
        for (index, spec) in &grant.indexes {
            indexes.push(enrich::enrich(self, grant, tracker, *index, spec, &chunked).await?);
        }
        let summary = Summary {
            title: summary.title.or_else(|| chunked.first_heading.clone()),
            language: chunked.language.clone(),
            chunks: chunked.chunks.len() as u32,
            ..summary
        };
        let summary = classified::with_category(self, grant, &chunked, summary).await?;
        timings.add(Stage::Enrich, began);
        Ok(Prepared { summary: Summary { stage_ms: timings.0, ..summary }, indexes })
    }

    async fn prepare_shown(
        &self,
        grant: &Grant,
        tracker: &Tracker<'_>,
    ) -> Result<Option<Prepared>, NotPrepared> {
        stored::prepare_shown(self, grant, tracker).await
    }
}

impl Stages {
    /// Brings the content and makes sure that it still is what this generation is.
    async fn fetch(&self, grant: &Grant, tracker: &Tracker<'_>) -> Result<fetch::Fetched, NotPrepared> {
        let fetched = self.sources.fetch(grant, tracker).await?;
        if Some(fetched.content) == grant.content {
            return Ok(fetched);
        }
        if self.kept.settle_content(grant, fetched.content, fetched.bytes).await.map_err(internal)? {
            return Ok(fetched);
        }
        self.register_change(grant, fetched.content, fetched.bytes).await?;
        Err(NotPrepared::Superseded)
    }

    /// The content was changed since it was registered: that is its next generation.
    async fn register_change(
        &self,
        grant: &Grant,
        content: ContentHash,
        bytes: u64,
    ) -> Result<(), Failure> {
        let registration = Registration {
            tenant: grant.tenant.clone(),
            uri: grant.uri.clone(),
            content,
            bytes,
            // No look is remembered: the next scan hashes it again.
            stat: None,
            scanned_at_ns: 0,
            // Not known is as good as none: the scan that finds it again says it.
            root: self.kept.root_of(&grant.tenant, &grant.uri).await.unwrap_or_default(),
        };
        self.ledger
            .register(vec![registration])
            .await
            .map(|_| ())
            .map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
    }

    /// Reads pages, beginning after those that an earlier trial kept.
    async fn extract(
        &self,
        grant: &Grant,
        tracker: &Tracker<'_>,
        path: PathBuf,
    ) -> Result<Extracted, NotPrepared> {
        // Only a generation that was begun before can have kept pages.
        let mut pages = if grant.history.best > Progress::default() {
            self.ledger.kept_pages(grant).await.map_err(internal)?
        } else {
            Vec::new()
        };
        let input = Input {
            path,
            name: file_uri::name(&grant.uri).to_owned(),
            bytes: grant.bytes,
            resume_from_page: pages.len() as u32 + 1,
            lost: lost_to_extractors(&pages),
        };
        let (sender, mut events) = tokio::sync::mpsc::channel(PAGES_IN_FLIGHT);
        let reading = self.pool.extract(&grant.tenant, input, sender);
        let collecting = async {
            let collected = async {
                let mut info = DocumentInfo::default();
                let mut kept = pages.len();
                let mut last_kept = Instant::now();
                while let Some(event) = events.recv().await {
                    match event {
                        Event::Info(known) => info = known,
                        Event::Page(page) => {
                            tracker.touch();
                            Counters::add(&self.counters.pages, 1);
                            let recognised = page.source == PageSource::Ocr;
                            Counters::add(&self.counters.ocr_pages, u64::from(recognised));
                            pages.push(page);
                            if checkpoint_due(
                                pages.len() - kept,
                                last_kept.elapsed().as_secs_f64(),
                                recognised,
                            ) {
                                let progress =
                                    Progress { stage: Stage::Extract, units: pages.len() as u32 };
                                tracker.mark(progress, pages[kept..].to_vec()).await?;
                                (kept, last_kept) = (pages.len(), Instant::now());
                            }
                        }
                        Event::Done => {}
                    }
                }
                Ok::<_, NotPrepared>(info)
            };
            let collected = collected.await;
            // Where it ended early, who reads must not wait for room that nobody makes any more.
            events.close();
            collected
        };
        let (read, collected) = futures::future::join(reading, collecting).await;
        let info = collected?;
        read?;
        if pages.iter().all(|page| page.blocks.is_empty()) {
            return Err(no_text(&pages).into());
        }
        Ok(Extracted { info, pages })
    }
}

/// Whether the pages read since the last checkpoint are worth keeping now.
fn checkpoint_due(pages: usize, seconds: f64, recognised: bool) -> bool {
    let many_or_dear = pages >= CHECKPOINT_PAGES || recognised;
    (many_or_dear && seconds >= CHECKPOINT_SECONDS_MIN) || seconds >= CHECKPOINT_SECONDS
}

/// The pages that were lost to extractors which ended over them, without what is on them: over all trials of a document
/// there are no more of them than the limit allows, and none is tried again.
fn lost_to_extractors(pages: &[Page]) -> Vec<Page> {
    let ended = |page: &&Page| page.lost_to().is_some_and(|code| code.class() == FailureClass::ChildCrash);
    let bare = |page: &Page| Page {
        number: page.number,
        source: page.source,
        blocks: Vec::new(),
        note: page.note.clone(),
    };
    pages.iter().filter(ended).map(bare).collect()
}

/// Nobody knows what stood on a page that was lost, so such a document fails as the page did.
fn no_text(pages: &[Page]) -> Failure {
    let lost = pages.iter().find_map(|page| Some((page, page.lost_to()?)));
    let reason = match lost {
        Some((page, _)) => page.note.as_deref(),
        None => pages.iter().find_map(|page| page.note.as_deref()),
    };
    let detail = match reason {
        Some(reason) => format!("{} pages, none with text: {reason}", pages.len()),
        None => format!("{} pages, none with text", pages.len()),
    };
    match lost {
        Some((page, code)) => Failure::new(code, detail).at_page(page.number),
        None => Failure::new(FailureCode::NoText, detail),
    }
}

fn summary_of(extracted: &Extracted) -> Summary {
    let from =
        |source: PageSource| extracted.pages.iter().filter(|page| page.source == source).count() as u32;
    Summary {
        title: extracted.info.title.clone(),
        media_type: extracted.info.media_type.clone(),
        pages: extracted.pages.len() as u32,
        ocr_pages: from(PageSource::Ocr),
        lost_pages: from(PageSource::Lost),
        text_bytes: extracted.pages.iter().map(|page| page.text_bytes() as u64).sum(),
        notes: kept_notes(&extracted.pages, NOTES_MAX),
        ..Summary::default()
    }
}

/// An error of the file system as the failure of a document.
pub fn read_failure(error: &std::io::Error) -> Failure {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => FailureCode::Vanished,
        _ => FailureCode::Unreadable,
    };
    Failure::new(code, error.to_string())
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Internal, error.to_string())
}

/// Counts a document as being in a stage while it lives.
struct Showing<'a>(&'a std::sync::atomic::AtomicU64);

impl<'a> Showing<'a> {
    fn new(gauge: &'a std::sync::atomic::AtomicU64) -> Self {
        gauge.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Showing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_kept_when_reading_again_would_cost() {
        assert!(!checkpoint_due(9, 4.9, false));
        assert!(!checkpoint_due(500, 0.5, false));
        assert!(checkpoint_due(10, 1.0, false));
        assert!(checkpoint_due(1, 5.0, false));
        assert!(checkpoint_due(1, 1.0, true));
    }

    fn page(number: u32, source: PageSource, note: Option<&str>) -> Page {
        Page { number, source, blocks: Vec::new(), note: note.map(str::to_owned) }
    }

    #[test]
    fn only_pages_over_which_extractors_ended_count_as_such() {
        let lost = |code| Page::lost(1, &Failure::new(code, "why"));
        let pages = [
            lost(FailureCode::LimitTime),
            lost(FailureCode::Encrypted),
            page(3, PageSource::Lost, Some("pdf: torn")),
        ];
        assert_eq!(lost_to_extractors(&pages), pages[..1]);
    }

    #[test]
    fn a_document_without_text_fails_as_its_lost_page_did() {
        let empty = page(1, PageSource::NoText, Some("ocr: nothing"));
        assert_eq!(no_text(std::slice::from_ref(&empty)).code, FailureCode::NoText);
        let failure = no_text(&[empty, Page::lost(2, &Failure::new(FailureCode::LimitTime, "60 s"))]);
        assert_eq!((failure.code, failure.page), (FailureCode::LimitTime, Some(2)));
        assert!(failure.detail.ends_with("lost: limit_time: 60 s"), "{failure}");
    }
}
