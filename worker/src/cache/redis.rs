//! The cache in Redis: plain keys that expire, in a database or on a server of its own.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::join_all;
use redis::Cmd;

use super::{Cache, CacheKey, VALUE_BYTES_MAX};
use crate::finding::{Finding, Severity};
use crate::queue::Error;
use crate::queue::redis::check::ENCRYPT;
use crate::queue::redis::{Link, RedisOptions};

/// How long a cache that did not answer is left alone: documents do not wait for it one after the other.
const REST: Duration = Duration::from_secs(5);
/// Longest wait for all answers of one call; a model is seldom slower.
const CALL_MAX: Duration = Duration::from_millis(500);
/// A key that no answer has, to try rights with.
const PROBE: &str = "extraction:probe";

/// See the module.
pub struct RedisCache {
    link: Link,
    ttl_s: u64,
    resting_since: Mutex<Option<Instant>>,
}

impl RedisCache {
    /// A cache that connects when it is first used and keeps answers for so many seconds.
    pub fn new(options: RedisOptions, ttl_s: u64) -> Self {
        Self { link: Link::new(options), ttl_s, resting_since: Mutex::default() }
    }

    fn rests(&self) -> bool {
        let since = self.resting_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < REST)
    }

    fn rest(&self, why: &str) {
        tracing::info!(why, "the cache does not answer: done without it for {} s", REST.as_secs());
        *self.resting_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Sends commands at once, each by the key it is for; nothing where one fails.
    async fn send<T: redis::FromRedisValue>(&self, commands: &[(Cmd, &str)]) -> Option<Vec<T>> {
        if self.rests() || commands.is_empty() {
            return None;
        }
        let calls = commands.iter().map(|(command, key)| self.link.command(command, key));
        let answers = match tokio::time::timeout(CALL_MAX, join_all(calls)).await {
            Ok(answers) => answers.into_iter().collect::<Result<Vec<T>, _>>(),
            Err(_) => {
                self.rest("it is slow");
                return None;
            }
        };
        answers.inspect_err(|error| self.rest(&self.link.describe(error).to_string())).ok()
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, keys: &[CacheKey]) -> Vec<Option<Vec<u8>>> {
        let get = |key: &CacheKey| redis::cmd("GET").arg(key.as_str()).to_owned();
        let commands: Vec<_> = keys.iter().map(|key| (get(key), key.as_str())).collect();
        self.send(&commands).await.unwrap_or_else(|| vec![None; keys.len()])
    }

    async fn put(&self, values: Vec<(CacheKey, Vec<u8>)>) {
        let set = |key: &CacheKey, value: &Vec<u8>| {
            redis::cmd("SET").arg(key.as_str()).arg(value).arg("EX").arg(self.ttl_s).to_owned()
        };
        let fitting = values.iter().filter(|(_, value)| value.len() <= VALUE_BYTES_MAX);
        let commands: Vec<_> = fitting.map(|(key, value)| (set(key, value), key.as_str())).collect();
        let _: Option<Vec<redis::Value>> = self.send(&commands).await;
    }
}

/// Asks the cache's server, and judges what it says. `beside_queue`: the queue is on the same server.
///
/// # Errors
/// The server did not answer, or refused the user.
pub async fn check(options: &RedisOptions, beside_queue: bool) -> Result<Vec<Finding>, Error> {
    let link = Link::new(options.clone());
    let url = &options.url;
    let mut findings = Vec::from_iter(Finding::unencrypted(url.tls, url.is_local(), ENCRYPT));
    let describe = |error: &redis::RedisError| link.describe(error);
    let set = redis::cmd("SET").arg(PROBE).arg("").arg("EX").arg(1).to_owned();
    for (name, command) in [("SET", set), ("GET", redis::cmd("GET").arg(PROBE).to_owned())] {
        match link.command::<redis::Value>(&command, PROBE).await {
            Ok(_) => {}
            Err(error) if error.code() == Some("NOPERM") => findings.push(Finding::new(
                Severity::Error,
                format!("the user may not call {name} on extraction:*"),
                "give it `~extraction:* +get +set`",
            )),
            Err(error) => return Err(describe(&error)),
        }
    }
    if beside_queue {
        let what = "the cache is on the queue's server: when it has filled the memory, the queue takes nothing more";
        findings.push(Finding::new(Severity::Warning, what, "give the cache a server of its own"));
        return Ok(findings);
    }
    let memory: Result<String, _> = link.command(redis::cmd("INFO").arg("memory"), PROBE).await;
    let fact = |name: &str| {
        let lines = memory.as_deref().unwrap_or_default().lines();
        lines.filter_map(|line| line.trim_end().split_once(':')).find(|(found, _)| *found == name)
    };
    match (fact("maxmemory"), fact("maxmemory_policy")) {
        (Some((_, "0")), _) => findings.push(Finding::new(
            Severity::Warning,
            "maxmemory is not set: the cache may grow for a day",
            "set `maxmemory`, and `maxmemory-policy allkeys-lru`",
        )),
        (_, Some((_, "noeviction"))) => findings.push(Finding::new(
            Severity::Warning,
            "maxmemory-policy is noeviction: a full cache keeps nothing new",
            "set `maxmemory-policy allkeys-lru`",
        )),
        _ => {}
    }
    Ok(findings)
}
