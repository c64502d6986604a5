//! Child processes of a test, and waiting for what they do.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
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

/// A TCP port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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
