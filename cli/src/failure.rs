//! How a command that could not do what it was asked says so: a code, a sentence, what to do.

use std::process::ExitCode;

use docmill_worker::{embedded, search, sqlite};

use crate::output::{Style, escaped};

/// Exit codes beside 0 and the argument parser's 2.
pub const ERROR: u8 = 1;
pub const DOCUMENTS_FAILED: u8 = 3;
pub const FOUND_SOMETHING: u8 = 4;
pub const INTERRUPTED: u8 = 130;

#[derive(Debug)]
pub struct Failure {
    code: String,
    message: String,
    advice: String,
    /// What else `--json` prints beside the error.
    beside: Vec<(&'static str, serde_json::Value)>,
}

impl Failure {
    /// With one of [`CODES`](crate::codes::CODES).
    pub fn new(code: &'static str, message: impl Into<String>, advice: &str) -> Self {
        debug_assert!(crate::codes::is_known(code), "{code} is not in the table of codes");
        Self::of_server(code, message, advice)
    }

    /// With a code that a server gave.
    pub fn of_server(code: &str, message: impl Into<String>, advice: &str) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            advice: advice.to_owned(),
            beside: Vec::new(),
        }
    }

    /// As an API's problem says it.
    pub fn of_problem(problem: &serde_json::Value) -> Self {
        let text = |name: &str| problem[name].as_str().unwrap_or_default();
        let mut message = text("detail").to_owned();
        if let (Some(field), Some(allowed)) = (problem["field"].as_str(), problem["allowed"].as_str()) {
            message += &format!(" ({field}: {allowed})");
        }
        Self::of_server(text("code"), message, text("whatToDo"))
    }

    /// With something that was done all the same, for `--json`.
    pub fn with(mut self, name: &'static str, value: &impl serde::Serialize) -> Self {
        self.beside.extend(serde_json::to_value(value).ok().map(|value| (name, value)));
        self
    }

    /// With something more to do.
    pub fn then(mut self, advice: &str) -> Self {
        self.advice += advice;
        self
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("internal", message, "run again with --log debug; if it repeats, report it with the log")
    }

    /// Tells the user; returns the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            let mut said = serde_json::json!({"error": {
                "code": self.code, "message": self.message, "advice": self.advice}});
            for (name, value) in &self.beside {
                said[*name] = value.clone();
            }
            println!("{said}");
        } else {
            let style = Style::stderr();
            eprintln!("{}: {}", style.bad(&format!("error[{}]", self.code)), escaped(&self.message));
            eprintln!("  help: {}", escaped(&self.advice));
        }
        ExitCode::from(ERROR)
    }
}

impl From<sqlite::Error> for Failure {
    fn from(error: sqlite::Error) -> Self {
        Self::new(error.code(), error.to_string(), error.advice())
    }
}

impl From<sqlite::rusqlite::Error> for Failure {
    fn from(error: sqlite::rusqlite::Error) -> Self {
        sqlite::Error::from(error).into()
    }
}

impl From<embedded::Error> for Failure {
    fn from(error: embedded::Error) -> Self {
        let failure = Self::new(error.code(), error.to_string(), error.advice());
        match error {
            embedded::Error::Sandbox { what_to_do, .. } => failure.then(&format!(": {what_to_do}")),
            _ => failure,
        }
    }
}

impl From<search::Error> for Failure {
    fn from(error: search::Error) -> Self {
        match error {
            search::Error::Store(error) => error.into(),
            search::Error::Wrong(_) => {
                Self::new("bad_search", error.to_string(), "ask for what is allowed")
            }
            _ => Self::new("model_failed", error.to_string(), "run again"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("io", error.to_string(), "check the path, its permissions and the free space")
    }
}
