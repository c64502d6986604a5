//! Asks every back end of a configuration whether it is fit, all at once and each within a time limit.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use serde::Serialize;

use crate::api::oidc;
use crate::cache;
use crate::config::{CacheSettings, GraphStore, OidcSettings, RateLimit, Settings};
use crate::finding::{self, Severity};
use crate::neo4j;
use crate::objects::{self, ObjectsOptions};
use crate::postgres::{self, Database, Needs, Options};
use crate::queue::redis::{RedisOptions, check};

/// Something about a back end that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The back end's key in the configuration.
    pub back_end: &'static str,
    /// Where it is.
    pub address: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub what_to_do: String,
}

const REDIS: &str = "queue.redis";
const CACHE: &str = "cache.redis";
const POSTGRES: &str = "ledger.postgres";
const NEO4J: &str = "graph.neo4j";
const OBJECTS: &str = "objects";
const SCRATCH: &str = "scratch";
const OIDC: &str = "api.oidc";
const RATE_LIMITS: &str = "rateLimits";

/// Asks them all. A back end that cannot be asked is a finding.
pub async fn check(settings: &Settings, limit: Duration) -> Vec<Finding> {
    let scratch = settings.scratch.path.display().to_string();
    let of_objects = settings.objects.as_ref().map_or_else(String::new, ObjectsOptions::address);
    let (redis, cache, postgres, graph, objects, scratch, issuer) = futures::join!(
        within(limit, REDIS, settings.redis.url.to_string(), redis(&settings.redis).boxed()),
        cache(limit, settings.cache.as_ref()),
        within(limit, POSTGRES, settings.postgres.url.clone(), postgres(&settings.postgres).boxed()),
        graph(limit, &settings.graph),
        within(limit, OBJECTS, of_objects, objects(settings).boxed()),
        within(limit, SCRATCH, scratch, async { objects::check::check_scratch(&settings.scratch) }.boxed()),
        issuer(limit, settings.api.oidc.as_ref()),
    );
    let limits: Vec<Finding> = settings.rate_limits.iter().map(without_effect).collect();
    let mut findings = [redis, cache, postgres, graph, objects, scratch, issuer, limits].concat();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

async fn cache(limit: Duration, settings: Option<&CacheSettings>) -> Vec<Finding> {
    let Some(cache) = settings else { return Vec::new() };
    let asked = async {
        cache::check(&cache.redis, cache.beside_queue).boxed().await.unwrap_or_else(|failed| {
            let what_to_do = "check cache.redis; documents are worked on without it";
            vec![error(failed.to_string(), what_to_do)]
        })
    };
    within(limit, CACHE, cache.redis.url.to_string(), asked.boxed()).await
}

async fn graph(limit: Duration, store: &GraphStore) -> Vec<Finding> {
    match store {
        // Its server is asked already.
        GraphStore::Postgres => Vec::new(),
        GraphStore::Neo4j(options) => {
            within(limit, NEO4J, options.url.clone(), neo4j(options).boxed()).await
        }
    }
}

async fn issuer(limit: Duration, settings: Option<&OidcSettings>) -> Vec<Finding> {
    match settings {
        None => Vec::new(),
        Some(settings) => within(limit, OIDC, settings.issuer.clone(), oidc::check(settings).boxed()).await,
    }
}

/// What is said of a limit as long as there is no model of a provider.
fn without_effect(limit: &RateLimit) -> Finding {
    let RateLimit { provider, requests_per_minute, calls_per_document } = limit;
    Finding {
        severity: Severity::Warning,
        back_end: RATE_LIMITS,
        address: provider.clone(),
        what: format!(
            "{requests_per_minute} requests a minute, {calls_per_document} a document: the built-in model asks nobody, \
             and there is no other yet"
        ),
        what_to_do: "leave it for a model of this provider, or remove it".to_owned(),
    }
}

async fn within(
    limit: Duration,
    back_end: &'static str,
    address: String,
    asked: BoxFuture<'_, Vec<finding::Finding>>,
) -> Vec<Finding> {
    let said = tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
        let what = format!("no answer within {} s", limit.as_secs());
        vec![error(what, "check address, network policy and load of the server")]
    });
    let of_back_end = |said: finding::Finding| Finding {
        severity: said.severity,
        back_end,
        address: address.clone(),
        what: said.what,
        what_to_do: said.what_to_do,
    };
    said.into_iter().map(of_back_end).collect()
}

fn error(what: String, what_to_do: &str) -> finding::Finding {
    finding::Finding::new(Severity::Error, what, what_to_do)
}

async fn redis(options: &RedisOptions) -> Vec<finding::Finding> {
    check::check(options).boxed().await.unwrap_or_else(|failed| {
        let what_to_do = "check queue.redis: url (rediss for TLS), tlsCaFile, username and password";
        vec![error(failed.to_string(), what_to_do)]
    })
}

async fn objects(settings: &Settings) -> Vec<finding::Finding> {
    match &settings.objects {
        Some(options) => objects::check::check(options, &settings.scratch).boxed().await,
        None => Vec::new(),
    }
}

async fn postgres(options: &Options) -> Vec<finding::Finding> {
    // How many workers there will be is not known here; the vectors are in the ledger's server.
    let needs = Needs { vectors: true, processes: 1 };
    let asked = async { Database::connect(options).boxed().await?.check(&needs).boxed().await };
    asked.boxed().await.unwrap_or_else(|failed| {
        let what_to_do = match &failed {
            postgres::Error::Login(_) => "check ledger.postgres.user and its password",
            postgres::Error::Certificate(_) => "check ledger.postgres.tlsCaFile",
            postgres::Error::Unreachable(_) => {
                "check ledger.postgres.url, the network policy, and whether both sides agree on TLS (tlsCaFile)"
            }
            _ => "check ledger.postgres",
        };
        vec![error(failed.to_string(), what_to_do)]
    })
}

async fn neo4j(options: &neo4j::Options) -> Vec<finding::Finding> {
    let asked = async { neo4j::Database::connect(options).boxed().await?.check().boxed().await };
    asked.boxed().await.unwrap_or_else(|failed| {
        let what_to_do = match &failed {
            neo4j::Error::Login(_) => "check graph.neo4j.username and its password",
            neo4j::Error::Certificate(_) => "check graph.neo4j.tlsCaFile",
            neo4j::Error::Unreachable(_) => {
                "check graph.neo4j.url, the network policy, and whether both sides agree on TLS (bolt+s)"
            }
            _ => "check graph.neo4j",
        };
        vec![error(failed.to_string(), what_to_do)]
    })
}
