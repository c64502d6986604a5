//! The rules of the schema with what shows that they hold: objects that are taken and objects that are refused. The
//! same objects go through the rules here, without a server, and through a real API server.

use serde_json::{Value, json};

mod ask;
mod classify;

/// A rule of the schema.
#[derive(Debug, Clone, Copy)]
pub struct SchemaRule {
    /// Its number, with which its message begins. Numbers are never used again.
    pub id: &'static str,
    /// The fields that it is about.
    pub fields: &'static str,
    /// What to do when it refuses.
    pub advice: &'static str,
    /// What is taken and what is refused.
    pub cases: fn() -> Vec<Case>,
}

/// An object that the API server takes, or refuses with the rule's message.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is there before; absent where it is made.
    pub old: Option<Value>,
    /// What is given.
    pub new: Value,
    /// Whether it is taken.
    pub is_taken: bool,
}

/// A pipeline of this name, as JSON.
pub fn pipeline(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "docmill.dev/v1alpha1",
        "kind": "IngestionPipeline",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    })
}

/// The name of pipelines whose name is not what is tested.
const NAME: &str = "knowbase";

fn taken(spec: Value) -> Case {
    Case { old: None, new: pipeline(NAME, spec), is_taken: true }
}

fn refused(spec: Value) -> Case {
    Case { is_taken: false, ..taken(spec) }
}

fn change_taken(old: Value, new: Value) -> Case {
    Case { old: Some(pipeline(NAME, old)), ..taken(new) }
}

fn change_refused(old: Value, new: Value) -> Case {
    Case { is_taken: false, ..change_taken(old, new) }
}

const fn rule(
    id: &'static str,
    fields: &'static str,
    advice: &'static str,
    cases: fn() -> Vec<Case>,
) -> SchemaRule {
    SchemaRule { id, fields, advice, cases }
}

/// All rules.
pub const SCHEMA_RULES: &[SchemaRule] = &[
    rule("IP-01", "`metadata.name`", "Take a shorter name, or one without other letters.", names),
    rule("IP-02", "`spec.instanceType`, `spec.capacity`", "Remove one of them.", nodes),
    rule("IP-03", "`spec.workers.replicas.min`", "Lower `min` or raise `max`.", replicas),
    rule("IP-04", "`spec.queue.redis`", "Remove one of them.", || both(redis, REDIS)),
    rule("IP-05", "`spec.stores.ledger.postgres`", "Remove one of them.", || both(postgres, POSTGRES)),
    rule("IP-06", "`spec.stores.graph`", "Remove one of them.", graphs),
    rule(
        "IP-07",
        "`spec.queue.redis`, `spec.stores.ledger.postgres`, `spec.stores.graph.neo4j`, `spec.stores.objects.s3`",
        "Make another pipeline, and give it the documents again.",
        moves,
    ),
    rule("IP-08", "`spec.stores.graph.neo4j`", "Remove one of them.", || both(neo4j, NEO4J)),
    rule("IP-09", "`spec.stores.objects.s3`", "Remove one of them.", || both(s3, S3)),
    rule("IP-10", "`spec.memory.neo4j.*Percent`", "Give all three, so that they come to 100.", shares),
    rule("IP-11", "`spec.memory.neo4j`", "Give all three, or `total` alone.", sizes),
    rule("IP-12", "`spec.memory.neo4j`", "Remove the shares or the sizes.", shares_and_sizes),
    rule("IP-13", "`spec.memory.neo4j.total`", "Give more, or keep the graph in PostgreSQL.", totals),
    rule("IP-14", "`spec.memory.neo4j`", "Raise `total`, or lower `heap` or `pageCache`.", systems),
    rule("IP-15", "`spec.memory.neo4j.initialHeap`", "Give `heap`, or lower `initialHeap`.", initial_heaps),
    rule("IP-16", "`…managed.storage`", "Give at least what the volume has.", shrinking),
    rule(
        "IP-17",
        "`…managed.storageClassName`",
        "Leave it as it is. For another class, make another pipeline.",
        storage_classes,
    ),
    rule(
        "IP-18",
        "`…external.url`",
        "Take the user and the password out of the address; give `username` and `secretRef`.",
        urls,
    ),
    rule(
        "IP-19",
        "`spec.stores.graph`",
        "Make another pipeline, and give it the documents again.",
        graph_moves,
    ),
    rule("IP-20", "`spec.autoscaling.scaleDownWindow`", "Give less.", || {
        at_most("scaleDownWindow", "24h", "25h")
    }),
    rule("IP-21", "`spec.autoscaling.scaleToZeroAfter`", "Give less.", || {
        at_most("scaleToZeroAfter", "168h", "168h1s")
    }),
    rule("IP-22", "`spec.autoscaling.maxBusyWait`", "Give 1s to 24h.", busy_waits),
    rule("IP-23", "`spec.extract.limits.pageTimeout`", "Give 1s to 150s.", page_timeouts),
    rule(
        "IP-24",
        "`spec.extract.limits.documentTimeout`",
        "Give at least `pageTimeout`, or lower that; at most 24h.",
        document_timeouts,
    ),
    rule(
        "IP-25",
        "`spec.ask.model.url`",
        "Put the key into a Secret and name that in `keySecretRef`; whoever could read the address has seen it: change it.",
        ask::model_urls,
    ),
    rule(
        "IP-26",
        "`spec.ask.model.url`",
        "Begin it with `https://`, or, where nobody can come between, set `allowHttp: true`.",
        ask::model_schemes,
    ),
    rule("IP-27", "`spec.ask.model.connectTimeout`", "Give 100ms to 60s.", || {
        ask::model_times("connectTimeout", "60s", "60001ms")
    }),
    rule(
        "IP-28",
        "`spec.ask.model.firstTokenTimeout`, `spec.ask.model.idleTimeout`, `spec.ask.model.totalTimeout`",
        "Give 100ms to 1h.",
        || {
            let fields = ["firstTokenTimeout", "idleTimeout", "totalTimeout"];
            fields.into_iter().flat_map(|field| ask::model_times(field, "1h", "3600001ms")).collect()
        },
    ),
    rule("IP-29", "`spec.ask.cacheTtl`", "Give 1s to 1h.", ask::cache_ttls),
    rule("IP-30", "`spec.ask.benchmark.mockModelDelay`", "Give less.", ask::mock_delays),
    rule(
        "IP-31",
        "`spec.ask.benchmark.mockModel`, `spec.ask.model`",
        "Remove one of them.",
        ask::mock_and_model,
    ),
    rule(
        "IP-32",
        "`spec.classify.categories[].name`",
        "Take another name: searches list names with commas between them.",
        classify::names,
    ),
    rule(
        "IP-33",
        "`spec.classify.categories[].examples`",
        "Leave some out; those that differ most tell most.",
        classify::texts,
    ),
];

fn names() -> Vec<Case> {
    let named = |name: &str, is_taken| Case { old: None, new: pipeline(name, json!({})), is_taken };
    vec![
        named("ab", true),
        named("a-1", true),
        named(&"n".repeat(40), true),
        named(&"n".repeat(41), false),
        named("a", false),
        named("1a", false),
        named("a.b", false),
    ]
}

fn nodes() -> Vec<Case> {
    let capacity = json!({"cpu": "4", "memory": "8Gi"});
    vec![
        taken(json!({"instanceType": "c5.4xlarge"})),
        taken(json!({"capacity": capacity})),
        refused(json!({"instanceType": "c5.4xlarge", "capacity": capacity})),
    ]
}

fn replicas() -> Vec<Case> {
    let of = |replicas: Value| json!({"workers": {"replicas": replicas}});
    vec![
        taken(of(json!({"min": 2, "max": 2}))),
        refused(of(json!({"min": 3, "max": 2}))),
        // 50 unless it is given.
        taken(of(json!({"min": 50}))),
        refused(of(json!({"min": 51}))),
    ]
}

/// External stores as they may be.
const REDIS: &str = r#"{"url": "rediss://queue.example:6379"}"#;
const POSTGRES: &str = r#"{"url": "postgresql://ledger.example/docmill"}"#;
const NEO4J: &str = r#"{"url": "bolt+s://graph.example:7687"}"#;
const S3: &str = r#"{"bucket": "letters"}"#;

fn external(text: &str) -> Value {
    json!({"external": serde_json::from_str::<Value>(text).unwrap_or_default()})
}

fn redis(store: Value) -> Value {
    json!({"queue": {"redis": store}})
}

fn postgres(store: Value) -> Value {
    json!({"stores": {"ledger": {"postgres": store}}})
}

fn neo4j(store: Value) -> Value {
    json!({"stores": {"graph": {"neo4j": store}}})
}

fn s3(store: Value) -> Value {
    json!({"stores": {"objects": {"s3": store}}})
}

fn both(spec: fn(Value) -> Value, text: &str) -> Vec<Case> {
    let external = external(text);
    let mut both = external.clone();
    both["managed"] = json!({});
    vec![taken(spec(json!({"managed": {}}))), taken(spec(external)), refused(spec(both))]
}

fn graphs() -> Vec<Case> {
    let graph = |graph: Value| json!({"stores": {"graph": graph}});
    vec![
        taken(graph(json!({"neo4j": {}}))),
        taken(graph(json!({"postgres": {}}))),
        refused(graph(json!({"neo4j": {}, "postgres": {}}))),
    ]
}

/// Makes a spec of a store's part of it.
type OfStore = fn(Value) -> Value;

fn moves() -> Vec<Case> {
    let stores: [(OfStore, &str); 4] = [(redis, REDIS), (postgres, POSTGRES), (neo4j, NEO4J), (s3, S3)];
    let of = |(spec, text): (OfStore, &str)| {
        let (managed, external) = (spec(json!({})), spec(external(text)));
        [
            change_taken(managed.clone(), spec(json!({"managed": {}}))),
            change_taken(external.clone(), external.clone()),
            change_refused(managed.clone(), external.clone()),
            change_refused(external, managed),
        ]
    };
    stores.into_iter().flat_map(of).collect()
}

fn memory(memory: Value) -> Value {
    json!({"memory": {"neo4j": memory}})
}

fn shares() -> Vec<Case> {
    let of = |heap: u32, page_cache: u32, system: u32| {
        memory(json!({"heapPercent": heap, "pageCachePercent": page_cache, "systemPercent": system}))
    };
    vec![
        taken(of(25, 50, 25)),
        refused(of(25, 50, 24)),
        refused(of(25, 50, 26)),
        refused(memory(json!({"heapPercent": 25}))),
        refused(memory(json!({"heapPercent": 50, "pageCachePercent": 50}))),
    ]
}

fn sizes() -> Vec<Case> {
    vec![
        taken(memory(json!({"total": "4Gi"}))),
        taken(memory(json!({"total": "4Gi", "heap": "1Gi", "pageCache": "2Gi"}))),
        refused(memory(json!({"total": "4Gi", "heap": "1Gi"}))),
        refused(memory(json!({"total": "4Gi", "pageCache": "1Gi"}))),
        refused(memory(json!({"heap": "1Gi", "pageCache": "1Gi"}))),
    ]
}

fn shares_and_sizes() -> Vec<Case> {
    let shares = json!({"heapPercent": 25, "pageCachePercent": 50, "systemPercent": 25, "total": "8Gi"});
    let mut with_sizes = shares.clone();
    with_sizes["heap"] = json!("2Gi");
    with_sizes["pageCache"] = json!("4Gi");
    vec![taken(memory(shares)), refused(memory(with_sizes))]
}

fn totals() -> Vec<Case> {
    let of = |total: &str| memory(json!({"total": total}));
    // 2G are fewer than 2Gi.
    vec![taken(of("2Gi")), taken(of("2048Mi")), refused(of("2047Mi")), refused(of("2G"))]
}

fn systems() -> Vec<Case> {
    let of = |heap: &str| memory(json!({"total": "4Gi", "heap": heap, "pageCache": "2Gi"}));
    vec![taken(of("1536Mi")), refused(of("1537Mi"))]
}

fn initial_heaps() -> Vec<Case> {
    let of = |initial: &str| {
        memory(json!({"total": "4Gi", "heap": "1Gi", "pageCache": "2Gi", "initialHeap": initial}))
    };
    vec![
        taken(of("512Mi")),
        taken(of("1Gi")),
        refused(of("1025Mi")),
        refused(memory(json!({"initialHeap": "1Gi"}))),
    ]
}

/// Specifications with a managed store each.
fn managed() -> [fn(Value) -> Value; 4] {
    [
        |managed| redis(json!({"managed": managed})),
        |managed| postgres(json!({"managed": managed})),
        |managed| neo4j(json!({"managed": managed})),
        |managed| s3(json!({"managed": managed})),
    ]
}

fn shrinking() -> Vec<Case> {
    let of = |spec: fn(Value) -> Value| {
        let storage = |size: &str| spec(json!({"storage": size}));
        [
            change_taken(storage("20Gi"), storage("20480Mi")),
            change_taken(storage("20Gi"), storage("30Gi")),
            change_refused(storage("20Gi"), storage("19Gi")),
        ]
    };
    managed().into_iter().flat_map(of).collect()
}

fn storage_classes() -> Vec<Case> {
    let of = |spec: fn(Value) -> Value| {
        let class = |name: &str| spec(json!({"storageClassName": name}));
        [
            change_taken(class("fast"), class("fast")),
            change_refused(class("fast"), class("slow")),
            change_refused(spec(json!({})), class("fast")),
            change_refused(class("fast"), spec(json!({}))),
        ]
    };
    managed().into_iter().flat_map(of).collect()
}

fn urls() -> Vec<Case> {
    let at = |spec: fn(Value) -> Value, url: &str| spec(json!({"external": {"url": url}}));
    vec![
        taken(at(redis, "redis://queue.example:6379/1")),
        refused(at(redis, "redis://docmill:word@queue.example")),
        taken(at(postgres, "postgresql://ledger.example:5432/docmill")),
        refused(at(postgres, "postgresql://docmill@ledger.example/docmill")),
        taken(at(neo4j, "bolt://graph.example")),
        refused(at(neo4j, "bolt://neo4j:word@graph.example")),
    ]
}

fn graph_moves() -> Vec<Case> {
    let graph = |graph: Value| json!({"stores": {"graph": graph}});
    let nowhere_said = || graph(json!({}));
    let in_postgres = || graph(json!({"postgres": {}}));
    vec![
        change_taken(nowhere_said(), graph(json!({"neo4j": {"managed": {"storage": "20Gi"}}}))),
        change_taken(in_postgres(), in_postgres()),
        change_refused(nowhere_said(), neo4j(external(NEO4J))),
        change_refused(neo4j(external(NEO4J)), nowhere_said()),
        change_refused(nowhere_said(), in_postgres()),
        change_refused(in_postgres(), graph(json!({"neo4j": {}}))),
        change_refused(neo4j(external(NEO4J)), in_postgres()),
    ]
}

fn scaling(field: &str, time: &str) -> Value {
    json!({"autoscaling": {field: time}})
}

fn at_most(field: &str, most: &str, more: &str) -> Vec<Case> {
    vec![taken(scaling(field, "0s")), taken(scaling(field, most)), refused(scaling(field, more))]
}

fn busy_waits() -> Vec<Case> {
    let of = |time: &str| scaling("maxBusyWait", time);
    vec![taken(of("1s")), taken(of("24h")), refused(of("999ms")), refused(of("24h1s"))]
}

fn limits(limits: Value) -> Value {
    json!({"extract": {"limits": limits}})
}

fn page_timeouts() -> Vec<Case> {
    let of = |time: &str| limits(json!({"pageTimeout": time}));
    vec![taken(of("1s")), taken(of("2m30s")), refused(of("999ms")), refused(of("151s"))]
}

fn document_timeouts() -> Vec<Case> {
    let of = |time: &str| limits(json!({"documentTimeout": time}));
    vec![
        // A page has 60s unless it is given.
        taken(of("60s")),
        refused(of("59s")),
        taken(limits(json!({"documentTimeout": "5s", "pageTimeout": "5s"}))),
        taken(of("24h")),
        refused(of("24h1s")),
    ]
}
