//! The section `ask`: what answers questions, and how many answers are remembered.

use serde::{Deserialize, Serialize};

use super::read::quoted;
use super::resolve::Judge;
use super::types::section;
use crate::ask::{AskSettings, ModelSettings};

/// Most of an answer that is taken from a model, in bytes.
const ANSWER_BYTES_MAX: usize = 65_536;
/// Longest name of a model, in characters.
const NAME_CHARS_MAX: usize = 200;

section! {
    /// How questions are answered.
    Ask {
        /// What writes answers.
        model: AskModel = AskModel::default(),
        /// A stand-in for it.
        mock_model: bool = false,
        /// How long the stand-in waits before each word, in milliseconds.
        mock_delay_ms: u64 = 0,
        /// A stand-in for the embedding model of first indexes.
        mock_embeddings: bool = false,
        /// Most passages of an answer.
        sources: u32 = 8,
        /// Most text of them, in bytes.
        context_bytes: u32 = 12_000,
        /// Answers that are remembered.
        cache_entries: u32 = 1_000,
        /// For how long, in seconds.
        cache_ttl_s: u64 = 300,
    }
}

section! {
    /// A model behind an address that OpenAI's clients understand.
    AskModel {
        /// Where it is.
        url: Option<String> = None,
        /// Which it is.
        name: Option<String> = None,
        /// File of its server's key.
        api_key_file: Option<String> = None,
        /// Variable of its server's key.
        api_key_env: Option<String> = None,
        /// Without TLS beyond this machine.
        allow_http: bool = false,
        /// Longest wait for a connection, in milliseconds.
        connect_timeout_ms: u64 = 5_000,
        /// Longest wait for the first words, in milliseconds.
        first_token_ms: u64 = 30_000,
        /// Longest silence, in milliseconds.
        idle_ms: u64 = 15_000,
        /// Longest answer, in milliseconds.
        total_ms: u64 = 120_000,
        /// Longest answer, in tokens.
        max_tokens: u32 = 512,
    }
}

impl Judge<'_> {
    pub(super) fn ask(&mut self, given: &Ask) -> Option<AskSettings> {
        let model = self.model(&given.model)?;
        Some(AskSettings {
            model,
            mock: given.mock_model.then(|| std::time::Duration::from_millis(given.mock_delay_ms)),
            sources: given.sources as usize,
            context_bytes: given.context_bytes as usize,
        })
    }

    /// `Some(None)` where there is none; `None`: there is a problem.
    fn model(&mut self, given: &AskModel) -> Option<Option<ModelSettings>> {
        let (url_key, name_key) = ("ask.model.url", "ask.model.name");
        if *given == AskModel::default() {
            // A value that was refused alone is not there any more.
            return if self.told_of(url_key) || self.told_of(name_key) { None } else { Some(None) };
        }
        for (key, is_given) in [(url_key, given.url.is_some()), (name_key, given.name.is_some())] {
            if !is_given && !self.told_of(key) {
                self.wrong(key, None, "is missing", "add it, or remove ask.model");
            }
        }
        let key =
            self.secret("ask.model.apiKey", given.api_key_file.as_deref(), given.api_key_env.as_deref());
        if let Some(name) = given.name.as_deref().filter(|name| !is_name(name)) {
            self.wrong(name_key, Some(quoted(name)), "is not a name", "use the one that its server lists");
        }
        let url = given.url.as_deref().filter(|url| self.model_url(url, given.allow_http));
        Some(Some(ModelSettings {
            url: url?.to_owned(),
            name: given.name.clone()?,
            key,
            connect_ms: given.connect_timeout_ms,
            first_token_ms: given.first_token_ms,
            idle_ms: given.idle_ms,
            total_ms: given.total_ms,
            max_tokens: given.max_tokens,
            bytes_max: ANSWER_BYTES_MAX,
        }))
    }

    /// Never repeated: it is where somebody writes a key by mistake.
    fn model_url(&mut self, url: &str, allow_http: bool) -> bool {
        let path = "ask.model.url";
        if url.contains('@') || url.contains(['?', '#']) {
            let what_to_do =
                "move it to apiKeyFile or apiKeyEnv; whoever could read it has seen it: change it";
            self.wrong(path, None, "may hold a password or a key", what_to_do);
            return false;
        }
        let Some(parsed) = reqwest::Url::parse(url).ok().filter(|url| url.has_host()) else {
            self.wrong(path, None, "is not the URL of a model", "correct it");
            return false;
        };
        let is_here =
            parsed.host_str().is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host));
        match parsed.scheme() {
            "https" => true,
            "http" if is_here || allow_http => true,
            "http" => {
                let what_to_do =
                    "begin it with https, or, where nobody can come between, set allowHttp to true";
                self.wrong(path, None, "is without TLS", what_to_do);
                false
            }
            _ => {
                self.wrong(path, None, "is not the URL of a model", "begin it with https");
                false
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Environment, Problem, Settings, load};

    fn ask(section: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
        let text = format!(
            "queue: {{redis: {{url: 'redis://h'}}}}\nledger: {{postgres: {{url: 'postgresql://h/d'}}}}\nask: {section}"
        );
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&text, &environment, &|_| Ok("hunter2\n".to_owned()))
    }

    #[test]
    fn a_model_has_an_address_a_name_and_a_key() {
        let settings = ask("", &[]).unwrap();
        assert!(settings.ask.model.is_none() && settings.ask.mock.is_none() && !settings.mock_embeddings);
        assert_eq!((settings.ask.sources, settings.memo.entries), (8, 1_000));
        let section = "{model: {url: 'https://h/v1', name: small, apiKeyFile: /keys/ask, idleMs: 500}}";
        let settings = ask(section, &[]).unwrap();
        let model = settings.ask.model.as_ref().unwrap();
        assert_eq!(
            (model.url.as_str(), model.name.as_str(), model.idle_ms),
            ("https://h/v1", "small", 500)
        );
        assert_eq!(model.key.as_ref().unwrap().expose(), "hunter2");
        assert!(!format!("{settings:?}").contains("hunter2"));
        let variables = [("DOCMILL_ASK_URL", "http://127.0.0.1:8000/v1"), ("DOCMILL_ASK_MODEL", "m")];
        assert_eq!(ask("", &variables).unwrap().ask.model.unwrap().name, "m");
        assert!(ask("{model: {url: 'http://h/v1', name: m, allowHttp: true}}", &[]).is_ok());
    }

    #[test]
    fn stand_ins_are_chosen_by_variables() {
        let variables = [
            ("USE_MOCK_LLM", "1"),
            ("MOCK_LLM_DELAY_MS", "20"),
            ("USE_MOCK_EMBEDDINGS", "true"),
            ("OPTIMIZATION_CACHE_SIZE", "50"),
        ];
        let settings = ask("{cacheTtlS: 60}", &variables).unwrap();
        assert_eq!((settings.ask.mock, settings.mock_embeddings), (Some(Duration::from_millis(20)), true));
        assert_eq!((settings.memo.entries, settings.memo.ttl), (50, Duration::from_secs(60)));
        assert_eq!(ask("", &[("USE_MOCK_LLM", "0"), ("MOCK_LLM_DELAY_MS", "5")]).unwrap().ask.mock, None);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key() {
        for (section, path) in [
            ("{model: {url: 'https://h/v1'}}", "ask.model.name"),
            ("{model: {name: m}}", "ask.model.url"),
            ("{model: {url: 'https://me:hunter2@h', name: m}}", "ask.model.url"),
            ("{model: {url: 'https://h/v1?key=hunter2', name: m}}", "ask.model.url"),
            ("{model: {url: 'http://h/v1', name: m}}", "ask.model.url"),
            ("{model: {url: 'hunter2', name: m}}", "ask.model.url"),
            ("{model: {url: 'https://h', name: m, apiKey: hunter2}}", "ask.model.apiKey"),
            ("{model: {url: 'https://h', name: m, apiKeyFile: hunter2}}", "ask.model.apiKeyFile"),
            ("{model: {url: 'https://h', name: m, maxTokens: 0}}", "ask.model.maxTokens"),
            ("{cacheEntries: 0}", "ask.cacheEntries"),
            ("{cacheEntries: 20001}", "ask.cacheEntries"),
        ] {
            let problems = ask(section, &[]).unwrap_err();
            let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, [path], "{section}");
            assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        }
        assert_eq!(ask("", &[("USE_MOCK_LLM", "yes")]).unwrap_err()[0].path, "USE_MOCK_LLM");
    }
}
