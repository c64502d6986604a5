//! How questions are answered: by which model, from how much, and how long that may take.

use std::time::Duration;

use docmill_core::ask::{CONTEXT_BYTES, SOURCES};
use reqwest::Url;

use crate::secret::Secret;

/// Longest wait of a mock before a word.
const MOCK_DELAY_MS_MAX: u64 = 60_000;

/// How questions are answered.
#[derive(Debug, Clone, PartialEq)]
pub struct AskSettings {
    /// Which model; none: answers are sentences of the sources.
    pub model: Option<ModelSettings>,
    /// Answers of no model instead, with this wait before each word.
    pub mock: Option<Duration>,
    /// Texts that an answer is taken from.
    pub sources: usize,
    /// Bytes of all of them.
    pub context_bytes: usize,
}

/// Which model, and what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSettings {
    /// Where it is: what clients call the base URL.
    pub url: String,
    /// Its name there.
    pub name: String,
    /// What is shown to be answered.
    pub key: Option<Secret>,
    /// Time to connect.
    pub connect_ms: u64,
    /// Time until the answer begins.
    pub first_token_ms: u64,
    /// Longest silence within the answer.
    pub idle_ms: u64,
    /// Time of the whole answer.
    pub total_ms: u64,
    /// Tokens of the answer.
    pub max_tokens: u32,
    /// Bytes of the answer's text.
    pub bytes_max: usize,
}

impl Default for AskSettings {
    fn default() -> Self {
        Self { model: None, mock: None, sources: SOURCES, context_bytes: CONTEXT_BYTES }
    }
}

impl ModelSettings {
    /// A model with the usual limits.
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: name.into(),
            key: None,
            connect_ms: 5_000,
            first_token_ms: 30_000,
            idle_ms: 15_000,
            total_ms: 120_000,
            max_tokens: 512,
            bytes_max: 65_536,
        }
    }
}

impl AskSettings {
    /// As the environment says: `USE_MOCK_LLM`, `MOCK_LLM_DELAY_MS`, `DOCMILL_ASK_URL`, `DOCMILL_ASK_MODEL`,
    /// `DOCMILL_ASK_API_KEY_FILE`.
    ///
    /// # Errors
    /// The variable that is wrong, and what is allowed.
    pub fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get =
            |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut settings = Self::default();
        if is_on("USE_MOCK_LLM", get("USE_MOCK_LLM").as_deref())? {
            let given = get("MOCK_LLM_DELAY_MS").unwrap_or_else(|| "0".to_owned());
            let delay = given.parse().ok().filter(|delay| *delay <= MOCK_DELAY_MS_MAX);
            let wrong =
                || format!("MOCK_LLM_DELAY_MS={given:?} is no wait: use 0 to {MOCK_DELAY_MS_MAX} (ms)");
            settings.mock = Some(Duration::from_millis(delay.ok_or_else(wrong)?));
        }
        let (url, name) = match (get("DOCMILL_ASK_URL"), get("DOCMILL_ASK_MODEL")) {
            (None, None) => return Ok(settings),
            (Some(url), Some(name)) => (url, name),
            (Some(_), None) => {
                return Err("DOCMILL_ASK_URL is set and DOCMILL_ASK_MODEL is not: name the model".into());
            }
            (None, Some(_)) => {
                return Err("DOCMILL_ASK_MODEL is set and DOCMILL_ASK_URL is not: say where it is".into());
            }
        };
        check_url(&url)?;
        let mut model = ModelSettings::new(url, name);
        if let Some(path) = get("DOCMILL_ASK_API_KEY_FILE") {
            let key = std::fs::read_to_string(&path)
                .map_err(|error| format!("DOCMILL_ASK_API_KEY_FILE={path:?} cannot be read: {error}"))?;
            model.key = Some(Secret::new(key.trim()));
        }
        settings.model = Some(model);
        Ok(settings)
    }
}

fn is_on(name: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(other) => Err(format!("{name}={other:?} is neither on nor off: use 1, true, 0 or false")),
    }
}

/// Never repeats it: a password may stand in it.
fn check_url(url: &str) -> Result<(), String> {
    let wrong =
        |what| Err(format!("DOCMILL_ASK_URL {what}: use https://HOST/v1, or http://127.0.0.1:PORT/v1"));
    let Ok(url) = Url::parse(url) else { return wrong("is not a URL") };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return wrong("leaves this machine without TLS"),
        _ => return wrong("is neither http nor https"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("holds a user or a password (DOCMILL_ASK_API_KEY_FILE is for keys)");
    }
    Ok(())
}

/// Whether the address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]" | "::1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<AskSettings, String> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AskSettings::from_environment(&move |name| {
            variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn without_variables_there_is_no_model() {
        assert_eq!(read(&[]), Ok(AskSettings::default()));
        assert_eq!(read(&[("USE_MOCK_LLM", "0"), ("DOCMILL_ASK_URL", " ")]), Ok(AskSettings::default()));
    }

    #[test]
    fn a_mock_waits_as_it_is_told() {
        let mock = |variables: &[(&str, &str)]| read(variables).map(|settings| settings.mock);
        assert_eq!(mock(&[("USE_MOCK_LLM", "true")]), Ok(Some(Duration::ZERO)));
        let slow = [("USE_MOCK_LLM", "1"), ("MOCK_LLM_DELAY_MS", "25")];
        assert_eq!(mock(&slow), Ok(Some(Duration::from_millis(25))));
        assert!(mock(&[("USE_MOCK_LLM", "1"), ("MOCK_LLM_DELAY_MS", "-1")]).is_err());
        assert!(mock(&[("USE_MOCK_LLM", "maybe")]).unwrap_err().contains("USE_MOCK_LLM"));
    }

    #[test]
    fn a_model_is_where_nobody_can_listen() {
        let model = |url: &str| read(&[("DOCMILL_ASK_URL", url), ("DOCMILL_ASK_MODEL", "small")]);
        for good in [
            "https://models.example/v1",
            "http://127.0.0.1:8081/v1",
            "http://[::1]:1/v1",
            "http://localhost",
        ] {
            assert!(model(good).is_ok(), "{good}");
        }
        for bad in
            ["http://models.example/v1", "models", "ftp://localhost", "https://me:hunter2@models.example"]
        {
            let error = model(bad).unwrap_err();
            assert!(error.starts_with("DOCMILL_ASK_URL") && !error.contains("hunter2"), "{error}");
        }
        assert!(read(&[("DOCMILL_ASK_URL", "http://localhost")]).is_err());
    }
}
