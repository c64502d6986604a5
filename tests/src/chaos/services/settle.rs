//! The end of a run: nothing moves any more, the audit finds nothing, and what every server holds is counted.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use docmill_core::manifest::Store;
use docmill_worker::neo4j;
use docmill_worker::postgres::{Database, Options, PostgresLedger, TextSink, VectorSink};
use docmill_worker::queue::redis::RedisQueue;
use docmill_worker::sink::Sink;
use docmill_worker::verify::{self, Findings};
use redis::Connection;

use super::gather;
use super::look::Look;
use crate::command;
use crate::services::http::Client;

/// Longest wait for an audit that finds nothing.
const VERIFY_MAX: Duration = Duration::from_secs(30);
/// Between two audits.
const VERIFY_EVERY: Duration = Duration::from_millis(500);
/// What `docmill verify` exits with where it found something.
const FOUND_SOMETHING: i32 = 4;
/// Removals overdue by more than this are stale.
const STALE_MS: u64 = 5_000;

/// Whether no document, removal or entry of the queue is left that anybody has to do something about.
///
/// # Errors
/// Redis does not answer.
pub async fn is_settled(look: &Look, admin: &mut Connection) -> Result<bool> {
    Ok(open(look).await == 0 && gather::queue_entries(admin)? == 0)
}

/// Documents and removals that are not done. One where the ledger does not answer: nobody knows.
pub async fn open(look: &Look) -> i64 {
    let documents = look.unsettled().await.unwrap_or(1);
    documents + look.number("SELECT count(*) FROM cleanups").await.unwrap_or(1)
}

/// The product's audit without repair, again until it finds nothing: what dead workers left is swept away
/// every few seconds.
///
/// # Errors
/// A server does not answer.
pub async fn audit(
    postgres: &Options,
    graph: &neo4j::Database,
    queue: &RedisQueue,
    cleanup_delay_ms: u64,
) -> Result<Findings> {
    let database = Database::open(postgres).await?;
    let ledger = PostgresLedger::new(database.clone(), cleanup_delay_ms);
    let text: Arc<dyn Sink> = Arc::new(TextSink::new(database.clone()));
    let sinks = [
        text,
        Arc::new(VectorSink::new(database)),
        Arc::new(neo4j::GraphSink::new(graph.clone())) as Arc<dyn Sink>,
    ];
    let sinks: BTreeMap<Store, Arc<dyn Sink>> =
        sinks.into_iter().map(|sink| (sink.store(), sink)).collect();
    let options = verify::Options { grace_ms: STALE_MS, ..verify::Options::default() };
    let began = Instant::now();
    loop {
        let found = verify::verify(&ledger, &sinks, Some(queue), &options).await.context("the audit")?;
        if found.is_clean() || began.elapsed() > VERIFY_MAX {
            if !found.is_clean() {
                eprintln!("{found:#?}");
            }
            return Ok(found);
        }
        tokio::time::sleep(VERIFY_EVERY).await;
    }
}

/// The same as a user asks for it: `docmill verify --wait` at the API. Whether it finds nothing.
///
/// # Errors
/// It cannot be run, or the API does not answer it.
pub fn is_clean_to_a_user(api: &Client) -> Result<bool> {
    let mut verify = Command::new(command::locate(None)?);
    verify.args(["verify", "--wait", "--timeout", &VERIFY_MAX.as_secs().to_string(), "--json"]);
    verify.env("DOCMILL_SERVER", format!("http://127.0.0.1:{}", api.port));
    verify.envs(api.key.iter().map(|key| ("DOCMILL_API_KEY", key)));
    let output = verify.output()?;
    match output.status.code() {
        Some(0) => Ok(true),
        Some(FOUND_SOMETHING) => {
            eprintln!("docmill verify: {}", String::from_utf8_lossy(&output.stdout));
            Ok(false)
        }
        _ => bail!("docmill verify: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
