//! How to reach Redis, and under which names and times: typed, checked once, without secrets in it that print.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use docmill_core::delivery::LeaseConfig;

use crate::finding::is_this_machine;
use crate::secret::Secret;

/// Longest prefix of keys, in bytes: it is part of every key and of the user's rights.
pub const KEY_PREFIX_BYTES_MAX: usize = 128;

/// How long a connection may take, in milliseconds, TLS and log-in included.
pub const CONNECT_TIMEOUT_MS: u64 = 2_000;

/// How long an answer may take, in milliseconds: a slow disk under `appendfsync always` included.
pub const RESPONSE_TIMEOUT_MS: u64 = 5_000;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOption {
    /// The URL does not say where Redis is.
    #[error(
        "not a Redis URL: {0}; expected redis://HOST[:PORT][/DB], rediss://… for TLS, unix:///PATH, \
         redis-sentinel://HOST,HOST/MASTER[/DB] or redis-cluster://HOST,HOST"
    )]
    Url(String),
    /// The URL has a user or password in it.
    #[error("the Redis URL holds a user name or a password: give them as options of their own")]
    SecretInUrl,
    /// The prefix would not be safe in keys and rights.
    #[error(
        "key prefix {0:?} is not allowed: use 1 to {KEY_PREFIX_BYTES_MAX} of a-z, A-Z, 0-9, '.', '_', '-' and ':'"
    )]
    KeyPrefix(String),
}

/// The shape of a Redis installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Standalone {
        /// Where it is.
        host: Host,
        /// Number of its database.
        database: i64,
    },
    /// One server behind a socket file.
    Socket(PathBuf),
    /// The master that sentinels name.
    Sentinel {
        /// Where the sentinels are.
        sentinels: Vec<Host>,
        /// The master's name.
        master: String,
        /// Number of its database.
        database: i64,
    },
    /// A cluster, reached through any of these.
    Cluster(Vec<Host>),
}

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name or IP address.
    pub name: String,
    /// TCP port.
    pub port: u16,
}

/// Where Redis is: read from a URL that holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Which servers.
    pub topology: Topology,
    /// Whether the connections are encrypted and the servers' certificates checked.
    pub tls: bool,
}

impl RedisUrl {
    /// Whether every server that it names is on this machine, where nobody listens on the way.
    pub fn is_local(&self) -> bool {
        let local = |host: &Host| is_this_machine(&host.name);
        match &self.topology {
            Topology::Standalone { host, .. } => local(host),
            Topology::Socket(_) => true,
            Topology::Sentinel { sentinels: hosts, .. } | Topology::Cluster(hosts) => {
                hosts.iter().all(local)
            }
        }
    }
}

impl FromStr for RedisUrl {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let bad = |why: &str| InvalidOption::Url(why.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        if scheme == "unix" {
            let path = PathBuf::from(rest);
            let absolute =
                path.is_absolute().then_some(path).ok_or_else(|| bad("the path is not absolute"))?;
            return Ok(Self { topology: Topology::Socket(absolute), tls: false });
        }
        if rest.contains('@') {
            return Err(InvalidOption::SecretInUrl);
        }
        if rest.contains(['?', '#']) {
            return Err(bad("it has parameters"));
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (tls, shape) = match scheme.strip_prefix("rediss") {
            Some(shape) => (true, shape),
            None => (false, scheme.strip_prefix("redis").ok_or_else(|| bad("unknown scheme"))?),
        };
        let port = if shape == "-sentinel" { SENTINEL_PORT } else { PORT };
        let mut hosts =
            hosts.split(',').map(|host| Host::parse(host, port)).collect::<Result<Vec<_>, _>>()?;
        let topology = match (shape, hosts.len()) {
            ("", 1) => Topology::Standalone { host: hosts.remove(0), database: database(path)? },
            ("", _) => return Err(bad("it names several servers, but neither sentinels nor a cluster")),
            ("-sentinel", _) => {
                let (master, number) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(bad("the name of the master is missing"));
                }
                Topology::Sentinel {
                    sentinels: hosts,
                    master: master.to_owned(),
                    database: database(number)?,
                }
            }
            ("-cluster", _) if path.is_empty() => Topology::Cluster(hosts),
            ("-cluster", _) => return Err(bad("a cluster has no numbered databases")),
            _ => return Err(bad("unknown scheme")),
        };
        Ok(Self { topology, tls })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        match &self.topology {
            Topology::Standalone { host, database } => write!(f, "{scheme}://{host}/{database}"),
            Topology::Socket(path) => write!(f, "unix://{}", path.display()),
            Topology::Sentinel { sentinels, master, database } => {
                write!(f, "{scheme}-sentinel://{}/{master}/{database}", join(sentinels))
            }
            Topology::Cluster(nodes) => write!(f, "{scheme}-cluster://{}", join(nodes)),
        }
    }
}

fn join(hosts: &[Host]) -> String {
    hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(",")
}

fn database(number: &str) -> Result<i64, InvalidOption> {
    if number.is_empty() {
        return Ok(0);
    }
    let number: Option<u32> = number.parse().ok();
    number.map(i64::from).ok_or_else(|| InvalidOption::Url("the database is not a number".to_owned()))
}

impl Host {
    fn parse(text: &str, default_port: u16) -> Result<Self, InvalidOption> {
        let bad = || InvalidOption::Url(format!("{text:?} is not HOST or HOST:PORT"));
        // An IPv6 address stands in brackets: its colons are no port.
        let (name, port) = match text.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').ok_or_else(bad)?,
            None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| bad())?,
            None if port.is_empty() => default_port,
            None => return Err(bad()),
        };
        if name.is_empty() {
            return Err(bad());
        }
        Ok(Self { name: name.to_owned(), port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// What every key of a pipeline begins with, and what places them in one slot of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Checks and wraps a prefix.
    ///
    /// # Errors
    ///
    /// [`InvalidOption::KeyPrefix`]: braces would end the hash tag, `*` would widen the user's rights.
    pub fn new(prefix: impl Into<String>) -> Result<Self, InvalidOption> {
        let prefix = prefix.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        if prefix.is_empty() || prefix.len() > KEY_PREFIX_BYTES_MAX || !prefix.chars().all(allowed) {
            return Err(InvalidOption::KeyPrefix(prefix));
        }
        Ok(Self(prefix))
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("docmill:default".to_owned())
    }
}

/// A user and its password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The user; none is Redis' `default`.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
}

/// Everything that the queue in Redis must be told.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Where Redis is.
    pub url: RedisUrl,
    /// Who we are there.
    pub credentials: Credentials,
    /// Who we are to the sentinels, where there are any.
    pub sentinel_credentials: Credentials,
    /// Certificates to trust in place of the system's, in PEM.
    pub tls_ca_file: Option<PathBuf>,
    /// The pipeline's keys.
    pub key_prefix: KeyPrefix,
    /// How long a delivery stays with a consumer that says nothing, in milliseconds.
    pub lease_ms: u64,
    /// See [`CONNECT_TIMEOUT_MS`].
    pub connect_timeout_ms: u64,
    /// See [`RESPONSE_TIMEOUT_MS`].
    pub response_timeout_ms: u64,
}

impl RedisOptions {
    /// The defaults for this place.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            credentials: Credentials::default(),
            sentinel_credentials: Credentials::default(),
            tls_ca_file: None,
            key_prefix: KeyPrefix::default(),
            lease_ms: LeaseConfig::default().lease_ms,
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            response_timeout_ms: RESPONSE_TIMEOUT_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written() {
        let cases = [
            ("redis://cache", "redis://cache:6379/0"),
            ("rediss://cache:7000/3", "rediss://cache:7000/3"),
            ("redis://[::1]:7000", "redis://[::1]:7000/0"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
            ("redis-sentinel://a,b:1/main", "redis-sentinel://a:26379,b:1/main/0"),
            ("rediss-sentinel://a/main/2", "rediss-sentinel://a:26379/main/2"),
            ("rediss-cluster://a,b:7001", "rediss-cluster://a:6379,b:7001"),
        ];
        for (given, written) in cases {
            let url: RedisUrl = given.parse().unwrap();
            assert_eq!(url.to_string(), written);
            assert_eq!(written.parse::<RedisUrl>().unwrap(), url);
        }
    }

    #[test]
    fn bad_urls_are_refused_and_secrets_are_not_repeated() {
        let bad = [
            "localhost:6379",
            "http://localhost",
            "redis://a,b",
            "redis://a/x",
            "redis://a:port",
            "redis://",
            "redis://[::1",
            "redis://a?protocol=resp3",
            "redis-sentinel://a",
            "redis-cluster://a/1",
            "redissentinel://a",
            "unix://run/redis.sock",
        ];
        for url in bad {
            assert!(matches!(url.parse::<RedisUrl>(), Err(InvalidOption::Url(_))), "{url}");
        }
        let error = "redis://me:hunter2@host".parse::<RedisUrl>().unwrap_err();
        assert_eq!(error, InvalidOption::SecretInUrl);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn what_leaves_the_machine_is_known() {
        for url in [
            "redis://localhost",
            "redis://[::1]",
            "unix:///run/redis.sock",
            "redis-cluster://127.0.0.1:1,127.0.0.1:2",
        ] {
            assert!(url.parse::<RedisUrl>().unwrap().is_local(), "{url}");
        }
        for url in ["redis://queue", "redis-sentinel://localhost,b/main", "redis-cluster://127.0.0.1,b"] {
            assert!(!url.parse::<RedisUrl>().unwrap().is_local(), "{url}");
        }
    }

    #[test]
    fn prefixes_stay_in_their_tag_and_rights() {
        assert!(KeyPrefix::new("docmill:team-a.b_c").is_ok());
        for bad in ["", "a{b", "a}b", "a*", "a b", "ä", &"a".repeat(KEY_PREFIX_BYTES_MAX + 1)] {
            assert!(KeyPrefix::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let mut options = RedisOptions::new("redis://host".parse().unwrap());
        options.credentials.password = Some(Secret::new("hunter2"));
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
