//! The number of workers that is asked for, as it changes: a watch of a Deployment, each change with the moment at
//! which it came.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Cluster;

/// Wait before a watch that ended is begun again: the API server ends each after half an hour or more.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Time between two looks at what came.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longest time until a watch says how it is now.
const FIRST_MAX: Duration = Duration::from_secs(30);

/// A number that came, and when.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// When the API server had told it.
    pub at: Instant,
    /// The Deployment's `spec.replicas`.
    pub replicas: u32,
}

/// What the thread and its owner share.
#[derive(Default)]
struct Shared {
    seen: Vec<Change>,
    process: Option<Child>,
    is_over: bool,
}

/// A watch that goes on until it is dropped.
pub struct Replicas {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Replicas {
    /// Watches a Deployment, and returns as soon as it is known how it is now.
    ///
    /// # Errors
    /// There is no such Deployment.
    pub fn watch(cluster: &Cluster, namespace: &str, deployment: &str) -> Result<Self> {
        let command = Recipe::of(cluster, namespace, deployment);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || follow(&of_thread, &command));
        let watch = Self { shared, thread: Some(thread) };
        watch.wait(0, FIRST_MAX, |_| true).with_context(|| format!("nothing is told of {deployment}"))?;
        Ok(watch)
    }

    /// A place in what came, for [`Replicas::wait`]: what comes from now on.
    pub fn mark(&self) -> usize {
        self.locked(|shared| shared.seen.len())
    }

    /// The newest number.
    pub fn now(&self) -> u32 {
        self.locked(|shared| shared.seen.last().map_or(0, |change| change.replicas))
    }

    /// The largest of all since a mark, the number at that time included.
    pub fn max_since(&self, mark: usize) -> u32 {
        let all = self.locked(|shared| {
            shared.seen.iter().skip(mark.saturating_sub(1)).map(|change| change.replicas).max()
        });
        all.unwrap_or(0)
    }

    /// Waits for a number since the mark that is as wanted.
    ///
    /// # Errors
    /// None came in time.
    pub fn wait(&self, mark: usize, limit: Duration, is_wanted: impl Fn(u32) -> bool) -> Result<Change> {
        let began = Instant::now();
        loop {
            let found = self.locked(|shared| {
                shared.seen.iter().skip(mark).find(|change| is_wanted(change.replicas)).copied()
            });
            if let Some(change) = found {
                return Ok(change);
            }
            ensure!(
                began.elapsed() < limit,
                "not within {} s: {} replicas are asked for",
                limit.as_secs(),
                self.now()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn locked<T>(&self, look: impl FnOnce(&Shared) -> T) -> T {
        look(&self.shared.lock().expect("nobody panics with it"))
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        if let Ok(mut shared) = self.shared.lock() {
            shared.is_over = true;
            if let Some(process) = &mut shared.process {
                // It may have ended by itself.
                let _ = process.kill();
            }
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How kubectl is called, each time anew.
struct Recipe {
    program: OsString,
    variables: Vec<(OsString, OsString)>,
    args: Vec<String>,
}

impl Recipe {
    fn of(cluster: &Cluster, namespace: &str, deployment: &str) -> Self {
        let command = cluster.kubectl_command();
        let variables = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        let args = ["--namespace", namespace, "get", "deployment", deployment, "--watch"];
        let mut args = args.map(str::to_owned).to_vec();
        args.push("--output=jsonpath={.spec.replicas}{\"\\n\"}".to_owned());
        Self { program: command.get_program().to_owned(), variables, args }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }
}

fn follow(shared: &Mutex<Shared>, recipe: &Recipe) {
    loop {
        let output = {
            let mut shared = shared.lock().expect("nobody panics with it");
            if shared.is_over {
                return;
            }
            let mut process = recipe.command().spawn().expect("kubectl starts");
            let output = process.stdout.take().expect("its output is a pipe");
            shared.process = Some(process);
            output
        };
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let at = Instant::now();
            let Ok(replicas) = line.trim().parse() else { continue };
            let mut shared = shared.lock().expect("nobody panics with it");
            if shared.seen.last().is_none_or(|last| last.replicas != replicas) {
                shared.seen.push(Change { at, replicas });
            }
        }
        let ended = shared.lock().expect("nobody panics with it").process.take();
        if let Some(mut process) = ended {
            let _ = process.kill();
            let _ = process.wait();
        }
        std::thread::sleep(AGAIN_AFTER);
    }
}
