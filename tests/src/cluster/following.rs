//! `kubectl get --watch`, followed line by line: each value with the moment at which it came.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Cluster;

/// Wait before a watch that ended is begun again: the API server ends each after half an hour or more.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Time between two looks at what came.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A value that came, and when.
#[derive(Debug, Clone)]
pub(super) struct Seen<T> {
    /// When the API server had told it.
    pub(super) at: Instant,
    /// The value.
    pub(super) value: T,
}

/// What the thread and its owner share.
struct Shared<T> {
    seen: Vec<Seen<T>>,
    process: Option<Child>,
    is_over: bool,
}

/// A watch that goes on until it is dropped.
pub(super) struct Following<T> {
    shared: Arc<Mutex<Shared<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Clone + PartialEq + Send + 'static> Following<T> {
    /// Runs `kubectl` with these arguments, `--watch` among them, and again when it ends. Lines that are not understood
    /// are left out, and of equal ones in a row only the first is kept.
    pub(super) fn start(cluster: &Cluster, args: &[&str], read: fn(&str) -> Option<T>) -> Self {
        let recipe = Recipe::of(cluster, args);
        let shared = Arc::new(Mutex::new(Shared { seen: Vec::new(), process: None, is_over: false }));
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || follow(&of_thread, &recipe, read));
        Self { shared, thread: Some(thread) }
    }

    /// Looks at all that came.
    pub(super) fn look<R>(&self, look: impl FnOnce(&[Seen<T>]) -> R) -> R {
        look(&self.shared.lock().expect("nobody panics with it").seen)
    }

    /// Waits for a value after the first `mark` ones that is as wanted; none where the time is over.
    pub(super) fn wait(
        &self,
        mark: usize,
        limit: Duration,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Option<Seen<T>> {
        let began = Instant::now();
        loop {
            let found =
                self.look(|seen| seen.iter().skip(mark).find(|seen| is_wanted(&seen.value)).cloned());
            if found.is_some() || began.elapsed() >= limit {
                return found;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl<T> Drop for Following<T> {
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
    fn of(cluster: &Cluster, args: &[&str]) -> Self {
        let command = cluster.kubectl_command();
        let variables = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { program: command.get_program().to_owned(), variables, args }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }
}

fn follow<T: PartialEq>(shared: &Mutex<Shared<T>>, recipe: &Recipe, read: fn(&str) -> Option<T>) {
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
            let Some(value) = read(line.trim()) else { continue };
            let mut shared = shared.lock().expect("nobody panics with it");
            if shared.seen.last().is_none_or(|last| last.value != value) {
                shared.seen.push(Seen { at, value });
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
