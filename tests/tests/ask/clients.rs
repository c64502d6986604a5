//! The clients that people have, unchanged: OpenAI's for Python and for JavaScript.

use std::path::PathBuf;
use std::process::Command;

use docmill_tests::services::model::Model;
use docmill_tests::services::served::Served;
use serde_json::{Value, json};

use super::with_documents;

/// Dimensions of vectors without meaning.
const DIMENSIONS: usize = 768;

/// Where setup puts the clients: one folder with Python's interpreter and JavaScript's modules.
fn installed() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("DOCMILL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("docmill")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/docmill")))
        .unwrap();
    let mut found: Vec<PathBuf> = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("clients-")))
        .filter(|path| path.join("bin/python").exists() && path.join("node_modules/openai").exists())
        .collect();
    // The one that was made last, where there are older ones.
    found.sort_by_key(|path| std::fs::metadata(path).and_then(|about| about.modified()).ok());
    found.pop().unwrap_or_else(|| {
        panic!("no clients-* with both clients is in {}: `make setup` installs them", cache.display())
    })
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// What a client found out.
fn report(command: &mut Command, served: &Served) -> Value {
    let done = command.env("BASE", &served.base).env("KEY", served.token()).output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}{}", served.log());
    serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

fn assert_whole(found: &Value, answer: &str) {
    assert_eq!(found["models"], json!(["docmill", "docmill-embed"]), "{found}");
    let said = found["answer"].as_str().unwrap();
    assert!(said.starts_with(answer), "{found}");
    // The sources stand below, as these clients show text alone.
    assert!(said.contains(", page 1"), "{found}");
    assert_eq!(found["streamed"], found["answer"]);
    assert_eq!(found["citations"], 1, "{found}");
    assert_eq!(found["finish"], json!(["stop", "stop"]));
    assert!(
        found["tokens"][0].as_u64().unwrap() > 0 && found["tokens"][0] == found["tokens"][1],
        "{found}"
    );
    assert_eq!(found["vectors"], json!([DIMENSIONS, DIMENSIONS, DIMENSIONS]));
    assert_eq!((&found["same"], &found["near"]), (&json!(true), &json!(true)), "{found}");
    assert_eq!(found["unknown"], "model_unknown", "{found}");
}

fn ask_with_both(served: &Served, answer: &str) {
    let clients = installed();
    let mut python = Command::new(clients.join("bin/python"));
    assert_whole(&report(python.arg(script("openai_client.py")), served), answer);
    let mut node = Command::new("node");
    node.arg(script("openai_client.mjs")).env("CLIENTS", &clients);
    assert_whole(&report(&mut node, served), answer);
}

#[test]
fn openais_clients_work_unchanged_without_a_model() {
    ask_with_both(&with_documents(&[]), "The zebra shell was written by Ada Okonkwo in 1987. [");
}

#[test]
fn openais_clients_work_unchanged_with_a_model() {
    let model = Model::start();
    model.say(&["Ada Okon", "kwo wrote", " it [", "1", "]."]);
    let base = model.base();
    let served = with_documents(&[("DOCMILL_ASK_URL", &base), ("DOCMILL_ASK_MODEL", "small")]);
    ask_with_both(&served, "Ada Okonkwo wrote it [1].");
    let asked = model.asked();
    assert_eq!(asked[0]["model"], "small");
    assert!(!asked[0].to_string().contains("Be brief"), "the rules are ours alone");
}
