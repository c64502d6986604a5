//! Documents read by our own pool of sandboxed children, as the pipeline does it, and the CPU time that all of it takes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use docmill_core::failure::Failure;
use docmill_core::id::TenantId;
use docmill_core::page::Page;
use docmill_worker::extract::{Event, ExtractOptions, Input, OcrLanguages, Pool};
use tokio::sync::mpsc;

use crate::cpu;

/// Events that may wait, as in the pipeline.
const EVENTS_IN_FLIGHT: usize = 16;

/// A pool, and whose documents it reads.
pub(super) struct Reader {
    pool: Pool,
    tenant: TenantId,
    /// CPU time of this process when it began.
    began_s: f64,
}

impl Reader {
    /// A pool of so many children. They are kept: what is measured is not how they start.
    pub fn new(worker: &Path, slots: usize, languages: OcrLanguages) -> Self {
        let mut options = ExtractOptions { languages, ..ExtractOptions::default() };
        options.limits.extractor_documents = u32::MAX;
        let pool = Pool::new(worker.to_owned(), slots, options);
        Self { pool, tenant: TenantId::default(), began_s: cpu::own_s() }
    }

    /// The same with all limits as they are shipped: children are replaced when they are spent.
    pub fn as_shipped(worker: &Path, slots: usize) -> Self {
        let pool = Pool::new(worker.to_owned(), slots, ExtractOptions::default());
        Self { pool, tenant: TenantId::default(), began_s: cpu::own_s() }
    }

    /// All pages of a document.
    pub async fn pages(&self, document: &Path) -> Result<Vec<Page>> {
        let mut pages = Vec::new();
        self.each_page(document, |page| pages.push(page)).await?;
        Ok(pages)
    }

    /// Every page of a document as it comes.
    pub async fn each_page(&self, document: &Path, mut with: impl FnMut(Page)) -> Result<()> {
        let mut done = false;
        let outcome = self
            .events(document, |event| match event {
                Event::Page(page) => with(page),
                Event::Done => done = true,
                Event::Info(_) => {}
            })
            .await;
        outcome.with_context(|| format!("{} was not read", document.display()))?;
        ensure!(done, "{} was not read to its end", document.display());
        Ok(())
    }

    /// What is said of a document, and how it ended: for documents that are not all good.
    pub async fn events(&self, document: &Path, mut with: impl FnMut(Event)) -> Result<(), Failure> {
        let (sink, mut events) = mpsc::channel(EVENTS_IN_FLIGHT);
        let collect = async {
            while let Some(event) = events.recv().await {
                with(event);
            }
        };
        let (outcome, ()) =
            tokio::join!(self.pool.extract(&self.tenant, Input::new(document), sink), collect);
        outcome
    }

    /// All pages of many documents, as many at once as there are children.
    pub async fn all(&self, documents: &[PathBuf]) -> Result<Vec<Vec<Page>>> {
        futures::future::try_join_all(documents.iter().map(|document| self.pages(document))).await
    }

    /// CPU time of this process and the children since this began. No child may have ended.
    pub fn cpu_s(&self) -> Result<f64> {
        let children = self.pool.child_pids().into_iter().map(cpu::child_s).sum::<Result<f64>>()?;
        Ok(cpu::own_s() - self.began_s + children)
    }

    /// The children that are there.
    pub fn children(&self) -> Vec<u32> {
        self.pool.child_pids()
    }

    /// Ends the children.
    pub async fn end(self) {
        self.pool.shutdown().await;
    }
}

/// The text of pages, one after the other.
pub(super) fn text(pages: &[Page]) -> String {
    pages.iter().map(Page::text).collect::<Vec<_>>().join("\n\n")
}
