//! Answers of models in a real Redis, and in the twin that tests use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use docmill_core::id::TenantId;
use docmill_tests::services::redis::{RedisServer, Setup, options};
use docmill_worker::cache::{Cache, CacheKey, MemoryCache, RedisCache, TTL_S, VALUE_BYTES_MAX, check};
use docmill_worker::clock::SystemClock;
use docmill_worker::finding::Severity;
use docmill_worker::queue::redis::RedisOptions;

/// What the user needs besides what the queue does.
const RIGHTS: &str = "~extraction:* +get +set";

fn server(setup: Setup) -> (RedisServer, RedisOptions) {
    let server = RedisServer::start(&Setup { rights: RIGHTS.to_owned(), ..setup });
    let options = server.options();
    (server, options)
}

fn key(text: &str) -> CacheKey {
    CacheKey::new(&TenantId::default(), "model", "", text)
}

async fn keeps(cache: &dyn Cache) {
    let keys: Vec<CacheKey> = (0..100).map(|n| key(&n.to_string())).collect();
    assert_eq!(cache.get(&keys).await, vec![None; 100]);
    assert_eq!(cache.get(&[]).await, Vec::<Option<Vec<u8>>>::new());
    let answer = |n: usize| vec![n as u8; n * 10];
    let even: Vec<_> = (0..100).step_by(2).map(|n| (keys[n].clone(), answer(n))).collect();
    cache.put(even).await;
    let wanted: Vec<_> = (0..100).map(|n| (n % 2 == 0).then(|| answer(n))).collect();
    assert_eq!(cache.get(&keys).await, wanted);
    let fits = vec![7; VALUE_BYTES_MAX];
    cache.put(vec![(key("fits"), fits.clone()), (key("larger"), vec![7; VALUE_BYTES_MAX + 1])]).await;
    assert_eq!(cache.get(&[key("larger"), key("fits")]).await, [None, Some(fits)]);
    // A later answer takes the place of an earlier one.
    cache.put(vec![(key("fits"), vec![8])]).await;
    assert_eq!(cache.get(&[key("fits")]).await, [Some(vec![8])]);
}

#[tokio::test]
async fn the_twin_keeps() {
    keeps(&MemoryCache::new(Arc::new(SystemClock))).await;
}

#[tokio::test]
async fn redis_keeps_for_a_day() {
    let (server, options) = server(Setup::default());
    keeps(&RedisCache::new(options, TTL_S)).await;
    let mut admin = server.admin();
    let left: u64 = redis::cmd("TTL").arg(key("2").as_str()).query(&mut admin).unwrap();
    assert!(left > TTL_S - 300 && left <= TTL_S, "{left} s");
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut admin).unwrap();
    assert!(names.iter().all(|name| name.starts_with("extraction:")), "{names:?}");
}

#[tokio::test]
async fn a_cluster_keeps() {
    let (server, _) = server(Setup { cluster: true, ..Setup::default() });
    let options = options(&format!("redis-cluster://127.0.0.1:{}", server.port));
    keeps(&RedisCache::new(options, TTL_S)).await;
}

#[tokio::test]
async fn a_cache_that_is_away_is_empty_and_is_not_waited_for() {
    let (server, mut options) = server(Setup::default());
    options.connect_timeout_ms = 200;
    options.response_timeout_ms = 200;
    let cache = RedisCache::new(options.clone(), TTL_S);
    cache.put(vec![(key("a"), vec![1])]).await;
    server.pause();
    assert_eq!(cache.get(&[key("a")]).await, [None]);
    let began = Instant::now();
    for _ in 0..200 {
        assert_eq!(cache.get(&[key("a")]).await, [None]);
        cache.put(vec![(key("a"), vec![2])]).await;
    }
    // Each alone would have waited for a fifth of a second.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    server.resume();
    let fresh = RedisCache::new(options, TTL_S);
    assert_eq!(fresh.get(&[key("a")]).await, [Some(vec![1])]);
}

#[tokio::test]
async fn a_server_is_judged_as_a_cache() {
    let said = async |options: &RedisOptions, beside| {
        let findings = check(options, beside).await.unwrap();
        findings.into_iter().map(|finding| (finding.severity, finding.what)).collect::<Vec<_>>()
    };
    let lru = Setup { config: "maxmemory-policy allkeys-lru\n".to_owned(), ..Setup::default() };
    let (_good, options) = server(lru);
    assert_eq!(said(&options, false).await, []);
    let beside = said(&options, true).await;
    assert!(matches!(&beside[..], [(Severity::Warning, what)] if what.contains("queue")), "{beside:?}");
    let (_full, options) = server(Setup::default());
    let full = said(&options, false).await;
    assert!(matches!(&full[..], [(Severity::Warning, what)] if what.contains("noeviction")), "{full:?}");
    let without = RedisServer::start(&Setup::default());
    let refused = said(&without.options(), false).await;
    assert!(
        refused.iter().filter(|(severity, _)| *severity == Severity::Error).count() == 2,
        "{refused:?}"
    );
}
