//! How soon the first upload to a new server is found, as a person meets it: the real model, nothing there before.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::line::Line;
use super::server::{self, Served};
use super::{Context, http};

/// Starts, of which the one in the middle counts.
const STARTS: usize = 5;
/// What is wanted.
const FIRST_HIT_MS: f64 = 1_000.0;
/// What is looked for, and where it stands.
const WORD: &str = "bittern";
const TEXT: &str =
    "A bittern booms in the reeds before sunrise. It is heard for miles, and hardly ever seen.\n";

/// From ready to the first hit; from the start of the process to ready is told beside it, as nothing is gained by a server
/// that says it is ready and is not.
pub fn measure(context: &Context, line: &mut Line) -> Result<()> {
    let (mut ready, mut hits) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let data = context.fresh("data-first")?;
        let began = Instant::now();
        let served = Served::start(&data, false, &[])?;
        let was_ready = Instant::now();
        let token = served.token()?;
        let answer = http::upload(&served.url, &token, "bittern.txt", TEXT)?;
        ensure!(answer.status == 202, "an upload is answered {}: {}", answer.status, answer.body);
        server::wait("the first hit", || is_found(&served))?;
        hits.push(ms(was_ready.elapsed()));
        ready.push(ms(was_ready.duration_since(began)));
        is_embedded(&served)?;
    }
    hits.sort_by(f64::total_cmp);
    ready.sort_by(f64::total_cmp);
    let median = hits[STARTS / 2];
    line.judge("first_hit_ms", median, median < FIRST_HIT_MS, "below 1000");
    line.tell("first_hit_max_ms", hits[STARTS - 1]);
    line.tell("start_to_ready_ms", ready[STARTS / 2]);
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn is_found(served: &Served) -> Result<bool> {
    let path = format!("/v1/search?q={WORD}");
    let answer = http::send(&served.url, "GET", &path, &[("cache-control", "no-cache")], b"")?;
    // Before the first document there is no index.
    if answer.status != 200 {
        return Ok(false);
    }
    let found: Value = serde_json::from_str(&answer.body)?;
    let results = found["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(results.iter().any(|hit| hit["text"].as_str().is_some_and(|text| text.contains(WORD))))
}

/// By words alone it would be no wonder.
fn is_embedded(served: &Served) -> Result<()> {
    let indexes: Value = serde_json::from_str(&http::get(&served.url, "/v1/indexes")?)?;
    let embeddings = indexes.pointer("/indexes/0/embeddings").and_then(Value::as_str).unwrap_or_default();
    let is_real = embeddings.starts_with("all-minilm");
    ensure!(
        is_real,
        "its embeddings are {embeddings:?}, not the built-in model's: run `cargo xtask setup`"
    );
    Ok(())
}
