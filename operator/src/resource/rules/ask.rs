//! What the rules of `spec.ask` take and refuse.

use serde_json::{Value, json};

use super::{Case, refused, taken};

fn ask(ask: Value) -> Value {
    json!({"ask": ask})
}

/// A pipeline with a model, and what is said of it beside its name.
fn model(said: Value) -> Value {
    let mut model = json!({"url": "https://models.example/v1", "name": "small"});
    for (field, value) in said.as_object().into_iter().flatten() {
        model[field] = value.clone();
    }
    ask(json!({"model": model}))
}

pub(super) fn model_urls() -> Vec<Case> {
    let of = |url: &str| model(json!({"url": url}));
    vec![
        taken(of("https://models.example/v1")),
        refused(of("https://me:hunter2@models.example/v1")),
        refused(of("https://models.example/v1?key=hunter2")),
        refused(of("https://models.example/v1#hunter2")),
    ]
}

pub(super) fn model_schemes() -> Vec<Case> {
    let of = |url: &str, allow_http: bool| model(json!({"url": url, "allowHttp": allow_http}));
    let mut all = vec![
        taken(of("http://ollama.models:11434/v1", true)),
        refused(of("http://ollama.models:11434/v1", false)),
        refused(of("http://localhost.example/v1", false)),
        refused(of("http://127.0.0.11/v1", false)),
        refused(of("ftp://models.example/v1", true)),
        refused(of("models.example/v1", true)),
    ];
    let here =
        ["http://localhost", "http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]:8000/v1"];
    all.extend(here.map(|url| taken(of(url, false))));
    all
}

pub(super) fn model_times(field: &str, most: &str, more: &str) -> Vec<Case> {
    let of = |time: &str| model(json!({ field: time }));
    vec![taken(of("100ms")), taken(of(most)), refused(of("99ms")), refused(of(more))]
}

pub(super) fn cache_ttls() -> Vec<Case> {
    let of = |time: &str| ask(json!({"cacheTtl": time}));
    vec![taken(of("1s")), taken(of("1h")), refused(of("999ms")), refused(of("1h1s"))]
}

pub(super) fn mock_delays() -> Vec<Case> {
    let of = |time: &str| ask(json!({"benchmark": {"mockModel": true, "mockModelDelay": time}}));
    vec![taken(of("0s")), taken(of("60s")), refused(of("60001ms"))]
}

pub(super) fn mock_and_model() -> Vec<Case> {
    let of = |benchmark: Value| {
        let mut spec = model(json!({}));
        spec["ask"]["benchmark"] = benchmark;
        spec
    };
    vec![
        taken(of(json!({"mockModel": false}))),
        // What takes part in each search is no matter of the model.
        taken(of(json!({"mockEmbeddings": true}))),
        refused(of(json!({"mockModel": true}))),
    ]
}
