//! From text and environment to the typed file. What is wrong is noted and left out, so that the rest is
//! judged too.

use serde_json::{Map, Value};

use super::key::{Key, Kind};
use super::keys::{self, KEYS};
use super::{Environment, Problem, WorkerConfig, classify, rate_limits};

/// Largest file: a ConfigMap holds no more.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// A choice that YAML may read as another kind of value.
const OFF: &str = "off";
/// Longest text that a problem repeats.
const SHOWN_CHARS_MAX: usize = 40;

/// Reads everything that can be read.
pub(super) fn read(text: &str, environment: &Environment, problems: &mut Vec<Problem>) -> WorkerConfig {
    let mut clean = Map::new();
    match parse(text) {
        Ok(Value::Object(given)) => section("", given, &mut clean, problems),
        Ok(Value::Null) => {}
        Ok(_) => {
            problems.push(Problem::new("", "is not a mapping", "keys and values", "see the reference"))
        }
        Err(problem) => {
            problems.push(problem);
            return WorkerConfig::default();
        }
    }
    for key in KEYS {
        overridden(key, environment, &mut clean, problems);
        let named = |problem: &Problem| {
            problem.path == key.path || key.path.starts_with(&format!("{}.", problem.path))
        };
        if key.required && value_at(&clean, key.path).is_none() && !problems.iter().any(named) {
            problems.push(Problem::new(key.path, "is missing", key.allowed(), "add it to the file"));
        }
    }
    // Only what the table let through is left; that the types agree with the table is tested.
    serde_json::from_value(Value::Object(clean)).unwrap_or_else(|_| {
        problems.push(Problem::new(
            "",
            "does not have the form of a configuration",
            "see the reference",
            "report this with the file",
        ));
        WorkerConfig::default()
    })
}

/// The parser's own messages may quote what it read, and with it a secret: only the place is kept.
fn parse(text: &str) -> Result<Value, Problem> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Problem::new(
            "",
            "is too large",
            format!("up to {TEXT_BYTES_MAX} bytes"),
            "give the configuration, not data",
        ));
    }
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let place = match error.location() {
            Some(at) => format!("is not YAML at line {}, column {}", at.line(), at.column()),
            None => "is not YAML".to_owned(),
        };
        let allowed = "one YAML document whose keys appear once each";
        Problem::new("", &place, allowed, "look at indentation, quotes and keys that appear twice")
    })
}

fn section(
    path: &str,
    given: Map<String, Value>,
    clean: &mut Map<String, Value>,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in given {
        let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if value.is_null() {
            // `key:` without a value is what templates leave behind; it is as good as absent.
            if keys::at(&at).is_some() || !keys::below(&at).is_empty() {
                continue;
            }
        }
        if let Some(key) = keys::at(&at) {
            let told = problems.len();
            match key.kind {
                Kind::RateLimits => rate_limits::judge(&at, &value, problems),
                Kind::Categories => classify::judge(&at, &value, problems),
                _ => {}
            }
            if problems.len() > told {
                continue;
            }
            match typed(key, &value) {
                Ok(value) => set(clean, &at, value),
                Err(problem) => problems.push(problem),
            }
        } else if keys::below(&at).is_empty() {
            problems.push(unknown(path, &at, &name));
        } else if let Value::Object(inner) = value {
            section(&at, inner, clean, problems);
        } else {
            let allowed = format!("a mapping with {}", keys::below(&at).join(", "));
            problems.push(Problem::new(&at, "is not a mapping", allowed, "indent its keys below it"));
        }
    }
}

fn unknown(section: &str, path: &str, name: &str) -> Problem {
    let lower = name.to_ascii_lowercase();
    if ["password", "passwd", "secret", "token", "credential"].iter().any(|word| lower.contains(word)) {
        return Problem::new(
            path,
            "looks like a secret, and this file may hold none",
            "passwordFile: the path of a mounted Secret, or passwordEnv: the name of a variable",
            "move the secret there, and change it: whoever could read this file has seen it",
        );
    }
    let allowed = keys::below(section).join(", ");
    Problem::new(path, "is unknown", allowed, "remove it, or correct its name")
}

fn typed(key: &Key, value: &Value) -> Result<Value, Problem> {
    let wrong =
        |what: &str| Problem::new(key.path, what, key.allowed(), "change it").given(shown(key, value));
    match key.kind {
        Kind::Integer { min, max } => match value.as_u64() {
            Some(number) if (min..=max).contains(&number) => Ok(value.clone()),
            None if !value.is_number() => Err(wrong("is not a number")),
            _ => Err(wrong("is out of bounds")),
        },
        Kind::Empty => match value {
            Value::Object(inner) if inner.is_empty() => Ok(value.clone()),
            _ => Err(wrong("has no keys of its own")),
        },
        Kind::Choice(names) => match value {
            Value::String(name) if names.contains(&name.as_str()) => Ok(value.clone()),
            // Older YAML takes this word, without quotes, for false.
            Value::Bool(false) if names.contains(&OFF) => Ok(Value::String(OFF.to_owned())),
            _ => Err(wrong("is none of these")),
        },
        Kind::Flag if value.is_boolean() => Ok(value.clone()),
        Kind::Flag => Err(wrong("is neither true nor false")),
        Kind::Text { .. } => match value {
            Value::String(text) if !text.trim().is_empty() => Ok(value.clone()),
            Value::String(_) => Err(wrong("is empty")),
            _ => Err(wrong("is not a text: put it in quotes")),
        },
        // Its items were judged before.
        Kind::RateLimits | Kind::Categories if value.is_array() => Ok(value.clone()),
        Kind::RateLimits | Kind::Categories => Err(wrong("is not a list")),
    }
}

/// The value where nobody writes a secret: numbers, and names that are no secrets.
fn shown(key: &Key, value: &Value) -> Option<String> {
    match (key.kind, value) {
        (Kind::Integer { .. }, Value::Number(number)) => Some(number.to_string()),
        (Kind::Text { shown: true, .. } | Kind::Choice(_), Value::String(text)) => Some(quoted(text)),
        _ => None,
    }
}

/// A name as a problem repeats it.
pub(super) fn quoted(text: &str) -> String {
    let start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{more}")
}

fn overridden(
    key: &Key,
    environment: &Environment,
    clean: &mut Map<String, Value>,
    problems: &mut Vec<Problem>,
) {
    let Some(name) = key.environment else { return };
    // An empty variable is how a template says nothing.
    let Some(text) = environment.get(name).filter(|text| !text.trim().is_empty()) else { return };
    let value = match key.kind {
        Kind::Integer { .. } => {
            text.trim().parse::<u64>().map_or_else(|_| Value::String(text.clone()), Value::from)
        }
        // People set variables to 1 as often as to true.
        Kind::Flag => match text.trim() {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => Value::String(text.clone()),
        },
        Kind::Text { .. } | Kind::Choice(_) | Kind::Empty | Kind::RateLimits | Kind::Categories => {
            Value::String(text.trim().to_owned())
        }
    };
    match typed(key, &value) {
        Ok(value) => set(clean, key.path, value),
        Err(problem) => {
            let what_to_do = format!("change the variable, which overrides {}", key.path);
            problems.push(Problem { path: name.to_owned(), what_to_do, ..problem });
        }
    }
}

fn value_at<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => object.get(path),
        Some((name, rest)) => value_at(object.get(name)?.as_object()?, rest),
    }
}

fn set(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((name, rest)) => {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}
