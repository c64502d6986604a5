//! What a command shows while a server works: a bar on a terminal, a line now and then elsewhere, nothing where
//! a program reads. What is shown is made by pure functions.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::wire::{Batch, Counts, Fill, Index};
use crate::output::mib;

const LOOK_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What is shown at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    pub done: u64,
    pub total: u64,
    /// All of it in words.
    pub text: String,
}

/// Shows until it is dropped.
pub struct Shown(tokio::task::JoinHandle<()>, ProgressBar);

/// What to show next.
pub struct Told(Arc<Mutex<Look>>);

impl Told {
    /// That is how far it is now.
    pub fn is(&self, now: Look) {
        if let Ok(mut look) = self.0.lock() {
            *look = now;
        }
    }
}

impl Shown {
    /// Shows what it is told.
    pub fn told(json: bool) -> (Self, Told) {
        let look: Arc<Mutex<Look>> = Arc::default();
        let shared = look.clone();
        let current = move || shared.lock().map(|look| look.clone()).unwrap_or_default();
        (Self::start(json, Arc::new(current)), Told(look))
    }

    /// Looks at `look` again and again.
    pub fn start(json: bool, look: Arc<dyn Fn() -> Look + Send + Sync>) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
        let task = if std::io::stderr().is_terminal() {
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
                bar.set_style(style);
            }
            tokio::spawn(draw(look, bar.clone()))
        } else if json {
            tokio::spawn(async {})
        } else {
            tokio::spawn(print(look))
        };
        Self(task, bar)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.abort();
        self.1.finish_and_clear();
    }
}

async fn draw(look: Arc<dyn Fn() -> Look + Send + Sync>, bar: ProgressBar) {
    loop {
        let Look { done, total, text } = look();
        // A bar of nothing would look done.
        bar.set_length(total.max(1));
        bar.set_position(done);
        bar.set_message(text);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn print(look: Arc<dyn Fn() -> Look + Send + Sync>) {
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        eprintln!("{}", look().text);
    }
}

/// How far batches are, taken together.
pub fn of_batches(batches: &[Batch]) -> Look {
    let sum =
        |number: fn(&Counts) -> u64| batches.iter().map(|batch| number(&batch.documents)).sum::<u64>();
    let total = sum(|counts| counts.total);
    let open = sum(|counts| counts.queued + counts.processing);
    let done = total - open.min(total);
    let rate: f64 = batches.iter().filter_map(|batch| batch.rate_per_s).sum();
    let percent = if total == 0 { 100.0 } else { done as f64 * 100.0 / total as f64 };
    let mut text = format!("{done}/{total} documents, {:.1} %", (percent * 10.0).floor() / 10.0);
    if open > 0 {
        text += &match rate > 0.0 {
            true => format!(", {rate:.1}/s, ETA {}", duration((open as f64 / rate).ceil() as u64)),
            false => ", ETA not known yet".to_owned(),
        };
    }
    for (count, what) in
        [(sum(|counts| counts.failed), "failed"), (sum(|counts| counts.cancelled), "cancelled")]
    {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    Look { done, total, text }
}

/// How far files are handed in; `total` grows while they are looked for.
pub fn of_files(done: u64, total: u64, bytes: u64, walked: bool) -> Look {
    let text = match walked {
        true => format!("{done}/{total} handed in, {}", mib(bytes)),
        false => format!("{done} of {total} found so far handed in, {}", mib(bytes)),
    };
    Look { done, total, text }
}

/// How far an index is that is being built, of what is in the active one.
pub fn of_index(indexes: &[Index]) -> Look {
    let of =
        |state: &str| indexes.iter().find(|index| index.state == state).map_or(0, |index| index.documents);
    let (done, total) = (of("building"), of("active"));
    Look { done, total, text: format!("{done} of {total} documents in the new index") }
}

/// How far a store is filled again. A pass that met gaps is followed by another.
pub fn of_fill(fill: &Fill) -> Look {
    let Fill { looked, documents, again, .. } = fill;
    let text = format!("{looked} of {documents} documents looked at, {again} done again");
    Look { done: *looked, total: *documents, text }
}

/// Seconds as people say them: two units at most.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(total: u64, queued: u64, failed: u64, rate_per_s: Option<f64>) -> Batch {
        let documents = Counts { total, queued, failed, ..Counts::default() };
        Batch { documents, rate_per_s, ..Batch::default() }
    }

    #[test]
    fn batches_are_taken_together() {
        let two = [batch(1_000, 700, 3, Some(2.0)), batch(200, 0, 0, None)];
        let look = of_batches(&two);
        assert_eq!((look.done, look.total), (500, 1_200));
        assert_eq!(look.text, "500/1200 documents, 41.6 %, 2.0/s, ETA 5 min 50 s, 3 failed");
        assert_eq!(of_batches(&[batch(3, 3, 0, None)]).text, "0/3 documents, 0.0 %, ETA not known yet");
        assert_eq!(of_batches(&[]).text, "0/0 documents, 100.0 %");
    }

    #[test]
    fn durations_have_two_units() {
        let cases =
            [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h")];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn an_index_is_built_beside_another() {
        let index = |state: &str, documents| Index {
            state: state.to_owned(),
            embeddings: "none".to_owned(),
            concepts: "none".to_owned(),
            documents,
        };
        let look = of_index(&[index("active", 10), index("building", 4)]);
        assert_eq!((look.done, look.total), (4, 10));
        assert_eq!(look.text, "4 of 10 documents in the new index");
    }

    #[test]
    fn a_store_is_filled_pass_by_pass() {
        let fill = Fill { looked: 3, documents: 9, again: 2, ..Fill::default() };
        let look = of_fill(&fill);
        assert_eq!((look.done, look.total), (3, 9));
        assert_eq!(look.text, "3 of 9 documents looked at, 2 done again");
    }

    #[test]
    fn what_is_still_looked_for_has_no_end_yet() {
        assert_eq!(of_files(1, 2, 1 << 20, true).text, "1/2 handed in, 1.0 MiB");
        assert!(of_files(1, 2, 0, false).text.contains("so far"));
    }
}
