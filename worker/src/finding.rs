//! What a check of a back end says: how much it matters, what is wrong, what to do about it.

use std::net::IpAddr;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It could not be looked at with the rights that we have.
    Unknown,
    /// It works, with a risk or not as well as it could.
    Warning,
    /// It would not work, or data may be lost.
    Error,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub what_to_do: String,
}

impl Finding {
    /// A finding of this severity.
    pub fn new(severity: Severity, what: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self { severity, what: what.into(), what_to_do: what_to_do.into() }
    }

    /// The warning of a back end that is spoken to without TLS; none on this machine, where nobody listens on
    /// the way.
    pub(crate) fn unencrypted(tls: bool, local: bool, what_to_do: &str) -> Option<Self> {
        let what = "the password crosses the network unencrypted";
        (!tls && !local).then(|| Self::new(Severity::Warning, what, what_to_do))
    }
}

/// Whether a host is this machine, by a name or an address that can be no other's.
pub(crate) fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        for host in ["localhost", "127.0.0.1", "127.9.0.2", "::1"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["queue.example", "127.example.com", "localhost.example", "10.0.0.1", "0.0.0.0", "::"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn only_what_leaves_the_machine_without_tls_is_warned_of() {
        for (tls, local, warned) in
            [(false, false, true), (true, false, false), (false, true, false), (true, true, false)]
        {
            assert_eq!(Finding::unencrypted(tls, local, "use TLS").is_some(), warned, "{tls} {local}");
        }
    }
}
