//! One document from its first page to its end, read by one child after another where they end over it: what is sent on,
//! how long is waited, how much text there may be. Over all of them there is one deadline and one budget.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use docmill_core::page::{DocumentInfo, Page, PageSource};
use tokio::sync::mpsc;

use super::ahead::{Ahead, Helpers};
use super::judge::Judge;
use super::losses::{Losses, Next};
use super::{Guard, receiver_gone};
use crate::extract::emit::text_limit;
use crate::extract::format::Apart;
use crate::extract::frame::Reply;
use crate::extract::process::classify_death;
use crate::extract::{Event, Input};

/// How one child's part in a document ended.
pub(super) enum Ending {
    /// All of the document was sent on.
    Done,
    /// Another child is to go on at [`Reading::page`].
    GoOn,
}

/// See the module.
pub(super) struct Reading<'a> {
    limits: &'a Limits,
    name: &'a str,
    sink: &'a mpsc::Sender<Event>,
    helpers: Helpers<'a>,
    /// What others read of the pages that are to come, in order.
    ahead: VecDeque<Ahead>,
    /// The last page was recognised, so that the next one is likely to take its time.
    recognises: bool,
    begins_at: u32,
    /// The page that is awaited.
    page: u32,
    /// Only time spent waiting for a child counts: a slow receiver is not the document's fault.
    waited: Duration,
    text_bytes: u64,
    has_text: bool,
    info: Option<DocumentInfo>,
    losses: Losses,
}

impl<'a> Reading<'a> {
    /// Nothing read yet.
    pub fn new(
        limits: &'a Limits,
        input: &'a Input,
        sink: &'a mpsc::Sender<Event>,
        helpers: Helpers<'a>,
    ) -> Self {
        let begins_at = input.resume_from_page.max(1);
        Self {
            limits,
            name: &input.name,
            sink,
            helpers,
            ahead: VecDeque::new(),
            recognises: false,
            begins_at,
            page: begins_at,
            waited: Duration::ZERO,
            text_bytes: 0,
            has_text: false,
            info: None,
            losses: Losses::new(limits, input.lost.clone()),
        }
    }

    /// The page at which the next child begins.
    pub fn page(&self) -> u32 {
        self.page
    }

    /// The pages that it is to leave out.
    pub fn lost(&self) -> &[Page] {
        self.losses.lost()
    }

    /// Sends on what a child says that was asked for the pages from [`Reading::page`] on.
    ///
    /// # Errors
    /// The document's. All pages before the one that it names were sent.
    pub async fn listen(&mut self, mut guard: Guard<'_>) -> Result<Ending, Failure> {
        let mut judge = Judge::new(self.limits, self.page);
        loop {
            if self.ahead.front().is_some_and(|ahead| ahead.first <= self.page) {
                guard.kill().await;
                return self.follow().await;
            }
            self.look_ahead();
            let left = self.limits.document_deadline().saturating_sub(self.waited);
            let started = Instant::now();
            let answer =
                tokio::time::timeout(left.min(self.limits.page_deadline()), guard.extractor()?.next())
                    .await;
            self.waited += started.elapsed();
            let reply = match answer {
                Ok(Ok(Some(reply))) => reply,
                Ok(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    let detail = format!("the extractor's answer makes no sense: {error}");
                    return Err(self.refused(guard, &detail).await?);
                }
                // It may have died in the middle of a word.
                Ok(Ok(None) | Err(_)) => {
                    self.left(&mut guard, &mut judge).await?;
                    let (status, stderr) = guard.into_extractor()?.end().await;
                    return self.ended(classify_death(status, &stderr), judge.knows_info()).await;
                }
                Err(_) => {
                    self.left(&mut guard, &mut judge).await?;
                    let stderr = guard.into_extractor()?.kill().await;
                    let failure =
                        |detail| Failure::new(FailureCode::LimitTime, detail).with_stderr(&stderr);
                    if self.waited >= self.limits.document_deadline() {
                        let detail =
                            format!("the document took longer than {} ms", self.limits.document_ms);
                        return Err(failure(detail).at_page(self.page));
                    }
                    let detail = format!("no page was finished for {} ms", self.limits.page_ms);
                    return self.ended(failure(detail), judge.knows_info()).await;
                }
            };
            match judge.reply(reply) {
                Ok(Reply::Event(Event::Info(info))) => self.info(info).await?,
                Ok(Reply::Event(Event::Page(page))) => self.forward(page).await?,
                Ok(Reply::Event(Event::Done)) => {
                    guard.give_back();
                    return self.done().await;
                }
                Ok(Reply::Failed(failure)) => {
                    guard.give_back();
                    return Err(failure);
                }
                Err(said) => {
                    let detail = format!("the extractor said {said}");
                    return Err(self.refused(guard, &detail).await?);
                }
            }
        }
    }

    /// Sends on what a child that goes no further had said until then: at the page after that it was.
    async fn left(&mut self, guard: &mut Guard<'_>, judge: &mut Judge) -> Result<(), Failure> {
        for reply in guard.extractor()?.left() {
            match judge.reply(reply) {
                Ok(Reply::Event(Event::Info(info))) => self.info(info).await?,
                Ok(Reply::Event(Event::Page(page))) => self.forward(page).await?,
                // Nothing else waits there, and this child says no more.
                Ok(Reply::Event(Event::Done) | Reply::Failed(_)) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// Has children that are idle read pages that are to come.
    fn look_ahead(&mut self) {
        // Of a document without text a child says why, who has read all of it.
        if !self.recognises || !self.has_text || !self.ahead.is_empty() {
            return;
        }
        let count = self.info.as_ref().filter(|info| Apart::of(info) == Apart::Pages);
        if let Some(count) = count.and_then(|info| info.page_count) {
            self.ahead = self.helpers.read_ahead(self.page, count, self.losses.lost()).into();
        }
    }

    /// Sends on what others have read from the awaited page on.
    async fn follow(&mut self) -> Result<Ending, Failure> {
        while let Some(mut ahead) = self.ahead.pop_front_if(|ahead| ahead.first <= self.page) {
            loop {
                let started = Instant::now();
                // It ends by itself: who reads ahead has the same deadline for a page.
                let page = ahead.pages.recv().await;
                self.waited += started.elapsed();
                let Some(page) = page.filter(|page| page.number == self.page) else { break };
                self.forward(page).await?;
            }
        }
        match self.info.as_ref().and_then(|info| info.page_count) {
            Some(count) if self.page > count => self.done().await,
            _ => Ok(Ending::GoOn),
        }
    }

    /// Ends a child that says what none of ours would.
    async fn refused(&self, guard: Guard<'_>, detail: &str) -> Result<Failure, Failure> {
        let stderr = guard.into_extractor()?.kill().await;
        Ok(Failure::new(FailureCode::SandboxViolation, detail).with_stderr(&stderr).at_page(self.page))
    }

    /// Every child says what the document is; whoever listens hears it once.
    async fn info(&mut self, info: DocumentInfo) -> Result<(), Failure> {
        if self.info.is_some() {
            return Ok(());
        }
        self.info = Some(info.clone());
        self.send(Event::Info(info)).await
    }

    async fn forward(&mut self, page: Page) -> Result<(), Failure> {
        self.text_bytes += page.text_bytes() as u64;
        // A child checks this itself; one that was taken over would not, and none knows of the text before it.
        if self.text_bytes > self.limits.text_mib << 20 {
            return Err(text_limit(self.limits).at_page(page.number));
        }
        self.has_text |= has_text(&page);
        self.page = page.number.saturating_add(1);
        self.recognises = page.source == PageSource::Ocr;
        self.send(Event::Page(page)).await
    }

    /// A child ended before the document did.
    async fn ended(&mut self, failure: Failure, said_info: bool) -> Result<Ending, Failure> {
        let info = self.info.as_ref().filter(|_| said_info);
        let apart = info.map_or(Apart::Nothing, Apart::of);
        let pages = info.filter(|_| apart == Apart::Pages).and_then(|info| info.page_count);
        match self.losses.after(failure, self.page, apart) {
            Next::GiveUp(failure) => Err(failure),
            // It ended over what comes after the last page, and all pages are here.
            Next::Again | Next::Lose(_) if pages.is_some_and(|pages| self.page > pages) => {
                self.done().await
            }
            Next::Again => {
                tracing::info!(
                    document = self.name,
                    page = self.page,
                    "an extractor ended; the page is tried again"
                );
                Ok(Ending::GoOn)
            }
            Next::Lose(page) => {
                tracing::warn!(
                    document = self.name,
                    page = page.number,
                    note = page.note,
                    "a page is lost"
                );
                Ok(Ending::GoOn)
            }
        }
    }

    async fn done(&mut self) -> Result<Ending, Failure> {
        // What a child says of a document without text it says of one that it read from the first page.
        if let Some(lost) = self.losses.first().filter(|_| !self.has_text && self.begins_at == 1) {
            return Err(lost.clone());
        }
        self.send(Event::Done).await?;
        Ok(Ending::Done)
    }

    async fn send(&self, event: Event) -> Result<(), Failure> {
        self.sink.send(event).await.map_err(|_| receiver_gone())
    }
}

/// Whether a page has more than the name of what it lies in.
fn has_text(page: &Page) -> bool {
    match page.source {
        PageSource::TextLayer | PageSource::Ocr => !page.blocks.is_empty(),
        PageSource::NoText | PageSource::Lost => page.blocks.len() > 1,
    }
}
