//! One extractor child as its parent sees it: start, ask, listen, tell how it died, kill.
//! Does not decide when to start or replace one.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::ExtractOptions;
use super::draw::{self, Answer};
use super::frame::{self, HELD_BYTES_MAX, Order, Reply, Request, Said};
use super::sandbox::{self, SandboxReport, Start};

/// Variables a child gets when the parent has them; all others are withheld, among them credentials.
const PASSED_VARIABLES: &[&str] = &["PDFIUM_LIB", "TESSERACT_LIB", "TESSDATA_PREFIX"];

/// How long a child that closed its pipe may take to end by itself.
const OWN_END: Duration = Duration::from_millis(100);

/// How often it is looked whether it has.
const OWN_END_LOOK: Duration = Duration::from_millis(2);

/// How long a dead child's last words are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running child. Dropping it kills its whole process group.
pub(super) struct Extractor {
    child: Child,
    pid: u32,
    requests: UnixStream,
    replies: tokio::io::BufReader<ChildStdout>,
    /// Answers that waited in the socket and were called for.
    held: Vec<u8>,
    /// Bytes of them that were listened to.
    heard: usize,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_reader: JoinHandle<()>,
    /// What it said of itself before anything else.
    report: Option<SandboxReport>,
    /// Whose documents it has seen: none other's are given to it.
    pub tenant: Option<TenantId>,
    /// Documents it was given.
    pub documents: u32,
    /// When it was last allowed CPU time.
    cpu_allowed: Option<Instant>,
    /// Whether it was told the options, which are the same for all its documents.
    knows_options: bool,
}

impl Extractor {
    /// Starts one. Must run on a thread that outlives the child, as the child dies with that thread.
    pub fn start(binary: &Path, start: &Start) -> io::Result<Self> {
        let (requests, child_end) = UnixStream::pair()?;
        let mut command = Command::new(binary);
        command
            .arg(super::CHILD_COMMAND)
            .arg(start.as_argument())
            .env_clear()
            .env("LANG", "C.UTF-8")
            // Tesseract reads this only when it is loaded: four threads a page cost four times the CPU.
            .env("OMP_THREAD_LIMIT", "1")
            // The allocator takes address space at once, of which a child has little.
            .env("MIMALLOC_ARENA_RESERVE", "64MiB")
            .envs(passed_variables())
            .stdin(Stdio::from(OwnedFd::from(child_end)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("the extractor has no process id"))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the extractor has no pipes"));
        };
        let tail = Arc::default();
        let stderr_reader = tokio::spawn(keep_tail(stderr, Arc::clone(&tail)));
        let replies = tokio::io::BufReader::with_capacity(64 << 10, stdout);
        Ok(Self {
            child,
            pid,
            requests,
            replies,
            held: Vec::new(),
            heard: 0,
            stderr: tail,
            stderr_reader,
            report: None,
            tenant: None,
            documents: 0,
            cpu_allowed: None,
            knows_options: false,
        })
    }

    /// Its process id, which is also that of its group.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Hands it a document.
    pub fn ask(&mut self, request: &Request, options: &ExtractOptions, file: &File) -> io::Result<()> {
        self.documents += 1;
        if let Ok(mut tail) = self.stderr.lock() {
            tail.clear();
        }
        // Its number is another's once it was reaped.
        let pid = self.child.id().ok_or_else(|| io::Error::other("the extractor has ended"))?;
        // Each time it is allowed twice what a document may take, and with one thread nobody uses more of it than passes.
        let limits = &options.limits;
        if self.cpu_allowed.is_none_or(|at| at.elapsed() >= limits.document_deadline()) {
            sandbox::allow_cpu(pid, limits)?;
            self.cpu_allowed = Some(Instant::now());
        }
        let options = (!self.knows_options).then_some(Cow::Borrowed(options));
        let order = Order { options, request: Cow::Borrowed(request) };
        frame::send_with_file(&self.requests, &order, file)?;
        self.knows_options = true;
        Ok(())
    }

    /// Its next answer; `None` when it is gone.
    pub async fn next(&mut self) -> io::Result<Option<Reply>> {
        if self.report().await?.is_none() {
            return Ok(None);
        }
        loop {
            if let Some(reply) = self.next_held()? {
                return Ok(Some(reply));
            }
            match frame::read_said(&mut self.replies).await? {
                Some(Said::Reply(reply)) => return Ok(Some(reply)),
                Some(Said::Held(bytes)) => self.take_held(bytes)?,
                None => return Ok(None),
            }
        }
    }

    fn next_held(&mut self) -> io::Result<Option<Reply>> {
        let mut rest = &self.held[self.heard..];
        let reply = frame::take_reply(&mut rest)?;
        self.heard = self.held.len() - rest.len();
        Ok(reply)
    }

    /// Takes so many bytes out of the socket: whoever calls for them has put them there.
    fn take_held(&mut self, bytes: usize) -> io::Result<()> {
        self.heard = 0;
        self.held.clear();
        self.held.resize(bytes, 0);
        let mut taken = 0;
        while taken < bytes {
            match recv(&self.requests, &mut self.held[taken..], RecvFlags::DONTWAIT)? {
                (_, 0) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "less is held than was said"));
                }
                (_, more) => taken += more,
            }
        }
        Ok(())
    }

    /// What it put into the socket and did not call for before it ended, or was too slow: up to what is no answer.
    pub fn left(&mut self) -> Vec<Reply> {
        self.heard = 0;
        self.held.clear();
        self.held.resize(HELD_BYTES_MAX, 0);
        let mut taken = 0;
        while taken < HELD_BYTES_MAX
            && let Ok((_, more @ 1..)) = recv(&self.requests, &mut self.held[taken..], RecvFlags::DONTWAIT)
        {
            taken += more;
        }
        self.held.truncate(taken);
        std::iter::from_fn(|| self.next_held().ok().flatten()).collect()
    }

    /// The page that it was asked to draw; `None` when it is gone.
    pub async fn drawn(&mut self) -> io::Result<Option<Answer>> {
        if self.report().await?.is_none() {
            return Ok(None);
        }
        draw::read(&mut self.replies).await
    }

    /// What holds it, which it says before it takes a document; `None` when it is gone before.
    pub async fn report(&mut self) -> io::Result<Option<&SandboxReport>> {
        if self.report.is_none() {
            self.report = frame::read_async(&mut self.replies).await?;
        }
        Ok(self.report.as_ref())
    }

    /// Whether it has said more than was listened to, as far as that is here.
    pub fn says_more(&self) -> bool {
        let left = || recv(&self.requests, &mut [0_u8; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK);
        !self.replies.buffer().is_empty() || self.heard < self.held.len() || matches!(left(), Ok((_, 1..)))
    }

    /// Whether it ended by itself.
    pub fn has_ended(&self) -> bool {
        has_ended(self.pid)
    }

    /// Kills it with all it started, and reaps it. Gives how it ended and its last words.
    pub async fn end(mut self) -> (Option<ExitStatus>, String) {
        // A child that closed its pipe is about to have its own status, which tells more than our signal.
        let pid = self.pid;
        let own_end = async {
            while !has_ended(pid) {
                tokio::time::sleep(OWN_END_LOOK).await;
            }
        };
        let _ = tokio::time::timeout(OWN_END, own_end).await;
        // What it started may outlive it.
        self.kill_group();
        let status = self.child.wait().await.ok();
        (status, self.last_words().await)
    }

    /// Kills it at once and reaps it. Gives its last words.
    pub async fn kill(mut self) -> String {
        self.kill_group();
        let _ = self.child.wait().await;
        self.last_words().await
    }

    async fn last_words(&mut self) -> String {
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.stderr_reader).await;
        let tail = self.stderr.lock().map(|tail| tail.clone()).unwrap_or_default();
        without_chatter(&String::from_utf8_lossy(&tail))
    }

    fn kill_group(&self) {
        if self.child.id().is_some()
            && let Some(group) = Pid::from_raw(self.pid as i32)
        {
            let _ = kill_process_group(group, Signal::KILL);
            // One that is held by limits alone may have left its group.
            let _ = kill_process(group, Signal::KILL);
        }
    }
}

impl Drop for Extractor {
    fn drop(&mut self) {
        // `id()` is none once reaped, so this cannot hit a stranger that got the same number.
        self.kill_group();
        self.stderr_reader.abort();
    }
}

/// Whether a child of ours ended. It is not reaped by that: until then its number, and its group's, is nobody else's.
fn has_ended(pid: u32) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let running = Pid::from_raw(pid as i32).map(|pid| waitid(WaitId::Pid(pid), look));
    !matches!(running, Some(Ok(None)))
}

fn passed_variables() -> Vec<(OsString, OsString)> {
    let hooks = |name: &str| cfg!(feature = "testing") && name.starts_with("DOCMILL_TEST_");
    let passed = std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| PASSED_VARIABLES.contains(&name) || hooks(name))
    });
    // Where libraries of ours may be; a child has no home to look for it.
    passed.chain(cache_folder().map(|folder| ("DOCMILL_CACHE".into(), folder.into_os_string()))).collect()
}

/// Where setup puts libraries and models.
pub(super) fn cache_folder() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("DOCMILL_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("docmill")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/docmill")))
}

/// Reads all a child says, so that it never blocks, and keeps the end of it.
async fn keep_tail(mut stderr: ChildStderr, tail: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 4_096];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let Ok(mut tail) = tail.lock() else { return };
        tail.extend_from_slice(&buffer[..read]);
        let surplus = tail.len().saturating_sub(Failure::DETAIL_BYTES_MAX);
        tail.drain(..surplus);
    }
}

/// What was said without what Tesseract says of pages that it reads well: it would stand there as the cause of a death.
fn without_chatter(said: &str) -> String {
    let of_every_page = |line: &str| {
        line.starts_with("Estimating resolution as ")
            || (line.starts_with("Detected ") && line.ends_with(" diacritics"))
    };
    let said = said.lines().filter(|line| !of_every_page(line));
    said.collect::<Vec<_>>().join("\n")
}

/// What a child's death means for the document it was reading.
pub(super) fn classify_death(status: Option<ExitStatus>, stderr: &str) -> Failure {
    const OUT_OF_MEMORY: &[&str] = &["memory allocation of", "out of memory", "Out of memory", "bad_alloc"];
    let (signal, code) = status.map_or((None, None), |status| (status.signal(), status.code()));
    let said_memory = OUT_OF_MEMORY.iter().any(|words| stderr.contains(words));
    // pdfium aborts without a word when an allocation fails; a Rust panic always says where.
    let aborted = signal == Some(Signal::ABORT.as_raw())
        && !stderr.contains("panicked")
        && !stderr.contains("overflowed its stack");
    let ended = match (signal, code) {
        (Some(signal), _) => format!("ended by signal {signal}{}", signal_name(signal)),
        (_, Some(code)) => format!("ended with status {code}"),
        _ => "ended".to_owned(),
    };
    let code = match signal {
        Some(libc::SIGSYS) => FailureCode::SandboxViolation,
        Some(libc::SIGXCPU) => FailureCode::LimitCpu,
        Some(libc::SIGXFSZ) => FailureCode::LimitOutput,
        _ if said_memory || aborted => FailureCode::LimitMemory,
        _ => FailureCode::ExtractorDied,
    };
    Failure::new(code, format!("the extractor {ended}")).with_stderr(stderr)
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        5 => " (SIGTRAP)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ)",
        31 => " (SIGSYS)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_are_told_apart() {
        let by = |signal| Some(ExitStatus::from_raw(signal));
        let code = |status, stderr| classify_death(status, stderr).code;
        assert_eq!(code(by(6), ""), FailureCode::LimitMemory);
        assert_eq!(code(by(6), "thread 'main' has overflowed its stack"), FailureCode::ExtractorDied);
        assert_eq!(code(by(6), "memory allocation of 9 bytes failed"), FailureCode::LimitMemory);
        assert_eq!(code(by(11), ""), FailureCode::ExtractorDied);
        assert_eq!(code(by(9), ""), FailureCode::ExtractorDied);
        assert_eq!(code(Some(ExitStatus::from_raw(1 << 8)), ""), FailureCode::ExtractorDied);
        assert_eq!(code(by(24), ""), FailureCode::LimitCpu);
        assert_eq!(code(by(25), ""), FailureCode::LimitOutput);
        // Whatever it says: the kernel does not err about a call.
        assert_eq!(code(by(31), "out of memory"), FailureCode::SandboxViolation);
        assert!(classify_death(by(31), "").detail.contains("SIGSYS"));
    }

    #[test]
    fn what_every_page_is_commented_with_is_no_last_word() {
        let said = "Estimating resolution as 279\nDetected 12 diacritics\npanicked at 'x'\nDetected 3 diacritics\n";
        assert_eq!(without_chatter(said), "panicked at 'x'");
        assert_eq!(without_chatter("Detected a loop"), "Detected a loop");
        assert_eq!(without_chatter(""), "");
    }
}
