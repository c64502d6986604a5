//! What people feel who ask beside others: beside all that a server does at once, and beside clients that are slow.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::line::Line;
use super::metrics::Metrics;
use super::report;
use super::searches::p99_new;
use super::server::{Running, Served};
use super::{Context, REAL, http, texts};
use crate::process;

/// Who search, and who ask, at once.
const SEARCHERS: &str = "50";
const ASKERS: &str = "10";
/// Who upload, one file after the other.
const UPLOADERS: usize = 4;
/// Wait of each between two files: the API takes some hundred a second, which are then embedded.
const UPLOAD_EVERY: Duration = Duration::from_millis(20);
/// More than are asked until they are ended.
const WITHOUT_END: &str = "10000000";
/// Until all of them are at it.
const BEGIN: Duration = Duration::from_secs(3);
/// How long it is looked at.
const LOOK: Duration = Duration::from_secs(20);
/// The delay that is wanted.
const LOOP_DELAY_MS: f64 = 20.0;

/// Clients that send a byte a second.
const SLOW: usize = 200;
/// What is wanted of the others.
const SLOW_TIMES: f64 = 2.0;
const SLOW_MORE_MS: f64 = 20.0;

/// How late a task of the server goes on that only waits, while searches, questions and uploads come at once.
pub fn loop_delay(context: &Context, line: &mut Line) -> Result<()> {
    let data = context.fresh("data-loop")?;
    // What comes in stays out of what else is measured on.
    process::run(Command::new("cp").arg("-a").arg(context.place.join(REAL).join(".")).arg(&data))?;
    let served = Served::start(&data, false, &[])?;
    let token = served.token()?;
    let is_over = AtomicBool::new(false);
    let (before, after) = std::thread::scope(|scope| {
        for uploader in 0..UPLOADERS {
            let (served, token, is_over) = (&served, &token, &is_over);
            scope.spawn(move || upload_until(served, token, uploader, is_over));
        }
        let looked = look_beside_askers(context, &served);
        is_over.store(true, Ordering::Relaxed);
        looked
    })?;
    let name = "docmill_api_loop_delay_seconds";
    let delay = after.histogram(name)?.since(&before.histogram(name)?);
    let more = |route: &str| {
        let count = |metrics: &Metrics| metrics.sum("docmill_api_request_seconds_count", &[route]);
        count(&after) - count(&before)
    };
    let searches = more("route=\"/v1/search\"");
    let asks = more("route=\"/v1/ask/stream\"");
    let uploads = more("route=\"/v1/documents\"");
    let errors = after.server_errors() - before.server_errors();
    for (name, count) in [("loop_searches", searches), ("loop_asks", asks), ("loop_uploads", uploads)] {
        line.tell(name, count);
        ensure!(count > 0.0, "{name}: there were none");
    }
    line.judge("loop_server_errors", errors, errors == 0.0, "none");
    let p99 = delay.quantile(0.99) * 1_000.0;
    line.judge("loop_delay_p99_ms", p99, p99 < LOOP_DELAY_MS, "below 20");
    drop(served);
    fs::remove_dir_all(&data)?;
    Ok(())
}

/// What `/metrics` says at the begin and the end of a time in which people search and ask.
fn look_beside_askers(context: &Context, served: &Served) -> Result<(Metrics, Metrics)> {
    let logs = ["loop-search", "loop-ask"].map(|name| context.place.join(name).with_extension("log"));
    let url = ["--base-url", served.url.as_str(), "--requests", WITHOUT_END];
    let mut search = report::bench("search");
    search.args(url).args(["--no-cache", "--concurrency", SEARCHERS]);
    let mut ask = report::bench("ask");
    ask.args(url).args(["--configs", "baseline", "--concurrency", ASKERS, "--output"]);
    ask.arg(context.place.join("loop-ask.json"));
    let mut running = [Running::start(&mut search, &logs[0])?, Running::start(&mut ask, &logs[1])?];
    std::thread::sleep(BEGIN);
    let before = served.metrics()?;
    std::thread::sleep(LOOK);
    let after = served.metrics()?;
    for (running, log) in running.iter_mut().zip(&logs) {
        running.still(log)?;
    }
    Ok((before, after))
}

/// Uploads that are refused as too many are there are uploads too.
fn upload_until(served: &Served, token: &str, uploader: usize, is_over: &AtomicBool) {
    let mut number = uploader;
    while !is_over.load(Ordering::Relaxed) {
        // What fails is seen in the counts: there is nobody to tell here.
        let _ = http::upload(&served.url, token, &format!("{number}.txt"), &texts::text(number));
        number += UPLOADERS;
        std::thread::sleep(UPLOAD_EVERY);
    }
}

/// The same searches alone, and beside clients that send their requests a byte a second.
pub fn slow_clients(context: &Context, line: &mut Line) -> Result<()> {
    let served = Served::start(&context.place.join(REAL), false, &[])?;
    // What is loaded by the first searches is loaded before both.
    p99_new(&served)?;
    let alone = p99_new(&served)?;
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| be_slow(&served.url, &is_over, &sent));
        // Until each has sent a byte.
        std::thread::sleep(Duration::from_secs(2));
        let beside = p99_new(&served);
        is_over.store(true, Ordering::Relaxed);
        beside
    })?;
    let sent = sent.load(Ordering::Relaxed);
    ensure!(sent >= SLOW as u64, "only {sent} bytes came from {SLOW} slow clients");
    let times = if alone > 0.0 { beside / alone } else { f64::INFINITY };
    line.tell("slow_clients_alone_p99_ms", alone);
    line.tell("slow_clients_beside_p99_ms", beside);
    let is_good = times <= SLOW_TIMES || beside <= alone + SLOW_MORE_MS;
    line.judge("slow_clients_p99_times", times, is_good, "at most 2, or 20 ms more");
    Ok(())
}

/// One of those who are slow: every second one within the head of its request, the others within the body.
struct Slow {
    stream: Option<TcpStream>,
    begin: &'static str,
}

impl Slow {
    fn new(number: usize) -> Self {
        let begin = if number.is_multiple_of(2) {
            "GET /v1/search?q=slow HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: "
        } else {
            "POST /v1/search HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n{\"query\":\""
        };
        Self { stream: None, begin }
    }

    /// Another byte; who was let go comes again. Whether it was sent.
    fn send(&mut self, address: &str) -> bool {
        let sent = match &mut self.stream {
            Some(stream) => stream.write_all(b"a").is_ok(),
            None => {
                self.stream = TcpStream::connect(address).ok();
                self.stream.as_mut().is_some_and(|stream| stream.write_all(self.begin.as_bytes()).is_ok())
            }
        };
        if !sent {
            self.stream = None;
        }
        sent
    }
}

/// One thread is all of them, evenly over the second.
fn be_slow(url: &str, is_over: &AtomicBool, sent: &AtomicU64) {
    let address = url.trim_start_matches("http://");
    let mut clients: Vec<Slow> = (0..SLOW).map(Slow::new).collect();
    let apart = Duration::from_secs(1) / SLOW as u32;
    while !is_over.load(Ordering::Relaxed) {
        for client in &mut clients {
            if client.send(address) {
                sent.fetch_add(1, Ordering::Relaxed);
            }
            std::thread::sleep(apart);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_is_slow_comes_again_and_never_ends_a_request() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        for number in [0, 1] {
            let mut client = Slow::new(number);
            assert!(client.send(&address) && client.send(&address));
            let (mut stream, _) = listener.accept().unwrap();
            let expected = format!("{}a", client.begin);
            let mut seen = vec![0; expected.len()];
            stream.read_exact(&mut seen).unwrap();
            assert_eq!(String::from_utf8(seen).unwrap(), expected);
            drop(stream);
            // The first byte after that may still be taken.
            let refused = (0..100).any(|_| !client.send(&address));
            assert!(refused && client.stream.is_none());
            assert!(client.send(&address));
            drop(listener.accept().unwrap());
        }
    }
}
