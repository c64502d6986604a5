//! What is wrong with a configuration, for people and for programs.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The key, as `queue.redis.leaseMs`, or the variable of the environment; empty for the file as a whole.
    pub path: String,
    /// What was given, where it cannot be a secret.
    pub value: Option<String>,
    /// What is wrong with it.
    pub what: String,
    /// What would be right.
    pub allowed: String,
    /// What to do.
    pub what_to_do: String,
}

impl Problem {
    /// A problem that shows no value.
    pub(super) fn new(path: &str, what: &str, allowed: impl Into<String>, what_to_do: &str) -> Self {
        Self {
            path: path.to_owned(),
            value: None,
            what: what.to_owned(),
            allowed: allowed.into(),
            what_to_do: what_to_do.to_owned(),
        }
    }

    /// The same with what was given.
    pub(super) fn given(mut self, value: Option<String>) -> Self {
        self.value = value;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the file" } else { &self.path };
        write!(f, "{path} {}", self.what)?;
        if let Some(value) = &self.value {
            write!(f, " (given: {value})")?;
        }
        write!(f, "; allowed: {}; {}", self.allowed, self.what_to_do)
    }
}
