//! How to reach a Neo4j server: typed, with units in the names, and a password that never prints.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::secret::Secret;

/// The port of Bolt where an address names none.
const PORT: u16 = 7687;

/// A server, who we are there, and how long we wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// `bolt://HOST[:PORT]`, or `bolt+s://…` for TLS; `neo4j` and `neo4j+s` mean the same, as the one server
    /// that is named is asked. Without a user and without a password.
    pub url: String,
    /// The user.
    pub username: String,
    /// Its password; none where the server asks for none.
    pub password: Option<Secret>,
    /// PEM file of the authorities to trust in place of the system's; only with TLS.
    pub tls_ca_file: Option<PathBuf>,
    /// The database; none: the user's home database.
    pub database: Option<String>,
    /// Connections that a process holds at most.
    pub pool_size: u32,
    /// Longest wait for a new connection, TLS and login included.
    pub connect_timeout_ms: u64,
    /// Longest time of a transaction, which the server ends then, and longest wait for a free connection.
    pub transaction_timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "bolt://localhost:7687".to_owned(),
            username: "neo4j".to_owned(),
            password: None,
            tls_ca_file: None,
            database: None,
            pool_size: 100,
            connect_timeout_ms: 5_000,
            transaction_timeout_ms: 60_000,
        }
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Its name or number.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// Whether it is spoken to with TLS.
    pub(super) tls: bool,
}

impl Options {
    /// Whether the options can be used, without connecting.
    ///
    /// # Errors
    /// [`Error::Options`], which never quotes the url.
    pub fn validate(&self) -> Result<(), Error> {
        let address = self.address()?;
        if self.tls_ca_file.is_some() && !address.tls {
            return Err(Error::Options("authorities are given, but the url does not ask for TLS"));
        }
        Ok(())
    }

    pub(super) fn address(&self) -> Result<Address, Error> {
        const FORM: Error =
            Error::Options("the url is not of the form bolt://HOST[:PORT] or bolt+s://HOST[:PORT]");
        let (scheme, rest) = self.url.split_once("://").ok_or(FORM)?;
        let tls = match scheme {
            "bolt" | "neo4j" => false,
            "bolt+s" | "neo4j+s" => true,
            "bolt+ssc" | "neo4j+ssc" => {
                return Err(Error::Options(
                    "certificates are always checked: use bolt+s and name the authority",
                ));
            }
            _ => return Err(FORM),
        };
        if rest.contains('@') {
            return Err(Error::Options(
                "the url must hold neither user nor password: they have their own options",
            ));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(FORM)?)),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(PORT), str::parse).map_err(|_| FORM)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || port == 0 || !host.chars().all(allowed) {
            return Err(FORM);
        }
        Ok(Address { host: host.to_owned(), port, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Address, Error> {
        Options { url: url.to_owned(), ..Options::default() }.address()
    }

    #[test]
    fn addresses_are_read() {
        for (url, host, port, tls) in [
            ("bolt://h", "h", 7687, false),
            ("neo4j+s://db.example.org:443/", "db.example.org", 443, true),
            ("bolt+s://[::1]:1", "::1", 1, true),
            ("bolt://[::1]", "::1", 7687, false),
        ] {
            assert_eq!(of(url).unwrap(), Address { host: host.to_owned(), port, tls });
        }
    }

    #[test]
    fn a_bad_url_is_refused_without_quoting_it() {
        for url in [
            "bolt://u:hunter2@h",
            "bolt+ssc://hunter2",
            "http://hunter2",
            "hunter2",
            "bolt://",
            "bolt://h:0",
            "bolt://hunter2:x",
            "bolt://hunter2/d",
            "bolt://[::1]x",
        ] {
            let error = of(url).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn passwords_never_print() {
        let options = Options { password: Some(Secret::new("hunter2")), ..Options::default() };
        let shown = format!("{options:?} {}", serde_json::to_string(&options).unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("[redacted]"));
    }

    #[test]
    fn authorities_without_tls_are_refused() {
        let options = Options { tls_ca_file: Some("/ca.pem".into()), ..Options::default() };
        assert!(matches!(options.validate(), Err(Error::Options(_))));
    }
}
