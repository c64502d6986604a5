//! Child processes of a test, and waiting for what they do.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest time until a service is ready: far more than it takes, as builds may run beside.
pub const READY_LIMIT: Duration = Duration::from_secs(90);

const POLL: Duration = Duration::from_millis(10);

/// Waits until the condition holds.
///
/// # Panics
///
/// It does not within [`READY_LIMIT`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < READY_LIMIT, "{what}: not within {READY_LIMIT:?}");
        std::thread::sleep(POLL);
    }
}

/// Ports that servers of tests listen on: below those that a kernel gives to connections, as one of these
/// would be taken while a slow server starts.
const PORTS: std::ops::Range<u16> = 18_000..32_000;

/// A TCP port that is free, and that no other test process gets while this one lives.
///
/// # Panics
///
/// None is free.
pub fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(131).wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
    let count = u32::from(PORTS.end - PORTS.start);
    let ports = (0..count).map(|n| PORTS.start + (first.wrapping_add(n) % count) as u16);
    let dir = std::env::temp_dir().join("docmill-test-ports");
    std::fs::create_dir_all(&dir).unwrap();
    for port in ports {
        let lock = File::options().create(true).append(true).open(dir.join(port.to_string())).unwrap();
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            // The kernel frees it with the process.
            std::mem::forget(lock);
            return port;
        }
    }
    panic!("no port from {} to {} is free", PORTS.start, PORTS.end);
}

/// A running process that dies with its handle, by SIGKILL.
pub struct Process(Child);

impl Process {
    /// Starts the command with its output in a file.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let errors = log.try_clone().unwrap();
        let command = command.stdin(Stdio::null()).stdout(log).stderr(errors);
        Self(command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {:?}: {error}; `cargo xtask setup` installs it", command.get_program())
        }))
    }

    /// Starts the command with an input that says nothing and does not end.
    pub fn start_waiting(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it ended by itself, and says how.
    ///
    /// # Panics
    /// It does not within the limit.
    pub fn wait(&mut self, limit: Duration) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < limit, "it did not end within {limit:?}");
            std::thread::sleep(POLL);
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }

    /// Whether it ended by itself.
    pub fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
