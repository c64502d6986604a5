//! All that is refused: each rule with its field and its message.

use std::collections::BTreeSet;

use docmill_core::classify::{CATEGORIES_MAX, TEXT_BYTES_MAX, TEXTS_MAX};

use super::*;

fn problems(given: Value) -> Vec<Problem> {
    make(&spec(given.clone()), None).err().unwrap_or_else(|| panic!("{given} has a plan"))
}

fn categories(categories: Value) -> Value {
    json!({"classify": {"categories": categories}})
}

/// So many, with three texts of so many bytes each.
fn many_categories(count: usize, bytes: usize) -> Value {
    let texts = vec!["x".repeat(bytes); 3];
    let category = |number: usize| json!({"name": format!("kind {number}"), "examples": texts});
    categories((0..count).map(category).collect())
}

/// What is wrong, the rule, the field, and a part of the message. Each alone.
fn wrong() -> Vec<(Value, &'static str, &'static str, &'static str)> {
    let on = |more: Value| {
        let mut spec = json!({"instanceType": "c5.4xlarge"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let without_neo4j = |total: &str| {
        on(json!({"memory": {"neo4j": {"total": total}}, "stores": {"graph": {"postgres": {}}}}))
    };
    let redis = |managed: Value| on(json!({"queue": {"redis": {"managed": managed}}}));
    vec![
        (json!({"instanceType": "c5.3xlarge"}), "VP-01", "spec.instanceType", "c5.xlarge, c5.2xlarge"),
        (json!({"capacity": {"cpu": "0", "memory": "8Gi"}}), "VP-02", "spec.capacity", "above 0"),
        (json!({}), "VP-03", "spec.capacity", "give spec.instanceType"),
        (
            on(json!({"autoscaling": {"scaleDownWindow": "soon"}})),
            "VP-04",
            "spec.autoscaling.scaleDownWindow",
            "\"soon\" is no time",
        ),
        (
            on(json!({"autoscaling": {"scaleToZeroAfter": "10"}})),
            "VP-04",
            "spec.autoscaling.scaleToZeroAfter",
            "\"10\" is no time",
        ),
        (
            on(json!({"autoscaling": {"maxBusyWait": ""}})),
            "VP-04",
            "spec.autoscaling.maxBusyWait",
            "\"\" is no time",
        ),
        (
            on(json!({"extract": {"limits": {"pageTimeout": "long"}}})),
            "VP-04",
            "spec.extract.limits.pageTimeout",
            "\"long\" is no time",
        ),
        (
            on(json!({"extract": {"limits": {"documentTimeout": "2"}}})),
            "VP-04",
            "spec.extract.limits.documentTimeout",
            "\"2\" is no time",
        ),
        (
            on(json!({"ask": {"cacheTtl": "a while"}})),
            "VP-04",
            "spec.ask.cacheTtl",
            "\"a while\" is no time",
        ),
        (
            on(json!({"ask": {"benchmark": {"mockModelDelay": "-1s"}}})),
            "VP-04",
            "spec.ask.benchmark.mockModelDelay",
            "\"-1s\" is no time",
        ),
        (
            on(json!({"ask": {"model": {"url": "https://h", "name": "small", "idleTimeout": "5"}}})),
            "VP-04",
            "spec.ask.model.idleTimeout",
            "\"5\" is no time",
        ),
        (redis(json!({"storage": "lots"})), "VP-05", "spec.queue.redis.managed", "\"lots\" is no amount"),
        (
            on(json!({"stores": {"graph": {"neo4j": {"managed": {"cpu": "all"}}}}})),
            "VP-05",
            "spec.stores.graph.neo4j.managed.cpu",
            "\"all\" is no amount",
        ),
        (
            on(json!({"workers": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}})),
            "VP-06",
            "spec.workers.resources",
            "requests are more than limits",
        ),
        (redis(json!({"storage": "1Mi"})), "VP-07", "spec.queue.redis.managed", "at least 64Mi"),
        (
            on(json!({"stores": {"graph": {"neo4j": {"managed": {"storage": "63Mi"}}}}})),
            "VP-07",
            "spec.stores.graph.neo4j.managed.storage",
            "at least 64Mi",
        ),
        (without_neo4j("8Gi"), "VP-08", "spec.memory.neo4j", "remove it"),
        (
            on(json!({"memory": {"neo4j": {"total": "1Gi"}}})),
            "VP-09",
            "spec.memory.neo4j",
            "would have 1024 MiB and needs 2048",
        ),
        (
            on(json!({"memory": {"neo4j": {"total": "4Gi", "heap": "3Gi", "pageCache": "1Gi"}}})),
            "VP-09",
            "spec.memory.neo4j",
            "512 MiB must be left to the system",
        ),
        (
            on(json!({"api": {"resources": {"requests": {"memory": "100Gi"}}}})),
            "VP-10",
            "spec.instanceType",
            "ask for less in resources",
        ),
        (
            on(json!({"extract": {"limits": {"maxFileMib": 2049}}})),
            "VP-11",
            "spec.extract.limits.maxFileMib",
            "files of 2049 MiB do not fit the scratch of 2048 MiB",
        ),
        (
            on(json!({"workers": {"scratch": {"tmpfs": "2561Mi"}}})),
            "VP-12",
            "spec.workers.scratch.tmpfs",
            "leaves less than 512 MiB of the 3072",
        ),
        (
            on(json!({"extract": {"ocr": {"languages": ["eng", "fra"]}}})),
            "VP-13",
            "spec.extract.ocr.languages",
            "does not read \"fra\"; it reads eng, deu",
        ),
        (
            on(json!({"ask": {"model": {"url": "https://:443/v1", "name": "small"}}})),
            "VP-14",
            "spec.ask.model.url",
            "write https://HOST",
        ),
        (
            on(json!({"ask": {"model": {"url": "https://h/v1", "name": " "}}})),
            "VP-15",
            "spec.ask.model.name",
            "\" \" is no name",
        ),
        (
            on(json!({"ask": {"model": {"url": "https://h/v1", "name": "a\u{7}"}}})),
            "VP-15",
            "spec.ask.model.name",
            "the one that the model's server lists",
        ),
        (
            on(categories(json!([{"name": "letter"}, {"name": "bill\u{7}"}]))),
            "VP-16",
            "spec.classify.categories",
            "\"bill\\u{7}\" cannot be a category",
        ),
        (
            // In letters it is short enough for the schema.
            on(categories(json!([{"name": "letter", "examples": ["ä".repeat(TEXT_BYTES_MAX / 2 + 1)]}]))),
            "VP-16",
            "spec.classify.categories",
            "1 to 2048 bytes are allowed",
        ),
        (
            // As text of Windows comes out that was taken for Latin-1: no file of settings can hold it.
            on(categories(json!([{"name": "letter", "examples": ["it\u{92}s due"]}]))),
            "VP-16",
            "spec.classify.categories",
            "has the character '\\u{92}', which none can have",
        ),
        (
            on(many_categories(CATEGORIES_MAX, TEXT_BYTES_MAX)),
            "VP-17",
            "spec.classify.categories",
            "room for 524288",
        ),
    ]
}

#[test]
fn each_rule_refuses_with_its_field_and_a_message() {
    let mut tested = BTreeSet::new();
    for (given, rule, path, part) in wrong() {
        let problems = problems(given.clone());
        let found = problems.iter().find(|problem| problem.rule == rule && problem.path == path);
        let found = found.unwrap_or_else(|| panic!("{given}: {problems:?}"));
        assert!(found.message.contains(part), "{found}");
        assert_eq!(problems.len(), 1, "nothing else is wrong with {given}: {problems:?}");
        assert!(found.to_string().starts_with(&format!("{path} ({rule}): ")), "{found}");
        tested.insert(rule);
    }
    let rules: Vec<&str> = PLAN_RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(tested.into_iter().collect::<Vec<_>>(), rules, "every rule, in order");
}

#[test]
fn what_is_just_right_is_not_refused() {
    let plan = plan(json!({
        "instanceType": "c5.4xlarge",
        "workers": {"scratch": {"tmpfs": "2560Mi"}, "resources": {"requests": {"cpu": "1500m"}}},
        "memory": {"neo4j": {"total": "2Gi"}},
        "queue": {"redis": {"managed": {"storage": "64Mi"}}},
        "extract": {"limits": {"maxFileMib": 2560}, "ocr": {"languages": ["eng", "jpn"]}},
    }));
    assert_eq!((plan.scratch_mib, plan.documents.file_mib), (2_560, 2_560));
}

#[test]
fn categories_as_large_as_they_may_be_are_not_refused() {
    let examples = vec!["ä".repeat(TEXT_BYTES_MAX / 2); TEXTS_MAX - 1];
    let full = json!({"name": "letter", "description": "x".repeat(TEXT_BYTES_MAX), "examples": examples});
    for given in [categories(json!([full])), many_categories(CATEGORIES_MAX, 1_700)] {
        let mut spec = given;
        spec["instanceType"] = json!("c5.4xlarge");
        plan(spec);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let all = problems(json!({
        "instanceType": "c5.3xlarge",
        "autoscaling": {"maxBusyWait": "long"},
        "workers": {"replicas": {"min": 3, "max": 2}, "scratch": {"tmpfs": "much"}},
        "queue": {"redis": {"managed": {"storage": "1Mi"}}},
    }));
    let rules: Vec<&str> = all.iter().map(|problem| problem.rule).collect();
    assert_eq!(rules, ["VP-01", "VP-04", "IP-03", "VP-05", "VP-07"]);
}
