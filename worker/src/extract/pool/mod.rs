//! A bounded number of extractor children and the deadlines they are held to. Does not parse anything
//! itself, except plain text, which needs no child.

mod ahead;
mod draw;
mod judge;
mod listen;
mod losses;
mod memory;
mod open;
mod starter;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};

use self::ahead::{Helpers, Task};
use self::listen::{Ending, Reading};
use self::memory::Texts;
use self::open::open_or_read;
use self::starter::Starter;
use super::frame::Request;
use super::process::{Extractor, classify_death};
use super::sandbox::{SandboxReport, Start};
use super::{Event, ExtractOptions, Input, Kind};
use crate::machine_memory;

pub use self::draw::Drawing;

/// Extractor children, at most one a slot, replaced when they are spent, dead or another tenant's.
pub struct Pool {
    slots: Semaphore,
    slot_count: usize,
    shortage: Option<String>,
    texts: Texts,
    options: Arc<ExtractOptions>,
    idle: Mutex<Vec<Extractor>>,
    pids: Mutex<HashSet<u32>>,
    starter: Starter,
}

impl Pool {
    /// A pool of `slots` children of `extractor_binary`, or of as many as there is memory for. They start when first
    /// needed and then stay.
    pub fn new(extractor_binary: PathBuf, slots: usize, mut options: ExtractOptions) -> Self {
        let memory_mib = machine_memory::look().map(|memory| memory.limit_mib);
        let (shares, shortage) = memory::share(memory_mib, slots, &options.limits);
        options.limits.extractor_mib = shares.extractor_mib;
        let slot_count = shares.extractors as usize;
        Self {
            slots: Semaphore::new(slot_count),
            slot_count,
            shortage,
            texts: Texts::new(shares.texts_mib),
            starter: Starter::new(extractor_binary, Start::of(&options)),
            options: Arc::new(options),
            idle: Mutex::default(),
            pids: Mutex::default(),
        }
    }

    /// Children that work at once.
    pub fn slots(&self) -> usize {
        self.slot_count
    }

    /// Why there are fewer children than were asked for, or why one may be too many, as a sentence.
    pub fn shortage(&self) -> Option<&str> {
        self.shortage.as_deref()
    }

    /// Reads one document and sends its events. One that needs a child waits for a free slot first. A page over which
    /// two children ended is sent as a lost one. On a failure with a page, all pages before that one were sent. Pages that
    /// are recognised are shared with children that would be idle. Dropping the future kills all that work on it.
    pub async fn extract(
        &self,
        tenant: &TenantId,
        input: Input,
        sink: mpsc::Sender<Event>,
    ) -> Result<(), Failure> {
        let (options, reading, plain) = (Arc::clone(&self.options), input.clone(), sink.clone());
        let texts = self.texts.clone();
        let opened =
            tokio::task::spawn_blocking(move || open_or_read(reading, &options, &texts, &plain)).await;
        let Some((file, kind)) = opened.map_err(|error| internal(&error))?? else { return Ok(()) };
        let slot = self.slots.acquire().await;
        let _slot =
            slot.map_err(|_| Failure::new(FailureCode::Internal, "the extractor pool was shut down"))?;
        let (helpers, tasks) = Helpers::of(self);
        let request = request(&input, kind);
        let beside = self.help(tenant, &request, &file, tasks);
        let reading = Reading::new(&self.options.limits, &input, &sink, helpers);
        let read = self.read(tenant, request.clone(), &file, reading);
        tokio::select! {
            read = read => read,
            never = beside => match never {},
        }
    }

    /// Reads one document page by page, whoever has read them.
    async fn read(
        &self,
        tenant: &TenantId,
        mut request: Request,
        file: &File,
        mut reading: Reading<'_>,
    ) -> Result<(), Failure> {
        let mut guard = self.ask(tenant, &request, file).await?;
        loop {
            guard = match reading.listen(guard).await? {
                Ending::Done => return Ok(()),
                Ending::GoOn => {
                    request.resume_from_page = reading.page();
                    request.lost = reading.lost().to_vec();
                    self.ask(tenant, &request, file).await?
                }
            }
        }
    }

    /// Has children read ahead what is handed over here, beside the one that reads the document; goes on for ever.
    async fn help(
        &self,
        tenant: &TenantId,
        request: &Request,
        file: &File,
        mut tasks: mpsc::UnboundedReceiver<Task<'_>>,
    ) -> Infallible {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(task) = tasks.recv() => running.push(async {
                    let request = Self::request_ahead(request, &task);
                    // Who reads the same open file moves the place at which others read.
                    let Ok(own) = opened_again(file) else { return };
                    if let Ok(guard) = self.ask(tenant, &request, &own).await {
                        self.go_ahead(task, guard, request).await;
                    }
                }),
                Some(()) = running.next() => {}
                else => std::future::pending().await,
            }
        }
    }

    /// A child that was handed the document.
    async fn ask(&self, tenant: &TenantId, request: &Request, file: &File) -> Result<Guard<'_>, Failure> {
        let mut guard = self.take(tenant).await?;
        if guard.extractor()?.ask(request, &self.options, file).is_err() {
            // It died while idle (by the kernel's memory killer, say): that is not this document's fault.
            guard = self.start(tenant).await?;
            guard.extractor()?.ask(request, &self.options, file).map_err(|error| internal(&error))?;
        }
        Ok(guard)
    }

    /// An idle child that has seen only this tenant's documents, or a new one.
    async fn take(&self, tenant: &TenantId) -> Result<Guard<'_>, Failure> {
        let mut strangers = Vec::new();
        let found = {
            let mut idle = lock(&self.idle);
            let position = idle.iter().rposition(|extractor| extractor.tenant.as_ref() == Some(tenant));
            let found = position.map(|position| idle.remove(position));
            // This caller holds a slot, so without a match one idle child may have to make room.
            let busy = self.slot_count - self.slots.available_permits().min(self.slot_count);
            while found.is_none() && idle.len() + busy > self.slot_count {
                strangers.push(self.guard(idle.remove(0)));
            }
            found
        };
        for stranger in strangers {
            stranger.kill().await;
        }
        match found {
            Some(extractor) => {
                let mut guard = self.guard(extractor);
                if guard.extractor()?.has_ended() { self.start(tenant).await } else { Ok(guard) }
            }
            None => self.start(tenant).await,
        }
    }

    fn guard(&self, extractor: Extractor) -> Guard<'_> {
        Guard { pool: self, extractor: Some(extractor) }
    }

    async fn start(&self, tenant: &TenantId) -> Result<Guard<'_>, Failure> {
        let started = self.starter.start().await.map_err(|error| {
            Failure::new(FailureCode::Internal, format!("the extractor does not start: {error}"))
        })?;
        lock(&self.pids).insert(started.pid());
        let mut guard = self.guard(started);
        guard.extractor()?.tenant = Some(tenant.clone());
        Ok(guard)
    }

    /// Starts a child as documents would get it, asks what holds it, and ends it.
    ///
    /// # Errors
    /// It does not start, or says nothing, as a sentence.
    pub async fn sandbox(&self) -> Result<SandboxReport, String> {
        let mut child = self.starter.start().await.map_err(|error| error.to_string())?;
        let asked = tokio::time::timeout(self.options.limits.page_deadline(), child.report()).await;
        if let Ok(Ok(Some(report))) = asked {
            let report = report.clone();
            child.kill().await;
            return Ok(report);
        }
        let (status, stderr) = child.end().await;
        Err(format!("{}: {}", classify_death(status, &stderr).detail, stderr.trim()))
    }

    /// Lets documents in work finish, takes no more, and ends all children.
    pub async fn shutdown(&self) {
        // All slots free means nothing is in work; closing comes after, or waiting callers would be cut off.
        let all = self.slots.acquire_many(self.slot_count as u32).await;
        self.slots.close();
        drop(all);
        let idle = std::mem::take(&mut *lock(&self.idle));
        let idle: Vec<Guard<'_>> = idle.into_iter().map(|extractor| self.guard(extractor)).collect();
        for guard in idle {
            guard.kill().await;
        }
    }

    /// Process ids of the children that are alive, busy or idle.
    pub fn child_pids(&self) -> Vec<u32> {
        lock(&self.pids).iter().copied().collect()
    }
}

/// A child in use. Unless it is given back it is killed, also when the future that holds this is dropped.
struct Guard<'a> {
    pool: &'a Pool,
    extractor: Option<Extractor>,
}

impl Guard<'_> {
    fn extractor(&mut self) -> Result<&mut Extractor, Failure> {
        self.extractor
            .as_mut()
            .ok_or_else(|| Failure::new(FailureCode::Internal, "the extractor was given away"))
    }

    fn into_extractor(mut self) -> Result<Extractor, Failure> {
        let extractor = self.extractor.take();
        if let Some(extractor) = &extractor {
            lock(&self.pool.pids).remove(&extractor.pid());
        }
        extractor.ok_or_else(|| Failure::new(FailureCode::Internal, "the extractor was given away"))
    }

    async fn kill(self) {
        if let Ok(extractor) = self.into_extractor() {
            extractor.kill().await;
        }
    }

    fn give_back(mut self) {
        let documents_max = self.pool.options.limits.extractor_documents;
        // What more it has said would be taken for an answer to the next request.
        let fit = |extractor: &Extractor| extractor.documents < documents_max && !extractor.says_more();
        if self.extractor.as_ref().is_some_and(fit)
            && let Some(extractor) = self.extractor.take()
        {
            lock(&self.pool.idle).push(extractor);
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(extractor) = self.extractor.take() {
            lock(&self.pool.pids).remove(&extractor.pid());
        }
    }
}

/// What a child is asked for all of a document.
fn request(input: &Input, kind: Kind) -> Request {
    Request {
        name: input.name.clone(),
        resume_from_page: input.resume_from_page.max(1),
        last_page: u32::MAX,
        lost: input.lost.clone(),
        kind: Some(kind),
        draw: None,
    }
}

/// The same file, read from a place of its own.
fn opened_again(file: &File) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept behind these locks is whole at every step, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Internal, error.to_string())
}

fn receiver_gone() -> Failure {
    Failure::new(FailureCode::Internal, "nobody takes the pages any more")
}
