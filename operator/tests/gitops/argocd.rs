//! Argo CD's scripts, run by a Lua of its version. What Argo CD does around them is done here as there
//! (`util/lua/lua.go` of its sources): which libraries they have, and how objects go in and come out.

use std::collections::{BTreeMap, BTreeSet};

use docmill_operator::resource::IngestionPipeline;
use mlua::{Lua, LuaOptions, StdLib};
use serde_json::{Value, json};

use crate::support::states::{self, Health};
use crate::support::{read, repository};

const FOLDER: &str = "manifests/gitops/argocd";
/// What begins the name of each entry of the ConfigMap, and what ends it.
const ENTRY: (&str, &str) = ("resource.customizations.", ".docmill.dev_IngestionPipeline");

/// Runs a script on an object, as Argo CD runs those of its ConfigMap: with tables, but without files, processes,
/// texts and numbers. (A clock it would have.)
fn run(script: &str, object: &Value) -> Value {
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default()).unwrap();
    lua.globals().set("obj", to_lua(&lua, object)).unwrap();
    let returned: mlua::Value =
        lua.load(script).call(()).unwrap_or_else(|error| panic!("{error}\n{script}\n{object}"));
    from_lua(returned)
}

fn to_lua(lua: &Lua, value: &Value) -> mlua::Value {
    match value {
        Value::Null => mlua::Value::Nil,
        Value::Bool(is) => mlua::Value::Boolean(*is),
        Value::Number(number) => mlua::Value::Number(number.as_f64().unwrap()),
        Value::String(text) => mlua::Value::String(lua.create_string(text).unwrap()),
        Value::Array(items) => {
            let table = lua.create_table().unwrap();
            for item in items {
                table.push(to_lua(lua, item)).unwrap();
            }
            mlua::Value::Table(table)
        }
        Value::Object(fields) => {
            let table = lua.create_table().unwrap();
            for (name, field) in fields {
                table.set(name.as_str(), to_lua(lua, field)).unwrap();
            }
            mlua::Value::Table(table)
        }
    }
}

/// Lua has one kind of table: one without anything comes out as a list.
fn from_lua(value: mlua::Value) -> Value {
    match value {
        mlua::Value::Nil => Value::Null,
        mlua::Value::Boolean(is) => json!(is),
        mlua::Value::Integer(number) => json!(number),
        mlua::Value::Number(number) => json!(number),
        mlua::Value::String(text) => json!(text.to_string_lossy()),
        mlua::Value::Table(table) => {
            let (mut items, mut fields) = (BTreeMap::new(), serde_json::Map::new());
            for pair in table.pairs::<mlua::Value, mlua::Value>() {
                match pair.unwrap() {
                    (mlua::Value::String(name), field) => {
                        fields.insert(name.to_string_lossy(), from_lua(field));
                    }
                    (mlua::Value::Integer(at), item) => {
                        items.insert(at, from_lua(item));
                    }
                    (other, _) => panic!("{other:?} is no name of a field"),
                }
            }
            assert!(
                items.is_empty() || fields.is_empty(),
                "neither a list nor a map: {items:?} {fields:?}"
            );
            if fields.is_empty() { items.into_values().collect() } else { Value::Object(fields) }
        }
        other => panic!("{other:?} is nothing that an object has"),
    }
}

/// Argo CD puts back the empty maps that came out as lists.
fn put_back(new: &mut Value, old: &Value) {
    if *new == json!([]) && old.is_object() {
        new.clone_from(old);
        return;
    }
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (name, new) in new {
                if let Some(old) = old.get(name) {
                    put_back(new, old);
                }
            }
        }
        (Value::Array(new), Value::Array(old)) => {
            for (new, old) in new.iter_mut().zip(old) {
                put_back(new, old);
            }
        }
        _ => {}
    }
}

fn health(object: &Value) -> Value {
    run(&read(&format!("{FOLDER}/health.lua")), object)
}

/// What is offered, as `(name, disabled)`, in the order of names.
fn offered(object: &Value) -> Vec<(String, bool)> {
    let found = run(&read(&format!("{FOLDER}/actions/discovery.lua")), object);
    let found = found.as_object().unwrap().iter();
    let mut all: Vec<_> =
        found.map(|(name, action)| (name.clone(), action["disabled"].as_bool().unwrap())).collect();
    all.sort();
    all
}

/// The object after an action.
fn acted(action: &str, object: &Value) -> Value {
    let mut acted = run(&read(&format!("{FOLDER}/actions/{action}/action.lua")), object);
    put_back(&mut acted, object);
    acted
}

/// Actions that have a script.
fn actions() -> BTreeSet<String> {
    let entries = std::fs::read_dir(repository(&format!("{FOLDER}/actions"))).unwrap();
    let folders =
        entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().join("action.lua").is_file());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn typed(object: &Value) -> IngestionPipeline {
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{object}: {error}"))
}

/// Objects as people write them, and as the operator tells of them.
fn objects() -> Vec<Value> {
    let entries = std::fs::read_dir(repository("manifests/samples")).unwrap();
    let mut all: Vec<Value> = entries
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .map(|text| serde_saphyr::from_str(&text).unwrap())
        .collect();
    assert!(all.len() > 5, "{all:?}");
    all.extend(states::all().into_iter().map(|state| state.object));
    all
}

#[test]
fn every_state_has_its_health() {
    for state in states::all() {
        let found = health(&state.object);
        let expected = match state.health {
            Health::Progressing => "Progressing",
            Health::Healthy => "Healthy",
            Health::Degraded => "Degraded",
            Health::Suspended => "Suspended",
        };
        assert_eq!(found["status"], expected, "{}: {found} of {:#}", state.name, state.object["status"]);
        let message = found["message"].as_str().unwrap();
        assert!(!message.is_empty(), "{}: nothing is said", state.name);
    }
}

#[test]
fn scripts_reach_nothing_but_the_object() {
    let libraries =
        "return { io ~= nil, os ~= nil, require ~= nil, string ~= nil, math ~= nil, debug ~= nil }";
    assert_eq!(run(libraries, &json!({})), json!([false, false, false, false, false, false]));
}

#[test]
fn the_action_that_changes_something_is_offered() {
    for object in objects() {
        let offered = offered(&object);
        let names: BTreeSet<_> = offered.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, actions(), "those offered, and those that there are");
        for (action, is_disabled) in offered {
            let is_so = |object: &Value| object["spec"]["paused"] == true;
            let changes = is_so(&acted(&action, &object)) != is_so(&object);
            assert_eq!(is_disabled, !changes, "{action} of {object}");
        }
    }
}

#[test]
fn an_action_changes_one_field_and_the_rules_take_it() {
    for object in objects() {
        for (action, paused) in [("pause", true), ("resume", false)] {
            let mut expected = object.clone();
            expected["spec"]["paused"] = json!(paused);
            let acted = acted(action, &object);
            assert_eq!(acted, expected, "{action}");
            let (new, old) = (typed(&acted), typed(&object));
            assert_eq!(new.validate_cel(), Ok(()), "{action}: {acted}");
            assert_eq!(new.validate_cel_update(&old), Ok(()), "{action}: {acted}");
            assert_eq!(new.spec.paused, paused);
        }
    }
    // One that says nothing at all.
    let bare = json!({"metadata": {"name": "knowbase"}});
    assert_eq!(acted("pause", &bare)["spec"], json!({"paused": true}));
}

/// The files in which Argo CD's own tests say what is to come out, should the scripts go there.
#[test]
fn what_argo_cds_own_tests_ask() {
    let tests = yaml(&format!("{FOLDER}/health_test.yaml"));
    let tests = tests["tests"].as_array().unwrap();
    let inputs = std::fs::read_dir(repository(&format!("{FOLDER}/testdata"))).unwrap();
    assert_eq!(tests.len(), inputs.count(), "each of testdata once");
    for test in tests {
        let input = test["inputPath"].as_str().unwrap();
        assert_eq!(health(&yaml(&format!("{FOLDER}/{input}"))), test["healthStatus"], "{input}");
    }
    let asked = yaml(&format!("{FOLDER}/actions/action_test.yaml"));
    let at =
        |test: &Value, field: &str| yaml(&format!("{FOLDER}/actions/{}", test[field].as_str().unwrap()));
    for test in asked["discoveryTests"].as_array().unwrap() {
        let result = test["result"].as_array().unwrap().iter();
        let expected: Vec<_> = result
            .map(|action| (action["name"].as_str().unwrap().to_owned(), action["disabled"] == true))
            .collect();
        assert_eq!(offered(&at(test, "inputPath")), expected, "{test}");
    }
    for test in asked["actionTests"].as_array().unwrap() {
        let action = test["action"].as_str().unwrap();
        assert_eq!(acted(action, &at(test, "inputPath")), at(test, "expectedOutputPath"), "{test}");
    }
}

#[test]
fn the_config_map_has_the_text_of_the_files() {
    let map = yaml(&format!("{FOLDER}/argocd-cm.yaml"));
    let entry = |of: &str| map["data"][format!("{}{of}{}", ENTRY.0, ENTRY.1)].as_str().unwrap();
    assert_eq!(map["data"].as_object().unwrap().len(), 2);
    assert_eq!(entry("health"), read(&format!("{FOLDER}/health.lua")));
    let given: Value = serde_saphyr::from_str(entry("actions")).unwrap();
    assert_eq!(given["discovery.lua"], read(&format!("{FOLDER}/actions/discovery.lua")));
    let definitions = given["definitions"].as_array().unwrap();
    let names: BTreeSet<_> =
        definitions.iter().map(|action| action["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, actions());
    for action in definitions {
        let name = action["name"].as_str().unwrap();
        assert_eq!(action["action.lua"], read(&format!("{FOLDER}/actions/{name}/action.lua")), "{name}");
    }
}
