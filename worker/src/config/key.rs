//! What a key of the file is: what it may hold, its variable, its meaning.

const CATEGORIES: &str = "a list of {name, description, examples}";
const RATE_LIMITS: &str = "a list of {provider, requestsPerMinute, callsPerDocument}";

/// What a key may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A section without keys of its own.
    Empty,
    /// True or false.
    Flag,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// A text, judged where it is used.
    Text {
        /// What is allowed, in words.
        allowed: &'static str,
        /// Whether a problem may repeat it: never where a secret may stand by mistake.
        shown: bool,
    },
    /// A list of limits of models: [`super::rate_limits`].
    RateLimits,
    /// A list of categories: [`super::classify`].
    Categories,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Where it is in the file.
    pub path: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Variable that overrides it.
    pub environment: Option<&'static str>,
    /// Whether the file or the environment must give it.
    pub required: bool,
    /// What it means.
    pub meaning: &'static str,
}

impl Key {
    /// What is allowed, in words.
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Empty => "{}".to_owned(),
            Kind::Flag => "true or false".to_owned(),
            Kind::Choice(names) => names.join(", "),
            Kind::Text { allowed, .. } => allowed.to_owned(),
            Kind::RateLimits => RATE_LIMITS.to_owned(),
            Kind::Categories => CATEGORIES.to_owned(),
        }
    }

    pub(super) const fn env(mut self, name: &'static str) -> Self {
        self.environment = Some(name);
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

pub(super) const fn number(path: &'static str, min: u64, max: u64, meaning: &'static str) -> Key {
    Key { path, kind: Kind::Integer { min, max }, environment: None, required: false, meaning }
}

pub(super) const fn text(
    path: &'static str,
    shown: bool,
    allowed: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, kind: Kind::Text { allowed, shown }, environment: None, required: false, meaning }
}

pub(super) const fn empty(path: &'static str, meaning: &'static str) -> Key {
    Key { path, kind: Kind::Empty, environment: None, required: false, meaning }
}

pub(super) const fn flag(path: &'static str, meaning: &'static str) -> Key {
    Key { path, kind: Kind::Flag, environment: None, required: false, meaning }
}
