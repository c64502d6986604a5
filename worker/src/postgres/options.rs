//! How to reach a PostgreSQL server: typed, with units in the names, and a password that never prints.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::Error;
use crate::finding::is_this_machine;
use crate::secret::Secret;

/// Longest pause of a process between two statements of a transaction. One that pauses longer hangs or was stopped,
/// and others wait for its locks, commits among them.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(2);

/// Name of the schema that holds docmill's tables: what needs no quotes, so that it reads the same
/// everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SchemaName(String);

/// A schema name that is not allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "schema {0:?} is not allowed: use 1 to 63 of a-z, 0-9 and '_', not beginning with a digit or 'pg_'"
)]
pub struct InvalidSchema(pub String);

impl SchemaName {
    /// Longest name that the server does not cut.
    pub const BYTES_MAX: usize = 63;

    /// Checks and wraps a name.
    ///
    /// # Errors
    /// The name is not allowed.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidSchema> {
        let name = name.into();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let first = name.chars().next();
        let begins_well = first.is_some_and(|c| !c.is_ascii_digit()) && !name.starts_with("pg_");
        if !begins_well || name.len() > Self::BYTES_MAX || !name.chars().all(allowed) {
            return Err(InvalidSchema(name));
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it stands in a statement; quoted, as it may be a key word.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl Default for SchemaName {
    fn default() -> Self {
        Self("docmill".to_owned())
    }
}

impl<'de> Deserialize<'de> for SchemaName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A server, who we are there, and how long we wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// `postgresql://HOST[:PORT]/DATABASE`, without a user and without a password.
    pub url: String,
    /// The role.
    pub user: String,
    /// Its password; none where the server asks for none.
    pub password: Option<Secret>,
    /// PEM file of the authority that signed the server's certificate; with it, TLS is required and the
    /// host name is checked. Without it, nothing is encrypted.
    pub tls_ca_file: Option<PathBuf>,
    /// Connections that a process holds at most.
    pub pool_size: u32,
    /// Longest wait for a new connection.
    pub connect_timeout_ms: u64,
    /// Longest time of a statement, and longest wait for a connection of the pool.
    pub statement_timeout_ms: u64,
    /// Longest wait for a lock.
    pub lock_timeout_ms: u64,
    /// The schema of our tables; made where it lacks.
    pub schema: SchemaName,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "postgresql://localhost:5432/docmill".to_owned(),
            user: "docmill".to_owned(),
            password: None,
            tls_ca_file: None,
            pool_size: 8,
            connect_timeout_ms: 5_000,
            statement_timeout_ms: 60_000,
            lock_timeout_ms: 20_000,
            schema: SchemaName::default(),
        }
    }
}

impl Options {
    /// Whether the options can be used, without connecting.
    ///
    /// # Errors
    /// [`Error::Options`], which never quotes the url.
    pub fn validate(&self) -> Result<(), Error> {
        self.client_config().map(drop)
    }

    /// What the client library needs to connect.
    pub(super) fn client_config(&self) -> Result<tokio_postgres::Config, Error> {
        // The parser's own message may quote the URL, and with it a password that should not be there.
        let mut config = tokio_postgres::Config::from_str(&self.url)
            .map_err(|_| Error::Options("the url is not of the form postgresql://HOST[:PORT]/DATABASE"))?;
        if config.get_password().is_some() || config.get_user().is_some() {
            return Err(Error::Options(
                "the url must hold neither user nor password: they have their own options",
            ));
        }
        if config.get_options().is_some() {
            return Err(Error::Options("the url must hold no options"));
        }
        config
            .user(&self.user)
            .application_name("docmill")
            .connect_timeout(Duration::from_millis(self.connect_timeout_ms))
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(Duration::from_millis(self.statement_timeout_ms))
            .options(self.session());
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        use tokio_postgres::config::SslMode;
        config.ssl_mode(if self.tls_ca_file.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(config)
    }

    /// Settings of every session.
    fn session(&self) -> String {
        format!(
            "-c search_path={},public -c statement_timeout={} -c lock_timeout={} \
             -c idle_in_transaction_session_timeout={} -c default_transaction_isolation=read\\ committed",
            self.schema.as_str(),
            self.statement_timeout_ms,
            self.lock_timeout_ms,
            IDLE_IN_TRANSACTION_MAX.as_millis()
        )
    }
}

/// Whether every server that may be connected to is on this machine, where nobody listens on the way.
pub(super) fn is_local(config: &tokio_postgres::Config) -> bool {
    use tokio_postgres::config::Host;
    // Where addresses are given, names are not looked up.
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => is_this_machine(name),
            Host::Unix(_) => true,
        }),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_never_print() {
        let options = Options { password: Some(Secret::new("hunter2")), ..Options::default() };
        let shown = format!("{options:?} {}", serde_json::to_string(&options).unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("[redacted]"));
    }

    #[test]
    fn a_url_with_a_secret_is_refused_without_quoting_it() {
        for url in [
            "postgresql://u:hunter2@h/d",
            "postgresql://u@h/d",
            "hunter2 hunter2",
            "postgresql://h/d?password=hunter2",
        ] {
            let error = Options { url: url.to_owned(), ..Options::default() }.client_config().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(Options::default().client_config().is_ok());
    }

    #[test]
    fn what_leaves_the_machine_is_known() {
        for (url, local) in [
            ("postgresql://localhost:5432/d", true),
            ("postgresql://[::1]/d", true),
            ("postgresql:///d?host=/run/postgresql", true),
            ("postgresql://ledger.example/d?hostaddr=127.0.0.1", true),
            ("postgresql://ledger.example/d", false),
            ("postgresql://localhost/d?hostaddr=10.0.0.1", false),
            ("postgresql://localhost,ledger.example/d", false),
        ] {
            let options = Options { url: url.to_owned(), ..Options::default() };
            assert_eq!(is_local(&options.client_config().unwrap()), local, "{url}");
        }
    }

    #[test]
    fn schema_names_are_checked() {
        for bad in ["", "1a", "A", "a-b", "pg_x", "a\"b", &"x".repeat(64)] {
            assert_eq!(SchemaName::new(bad), Err(InvalidSchema(bad.to_owned())));
        }
        assert!(SchemaName::new("team_1").is_ok());
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<Options>(r#"{"pool":3}"#).is_err());
        let options: Options = serde_json::from_str(r#"{"pool_size":3,"password":"x"}"#).unwrap();
        assert_eq!((options.pool_size, options.password), (3, Some(Secret::new("x"))));
    }
}
