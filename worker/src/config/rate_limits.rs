//! The list `rateLimits`: what the accounts of model providers may be asked.

use serde_json::Value;

use super::Problem;
use super::read::quoted;

/// Accounts that are told apart.
const LIMITS_MAX: usize = 20;
/// Longest name of a provider, in bytes.
const PROVIDER_BYTES_MAX: usize = 63;
/// What an item may say: key, bounds, and whether it has to.
const NUMBERS: [(&str, u64, u64, bool); 2] =
    [("requestsPerMinute", 1, 10_000_000, true), ("callsPerDocument", 1, 10_000, false)];
const PROVIDER: &str = "1 to 63 of a-z, A-Z, 0-9, '.', '_' and '-', each once: OpenAI, Anthropic";

/// Notes what is wrong with the items of a list; that it is a list is judged elsewhere.
pub(super) fn judge(path: &str, value: &Value, problems: &mut Vec<Problem>) {
    let Some(items) = value.as_array() else { return };
    if items.len() > LIMITS_MAX {
        let allowed = format!("up to {LIMITS_MAX} items");
        problems.push(Problem::new(path, "is too long", allowed, "one item for each account"));
        return;
    }
    let mut providers: Vec<&str> = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let at = format!("{path}[{number}]");
        let Some(item) = item.as_object() else {
            let allowed = "a mapping with provider, requestsPerMinute, callsPerDocument";
            problems.push(Problem::new(&at, "is not a mapping", allowed, "change it"));
            continue;
        };
        for name in item.keys() {
            if name != "provider" && !NUMBERS.iter().any(|(known, ..)| known == name) {
                let allowed = "provider, requestsPerMinute, callsPerDocument";
                let what_to_do = "remove it, or correct its name";
                problems.push(Problem::new(&format!("{at}.{name}"), "is unknown", allowed, what_to_do));
            }
        }
        let wrong = |key: &str, what: &str, allowed: String| {
            Problem::new(&format!("{at}.{key}"), what, allowed, "change it")
        };
        match item.get("provider").and_then(Value::as_str) {
            Some(name) if providers.contains(&name) => {
                let problem = wrong("provider", "is there twice", PROVIDER.to_owned());
                problems.push(problem.given(Some(quoted(name))));
            }
            Some(name) if is_provider(name) => providers.push(name),
            // What is no name may be a key of the account, which nothing may repeat.
            Some(_) => problems.push(wrong("provider", "is not a name", PROVIDER.to_owned())),
            None => problems.push(wrong("provider", "is missing", PROVIDER.to_owned())),
        }
        for (key, min, max, required) in NUMBERS {
            let allowed = format!("a whole number from {min} to {max}");
            match item.get(key) {
                None if required => problems.push(wrong(key, "is missing", allowed)),
                None => {}
                Some(value) => match value.as_u64() {
                    Some(found) if (min..=max).contains(&found) => {}
                    _ if !value.is_number() => problems.push(wrong(key, "is not a number", allowed)),
                    _ => problems
                        .push(wrong(key, "is out of bounds", allowed).given(Some(value.to_string()))),
                },
            }
        }
    }
}

fn is_provider(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=PROVIDER_BYTES_MAX).contains(&name.len()) && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::{Environment, RateLimit, load};
    use super::*;

    fn limits(list: &str) -> Result<Vec<RateLimit>, Vec<Problem>> {
        let text = format!(
            "queue: {{redis: {{url: 'redis://h'}}}}\nledger: {{postgres: {{url: 'postgresql://h/d'}}}}\n\
             rateLimits: {list}"
        );
        let settings = load(&text, &Environment::new(), &|_| Err(io::ErrorKind::NotFound.into()));
        settings.map(|settings| settings.rate_limits)
    }

    #[test]
    fn limits_are_each_providers_own() {
        assert!(limits("").unwrap().is_empty() && limits("[]").unwrap().is_empty());
        let list = "[{provider: OpenAI, requestsPerMinute: 500}, \
                    {provider: Anthropic, requestsPerMinute: 100, callsPerDocument: 3}]";
        let limit = |provider: &str, requests_per_minute, calls_per_document| RateLimit {
            provider: provider.to_owned(),
            requests_per_minute,
            calls_per_document,
        };
        assert_eq!(limits(list).unwrap(), [limit("OpenAI", 500, 10), limit("Anthropic", 100, 3)]);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        let many = ["{provider: OpenAI, requestsPerMinute: 1}"; LIMITS_MAX + 1].join(", ");
        for (list, path) in [
            ("{provider: OpenAI}".to_owned(), "rateLimits"),
            ("5".to_owned(), "rateLimits"),
            (format!("[{many}]"), "rateLimits"),
            ("[OpenAI]".to_owned(), "rateLimits[0]"),
            ("[{requestsPerMinute: 5}]".to_owned(), "rateLimits[0].provider"),
            ("[{provider: 'hunter2 hunter2', requestsPerMinute: 5}]".to_owned(), "rateLimits[0].provider"),
            ("[{provider: OpenAI}]".to_owned(), "rateLimits[0].requestsPerMinute"),
            ("[{provider: OpenAI, requestsPerMinute: 0}]".to_owned(), "rateLimits[0].requestsPerMinute"),
            ("[{provider: O, requestsPerMinute: hunter2}]".to_owned(), "rateLimits[0].requestsPerMinute"),
            (
                "[{provider: OpenAI, requestsPerMinute: 5, callsPerDocument: 10001}]".to_owned(),
                "rateLimits[0].callsPerDocument",
            ),
            (
                "[{provider: OpenAI, requestsPerMinute: 5, tokensPerMinute: 5}]".to_owned(),
                "rateLimits[0].tokensPerMinute",
            ),
            (
                "[{provider: O, requestsPerMinute: 5}, {provider: O, requestsPerMinute: 6}]".to_owned(),
                "rateLimits[1].provider",
            ),
        ] {
            let problems = limits(&list).unwrap_err();
            let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, [path], "{list}");
            assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        }
    }
}
