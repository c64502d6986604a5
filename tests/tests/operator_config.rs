//! What the operator writes is what workers and API read: of every sample, and of whatever its rules let through of
//! `spec.ask` and `spec.classify`. A rule that is laxer than a worker's would be a pod that does not start.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use docmill_core::classify::{CATEGORIES_MAX, Category, NAME_CHARS_MAX, TEXT_BYTES_MAX, TEXTS_MAX};
use docmill_core::sizing::{Node, Resources};
use docmill_operator::build::{self, Images, Input, Volume};
use docmill_operator::child::Child;
use docmill_operator::names::Part;
use docmill_operator::plan;
use docmill_operator::resource::IngestionPipeline;
use docmill_worker::config::{Environment, Problem, Settings, load};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What stands in every Secret.
const SECRET: &str = "hunter2";
/// Where the model's key is, in API pods.
const MODEL_KEY: &str = "/run/secrets/docmill/model/key";

/// A pipeline as the API server would have it.
fn pipeline(spec: Value) -> IngestionPipeline {
    let object = json!({
        "apiVersion": "docmill.dev/v1alpha1", "kind": "IngestionPipeline",
        "metadata": {"name": "knowbase", "namespace": "archive", "uid": "0a1b2c3d-0000-4000-8000-000000000001"},
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

/// A pipeline of one node that says this of answers.
fn asking(ask: Value) -> IngestionPipeline {
    pipeline(json!({"instanceType": "c5.4xlarge", "ask": ask}))
}

/// A pipeline of one node that tells documents apart by this.
fn classifying(classify: &Value) -> IngestionPipeline {
    pipeline(json!({"instanceType": "c5.4xlarge", "classify": classify}))
}

/// Whether both kinds of rules take it.
fn is_taken(pipeline: &IngestionPipeline) -> bool {
    pipeline.validate_cel().is_ok() && plan::make(&pipeline.spec, None).is_ok()
}

/// All objects of a pipeline that is taken.
fn children(pipeline: &IngestionPipeline) -> Vec<Child> {
    let resources = |cpu_milli, memory_mib| Resources { cpu_milli, memory_mib };
    let node = Node::of_allocatable(resources(2_000, 8_192), resources(1_900, 7_900));
    let plan = plan::make(&pipeline.spec, Some(node)).unwrap();
    let images = Images::default();
    let volume = |part: Part| {
        let uid = format!("{part}-0000-4000-8000-000000000000");
        (part, Volume { uid, storage_mib: 1, has_secret: true })
    };
    let volumes: BTreeMap<Part, Volume> = Part::STORES.into_iter().map(volume).collect();
    let input = Input {
        pipeline,
        plan: &plan,
        images: &images,
        volumes: &volumes,
        hpa: true,
        workers_there: 0,
        has_service_monitors: false,
        operator_namespace: "docmill-system",
        operator_keys_pem: "-----BEGIN PUBLIC KEY-----\n",
    };
    build::children(&input)
}

/// What a pod of this part makes of its configuration and its environment.
fn settings(children: &[Child], part: Part) -> Result<Settings, Vec<Problem>> {
    let files = children.iter().filter_map(|child| child.object["data"]["worker.json"].as_str());
    let texts: Vec<&str> = files.collect();
    assert_eq!(texts.len(), 1, "one file for all");
    let pod = pod(children, part);
    let variables = pod["containers"][0]["env"].as_array().into_iter().flatten();
    let environment: Environment = variables
        .map(|variable| {
            let text = |name: &str| variable[name].as_str().unwrap().to_owned();
            (text("name"), text("value"))
        })
        .collect();
    let mounted = mounted(pod);
    load(texts[0], &environment, &|file: &Path| {
        // As a pod: what is not mounted is not there.
        let is_there = file.to_str().is_some_and(|file| mounted.iter().any(|known| known == file));
        if is_there { Ok(format!("{SECRET}\n")) } else { Err(std::io::ErrorKind::NotFound.into()) }
    })
}

/// The pods of a part.
fn pod(children: &[Child], part: Part) -> &Value {
    let deployment = children
        .iter()
        .find(|child| child.key().kind == "Deployment" && child.key().name == part.name("knowbase"))
        .unwrap();
    &deployment.object["spec"]["template"]["spec"]
}

/// Files of Secrets in a pod.
fn mounted(pod: &Value) -> Vec<String> {
    let volumes = pod["volumes"].as_array().unwrap();
    let sources =
        volumes.iter().flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
    let items = sources.flat_map(|source| source["secret"]["items"].as_array().into_iter().flatten());
    items.map(|item| format!("/run/secrets/docmill/{}", item["path"].as_str().unwrap())).collect()
}

#[test]
fn every_sample_is_taken_by_workers_and_api() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/samples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let sample: Value = serde_saphyr::from_str(&text).unwrap();
        let children = children(&pipeline(sample["spec"].clone()));
        for part in [Part::Worker, Part::Api] {
            let problems = settings(&children, part).err();
            assert!(problems.is_none(), "{}, {part}: {problems:?}", path.display());
        }
        count += 1;
    }
    assert!(count >= 9, "only {count} samples");
}

#[test]
fn what_is_not_said_of_answers_is_what_workers_do_by_themselves() {
    let own = load(
        "queue: {redis: {url: 'redis://h'}}\nledger: {postgres: {url: 'postgresql://h/d'}}",
        &Environment::new(),
        &|_| Err(std::io::ErrorKind::NotFound.into()),
    );
    let own = own.unwrap();
    // Beside one that is other than usual, all others are written.
    for ask in [json!({}), json!({"benchmark": {}})] {
        let found = settings(&children(&asking(ask)), Part::Api).unwrap();
        assert_eq!((&found.ask, found.mock_embeddings), (&own.ask, false));
        assert_eq!((found.memo.entries, found.memo.ttl), (own.memo.entries, own.memo.ttl));
    }
    let model = json!({"url": "https://models.example/v1", "name": "small"});
    let found = settings(&children(&asking(json!({"model": model}))), Part::Api).unwrap();
    let usual = docmill_worker::ask::ModelSettings::new("https://models.example/v1", "small");
    assert_eq!(found.ask.model, Some(usual));
}

#[test]
fn the_models_key_is_in_api_pods_and_in_no_object() {
    let model =
        json!({"url": "https://models.example/v1", "name": "small", "keySecretRef": {"name": "models"}});
    let children = children(&asking(json!({"model": model})));
    let api = settings(&children, Part::Api).unwrap().ask.model.unwrap();
    assert_eq!(api.key.unwrap().expose(), SECRET);
    let worker = settings(&children, Part::Worker).unwrap().ask.model.unwrap();
    assert_eq!(worker.key, None);
    for child in &children {
        assert!(!child.object.to_string().contains(SECRET), "{child:?}");
        // The Secret and the file are named where they are mounted, and nowhere else.
        let names_it = child.object.to_string().contains(MODEL_KEY);
        assert_eq!(
            names_it,
            child.key().name == "knowbase-api" && child.key().kind == "Deployment",
            "{child:?}"
        );
    }
}

#[test]
fn what_is_not_said_of_categories_is_what_workers_do_by_themselves() {
    let children = children(&classifying(&json!({"categories": [{"name": "letter"}]})));
    let letter = Category { name: "letter".to_owned(), description: None, examples: Vec::new() };
    for part in [Part::Worker, Part::Api] {
        let found = settings(&children, part).unwrap().classify;
        assert_eq!(found.categories.as_slice(), std::slice::from_ref(&letter), "{part}");
        assert_eq!(found.min_percent, docmill_core::classify::MIN_PERCENT, "{part}");
    }
}

#[test]
fn as_many_categories_as_are_taken_fit_the_file() {
    // As much as may be, in as many texts as may be, of what takes most room in the file.
    let most = 512 << 10;
    let text_bytes = most / (CATEGORIES_MAX * TEXTS_MAX) - 8;
    let examples = vec!["\"".repeat(text_bytes / 2); TEXTS_MAX];
    let category = |number: usize| json!({"name": format!("kind {number}"), "examples": examples});
    let categories: Value = (0..CATEGORIES_MAX).map(category).collect();
    assert!(categories.to_string().len() > most * 9 / 10, "{}", categories.to_string().len());
    let pipeline = classifying(&json!({ "categories": categories }));
    assert!(is_taken(&pipeline), "{:?}", plan::make(&pipeline.spec, None).err());
    let children = children(&pipeline);
    for part in [Part::Worker, Part::Api] {
        assert_eq!(settings(&children, part).unwrap().classify.categories.len(), CATEGORIES_MAX, "{part}");
    }
}

#[test]
fn passwords_of_documents_are_where_workers_and_api_look_for_them() {
    let of =
        |extract: Value| children(&pipeline(json!({"instanceType": "c5.4xlarge", "extract": extract})));
    let (without, with) = (of(json!({})), of(json!({"passwordsSecretRef": {"name": "vault"}})));
    for part in [Part::Worker, Part::Api] {
        assert_eq!(settings(&without, part).unwrap().passwords_file, None, "{part}");
        let file = settings(&with, part).unwrap().passwords_file.unwrap();
        let mounted = mounted(pod(&with, part));
        assert!(mounted.iter().any(|known| Path::new(known) == file), "{part}: {mounted:?}");
        assert!(!self::mounted(pod(&without, part)).iter().any(|known| Path::new(known) == file), "{part}");
    }
}

#[test]
fn stand_ins_stand_in() {
    let benchmark = json!({"mockModel": true, "mockModelDelay": "20ms", "mockEmbeddings": true});
    let found = settings(&children(&asking(json!({"benchmark": benchmark}))), Part::Api).unwrap();
    assert_eq!((found.ask.mock, found.mock_embeddings), (Some(Duration::from_millis(20)), true));
}

/// Times within bounds, their ends among them, in milliseconds.
fn ms(least: u64, most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![Just(least), Just(most), least..=most]
}

/// Numbers within bounds, their ends among them.
fn number(least: u32, most: u32) -> impl Strategy<Value = u32> {
    prop_oneof![Just(least), Just(most), least..=most]
}

/// Addresses that are one, and many that are none.
fn url() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec!["https://", "http://", "http://", "ftp://", ""]);
    let host = prop::sample::select(vec![
        "models.example",
        "ollama.models.svc",
        "localhost",
        "localhost.example",
        "127.0.0.1",
        "127.0.0.11",
        "[::1]",
        "10.1.2.3",
        "me:hunter2@models.example",
        "[",
        "",
    ]);
    let port = prop::sample::select(vec!["", ":11434", ":0", ":65536", ":x"]);
    let path = prop::sample::select(vec!["", "/", "/v1", "/v1?key=hunter2", "/v1#hunter2", "/ö"]);
    (scheme, host, port, path).prop_map(|(scheme, host, port, path)| [scheme, host, port, path].concat())
}

fn name() -> impl Strategy<Value = String> {
    let mut names: Vec<String> = ["small", "org/small:7b", "ы", " ", "a\u{7}b"].map(str::to_owned).into();
    names.push("n".repeat(200));
    prop::sample::select(names)
}

/// Names of categories, more often than not.
fn category_name() -> impl Strategy<Value = String> {
    let good =
        ["invoice".to_owned(), "счёт & co".to_owned(), "a: b".to_owned(), "ä".repeat(NAME_CHARS_MAX)];
    let mut bad: Vec<String> =
        [" a", "a\u{a0}", "a\u{7}b", "a,b", "a=b", "a\"b", "a\\b", ""].map(str::to_owned).into();
    bad.push("a".repeat(NAME_CHARS_MAX + 1));
    prop_oneof![8 => prop::sample::select(good.to_vec()), 1 => prop::sample::select(bad)]
}

/// What stands for a category, more often than not.
fn category_text() -> impl Strategy<Value = String> {
    let half = TEXT_BYTES_MAX / 2;
    let good = ["Amount: {due} # \"now\"".to_owned(), "\u{1}".to_owned(), "ä".repeat(half)];
    let bad = [String::new(), " ".to_owned(), "\u{3000}\n".to_owned(), "ä".repeat(half) + "b"];
    prop_oneof![8 => prop::sample::select(good.to_vec()), 1 => prop::sample::select(bad.to_vec())]
}

fn category() -> impl Strategy<Value = Value> {
    let count = prop::sample::select(vec![0, 0, 1, TEXTS_MAX - 1, TEXTS_MAX, TEXTS_MAX + 1]);
    (category_name(), prop::option::of(category_text()), category_text(), count).prop_map(
        |(name, description, example, count)| {
            let mut category = json!({"name": name, "examples": vec![example; count]});
            if let Some(description) = description {
                category["description"] = json!(description);
            }
            category
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Neither more nor less is a category to the one than to the other, and who reads them has them as they were given.
    #[test]
    fn categories_are_taken_as_workers_take_them(
        categories in prop::collection::vec(category(), 0..3),
        min_percent in number(0, 100),
    ) {
        let classify = json!({"categories": categories, "minPercent": min_percent});
        let file = json!({
            "queue": {"redis": {"url": "redis://h"}}, "ledger": {"postgres": {"url": "postgresql://h/d"}},
            "classify": classify,
        });
        let nowhere = |_: &Path| -> std::io::Result<String> { Err(std::io::ErrorKind::NotFound.into()) };
        let by_worker = load(&file.to_string(), &Environment::new(), &nowhere);
        let pipeline = classifying(&classify);
        prop_assert_eq!(is_taken(&pipeline), by_worker.is_ok(), "{}: {:?}", classify, by_worker.err());
        if is_taken(&pipeline) {
            let given: Vec<Category> = serde_json::from_value(json!(categories)).unwrap();
            let children = children(&pipeline);
            for part in [Part::Worker, Part::Api] {
                let found = settings(&children, part).unwrap().classify;
                prop_assert_eq!(&found.categories, &given);
                // Where there is nothing to be near to, nothing is said of how near.
                prop_assert!(given.is_empty() || found.min_percent == min_percent);
            }
        }
    }

    /// Neither more nor less is an address and a name to the one than to the other.
    #[test]
    fn a_model_is_taken_as_workers_take_it(url in url(), name in name(), allow_http in any::<bool>()) {
        let model = json!({"url": url, "name": name, "allowHttp": allow_http});
        let file = json!({
            "queue": {"redis": {"url": "redis://h"}}, "ledger": {"postgres": {"url": "postgresql://h/d"}},
            "ask": {"model": model},
        });
        let nowhere = |_: &Path| -> std::io::Result<String> { Err(std::io::ErrorKind::NotFound.into()) };
        let by_worker = load(&file.to_string(), &Environment::new(), &nowhere);
        let by_rules = is_taken(&asking(json!({"model": model})));
        prop_assert_eq!(by_rules, by_worker.is_ok(), "{}: {:?}", model, by_worker.err());
    }

    /// What is within all bounds starts, and is what was said.
    #[test]
    fn whatever_is_taken_starts(
        times in (ms(100, 60_000), ms(100, 3_600_000), ms(100, 3_600_000), ms(100, 3_600_000)),
        numbers in (number(1, 32_768), number(1, 50), number(1_000, 1_000_000), number(1, 20_000)),
        ttl_ms in ms(1_000, 3_600_000),
        delay_ms in ms(0, 60_000),
        stand_ins in (any::<bool>(), any::<bool>()),
        has_model in any::<bool>(),
    ) {
        let (connect, first_token, idle, total) = times;
        let (max_tokens, sources, context_bytes, cache_entries) = numbers;
        let (mock_model, mock_embeddings) = (stand_ins.0 && !has_model, stand_ins.1);
        let mut ask = json!({
            "sources": sources, "contextBytes": context_bytes, "cacheEntries": cache_entries,
            "cacheTtl": format!("{ttl_ms}ms"),
            "benchmark": {
                "mockModel": mock_model, "mockModelDelay": format!("{delay_ms}ms"),
                "mockEmbeddings": mock_embeddings,
            },
        });
        if has_model {
            ask["model"] = json!({
                "url": "http://ollama.models:11434", "name": "small", "allowHttp": true, "maxTokens": max_tokens,
                "keySecretRef": {"name": "models", "key": "token"}, "connectTimeout": format!("{connect}ms"),
                "firstTokenTimeout": format!("{first_token}ms"), "idleTimeout": format!("{idle}ms"),
                "totalTimeout": format!("{total}ms"),
            });
        }
        let pipeline = asking(ask);
        prop_assert!(is_taken(&pipeline), "{:?}: {:?}", pipeline.spec.ask, pipeline.validate_cel());
        let children = children(&pipeline);
        prop_assert!(settings(&children, Part::Worker).is_ok());
        let found = settings(&children, Part::Api).unwrap();
        prop_assert_eq!(found.ask.mock, mock_model.then(|| Duration::from_millis(delay_ms)));
        prop_assert_eq!(found.mock_embeddings, mock_embeddings);
        prop_assert_eq!((found.ask.sources, found.ask.context_bytes), (sources as usize, context_bytes as usize));
        prop_assert_eq!(found.memo.entries, cache_entries as usize);
        prop_assert_eq!(found.memo.ttl, Duration::from_secs(ttl_ms.div_ceil(1_000)));
        prop_assert_eq!(found.ask.model.is_some(), has_model);
        if let Some(model) = found.ask.model {
            let found = (model.connect_ms, model.first_token_ms, model.idle_ms, model.total_ms, model.max_tokens);
            prop_assert_eq!(found, (connect, first_token, idle, total, max_tokens));
            prop_assert!(model.key.is_some());
        }
    }
}
