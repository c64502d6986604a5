//! The section `cache`: where answers of models are kept, if anywhere.

use super::Cache;
use super::resolve::Judge;
use crate::queue::redis::{Credentials, RedisOptions, RedisUrl, Topology};

/// Where answers of models are kept.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// The server.
    pub redis: RedisOptions,
    /// How long, in seconds.
    pub ttl_s: u64,
    /// Whether the queue is on that server, too.
    pub beside_queue: bool,
}

impl Judge<'_> {
    /// `Some(None)`: there is no cache.
    pub(super) fn cache(
        &mut self,
        given: &Cache,
        queue: Option<&RedisUrl>,
    ) -> Option<Option<CacheSettings>> {
        let redis = &given.redis;
        let password = self.secret(
            "cache.redis.password",
            redis.password_file.as_deref(),
            redis.password_env.as_deref(),
        );
        let sentinel_password = self.secret(
            "cache.redis.sentinelPassword",
            redis.sentinel_password_file.as_deref(),
            redis.sentinel_password_env.as_deref(),
        );
        let tls_ca_file = self.file("cache.redis.tlsCaFile", redis.tls_ca_file.as_deref());
        let Some(url) = redis.url.as_deref() else {
            if redis.username.is_some() || password.is_some() || tls_ca_file.is_some() {
                self.wrong("cache.redis.url", None, "is missing", "add it, or remove cache.redis");
            }
            return Some(None);
        };
        let url = self.redis_url("cache.redis", url, tls_ca_file.as_deref())?;
        let beside_queue = queue.is_some_and(|queue| servers(queue) == servers(&url));
        if beside_queue && queue == Some(&url) {
            let what_to_do = "name another database (redis://HOST/1), better another server";
            self.wrong("cache.redis.url", None, "is the queue's own database", what_to_do);
        }
        let mut options = RedisOptions::new(url);
        options.credentials = Credentials { username: redis.username.clone(), password };
        options.sentinel_credentials =
            Credentials { username: redis.sentinel_username.clone(), password: sentinel_password };
        options.tls_ca_file = tls_ca_file;
        options.connect_timeout_ms = redis.connect_timeout_ms;
        options.response_timeout_ms = redis.response_timeout_ms;
        Some(Some(CacheSettings { redis: options, ttl_s: redis.ttl_s, beside_queue }))
    }
}

/// Where the servers are, whatever the database.
fn servers(url: &RedisUrl) -> Vec<String> {
    match &url.topology {
        Topology::Standalone { host, .. } => vec![host.to_string()],
        Topology::Socket(path) => vec![path.display().to_string()],
        Topology::Sentinel { sentinels, master, .. } => {
            sentinels.iter().map(ToString::to_string).chain([master.clone()]).collect()
        }
        Topology::Cluster(nodes) => nodes.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, load};

    fn cache(url: &str) -> Result<Option<bool>, Vec<String>> {
        let text = format!(
            "queue: {{redis: {{url: 'redis://h/2'}}}}\nledger: {{postgres: {{url: 'postgresql://h/d'}}}}\n{url}"
        );
        load(&text, &Environment::new(), &|_| Ok(String::new()))
            .map(|settings| settings.cache.map(|cache| cache.beside_queue))
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_cache_is_not_in_the_queues_database() {
        assert_eq!(cache(""), Ok(None));
        assert_eq!(cache("cache: {redis: {url: 'redis://h/1'}}"), Ok(Some(true)));
        assert_eq!(cache("cache: {redis: {url: 'redis://other/2'}}"), Ok(Some(false)));
        for bad in [
            "cache: {redis: {url: 'redis://h/2'}}",
            "cache: {redis: {username: me}}",
            "cache: {redis: {url: 'redis://me:secret@h/1'}}",
            "cache: {redis: {url: 'redis://h/1', ttlS: 0}}",
        ] {
            let problems = cache(bad).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains("cache.redis."), "{bad}: {problems:?}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
    }
}
