//! Somebody who asks the API all the time, each question once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cluster::Api;

/// Wait after an answer.
const WAIT: Duration = Duration::from_millis(100);
/// What is asked for.
const PATH: &str = "/v1/queues";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Questions.
    pub(super) count: usize,
    /// Those that were not answered well, in words.
    pub(super) failed: Vec<String>,
}

/// Asks until it is stopped or dropped.
pub(super) struct Asking {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Asked>>,
}

impl Asking {
    /// Begins.
    pub(super) fn start(api: &Api) -> Self {
        let (api, is_over) = (api.clone(), Arc::new(AtomicBool::new(false)));
        let ends = is_over.clone();
        let thread = std::thread::spawn(move || {
            let mut asked = Asked::default();
            while !ends.load(Ordering::Relaxed) {
                asked.count += 1;
                match api.once(PATH) {
                    Ok(200) => {}
                    Ok(status) => asked.failed.push(status.to_string()),
                    Err(error) => asked.failed.push(format!("{error:#}")),
                }
                std::thread::sleep(WAIT);
            }
            asked
        });
        Self { is_over, thread: Some(thread) }
    }

    /// Ends, and says what came of it.
    pub(super) fn stop(mut self) -> Asked {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
