//! Is this Redis fit to hold the queue? Decides over facts that [`gather`] collects; changes nothing
//! that is in use.

mod gather;
pub mod rights;

use super::link::Link;
use super::{Error, Keys, RedisOptions};
pub use crate::finding::{Finding, Severity};

/// Oldest version that has all we call: XPENDING with IDLE came with it.
pub const VERSION_MIN: Version = Version([6, 2, 0]);

/// What to do where a password would cross the network unencrypted.
pub(crate) const ENCRYPT: &str = "begin the url with rediss, once the server has a certificate";

/// A version of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What Redis' user `default` may do. The append-only file is replayed as that user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultUser {
    /// Every command on every key.
    MayAll,
    /// Less than that.
    Limited {
        /// Its commands, as Redis describes them.
        commands: String,
        /// Its keys.
        keys: String,
    },
    /// We may not ask.
    Hidden,
}

/// What a server says of itself, and how we reach it; none where it may not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether we speak to it with TLS.
    pub tls: bool,
    /// Whether it is on this machine, where nobody listens on the way.
    pub local: bool,
    /// Its version.
    pub version: Option<Version>,
    /// `master` or `slave`.
    pub role: Option<String>,
    /// Whether it has an append-only file.
    pub append_only: Option<bool>,
    /// Whether it could write that file the last time.
    pub append_ok: Option<bool>,
    /// When it waits for the disk.
    pub appendfsync: Option<String>,
    /// What it does when memory is full.
    pub maxmemory_policy: Option<String>,
    /// See [`DefaultUser`].
    pub default_user: DefaultUser,
    /// Commands that we need and it does not have.
    pub commands_missing: Vec<String>,
    /// Commands that our user may not call on our keys.
    pub commands_denied: Vec<String>,
}

/// Asks the server and judges what it says. An empty list: all is well.
///
/// # Errors
///
/// The server did not answer, or refused the user.
pub async fn check(options: &RedisOptions) -> Result<Vec<Finding>, Error> {
    let (link, keys) = (Link::new(options.clone()), Keys::new(&options.key_prefix));
    let facts = gather::gather(&link, &keys, &options.url).await.map_err(|error| link.describe(&error))?;
    Ok(judge(&facts, &keys))
}

/// What is wrong with a server of which these facts are known, gravest first.
pub fn judge(facts: &Facts, keys: &Keys) -> Vec<Finding> {
    let mut findings: Vec<Finding> = [
        encryption(facts),
        version(facts),
        role(facts),
        append_only(facts),
        append_ok(facts),
        appendfsync(facts),
        replay(facts),
        eviction(facts),
        commands(facts),
        denied(facts, keys),
    ]
    .into_iter()
    .flatten()
    .collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

fn finding(severity: Severity, what: impl Into<String>, what_to_do: impl Into<String>) -> Option<Finding> {
    Some(Finding::new(severity, what, what_to_do))
}

fn encryption(facts: &Facts) -> Option<Finding> {
    Finding::unencrypted(facts.tls, facts.local, ENCRYPT)
}

fn version(facts: &Facts) -> Option<Finding> {
    match facts.version {
        None => finding(
            Severity::Unknown,
            "the version of Redis cannot be read",
            format!("allow the user INFO, and see that Redis is {VERSION_MIN} or newer"),
        ),
        Some(version) if version < VERSION_MIN => finding(
            Severity::Error,
            format!("Redis is {version}, and commands that the queue needs came with {VERSION_MIN}"),
            "use a newer Redis or Valkey",
        ),
        Some(_) => None,
    }
}

fn role(facts: &Facts) -> Option<Finding> {
    if facts.role.as_deref() == Some("slave") {
        return finding(
            Severity::Error,
            "this server is a replica and takes no writes",
            "name the master, or the sentinels by redis-sentinel://HOST,HOST/MASTER",
        );
    }
    None
}

fn append_only(facts: &Facts) -> Option<Finding> {
    if facts.append_only? {
        return None;
    }
    finding(
        Severity::Error,
        "Redis has no append-only file: a restart forgets the queue, and every document waits for the next \
         reconciliation with the ledger",
        "set `appendonly yes` and `appendfsync always`, on a volume that outlives the server",
    )
}

fn append_ok(facts: &Facts) -> Option<Finding> {
    if facts.append_ok? {
        return None;
    }
    finding(
        Severity::Error,
        "Redis could not write its append-only file",
        "see its log, and whether its volume is full",
    )
}

fn appendfsync(facts: &Facts) -> Option<Finding> {
    if facts.append_only == Some(false) {
        return None;
    }
    match facts.appendfsync.as_deref() {
        Some("always") => None,
        Some(policy) => finding(
            Severity::Warning,
            format!(
                "appendfsync is {policy}: what was acknowledged shortly before a crash may be forgotten"
            ),
            "set `appendfsync always`; it costs far less than a document does",
        ),
        None => finding(
            Severity::Unknown,
            "appendfsync cannot be read: this user may not call CONFIG GET",
            "see that it is `always`",
        ),
    }
}

fn replay(facts: &Facts) -> Option<Finding> {
    if facts.append_only == Some(false) {
        return None;
    }
    let remedy = "give it all rights while it stays off: `user default off resetpass ~* &* +@all`";
    match &facts.default_user {
        DefaultUser::MayAll => None,
        DefaultUser::Limited { commands, keys } => finding(
            Severity::Error,
            format!(
                "the user `default` may not do everything (commands {commands:?}, keys {keys:?}): Redis replays \
                 its append-only file as that user, and many versions drop every transaction in it without an \
                 error, so that a restart forgets leases, delays and entries"
            ),
            remedy,
        ),
        DefaultUser::Hidden => finding(
            Severity::Unknown,
            "the rights of the user `default` cannot be read, and Redis replays its append-only file with them",
            format!("where there is an ACL, {remedy}"),
        ),
    }
}

fn eviction(facts: &Facts) -> Option<Finding> {
    match facts.maxmemory_policy.as_deref() {
        None | Some("noeviction") => None,
        Some(policy) => finding(
            Severity::Error,
            format!("maxmemory-policy is {policy}: when memory is full, Redis would throw entries away"),
            "set `maxmemory-policy noeviction`; a cache belongs on a server of its own",
        ),
    }
}

fn commands(facts: &Facts) -> Option<Finding> {
    if facts.commands_missing.is_empty() {
        return None;
    }
    finding(
        Severity::Error,
        format!("the server does not have: {}", facts.commands_missing.join(", ")),
        format!("use Redis {VERSION_MIN} or newer, or Valkey; a proxy or an emulator may lack commands"),
    )
}

fn denied(facts: &Facts, keys: &Keys) -> Option<Finding> {
    if facts.commands_denied.is_empty() {
        return None;
    }
    finding(
        Severity::Error,
        format!("the user may not call, or not on our keys: {}", facts.commands_denied.join(", ")),
        format!("give it at least: {}", rights::rules(keys)),
    )
}

#[cfg(test)]
mod tests;
