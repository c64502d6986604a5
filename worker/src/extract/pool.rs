//! A bounded number of extractor children and the deadlines they are held to. Does not parse anything
//! itself, except plain text, which needs no child.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as sync_mpsc};
use std::time::{Duration, Instant};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::frame::{Reply, Request};
use super::process::{Extractor, classify_death};
use super::sandbox::{SandboxReport, Start};
use super::source::Source;
use super::work::{self, Task, Tools};
use super::{Event, ExtractOptions, Input, Kind, is_in_process, sniff};

/// Extractor children, at most one a slot, replaced when they are spent, dead or another tenant's.
pub struct Pool {
    slots: Arc<Semaphore>,
    slot_count: usize,
    options: ExtractOptions,
    idle: Mutex<Vec<Extractor>>,
    pids: Arc<Mutex<HashSet<u32>>>,
    starter: Starter,
}

impl Pool {
    /// A pool of `slots` children of `extractor_binary`. They start when first needed and then stay.
    pub fn new(extractor_binary: PathBuf, slots: usize, options: ExtractOptions) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots.max(1))),
            slot_count: slots.max(1),
            starter: Starter::new(extractor_binary, Start::of(&options)),
            options,
            idle: Mutex::default(),
            pids: Arc::default(),
        }
    }

    /// Reads one document and sends its events. One that needs a child waits for a free slot first. On a failure with a page,
    /// all pages before that one were sent. Dropping the future kills the child that works on it.
    pub async fn extract(
        &self,
        tenant: &TenantId,
        input: Input,
        sink: mpsc::Sender<Event>,
    ) -> Result<(), Failure> {
        let (options, reading, plain) = (self.options.clone(), input.clone(), sink.clone());
        let opened = tokio::task::spawn_blocking(move || open_or_read(reading, &options, &plain)).await;
        let Some(file) = opened.map_err(|error| internal(&error))?? else { return Ok(()) };
        let slot = self.slots.acquire().await;
        let _slot =
            slot.map_err(|_| Failure::new(FailureCode::Internal, "the extractor pool was shut down"))?;
        let mut guard = self.take(tenant).await?;
        let (request, file) = (self.request(&input), Arc::new(file));
        if guard.extractor()?.ask(&request, &file).is_err() {
            // It died while idle (by the kernel's memory killer, say): that is not this document's fault.
            guard = self.start(tenant).await?;
            guard.extractor()?.ask(&request, &file).map_err(|error| internal(&error))?;
        }
        self.listen(guard, &input, &sink).await
    }

    fn request(&self, input: &Input) -> Request {
        Request {
            name: input.name.clone(),
            options: self.options.clone(),
            resume_from_page: input.resume_from_page.max(1),
        }
    }

    async fn listen(
        &self,
        mut guard: Guard<'_>,
        input: &Input,
        sink: &mpsc::Sender<Event>,
    ) -> Result<(), Failure> {
        let limits = &self.options.limits;
        let mut at_page = input.resume_from_page.max(1);
        // Only time spent waiting for the child counts: a slow receiver is not the document's fault.
        let mut waited = Duration::ZERO;
        let mut text_bytes = 0;
        loop {
            let left = limits.document_deadline().saturating_sub(waited);
            let started = Instant::now();
            let answer =
                tokio::time::timeout(left.min(limits.page_deadline()), guard.extractor()?.next()).await;
            waited += started.elapsed();
            match answer {
                Ok(Ok(Some(Reply::Event(event)))) => {
                    let done = event == Event::Done;
                    if let Event::Page(page) = &event {
                        at_page = page.number.saturating_add(1);
                        text_bytes += page.text_bytes() as u64;
                    }
                    // The child checks this itself; a child that was taken over would not.
                    if text_bytes > limits.text_mib << 20 {
                        return Err(super::emit::text_limit(limits).at_page(at_page));
                    }
                    sink.send(event).await.map_err(|_| receiver_gone())?;
                    if done {
                        guard.give_back();
                        return Ok(());
                    }
                }
                Ok(Ok(Some(Reply::Failed(failure)))) => {
                    guard.give_back();
                    return Err(failure);
                }
                Ok(Ok(None)) => {
                    let (status, stderr) = guard.into_extractor()?.end().await;
                    return Err(classify_death(status, &stderr).at_page(at_page));
                }
                Ok(Err(error)) => {
                    let (_, stderr) = guard.into_extractor()?.end().await;
                    let detail = format!("the extractor's answer makes no sense: {error}");
                    return Err(Failure::new(FailureCode::ExtractorDied, detail)
                        .with_stderr(&stderr)
                        .at_page(at_page));
                }
                Err(_) => {
                    let stderr = guard.into_extractor()?.kill().await;
                    let detail = if waited >= limits.document_deadline() {
                        format!("the document took longer than {} ms", limits.document_ms)
                    } else {
                        format!("no page was finished for {} ms", limits.page_ms)
                    };
                    return Err(Failure::new(FailureCode::LimitTime, detail)
                        .with_stderr(&stderr)
                        .at_page(at_page));
                }
            }
        }
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
                strangers.push(idle.remove(0));
            }
            found
        };
        for extractor in strangers {
            lock(&self.pids).remove(&extractor.pid());
            extractor.kill().await;
        }
        match found {
            Some(extractor) => {
                let mut guard = Guard { pool: self, extractor: Some(extractor) };
                if guard.extractor()?.has_ended() { self.start(tenant).await } else { Ok(guard) }
            }
            None => self.start(tenant).await,
        }
    }

    async fn start(&self, tenant: &TenantId) -> Result<Guard<'_>, Failure> {
        let started = self.starter.start().await.map_err(|error| {
            Failure::new(FailureCode::Internal, format!("the extractor does not start: {error}"))
        })?;
        lock(&self.pids).insert(started.pid());
        let mut guard = Guard { pool: self, extractor: Some(started) };
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
        for extractor in idle {
            lock(&self.pids).remove(&extractor.pid());
            extractor.kill().await;
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

    fn give_back(mut self) {
        let documents_max = self.pool.options.limits.extractor_documents;
        if self.extractor.as_ref().is_some_and(|extractor| extractor.documents < documents_max)
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

/// Starts children on a thread of its own that lives as long as the pool: a child dies with the thread
/// that started it, and a runtime's threads may come and go.
struct Starter {
    orders: sync_mpsc::Sender<Order>,
}

type Order = (tokio::runtime::Handle, oneshot::Sender<io::Result<Extractor>>);

impl Starter {
    fn new(binary: PathBuf, start: Start) -> Self {
        let (orders, inbox) = sync_mpsc::channel::<Order>();
        let work = move || {
            while let Ok((runtime, answer)) = inbox.recv() {
                let _runtime = runtime.enter();
                let _ = answer.send(Extractor::start(&binary, &start));
            }
        };
        // Without the thread the channel is closed, which `start` reports.
        let _ = std::thread::Builder::new().name("extractor-start".into()).spawn(work);
        Self { orders }
    }

    async fn start(&self) -> io::Result<Extractor> {
        let (answer, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts extractors is gone");
        self.orders.send((tokio::runtime::Handle::current(), answer)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// Reads a kind that needs no child to its end; any other is opened for one.
fn open_or_read(
    input: Input,
    options: &ExtractOptions,
    sink: &mpsc::Sender<Event>,
) -> Result<Option<File>, Failure> {
    let (file, kind) = open(&input, &options.limits)?;
    if !is_in_process(kind) {
        return Ok(Some(file));
    }
    let mut forward = |event| sink.blocking_send(event).map_err(|_| receiver_gone());
    let task = Task {
        source: Source::File(file),
        // Not looked at again: a file that is another one by now must not bring a parser into this process.
        kind: Some(kind),
        name: &input.name,
        options,
        resume_from_page: input.resume_from_page,
    };
    work::read(task, &mut Tools::default(), &mut forward)?;
    Ok(None)
}

/// Opens the file and checks what can be checked before a child sees it.
fn open(input: &Input, limits: &docmill_core::limits::Limits) -> Result<(File, Kind), Failure> {
    let unreadable = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => FailureCode::Vanished,
            _ => FailureCode::Unreadable,
        };
        Failure::new(code, format!("{}: {error}", input.name))
    };
    let file = open_regular(&input.path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes == 0 {
        return Err(Failure::new(FailureCode::Empty, format!("{} has no bytes", input.name)));
    }
    if bytes != input.bytes {
        let detail = format!("{} had {} bytes when it was listed and has {bytes}", input.name, input.bytes);
        return Err(Failure::new(FailureCode::ChangedWhileRead, detail));
    }
    let too_large =
        |mib| Failure::new(FailureCode::LimitFileSize, format!("{} is larger than {mib} MiB", input.name));
    if bytes > limits.file_mib << 20 {
        return Err(too_large(limits.file_mib));
    }
    let mut source = Source::File(file);
    let kind = sniff(&input.name, &source.head().map_err(unreadable)?);
    if kind == Kind::Pdf && bytes > limits.pdf_mib << 20 {
        return Err(too_large(limits.pdf_mib));
    }
    if kind == Kind::Unknown {
        return Err(super::sniff::unsupported(&input.name, &source.head().map_err(unreadable)?));
    }
    let Source::File(file) = source else {
        return Err(Failure::new(FailureCode::Internal, "a file became memory"));
    };
    Ok((file, kind))
}

/// Opens without waiting: a named pipe would block for ever, a device might do anything.
fn open_regular(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
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
