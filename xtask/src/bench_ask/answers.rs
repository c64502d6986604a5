//! Questions: the four configurations, and beside a server of other parts.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::line::Line;
use super::report::{self, Asked, judged, number};
use super::server::{Served, Server, docmill, free_port};
use super::{Context, MOCK, REAL, http};
use crate::process;

/// Questions of each level.
const REQUESTS: u32 = 2_000;
/// Questions of each level to what answers a hundred or two a second.
const REQUESTS_PEER: u32 = 400;

/// What is wanted.
const PEER_TIMES: f64 = 20.0;
const TTFT_MOCK_MS: f64 = 50.0;
const TTFT_BASELINE_MS: f64 = 150.0;

/// The level that is judged, alone.
const JUDGED_ALONE: [&str; 2] = ["--concurrency", "10"];
/// The same, where what is remembered will do.
const REMEMBERED: [&str; 3] = ["--concurrency", "10", "--remembered"];

/// What everything around a model costs. Judged is what is searched anew; what is remembered is told.
pub fn mock_both(context: &Context, line: &mut Line) -> Result<()> {
    let served = Served::start(&context.place.join(MOCK), true, &[])?;
    let report = ask(context, "mock-both", &served, &[])?;
    let level = judged(&report)?;
    let p99 = number(level, "/local/ttft_ms/p99")?;
    line.tell("mock_both_rps", number(level, "/local/rps")?);
    line.judge("mock_both_ttft_p99_ms", p99, p99 < TTFT_MOCK_MS, "below 50");
    let report = ask(context, "mock-both", &served, &REMEMBERED)?;
    line.tell("mock_both_remembered_rps", number(judged(&report)?, "/local/rps")?);
    Ok(())
}

/// Sentences of documents, found by the real model.
pub fn baseline(context: &Context, line: &mut Line) -> Result<()> {
    let served = Served::start(&context.place.join(REAL), false, &[])?;
    let report = ask(context, "baseline", &served, &[])?;
    let level = judged(&report)?;
    let p99 = number(level, "/local/ttft_ms/p99")?;
    line.judge("baseline_ttft_p99_ms", p99, p99 < TTFT_BASELINE_MS, "below 150");
    line.tell("baseline_rps", number(level, "/local/rps")?);
    Ok(())
}

/// One of the two is a mock: for the table, and to see which of them costs what.
pub fn one_mock(context: &Context, llm: bool, line: &mut Line) -> Result<()> {
    let (config, data, figure) = match llm {
        true => ("mock-llm", REAL, "mock_llm_rps"),
        false => ("mock-embeddings", MOCK, "mock_embeddings_rps"),
    };
    let served = Served::start(&context.place.join(data), llm, &[])?;
    let report = ask(context, config, &served, &[])?;
    line.tell(figure, number(judged(&report)?, "/local/rps")?);
    Ok(())
}

/// A server as many teams write it, on the chunks of our own index; then ours, asked the same while it is gone. Judged is
/// ours told to search anew each time, as the other does; what it is with all that it remembers is told.
pub fn peer(context: &Context, line: &mut Line) -> Result<()> {
    let data = context.place.join(MOCK);
    let chunks = context.place.join("chunks.jsonl");
    process::run_quiet(docmill(&data).args(["export", "--output"]).arg(&chunks))?;
    let theirs = ask_peer(context, &chunks, line)?;
    let served = Served::start(&data, true, &[])?;
    let times = |more: &[&str]| -> Result<f64> {
        let ours = ask(context, "mock-both", &served, more)?;
        Ok(number(judged(&ours)?, "/local/rps")? / theirs)
    };
    let anew = times(&JUDGED_ALONE)?;
    line.judge("times_peer", anew, anew >= PEER_TIMES, "at least 20");
    line.tell("times_peer_remembered", times(&REMEMBERED)?);
    Ok(())
}

/// Its rate.
fn ask_peer(context: &Context, chunks: &Path, line: &mut Line) -> Result<f64> {
    let port = free_port()?;
    let mut command = Command::new(process::repository().join("bench/peers/ask/run.sh"));
    command.args(["--mock", "both", "--port", &port.to_string(), "--chunks"]).arg(chunks);
    command.env("MOCK_LLM_DELAY_MS", "0");
    let peer = Server::start(&mut command, &context.place.join("peer.log"), port)?;
    let ready: Value = serde_json::from_str(&http::get(&peer.url, "/readyz")?)?;
    let (there, given) = (ready["chunks"].as_u64(), chunks_in(chunks)?);
    ensure!(there == Some(given), "the peer has {there:?} chunks of {given}");
    let report = report::ask(&Asked {
        config: "mock-both",
        url: &peer.url,
        compare: None,
        requests: REQUESTS_PEER,
        more: &[],
        report: &context.place.join("peer.json"),
    })?;
    let level = judged(&report)?;
    let rps = number(level, "/local/rps")?;
    ensure!(rps > 0.0, "the peer answered nothing");
    line.tell("peer_chunks", given as f64);
    line.tell("peer_rps", rps);
    line.tell("peer_ttft_p99_ms", number(level, "/local/ttft_ms/p99")?);
    Ok(rps)
}

/// Chunks that an export has.
fn chunks_in(export: &Path) -> Result<u64> {
    let text = fs::read_to_string(export).with_context(|| format!("cannot read {}", export.display()))?;
    let mut count = 0;
    for line in text.lines() {
        let document: Value = serde_json::from_str(line)?;
        count += document["chunks"].as_array().map_or(0, |chunks| chunks.len() as u64);
    }
    Ok(count)
}

fn ask(context: &Context, config: &str, served: &Served, more: &[&str]) -> Result<Value> {
    let asked = Asked {
        config,
        url: &served.url,
        compare: None,
        requests: REQUESTS,
        more,
        report: &context.place.join(format!("{config}.json")),
    };
    report::ask(&asked)
}
