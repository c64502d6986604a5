//! Has real children try to get out, and looks whether anything outside noticed. Compiled for tests alone.
//!
//! What a child says of itself counts only against it: an attempt is held where the child says so *and* every listener,
//! file and process that it could have reached is as it was.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;
use serde::Serialize;
use tokio::sync::mpsc;

use super::attempts::{Asked, Attempt, REFUSED, SUCCEEDED, Targets, Unheld};
use super::{SandboxMode, SandboxReport};
use crate::extract::{Event, ExtractOptions, Input, Pool};

/// The page at which attempts are made: that the one before it came shows that a document loses no more than its rest.
const PAGE: u32 = 2;
/// What the library that reads PDF and a child of a build for tests need at most, in MiB.
const MEMORY_MIB: u64 = 2_048;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// What was tried.
    pub attempt: &'static str,
    /// Whether it got anywhere, by the child's word or by what was noticed outside.
    pub escaped: bool,
    /// How it ended, for a person.
    pub how: String,
    /// Whether its end was told with page, cause and the child's last words.
    pub reported: bool,
    /// What it leads to without a sandbox.
    #[serde(skip)]
    pub unheld: Unheld,
}

/// All attempts, each by a child of its own, held by the sandbox.
///
/// # Errors
/// They could not be made.
pub async fn held(binary: &Path) -> io::Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for attempt in Attempt::ALL {
        trials.push(one(binary, *attempt, SandboxMode::Required).await?);
    }
    Ok(trials)
}

/// Those that must get out where nothing but limits holds them: what does not would prove nothing when it is held.
///
/// # Errors
/// They could not be made.
pub async fn unheld(binary: &Path) -> io::Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for attempt in Attempt::ALL {
        if attempt.unheld() != Unheld::Untold && !(of_tracing(*attempt) && tracing_is_restricted()) {
            trials.push(one(binary, *attempt, SandboxMode::Off).await?);
        }
    }
    Ok(trials)
}

/// What holds a child of this binary.
///
/// # Errors
/// It does not start.
pub async fn report(binary: &Path) -> Result<SandboxReport, String> {
    Pool::new(binary.to_owned(), 1, ExtractOptions::default()).sandbox().await
}

fn of_tracing(attempt: Attempt) -> bool {
    matches!(attempt, Attempt::Trace | Attempt::ReadMemory | Attempt::TakeDescriptor)
}

/// Some kernels let processes look into their descendants alone.
fn tracing_is_restricted() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").is_ok_and(|scope| scope.trim() != "0")
}

async fn one(binary: &Path, attempt: Attempt, mode: SandboxMode) -> io::Result<Trial> {
    let world = World::new()?;
    let document = world.folder.join("document.pdf");
    let asked = Asked { attempt, page: PAGE, targets: world.targets() };
    let input = Input { name: asked.as_name(), ..Input::new(&document) };
    let mut options = ExtractOptions { sandbox: mode, ..ExtractOptions::default() };
    options.limits.extractor_mib = MEMORY_MIB;
    let pool = Pool::new(binary.to_owned(), 1, options);
    let (outcome, notes) = read(&pool, input).await;
    pool.shutdown().await;
    let word = world.word.clone();
    let seen = world.seen();
    let mut trial = judge(attempt, &outcome, notes.get(1))?;
    if !seen.is_empty() {
        trial.escaped = true;
        trial.how = format!("{}; outside: {}", trial.how, seen.join(", "));
    }
    // What was to stay secret came out by another way.
    if trial.how.contains(&word) {
        trial.escaped = true;
    }
    Ok(trial)
}

async fn read(pool: &Pool, input: Input) -> (Result<(), Failure>, Vec<Option<String>>) {
    let (sink, mut events) = mpsc::channel(8);
    let collect = async {
        let mut notes = Vec::new();
        while let Some(event) = events.recv().await {
            if let Event::Page(page) = event {
                notes.push(page.note);
            }
        }
        notes
    };
    let tenant = TenantId::default();
    tokio::join!(pool.extract(&tenant, input, sink), collect)
}

/// What the child's end, or its word on the page, means.
fn judge(
    attempt: Attempt,
    outcome: &Result<(), Failure>,
    note: Option<&Option<String>>,
) -> io::Result<Trial> {
    let trial = |escaped, how: String, reported| Trial {
        attempt: attempt.as_str(),
        escaped,
        how,
        reported,
        unheld: attempt.unheld(),
    };
    match (outcome, note.and_then(Option::as_deref)) {
        (Ok(()), Some(note)) if note.starts_with(SUCCEEDED) => Ok(trial(true, note.to_owned(), true)),
        (Ok(()), Some(note)) if note.starts_with(REFUSED) => Ok(trial(false, note.to_owned(), true)),
        (Ok(()), _) => Err(io::Error::other(format!(
            "nothing was tried ({}): the child is built without the feature `testing`",
            attempt.as_str()
        ))),
        (Err(failure), _) if is_before_any_attempt(failure) => Err(io::Error::other(failure.to_string())),
        (Err(failure), _) => {
            let words = failure.stderr.as_deref().unwrap_or_default();
            let told = failure.page == Some(PAGE) && words.contains(attempt.as_str());
            Ok(trial(false, failure.to_string(), told))
        }
    }
}

/// Failures that say that the document did not get as far as the attempt.
fn is_before_any_attempt(failure: &Failure) -> bool {
    !matches!(
        failure.code,
        FailureCode::SandboxViolation
            | FailureCode::LimitOutput
            | FailureCode::LimitCpu
            | FailureCode::LimitMemory
            | FailureCode::ExtractorDied
    )
}

/// What a child could reach, and what it looks like while nobody did.
struct World {
    folder: PathBuf,
    word: String,
    memory: Vec<u8>,
    secret: std::fs::File,
    tcp: TcpListener,
    udp: UdpSocket,
    unix: UnixListener,
    abstract_name: String,
    abstract_socket: UnixListener,
    victim: Child,
}

const RIGHTS: u32 = 0o600;

impl World {
    fn new() -> io::Result<Self> {
        let word = format!("canary-{:016x}", RandomState::new().hash_one(std::process::id()));
        let folder = std::env::temp_dir().join(format!("docmill-{word}"));
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("document.pdf"), two_pages())?;
        std::fs::write(folder.join("kept"), "kept")?;
        std::fs::write(folder.join("secret"), &word)?;
        std::fs::set_permissions(folder.join("secret"), std::fs::Permissions::from_mode(RIGHTS))?;
        // As a kubelet mounts a token: by way of a link that it turns when there is a new one.
        std::fs::create_dir(folder.join("..data"))?;
        std::fs::write(folder.join("..data/token"), &word)?;
        std::os::unix::fs::symlink("..data/token", folder.join("token"))?;
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        let unix = UnixListener::bind(folder.join("socket"))?;
        let abstract_name = format!("docmill-{word}");
        let abstract_socket =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(abstract_name.as_bytes())?)?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        unix.set_nonblocking(true)?;
        abstract_socket.set_nonblocking(true)?;
        let mut victim = Command::new("sleep");
        let victim =
            victim.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self {
            memory: word.clone().into_bytes(),
            secret: std::fs::File::open(folder.join("secret"))?,
            folder,
            word,
            tcp,
            udp,
            unix,
            abstract_name,
            abstract_socket,
            victim,
        })
    }

    fn targets(&self) -> Targets {
        let port = |address: io::Result<std::net::SocketAddr>| address.map_or(0, |address| address.port());
        Targets {
            folder: self.folder.clone(),
            secret: self.folder.join("secret"),
            token: self.folder.join("token"),
            tcp: port(self.tcp.local_addr()),
            udp: port(self.udp.local_addr()),
            abstract_name: self.abstract_name.clone(),
            parent: std::process::id(),
            group: rustix::process::getpgrp().as_raw_nonzero().get().unsigned_abs(),
            victim: self.victim.id(),
            memory: (self.memory.as_ptr() as usize, self.memory.len()),
            descriptor: self.secret.as_raw_fd(),
        }
    }

    /// What is not as it was.
    fn seen(mut self) -> Vec<String> {
        let mut seen = Vec::new();
        let mut note = |is_so: bool, what: &str| {
            if is_so {
                seen.push(what.to_owned());
            }
        };
        note(self.tcp.accept().is_ok(), "a TCP connection");
        note(self.udp.recv(&mut [0; 16]).is_ok(), "a datagram");
        note(self.unix.accept().is_ok(), "a connection to the unix socket");
        note(self.abstract_socket.accept().is_ok(), "a connection to the abstract socket");
        note(!matches!(self.victim.try_wait(), Ok(None)), "the other process is dead");
        let secret = self.folder.join("secret");
        note(std::fs::read_to_string(&secret).ok().as_ref() != Some(&self.word), "another content");
        let rights = std::fs::metadata(&secret).map(|found| found.permissions().mode() & 0o7777);
        note(rights.ok() != Some(RIGHTS), "other rights");
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let expected = ["..data", "document.pdf", "kept", "secret", "socket", "token"];
        // A file that could be made and not filled is held by the limit of file content alone.
        names.retain(|name| name != "large" || !is_empty(&self.folder.join(name)));
        note(names != expected, &format!("files {}", names.join(" ")));
        seen
    }
}

fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A PDF of two pages with a line on each.
fn two_pages() -> Vec<u8> {
    let content = "BT /F 14 Tf 60 780 Td (Words enough that nobody takes this page for a picture) Tj ET";
    let page = |number: u32| {
        format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>/Contents {number} 0 R>>"
        )
    };
    let stream = format!("<</Length {}>>stream\n{content}\nendstream", content.len());
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Count 2/Kids[4 0 R 5 0 R]>>".to_owned(),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
        page(6),
        page(6),
        stream,
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut places = Vec::new();
    for (number, object) in (1..).zip(&objects) {
        places.push(file.len());
        file += &format!("{number} 0 obj\n{object}\nendobj\n");
    }
    let table = file.len();
    file += &format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for place in places {
        file += &format!("{place:010} 00000 n \n");
    }
    file += &format!("trailer<</Size {}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    file.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_that_nobody_reached_shows_nothing_and_one_that_was_reached_shows_it() {
        assert_eq!(World::new().unwrap().seen(), [""; 0]);
        let world = World::new().unwrap();
        let targets = world.targets();
        std::net::TcpStream::connect(("127.0.0.1", targets.tcp)).unwrap();
        std::fs::remove_file(targets.folder.join("kept")).unwrap();
        let seen = world.seen();
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(!targets.folder.exists());
    }

    #[test]
    fn the_end_of_a_child_counts_only_where_the_attempt_was_reached() {
        let failed =
            |code| Err(Failure::new(code, "ended").at_page(PAGE).with_stderr("tries to start a program"));
        let trial = judge(Attempt::Execute, &failed(FailureCode::SandboxViolation), None).unwrap();
        assert!(trial.reported && !trial.escaped);
        assert!(!judge(Attempt::Fork, &failed(FailureCode::SandboxViolation), None).unwrap().reported);
        assert!(judge(Attempt::Execute, &failed(FailureCode::Damaged), None).is_err());
        assert!(judge(Attempt::Execute, &Ok(()), Some(&None)).is_err());
        let said = |words: &str| judge(Attempt::Execute, &Ok(()), Some(&Some(words.to_owned()))).unwrap();
        assert!(said("attempt: succeeded, started").escaped);
        assert!(!said("attempt: refused, not permitted").escaped);
    }
}
