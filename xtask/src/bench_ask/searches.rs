//! Searches: remembered, as people ask, and while documents come in.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::line::Line;
use super::report::{self, level, number};
use super::server::{self, Served};
use super::{Context, REAL, texts};

/// Searches of a level.
const SEARCHES: &str = "100000";
/// Searches that are done anew, of a level.
const SEARCHES_NEW: &str = "4000";
/// Different questions of those that are asked as people ask. Of 1,000 answers that are remembered, those used last, a
/// simulation of Zipf's law with exponent 1 over 100,000 draws finds .961 at 1,200 questions, .921 at 1,500, .873 at
/// 2,000 and .748 at 5,000, where the 1,000 that are asked most are .823 of all: no memory of 1,000 reaches .9 there.
const DISTINCT: &str = "1500";
/// Who search while documents come in: one a core of those that are measured on.
const SEARCHERS: &str = "2";
/// Files that come in meanwhile.
const BUSY_FILES: usize = 30_000;
/// Files that are there before.
const IDLE_FILES: usize = 200;
/// What asking may take of a core: half of what a core has for each request at twice the rate that is wanted.
const GENERATOR_US: f64 = 20.0;

/// What is wanted.
const CACHED_RPS: f64 = 15_000.0;
const CACHED_P95_MS: f64 = 50.0;
const HIT_RATE: f64 = 0.9;
const BUSY_TIMES: f64 = 2.0;

/// Searches whose answers are remembered, and how many are.
pub fn remembered(context: &Context, line: &mut Line) -> Result<()> {
    let served = Served::start(&context.place.join(REAL), false, &[])?;
    let cached = report::search(&served.url, &["--concurrency", "10,50", "--requests", SEARCHES])?;
    line.tell("cached_rps_10", number(level(&cached, 10)?, "/local/rps")?);
    let judged = level(&cached, 50)?;
    let (rps, p95) = (number(judged, "/local/rps")?, number(judged, "/local/total_ms/p95")?);
    let own = number(judged, "/local/generator_us")?;
    line.judge("cached_rps", rps, rps >= CACHED_RPS, "at least 15000");
    line.judge("cached_p95_ms", p95, p95 < CACHED_P95_MS, "below 50");
    line.judge("generator_us", own, own <= GENERATOR_US, "at most 20, or what asks is measured");
    let before = served.remembered()?;
    report::search(&served.url, &["--concurrency", "10", "--requests", SEARCHES, "--zipf", DISTINCT])?;
    let after = served.remembered()?;
    let (hits, misses) = (after.0 - before.0, after.1 - before.1);
    let rate = if hits + misses > 0.0 { hits / (hits + misses) } else { 0.0 };
    line.judge("zipf_hit_rate", rate, rate > HIT_RATE, "above 0.9");
    Ok(())
}

/// The same searches with nothing else to do, and while documents come in as fast as they can.
pub fn beside_ingestion(context: &Context, line: &mut Line) -> Result<()> {
    let watched = context.fresh("busy")?;
    let data = context.fresh("data-busy")?;
    texts::write(&watched, 0..IDLE_FILES)?;
    let served = Served::start(&data, false, &["--watch", &watched.to_string_lossy()])?;
    server::wait("some documents", || Ok(served.documents("committed")? >= IDLE_FILES as u64))?;
    let idle = p99_new(&served)?;
    texts::write(&watched, IDLE_FILES..BUSY_FILES)?;
    server::wait("more documents", || Ok(served.documents("committed")? > IDLE_FILES as u64 + 100))?;
    let busy = p99_new(&served)?;
    // Ended too early, it would have measured an idle server.
    let left = served.documents("committed")? < BUSY_FILES as u64;
    ensure!(left, "all documents were in before the searches were done: raise BUSY_FILES");
    line.tell("search_idle_p99_ms", idle);
    line.tell("search_busy_p99_ms", busy);
    let times = if idle > 0.0 { busy / idle } else { f64::INFINITY };
    line.judge("search_busy_to_idle", times, times <= BUSY_TIMES, "at most 2");
    drop(served);
    fs::remove_dir_all(&watched)?;
    fs::remove_dir_all(&data)?;
    Ok(())
}

/// The time that 99 of 100 searches do not exceed, each done anew, in milliseconds.
pub fn p99_new(served: &Served) -> Result<f64> {
    let asked = ["--concurrency", SEARCHERS, "--requests", SEARCHES_NEW, "--no-cache"];
    let levels = report::search(&served.url, &asked)?;
    number(levels.first().unwrap_or(&Value::Null), "/local/total_ms/p99")
}
