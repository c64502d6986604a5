//! What a check of a back end says: how much it matters, what is wrong, what to do about it.

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
}
