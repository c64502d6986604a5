//! From the typed file to what the parts of a worker take: names and URLs judged, secrets fetched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use docmill_core::delivery::LeaseConfig;
use docmill_core::limits::Limits;

use super::api::ApiSettings;
use super::cache::CacheSettings;
use super::graph::GraphStore;
use super::key::Key;
use super::read::quoted;
use super::{Environment, Extract, Postgres, Problem, RateLimit, ReadSecret, Redis, WorkerConfig, keys};
use crate::api::memo::MemoSettings;
use crate::ask::AskSettings;
use crate::classify::ClassifySettings;
use crate::extract::{ExtractOptions, OcrLanguages, passwords};
use crate::objects::{ObjectsOptions, ScratchOptions};
use crate::postgres::{Options, SchemaName};
use crate::queue::redis::{Credentials, InvalidOption, KeyPrefix, RedisOptions, RedisUrl};
use crate::secret::Secret;

/// A configuration that was found good. Its secrets do not print.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The pipeline's name.
    pub pipeline: String,
    /// Extractors that work at once; none: one a core.
    pub concurrency: Option<u16>,
    /// How long documents in work may go on after SIGTERM.
    pub grace: Duration,
    /// Whether it does the upkeep.
    pub upkeep: bool,
    /// How long the rows of deleted documents stay.
    pub deleted_kept: Duration,
    /// Whether the upkeep builds the approximate index over vectors.
    pub vector_index: bool,
    /// Port of its health endpoint.
    pub health_port: u16,
    /// Where documents are handed in.
    pub api: ApiSettings,
    /// How questions are answered.
    pub ask: AskSettings,
    /// A tenant's first index is begun with a stand-in for the embedding model.
    pub mock_embeddings: bool,
    /// How many answers are remembered, and for how long.
    pub memo: MemoSettings,
    /// Below which documents may be files; none: none may.
    pub file_root: Option<PathBuf>,
    /// The queue.
    pub redis: RedisOptions,
    /// Where answers of models are kept; none: in the ledger alone.
    pub cache: Option<CacheSettings>,
    /// The ledger and the stores that are nowhere else.
    pub postgres: Options,
    /// The concept graph.
    pub graph: GraphStore,
    /// Times of leases and of the clean-up.
    pub lease: LeaseConfig,
    /// Where uploaded documents are; none: all documents are files.
    pub objects: Option<ObjectsOptions>,
    /// Where files lie while they are worked on.
    pub scratch: ScratchOptions,
    /// How documents are read; without the passwords of `passwords_file`.
    pub extract: ExtractOptions,
    /// File of the passwords that encrypted documents are tried with. [`Settings::read_passwords`] alone reads it: an
    /// API may have this configuration and not the file.
    pub passwords_file: Option<PathBuf>,
    /// How documents get their categories.
    pub classify: ClassifySettings,
    /// What the accounts of models may be asked.
    pub rate_limits: Vec<RateLimit>,
}

impl Settings {
    /// Reads `passwords_file`, as who extracts does before it begins.
    ///
    /// # Errors
    /// What is wrong with the file, without any of it.
    pub fn read_passwords(&mut self, read_secret: ReadSecret<'_>) -> Result<(), Vec<Problem>> {
        let (environment, mut problems) = (Environment::new(), Vec::new());
        let mut judge = Judge { environment: &environment, read_secret, problems: &mut problems };
        if let Some(file) = self.passwords_file.as_deref().and_then(Path::to_str) {
            self.extract.passwords = judge.passwords(Some(file), None);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Judges what the types cannot; none where a part could not be made.
pub(super) fn resolve(
    config: &WorkerConfig,
    environment: &Environment,
    read_secret: ReadSecret<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let mut judge = Judge { environment, read_secret, problems };
    judge.pipeline(&config.pipeline);
    judge.together(config);
    let redis = judge.redis(&config.queue.redis, &config.pipeline);
    let cache = judge.cache(&config.cache, redis.as_ref().map(|redis| &redis.url));
    let postgres = judge.postgres(&config.ledger.postgres);
    let graph = judge.graph(&config.graph);
    let file_root = judge.file("fileRoot", config.file_root.as_deref());
    let objects = judge.objects(&config.objects);
    let scratch = judge.scratch(&config.scratch);
    let languages = judge.languages(&config.extract.ocr_languages);
    let (passwords_file, passwords) = judge.passwords_place(&config.extract);
    let limits = Limits::from(&config.extract.limits);
    let api = judge.api(&config.api, &scratch.path);
    let ask = judge.ask(&config.ask);
    let classify = judge.classify(&config.classify);
    let lease = LeaseConfig {
        lease_ms: config.queue.redis.lease_ms,
        cleanup_delay_ms: config.cleanup_delay_ms,
        // A lease that ends before the extraction may would cancel what is allowed.
        document_max_ms: limits.document_ms.max(config.document_max_ms),
        lease_stall_ms: config.lease_stall_ms,
    };
    Some(Settings {
        pipeline: config.pipeline.clone(),
        concurrency: config.concurrency,
        grace: Duration::from_millis(config.grace_ms),
        upkeep: config.upkeep,
        deleted_kept: Duration::from_secs(u64::from(config.deleted_kept_days) * 86_400),
        vector_index: config.vector_index,
        health_port: config.health.port,
        api: api?,
        ask: ask?,
        mock_embeddings: config.ask.mock_embeddings,
        memo: MemoSettings {
            entries: config.ask.cache_entries as usize,
            ttl: Duration::from_secs(config.ask.cache_ttl_s),
        },
        file_root,
        redis: redis?,
        cache: cache?,
        postgres: postgres?,
        graph: graph?,
        lease,
        objects: objects?,
        scratch,
        extract: ExtractOptions {
            limits,
            languages,
            sandbox: config.extract.sandbox,
            passwords,
            ..ExtractOptions::default()
        },
        passwords_file,
        classify: classify?,
        rate_limits: config.rate_limits.clone(),
    })
}

pub(super) struct Judge<'a> {
    environment: &'a Environment,
    read_secret: ReadSecret<'a>,
    problems: &'a mut Vec<Problem>,
}

impl Judge<'_> {
    pub(super) fn wrong(&mut self, path: &str, value: Option<String>, what: &str, what_to_do: &str) {
        let allowed = keys::at(path).map(Key::allowed).unwrap_or_default();
        self.problems.push(Problem::new(path, what, allowed, what_to_do).given(value));
    }

    pub(super) fn told_of(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| problem.path == path)
    }

    fn pipeline(&mut self, name: &str) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edge = name.starts_with('-') || name.ends_with('-');
        if name.len() > 63 || edge || !name.chars().all(allowed) {
            self.wrong(
                "pipeline",
                Some(quoted(name)),
                "is not a name",
                "use the name of the IngestionPipeline",
            );
        }
    }

    /// Numbers that must fit each other. A number that was refused alone is at its default here, and all
    /// defaults fit; what then does not fit the default would not be what was meant.
    fn together(&mut self, config: &WorkerConfig) {
        let (redis, postgres, limits) =
            (&config.queue.redis, &config.ledger.postgres, &config.extract.limits);
        let pairs = [
            (
                "queue.redis.responseTimeoutMs",
                redis.response_timeout_ms,
                "queue.redis.leaseMs",
                redis.lease_ms / 3,
                "at most a third of queue.redis.leaseMs",
            ),
            (
                "ledger.postgres.lockTimeoutMs",
                postgres.lock_timeout_ms,
                "ledger.postgres.statementTimeoutMs",
                postgres.statement_timeout_ms - 1,
                "less than ledger.postgres.statementTimeoutMs",
            ),
            (
                "extract.limits.pageMs",
                limits.page_ms,
                "extract.limits.documentMs",
                limits.document_ms,
                "at most extract.limits.documentMs",
            ),
            // A page that is tried twice is the longest that nothing is heard of a document.
            (
                "extract.limits.pageMs",
                limits.page_ms,
                "leaseStallMs",
                config.lease_stall_ms / 2,
                "at most half of leaseStallMs",
            ),
        ];
        for (path, value, other, max, allowed) in pairs {
            let judged = self.problems.iter().any(|problem| problem.path == path || problem.path == other);
            if value > max && !judged {
                let problem = Problem::new(
                    path,
                    "is too long",
                    format!("{allowed}, here {max}"),
                    "lower it, or raise the other",
                );
                self.problems.push(problem.given(Some(value.to_string())));
            }
        }
    }

    fn redis(&mut self, given: &Redis, pipeline: &str) -> Option<RedisOptions> {
        let username = given.username.clone();
        let password = self.secret(
            "queue.redis.password",
            given.password_file.as_deref(),
            given.password_env.as_deref(),
        );
        let sentinel_password = self.secret(
            "queue.redis.sentinelPassword",
            given.sentinel_password_file.as_deref(),
            given.sentinel_password_env.as_deref(),
        );
        let tls_ca_file = self.file("queue.redis.tlsCaFile", given.tls_ca_file.as_deref());
        let prefix = given.key_prefix.clone().unwrap_or_else(|| format!("docmill:{pipeline}"));
        let key_prefix = KeyPrefix::new(prefix);
        if let (Err(_), Some(prefix)) = (&key_prefix, &given.key_prefix) {
            self.wrong("queue.redis.keyPrefix", Some(quoted(prefix)), "is not allowed", "change it");
        }
        let url = self.redis_url("queue.redis", given.url.as_deref()?, tls_ca_file.as_deref())?;
        let mut options = RedisOptions::new(url);
        options.credentials = Credentials { username, password };
        options.sentinel_credentials =
            Credentials { username: given.sentinel_username.clone(), password: sentinel_password };
        options.tls_ca_file = tls_ca_file;
        options.key_prefix = key_prefix.ok()?;
        options.lease_ms = given.lease_ms;
        options.connect_timeout_ms = given.connect_timeout_ms;
        options.response_timeout_ms = given.response_timeout_ms;
        Some(options)
    }

    /// Where Redis is, by the section that says so.
    pub(super) fn redis_url(
        &mut self,
        section: &str,
        given: &str,
        tls_ca_file: Option<&Path>,
    ) -> Option<RedisUrl> {
        let path = format!("{section}.url");
        let url = match given.parse::<RedisUrl>() {
            Ok(url) => url,
            Err(InvalidOption::SecretInUrl) => {
                let what_to_do = "move them to username and to passwordFile or passwordEnv; whoever could read it has seen the password: change it";
                self.wrong(&path, None, "holds a user or a password", what_to_do);
                return None;
            }
            Err(_) => {
                self.wrong(&path, None, "does not say where Redis is", "correct it");
                return None;
            }
        };
        if tls_ca_file.is_some() && !url.tls {
            let what = "is given, but the url does not ask for TLS";
            let path = format!("{section}.tlsCaFile");
            self.wrong(&path, None, what, "begin the url with rediss, or remove this");
        }
        Some(url)
    }

    fn postgres(&mut self, given: &Postgres) -> Option<Options> {
        let password = self.secret(
            "ledger.postgres.password",
            given.password_file.as_deref(),
            given.password_env.as_deref(),
        );
        let tls_ca_file = self.file("ledger.postgres.tlsCaFile", given.tls_ca_file.as_deref());
        let schema = SchemaName::new(given.schema.clone());
        if schema.is_err() {
            self.wrong(
                "ledger.postgres.schema",
                Some(quoted(&given.schema)),
                "is not allowed",
                "change it",
            );
        }
        let url = given.url.clone()?;
        if url.contains('@') || url.contains("password=") {
            let what_to_do = "move them to user and to passwordFile or passwordEnv; whoever could read it has seen the password: change it";
            self.wrong("ledger.postgres.url", None, "holds a user or a password", what_to_do);
            return None;
        }
        let options = Options {
            url,
            user: given.user.clone(),
            password,
            tls_ca_file,
            pool_size: given.pool_size,
            connect_timeout_ms: given.connect_timeout_ms,
            statement_timeout_ms: given.statement_timeout_ms,
            lock_timeout_ms: given.lock_timeout_ms,
            schema: schema.ok()?,
        };
        let rest =
            options.url.strip_prefix("postgresql://").or_else(|| options.url.strip_prefix("postgres://"));
        let (host, database) = rest.and_then(|rest| rest.split_once('/')).unwrap_or_default();
        let plain = !host.is_empty() && !database.is_empty() && !database.contains(['?', '#', '/']);
        if !plain || options.validate().is_err() {
            self.wrong("ledger.postgres.url", None, "does not say where PostgreSQL is", "correct it");
            return None;
        }
        Some(options)
    }

    fn languages(&mut self, given: &str) -> OcrLanguages {
        given.parse().unwrap_or_else(|_| {
            self.wrong("extract.ocrLanguages", None, "is not a list of languages", "change it");
            OcrLanguages::Auto
        })
    }

    /// The file, which stays unread, and the passwords of the variable.
    fn passwords_place(&mut self, given: &Extract) -> (Option<PathBuf>, Vec<Secret>) {
        let (file, variable) = (given.passwords_file.as_deref(), given.passwords_env.as_deref());
        // Beside a file it is refused.
        let passwords = if variable.is_some() { self.passwords(file, variable) } else { Vec::new() };
        (self.file("extract.passwordsFile", file), passwords)
    }

    fn passwords(&mut self, file: Option<&str>, variable: Option<&str>) -> Vec<Secret> {
        let stem = "extract.passwords";
        let Some(text) = self.secret(stem, file, variable) else { return Vec::new() };
        passwords::parse(text.expose()).unwrap_or_else(|what| {
            let key = if file.is_some() { "File" } else { "Env" };
            self.wrong(&format!("{stem}{key}"), None, &what, "write one password a line");
            Vec::new()
        })
    }

    /// A path, which stays unread: what is wrong with its content is said when it is used.
    pub(super) fn file(&mut self, path: &str, given: Option<&str>) -> Option<PathBuf> {
        let file = PathBuf::from(given?);
        if !file.is_absolute() {
            self.wrong(path, None, "is not an absolute path", "write it from / on");
        }
        Some(file)
    }

    /// The secret that the keys `{stem}File` and `{stem}Env` lead to. Neither is repeated in a problem: they
    /// are where somebody writes the secret itself by mistake.
    pub(super) fn secret(
        &mut self,
        stem: &str,
        file: Option<&str>,
        variable: Option<&str>,
    ) -> Option<Secret> {
        let (file_key, variable_key) = (format!("{stem}File"), format!("{stem}Env"));
        if file.is_some() && variable.is_some() {
            let what_to_do = format!("remove it, or {file_key}");
            self.wrong(&variable_key, None, "is given beside a file", &what_to_do);
            return None;
        }
        let (key, text) = match (file, variable) {
            (Some(file), _) => {
                if !Path::new(file).is_absolute() {
                    self.wrong(&file_key, None, "is not an absolute path", "name the file, not the secret");
                    return None;
                }
                match (self.read_secret)(Path::new(file)) {
                    Ok(text) => (file_key, text),
                    Err(error) => {
                        let what = format!("cannot be read: {}", error.kind());
                        self.wrong(
                            &file_key,
                            None,
                            &what,
                            "mount the Secret there, readable for the worker",
                        );
                        return None;
                    }
                }
            }
            (None, Some(name)) => {
                let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if !name.chars().all(allowed) {
                    self.wrong(
                        &variable_key,
                        None,
                        "is not the name of a variable",
                        "name the variable, not the secret",
                    );
                    return None;
                }
                match self.environment.get(name) {
                    Some(text) => (variable_key, text.clone()),
                    None => {
                        self.wrong(
                            &variable_key,
                            None,
                            "names a variable that is not set",
                            "set it from the Secret",
                        );
                        return None;
                    }
                }
            }
            (None, None) => return None,
        };
        // Editors and `echo` end a file with one line end; it is no part of a password.
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            self.wrong(&key, None, "leads to an empty secret", "fill it, or remove the key");
            return None;
        }
        Some(Secret::new(text))
    }
}
