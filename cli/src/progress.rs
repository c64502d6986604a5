//! What a long command shows while it works: bars on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use docmill_worker::embedded::Counters;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::mib;

const LOOK_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows the counters until dropped.
pub struct Progress(tokio::task::JoinHandle<()>, MultiProgress);

impl Progress {
    pub fn start(counters: Arc<Counters>, json: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let task = if std::io::stderr().is_terminal() {
            tokio::spawn(show_bars(counters, bars.clone()))
        } else if json {
            tokio::spawn(async {})
        } else {
            tokio::spawn(print_lines(counters))
        };
        Self(task, bars)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
        let _ = self.1.clear();
    }
}

async fn show_bars(counters: Arc<Counters>, bars: MultiProgress) {
    let style = |template: &str| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    let overall = bars.add(ProgressBar::new(0));
    overall.set_style(style("{bar:24} {pos}/{len} documents  {msg}  {per_sec}  ETA {eta}"));
    let stages = bars.add(ProgressBar::new_spinner());
    stages.set_style(style("{spinner} {msg}"));
    let work = bars.add(ProgressBar::new_spinner());
    work.set_style(style("  {msg}"));
    loop {
        let get = Counters::get;
        overall.set_length(get(&counters.documents_total));
        overall.set_position(get(&counters.documents_done));
        overall.set_message(format!(
            "{} of {}",
            mib(get(&counters.bytes_done)),
            mib(get(&counters.bytes_total))
        ));
        stages.set_message(stage_line(&counters));
        work.set_message(work_line(&counters));
        stages.tick();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn print_lines(counters: Arc<Counters>) {
    let began = Instant::now();
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        let get = Counters::get;
        let (done, total) = (get(&counters.documents_done), get(&counters.documents_total));
        let rate = done as f64 / began.elapsed().as_secs_f64();
        let left = match counters.scan_done.load(Ordering::Acquire) && rate > 0.0 {
            true => format!("{:.0} s left", total.saturating_sub(done) as f64 / rate),
            false => "still scanning".to_owned(),
        };
        eprintln!("{done}/{total} documents, {rate:.1}/s, {left}; {}", work_line(&counters));
    }
}

fn stage_line(counters: &Counters) -> String {
    let get = Counters::get;
    format!("extracting {}  enriching {}", get(&counters.extracting), get(&counters.enriching))
}

fn work_line(counters: &Counters) -> String {
    let get = Counters::get;
    format!(
        "{} pages ({} by OCR), {} chunks, {} embedded, {} unchanged, {} failed",
        get(&counters.pages),
        get(&counters.ocr_pages),
        get(&counters.chunks),
        get(&counters.embedded),
        get(&counters.documents_unchanged),
        get(&counters.documents_failed)
    )
}
