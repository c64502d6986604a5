//! The one configuration file of workers and API (`docs/reference/worker-config.md`), in a ConfigMap that
//! never changes: other content is another ConfigMap, which pods name, and so they are rolled by it and can
//! go back to the one before.

use std::collections::BTreeMap;

use docmill_core::scale::ModelBudget;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::{Input, access, neo4j, postgres, redis, s3, worker};
use crate::child::{Child, short_hash};
use crate::names::{API_PORT, HEALTH_PORT, INTERNAL_PORT, Part, labels};
use crate::plan::{ModelTimes, Store};
use crate::resource::{Ask, AskModel, Sandbox, SecretKey};

/// Key of the file, and its name where it is mounted.
pub(super) const FILE: &str = "worker.json";
/// Where it is mounted.
pub(super) const FOLDER: &str = "/etc/docmill";
/// How long documents in work may go on after SIGTERM, in milliseconds.
pub(super) const GRACE_MS: u64 = 25_000;

/// Name of the ConfigMap.
pub fn name(input: &Input<'_>) -> String {
    name_of(input, &text(input))
}

fn name_of(input: &Input<'_>, text: &str) -> String {
    format!("{}-config-{}", input.name(), short_hash(text))
}

/// The ConfigMap.
pub(super) fn child(input: &Input<'_>) -> Child {
    let text = text(input);
    Child::of(&ConfigMap {
        metadata: input.meta(name_of(input, &text), labels(input.name())),
        data: Some(BTreeMap::from([(FILE.to_owned(), text)])),
        immutable: Some(true),
        ..ConfigMap::default()
    })
}

/// The file: JSON that people can read, too.
fn text(input: &Input<'_>) -> String {
    format!("{:#}\n", without_nulls(file(input)))
}

fn file(input: &Input<'_>) -> Value {
    let plan = input.plan;
    json!({
        "pipeline": input.name(),
        "concurrency": plan.slots,
        "graceMs": GRACE_MS,
        "health": {"port": HEALTH_PORT},
        "api": {
            "listen": format!("0.0.0.0:{API_PORT}"),
            "internalListen": format!("0.0.0.0:{INTERNAL_PORT}"),
            "operator": {
                "audience": input.pipeline.metadata.uid,
                "keysFile": access::OPERATOR_KEYS,
            },
            "firstKeyFile": access::FIRST_KEY,
            "maxUploadBytes": plan.documents.file_mib << 20,
        },
        "queue": {"redis": queue(input)},
        "ledger": {"postgres": ledger(input)},
        "graph": graph(input),
        "objects": {"s3": objects(input)},
        "scratch": {"path": worker::SCRATCH_FILES, "limitMib": plan.scratch_mib},
        "extract": extract(input),
        "classify": classify(input),
        "ask": ask(input),
        "rateLimits": rate_limits(&plan.budgets),
    })
}

fn queue(input: &Input<'_>) -> Value {
    let part = Part::Redis;
    match &input.plan.queue {
        Store::Managed(_) => json!({
            "url": format!("redis://{}:{}", part.name(input.name()), redis::PORT),
            "username": redis::USER,
            "passwordFile": access::path(part, access::PASSWORD_FILE),
        }),
        Store::External(redis) => json!({
            "url": redis.url,
            "username": redis.username,
            "passwordFile": password_file(part, redis.secret_ref.as_ref()),
            "tlsCaFile": ca_file(part, redis.ca_secret_ref.as_ref()),
        }),
    }
}

fn ledger(input: &Input<'_>) -> Value {
    let part = Part::Postgres;
    match &input.plan.ledger {
        Store::Managed(_) => {
            let host = part.name(input.name());
            json!({
                "url": format!("postgresql://{host}:{}/{}", postgres::PORT, postgres::DATABASE),
                "user": postgres::ROLE,
                "passwordFile": access::path(part, access::PASSWORD_FILE),
                "poolSize": postgres::POOL,
            })
        }
        Store::External(postgres) => json!({
            "url": postgres.url,
            "user": postgres.username,
            "passwordFile": password_file(part, postgres.secret_ref.as_ref()),
            "tlsCaFile": ca_file(part, postgres.ca_secret_ref.as_ref()),
        }),
    }
}

fn graph(input: &Input<'_>) -> Value {
    let part = Part::Neo4j;
    let connections = input.plan.neo4j_connections;
    match &input.plan.graph {
        None => json!({"postgres": {}}),
        Some(Store::Managed(_)) => json!({"neo4j": {
            "url": format!("bolt://{}:{}", part.name(input.name()), neo4j::PORT),
            "username": neo4j::USER,
            "passwordFile": access::path(part, access::PASSWORD_FILE),
            "maxConnectionPoolSize": connections,
        }}),
        Some(Store::External(neo4j)) => json!({"neo4j": {
            "url": neo4j.url,
            "username": neo4j.username,
            "passwordFile": password_file(part, neo4j.secret_ref.as_ref()),
            "tlsCaFile": ca_file(part, neo4j.ca_secret_ref.as_ref()),
            "database": neo4j.database,
            "maxConnectionPoolSize": connections,
        }}),
    }
}

fn objects(input: &Input<'_>) -> Value {
    let part = Part::S3;
    let (id_file, key_file) = (
        access::path(part, access::ACCESS_KEY_ID_FILE),
        access::path(part, access::SECRET_ACCESS_KEY_FILE),
    );
    match &input.plan.objects {
        Store::Managed(_) => json!({
            "bucket": s3::BUCKET,
            "endpoint": format!("http://{}:{}", part.name(input.name()), s3::PORT),
            "allowHttp": true,
            "accessKeyIdFile": id_file,
            "secretAccessKeyFile": key_file,
        }),
        Store::External(s3) => {
            let has_keys = s3.secret_ref.is_some();
            json!({
                "bucket": s3.bucket,
                "endpoint": s3.endpoint,
                "region": s3.region,
                "prefix": s3.prefix,
                "allowHttp": s3.allow_http,
                "accessKeyIdFile": has_keys.then_some(id_file),
                "secretAccessKeyFile": has_keys.then_some(key_file),
                "tlsCaFile": ca_file(part, s3.ca_secret_ref.as_ref()),
            })
        }
    }
}

fn extract(input: &Input<'_>) -> Value {
    let (plan, extract) = (input.plan, &input.pipeline.spec.extract);
    let ocr = &extract.ocr;
    let languages = match ocr.languages.is_empty() {
        true => "auto".to_owned(),
        false => ocr.languages.join("+"),
    };
    // What workers do by themselves is not written.
    let sandbox = match extract.sandbox {
        Sandbox::Required => None,
        Sandbox::BestEffort => Some("bestEffort"),
        Sandbox::Disabled => Some("off"),
    };
    json!({
        "ocrLanguages": languages,
        "passwordsFile": extract.passwords_secret_ref.as_ref().map(|_| access::PASSWORDS_FILE),
        "sandbox": sandbox,
        "limits": {
            "fileMib": plan.documents.file_mib,
            "pdfMib": plan.documents.file_mib,
            "pdfPages": plan.documents.pages,
            "pagesLostMax": extract.limits.max_lost_pages,
            "textMib": extract.limits.max_text_mib,
            "pageMs": plan.page_ms,
            "documentMs": plan.document_ms,
            "extractorMib": plan.extractor_mib,
            "ocrDpi": ocr.dpi,
        },
    })
}

fn classify(input: &Input<'_>) -> Value {
    let classify = &input.pipeline.spec.classify;
    // Where nothing is told apart, it does not matter how near it would have to be: no pod is rolled for it.
    match classify.categories.is_empty() {
        true => Value::Null,
        false => json!(classify.settings()),
    }
}

fn ask(input: &Input<'_>) -> Value {
    let (ask, times) = (&input.pipeline.spec.ask, &input.plan.ask);
    // What workers do by themselves is not written: no pod is rolled for it.
    if *ask == Ask::default() {
        return Value::Null;
    }
    let benchmark = ask.benchmark.as_ref();
    json!({
        "model": ask.model.as_ref().zip(times.model.as_ref()).map(|(model, times)| self::model(model, times)),
        "mockModel": benchmark.map(|benchmark| benchmark.mock_model),
        "mockDelayMs": benchmark.map(|_| times.mock_model_delay_ms),
        "mockEmbeddings": benchmark.map(|benchmark| benchmark.mock_embeddings),
        "sources": ask.sources,
        "contextBytes": ask.context_bytes,
        "cacheEntries": ask.cache_entries,
        "cacheTtlS": times.cache_ttl_s,
    })
}

/// Without its key, which workers do not have: API pods are told of the file by a variable.
fn model(model: &AskModel, times: &ModelTimes) -> Value {
    json!({
        "url": model.url,
        "name": model.name,
        "allowHttp": model.allow_http,
        "connectTimeoutMs": times.connect_ms,
        "firstTokenMs": times.first_token_ms,
        "idleMs": times.idle_ms,
        "totalMs": times.total_ms,
        "maxTokens": model.max_tokens,
    })
}

fn rate_limits(budgets: &[ModelBudget]) -> Value {
    let limits: Vec<Value> = budgets
        .iter()
        .map(|budget| {
            json!({
                "provider": budget.provider,
                "requestsPerMinute": budget.requests_per_minute,
                "callsPerDocument": budget.calls_per_document,
            })
        })
        .collect();
    // A list of nothing is not worth a line.
    match limits.is_empty() {
        true => Value::Null,
        false => Value::Array(limits),
    }
}

fn password_file(part: Part, given: Option<&SecretKey>) -> Option<String> {
    given.map(|_| access::path(part, access::PASSWORD_FILE))
}

fn ca_file(part: Part, given: Option<&SecretKey>) -> Option<String> {
    given.map(|_| access::path(part, access::CA_FILE))
}

/// What is not given is not written.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let given = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(given.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use docmill_core::limits::Limits;

    use super::*;
    use crate::build::fixture;
    use crate::resource::{AskBenchmark, Duration};

    fn read(input: &Input<'_>) -> Value {
        serde_json::from_str(&text(input)).unwrap()
    }

    #[test]
    fn managed_stores_are_found_by_their_services() {
        let found = read(&fixture::managed().input());
        let redis = json!({
            "url": "redis://knowbase-redis:6379", "username": "docmill",
            "passwordFile": "/run/secrets/docmill/redis/password",
        });
        assert_eq!(found["queue"]["redis"], redis);
        assert_eq!(found["ledger"]["postgres"]["url"], "postgresql://knowbase-postgres:5432/docmill");
        assert_eq!(found["graph"]["neo4j"]["url"], "bolt://knowbase-neo4j:7687");
        assert_eq!(found["objects"]["s3"]["endpoint"], "http://knowbase-s3:7070");
        let api = json!({
            "listen": "0.0.0.0:8080", "internalListen": "0.0.0.0:8082", "maxUploadBytes": 524_288_000,
            "operator": {
                "audience": fixture::UID, "keysFile": "/run/secrets/docmill/operator-keys/keys.pem",
            },
            "firstKeyFile": "/run/secrets/docmill/api-key/key",
        });
        assert_eq!(found["api"], api);
        assert!(found.get("rateLimits").is_none());
    }

    #[test]
    fn external_stores_are_found_as_a_person_says() {
        let found = read(&fixture::external().input());
        let redis = json!({
            "url": "rediss://queue.example:6379",
            "passwordFile": "/run/secrets/docmill/redis/password",
            "tlsCaFile": "/run/secrets/docmill/redis/ca.crt",
        });
        assert_eq!(found["queue"]["redis"], redis);
        let ledger = json!({
            "url": "postgresql://ledger.example/docmill", "user": "mill",
            "passwordFile": "/run/secrets/docmill/postgres/password",
        });
        assert_eq!(found["ledger"]["postgres"], ledger);
        assert_eq!(found["graph"], json!({"postgres": {}}));
        let s3 = json!({
            "bucket": "letters", "region": "eu-west-1", "allowHttp": false,
            "accessKeyIdFile": "/run/secrets/docmill/s3/access-key-id",
            "secretAccessKeyFile": "/run/secrets/docmill/s3/secret-access-key",
        });
        assert_eq!(found["objects"]["s3"], s3);
    }

    #[test]
    fn documents_and_models_are_as_planned() {
        let mut world = fixture::managed();
        world.pipeline.spec.extract.ocr.languages = vec!["jpn".into(), "eng".into()];
        world.plan.budgets = vec![ModelBudget {
            provider: "OpenAI".into(),
            requests_per_minute: NonZeroU32::new(500),
            calls_per_document: NonZeroU32::new(10).unwrap(),
            tokens_per_minute: None,
            tokens_per_document: None,
        }];
        let found = read(&world.input());
        assert_eq!(found["extract"]["ocrLanguages"], "jpn+eng");
        assert!(found["extract"].get("sandbox").is_none());
        world.pipeline.spec.extract.sandbox = Sandbox::BestEffort;
        assert_eq!(read(&world.input())["extract"]["sandbox"], "bestEffort");
        assert_eq!((&found["concurrency"], &found["scratch"]["limitMib"]), (&json!(4), &json!(2_048)));
        // What is not sized is what workers do by themselves.
        let own = Limits::default();
        let limits = json!({
            "fileMib": 500, "pdfMib": 500, "pdfPages": 1_000, "extractorMib": 640, "ocrDpi": own.ocr_dpi,
            "pagesLostMax": own.pages_lost_max, "textMib": own.text_mib,
            "pageMs": own.page_ms, "documentMs": own.document_ms,
        });
        assert_eq!(found["extract"]["limits"], limits);
        let rates = json!([{"provider": "OpenAI", "requestsPerMinute": 500, "callsPerDocument": 10}]);
        assert_eq!(found["rateLimits"], rates);
    }

    #[test]
    fn passwords_of_documents_are_named_by_their_file() {
        let mut world = fixture::managed();
        assert!(read(&world.input())["extract"].get("passwordsFile").is_none());
        world.pipeline.spec.extract.passwords_secret_ref =
            Some(SecretKey { name: "vault".into(), key: Some("pdf.txt".into()) });
        let found = read(&world.input());
        assert_eq!(found["extract"]["passwordsFile"], "/run/secrets/docmill/documents/passwords");
        assert!(!found.to_string().contains("vault"));
    }

    #[test]
    fn categories_are_as_a_person_says() {
        let mut world = fixture::managed();
        world.pipeline.spec.classify.min_percent = 30;
        assert!(read(&world.input()).get("classify").is_none());
        let given = json!({
            "categories": [
                {"name": "invoice", "description": "Bills that ask for payment", "examples": ["Amount due"]},
                {"name": "letter"},
            ],
            "minPercent": 30,
        });
        world.pipeline.spec.classify = serde_json::from_value(given.clone()).unwrap();
        assert_eq!(read(&world.input())["classify"], given);
    }

    #[test]
    fn answers_are_as_a_person_says() {
        let mut world = fixture::managed();
        assert!(read(&world.input()).get("ask").is_none());
        let mut model = fixture::model();
        model.key_secret_ref = Some(SecretKey { name: "vault".into(), key: None });
        world.pipeline.spec.ask.model = Some(model);
        world.plan.ask.model = Some(ModelTimes {
            connect_ms: 5_000,
            first_token_ms: 30_000,
            idle_ms: 15_000,
            total_ms: 120_000,
        });
        let found = read(&world.input());
        let expected = json!({
            "model": {
                "url": "https://models.example/v1", "name": "small", "allowHttp": false, "connectTimeoutMs": 5_000,
                "firstTokenMs": 30_000, "idleMs": 15_000, "totalMs": 120_000, "maxTokens": 512,
            },
            "sources": 8, "contextBytes": 12_000, "cacheEntries": 1_000, "cacheTtlS": 300,
        });
        assert_eq!(found["ask"], expected);
        assert!(!found.to_string().contains("vault"));
    }

    #[test]
    fn stand_ins_are_written_where_they_are_asked_for() {
        let mut world = fixture::managed();
        world.pipeline.spec.ask.benchmark = Some(AskBenchmark {
            mock_model: true,
            mock_model_delay: Duration("20ms".into()),
            mock_embeddings: true,
        });
        world.plan.ask.mock_model_delay_ms = 20;
        let found = read(&world.input());
        let stand_ins =
            ["mockModel", "mockDelayMs", "mockEmbeddings"].map(|name| found["ask"][name].clone());
        assert_eq!(stand_ins, [json!(true), json!(20), json!(true)]);
        assert!(found["ask"].get("model").is_none());
    }

    #[test]
    fn another_file_has_another_name() {
        let mut world = fixture::managed();
        let before = name(&world.input());
        assert_eq!(before, name(&fixture::managed().input()));
        world.plan.slots += 1;
        assert_ne!(before, name(&world.input()));
        assert!(before.starts_with("knowbase-config-"));
        assert_eq!(child(&world.input()).key().name, name(&world.input()));
    }
}
