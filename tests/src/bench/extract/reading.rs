//! Documents read by our own pool of sandboxed children, as the pipeline does it, and the CPU time that all of it takes.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Instant;

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

/// What was spent while documents waited. After that, fewer are in work than could be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Busy {
    /// Time.
    pub seconds: f64,
    /// CPU time of all processes.
    pub cpu_s: f64,
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

    /// The same, and what was spent until none waited for a child any more.
    pub async fn all_while_busy(&self, documents: &[PathBuf]) -> Result<(Vec<Vec<Page>>, Busy)> {
        let (began, before) = (Instant::now(), self.cpu_s()?);
        // As many as there are children are in work, until so many have ended.
        let last = ends_while_busy(documents.len(), self.pool.slots());
        let (ended, busy) = (Cell::new(0), Cell::new(None));
        let (ended, busy) = (&ended, &busy);
        let read = documents.iter().map(|document| async move {
            let pages = self.pages(document).await?;
            ended.set(ended.get() + 1);
            if ended.get() == last {
                let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), self.cpu_s()? - before);
                busy.set(Some(Busy { seconds, cpu_s }));
            }
            anyhow::Ok(pages)
        });
        let read = futures::future::try_join_all(read).await?;
        Ok((read, busy.get().context("no document was read")?))
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

/// How many documents end before fewer are in work than there are children.
fn ends_while_busy(documents: usize, slots: usize) -> usize {
    documents.saturating_sub(slots) + 1
}

/// The text of pages, one after the other.
pub(super) fn text(pages: &[Page]) -> String {
    pages.iter().map(Page::text).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_busy_until_the_first_finds_nothing_to_do() {
        assert_eq!((ends_while_busy(18, 2), ends_while_busy(2, 2), ends_while_busy(1, 4)), (17, 1, 1));
    }
}
