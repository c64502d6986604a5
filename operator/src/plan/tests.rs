//! Plans of the published rows number by number, and of every instance type by its properties.

use docmill_core::limits::Limits;
use docmill_core::sizing::neo4j::Memory;
use docmill_core::sizing::{CATALOGUE, Documents, Fit, Instance, Node, Resources};
use serde_json::{Value, json};

use super::*;

mod samples;
mod wrong;

/// A specification as it is after the API server put the defaults in.
fn spec(spec: Value) -> IngestionPipelineSpec {
    serde_json::from_value(spec).unwrap()
}

fn plan(given: Value) -> Plan {
    make(&spec(given.clone()), None).unwrap_or_else(|problems| panic!("{given}: {problems:?}"))
}

fn resources(cpu_milli: u64, memory_mib: u64) -> Resources {
    Resources { cpu_milli, memory_mib }
}

fn bounds(requests: (u64, u64), limits: (u64, u64)) -> Bounds {
    Bounds { requests: resources(requests.0, requests.1), limits: resources(limits.0, limits.1) }
}

/// All of it, the heap at the start, the largest heap, the page cache.
fn neo4j(numbers: [u64; 4]) -> Memory {
    let [total_mib, heap_initial_mib, heap_max_mib, page_cache_mib] = numbers;
    Memory { total_mib, heap_initial_mib, heap_max_mib, page_cache_mib }
}

/// What is published of an instance type, or follows from it.
struct Row {
    name: &'static str,
    workers: (u32, u32, Bounds),
    api: (u32, Bounds),
    neo4j: Memory,
    connections: u32,
    documents: (u64, u32),
    fit: Fit,
}

#[test]
fn published_rows_number_by_number() {
    let rows = [
        Row {
            name: "t3.2xlarge",
            workers: (4, 4, bounds((1_000, 2_048), (1_500, 3_072))),
            api: (4, bounds((500, 512), (4_000, 4_096))),
            // 28,766 MiB are usable; workers take 8,192, API pods 1,024 and other stores 384.
            neo4j: neo4j([19_166, 4_791, 4_791, 9_583]),
            connections: 100,
            documents: (500, 1_000),
            fit: Fit::OneNode,
        },
        Row {
            name: "c5.4xlarge",
            workers: (8, 4, bounds((1_000, 2_048), (1_500, 3_072))),
            api: (12, bounds((1_000, 1_024), (8_000, 8_192))),
            neo4j: neo4j([21_846, 4_096, 8_192, 8_192]),
            connections: 100,
            documents: (500, 1_000),
            fit: Fit::SpreadNeeded { nodes: 2 },
        },
        Row {
            name: "c5.9xlarge",
            workers: (16, 4, bounds((1_333, 2_730), (2_000, 4_096))),
            api: (24, bounds((2_000, 2_048), (16_000, 16_384))),
            neo4j: neo4j([54_614, 16_384, 16_384, 24_576]),
            connections: 200,
            documents: (500, 1_000),
            fit: Fit::SpreadNeeded { nodes: 2 },
        },
        Row {
            name: "c5.12xlarge",
            workers: (21, 4, bounds((1_333, 2_730), (2_000, 4_096))),
            api: (24, bounds((2_000, 2_048), (16_000, 16_384))),
            // What an r5.2xlarge of its own has for pods.
            neo4j: neo4j([59_568, 14_892, 14_892, 29_784]),
            connections: 200,
            documents: (500, 1_000),
            fit: Fit::OneNode,
        },
        Row {
            name: "c5.xlarge",
            workers: (1, 3, bounds((2_000, 2_730), (3_000, 4_096))),
            api: (9, bounds((250, 256), (2_000, 2_048))),
            neo4j: neo4j([2_366, 591, 591, 1_183]),
            connections: 100,
            documents: (200, 500),
            fit: Fit::OneNode,
        },
        Row {
            name: "c5.2xlarge",
            workers: (1, 7, bounds((4_666, 5_461), (7_000, 8_192))),
            api: (16, bounds((500, 512), (4_000, 4_096))),
            neo4j: neo4j([6_496, 1_624, 1_624, 3_248]),
            connections: 100,
            documents: (500, 1_000),
            fit: Fit::OneNode,
        },
    ];
    for row in rows {
        let plan = plan(json!({"instanceType": row.name}));
        assert_eq!((plan.workers_sized, plan.slots, plan.worker), row.workers, "{}", row.name);
        assert_eq!((plan.api_workers, plan.api), row.api, "{}", row.name);
        assert_eq!(plan.neo4j, Some(row.neo4j), "{}", row.name);
        assert_eq!(plan.neo4j_connections, row.connections, "{}", row.name);
        let (file_mib, pages) = row.documents;
        assert_eq!(plan.documents, Documents { file_mib, pages }, "{}", row.name);
        assert_eq!(plan.fit, row.fit, "{}", row.name);
        assert_eq!((plan.api_replicas, plan.node_name.as_str()), (2, row.name));
        let own = Limits::default();
        assert_eq!((plan.page_ms, plan.document_ms), (own.page_ms, own.document_ms), "as a worker's own");
    }
}

#[test]
fn what_is_not_given_of_a_managed_store() {
    let plan = plan(json!({"instanceType": "c5.4xlarge"}));
    let sized = bounds((50, 128), (2_000, 1_024));
    let stores = [(plan.queue.managed(), 10), (plan.ledger.managed(), 20), (plan.objects.managed(), 50)];
    for (store, gib) in stores {
        let expected = ManagedStore { storage_mib: gib * 1_024, storage_class: None, bounds: sized };
        assert_eq!(store, Some(&expected));
    }
    let graph = plan.graph.as_ref().and_then(Store::managed).unwrap();
    assert_eq!(graph.storage_mib, 20 * 1_024);
    // All of its memory is its own: request and limit are the same.
    assert_eq!(graph.bounds, bounds((500, 21_846), (4_000, 21_846)));
}

/// Instance types on which a pipeline with nothing else given is refused, by the rule that refuses it.
fn refused(graph: &Value) -> Vec<(&'static str, &'static str)> {
    let given =
        |instance: &Instance| spec(json!({"instanceType": instance.name, "stores": {"graph": graph}}));
    let refused = |instance: &'static Instance| match make(&given(instance), None) {
        Ok(_) => None,
        Err(problems) => Some((instance.name, problems[0].rule)),
    };
    CATALOGUE.iter().filter_map(refused).collect()
}

#[test]
fn every_instance_type_has_a_plan_or_is_too_small_for_it() {
    let too_small = [
        ("c5.large", "VP-09"),
        ("c6i.large", "VP-09"),
        ("c6i.xlarge", "VP-09"),
        ("c7i.large", "VP-09"),
        ("c7i.xlarge", "VP-09"),
        ("c7g.medium", "VP-10"),
        ("c7g.large", "VP-09"),
        ("c7g.xlarge", "VP-09"),
    ];
    assert_eq!(refused(&json!({})), too_small);
    assert_eq!(refused(&json!({"postgres": {}})), [("c7g.medium", "VP-10")], "without Neo4j");
}

#[test]
fn plans_of_all_instance_types_hold_together() {
    for instance in CATALOGUE {
        let spec = spec(json!({"instanceType": instance.name, "stores": {"graph": {"postgres": {}}}}));
        let Ok(plan) = make(&spec, None) else { continue };
        assert_eq!(make(&spec, None).as_ref(), Ok(&plan), "{}: the same again", instance.name);
        let stores = [plan.queue.managed(), plan.ledger.managed(), plan.objects.managed()];
        let pods = [plan.worker, plan.api].into_iter().chain(stores.map(|store| store.unwrap().bounds));
        for bounds in pods {
            assert!(bounds.requests.fits(bounds.limits), "{}: {bounds:?}", instance.name);
            assert!(bounds.requests.fits(plan.node.usable()), "{}: {bounds:?}", instance.name);
        }
        let stores = stores.into_iter().flatten();
        let asked = stores.fold(plan.worker.requests.times(plan.workers_sized), |sum, store| {
            sum.plus(store.bounds.requests)
        });
        let asked = asked.plus(plan.api.requests.times(plan.api_replicas));
        assert_eq!(plan.fit, Fit::OneNode, "{}", instance.name);
        assert!(asked.fits(plan.node.usable()), "{}: {asked:?}", instance.name);
        assert!(plan.workers_sized >= 1 && plan.slots >= 1 && plan.api_workers >= 1, "{}", instance.name);
        assert!(plan.documents.file_mib <= plan.scratch_mib, "{}", instance.name);
        assert!(plan.scratch_mib + 512 <= plan.worker.limits.memory_mib, "{}", instance.name);
    }
}

#[test]
fn what_is_given_goes_before_what_is_sized() {
    let plan = plan(json!({
        "instanceType": "c5.4xlarge",
        "workers": {
            "concurrency": 2, "resources": {"requests": {"memory": "1Gi"}}, "scratch": {"tmpfs": "256Mi"},
        },
        "api": {"replicas": 3, "workers": 5},
        "memory": {"neo4j": {"total": "8Gi", "heap": "2Gi", "initialHeap": "1Gi", "pageCache": "4Gi"}},
        "stores": {
            "graph": {"neo4j": {"managed": {"cpu": "6", "storage": "30Gi", "maxConnectionPoolSize": 7}}},
        },
        "extract": {"limits": {"maxPages": 9, "pageTimeout": "2m", "documentTimeout": "1h30m"}},
    }));
    assert_eq!((plan.slots, plan.worker.requests), (2, resources(1_000, 1_024)));
    assert_eq!((plan.api_replicas, plan.api_workers), (3, 5));
    assert_eq!(plan.neo4j, Some(neo4j([8_192, 1_024, 2_048, 4_096])));
    let graph = plan.graph.as_ref().and_then(Store::managed).unwrap();
    assert_eq!((graph.storage_mib, graph.bounds), (30 * 1_024, bounds((6_000, 8_192), (6_000, 8_192))));
    assert_eq!(plan.neo4j_connections, 7);
    // A scratch of 256 MiB holds no file of 500.
    assert_eq!(plan.documents, Documents { file_mib: 256, pages: 9 });
    assert_eq!((plan.page_ms, plan.document_ms), (120_000, 5_400_000));
}

#[test]
fn times_of_answers_are_a_workers_numbers() {
    let of = |ask: Value| plan(json!({"instanceType": "c5.4xlarge", "ask": ask})).ask;
    assert_eq!(of(json!({})), AskTimes { cache_ttl_s: 300, model: None, mock_model_delay_ms: 0 });
    let model = json!({"url": "https://h/v1", "name": "small", "firstTokenTimeout": "1m30s"});
    let times =
        ModelTimes { connect_ms: 5_000, first_token_ms: 90_000, idle_ms: 15_000, total_ms: 120_000 };
    // A part of a second is one: nothing is forgotten sooner than it was said.
    let found = of(json!({"model": model, "cacheTtl": "1500ms", "benchmark": {"mockModelDelay": "20ms"}}));
    assert_eq!(found, AskTimes { cache_ttl_s: 2, model: Some(times), mock_model_delay_ms: 20 });
}

#[test]
fn no_more_work_at_once_than_a_worker_has_memory_for() {
    let of = |memory: &str, concurrency: u32| {
        let resources = json!({"requests": {"memory": "256Mi"}, "limits": {"memory": memory}});
        let plan = plan(json!({
            "instanceType": "c5.4xlarge",
            "workers": {"concurrency": concurrency, "resources": resources, "scratch": {"tmpfs": "128Mi"}},
        }));
        (plan.slots, plan.extractor_mib)
    };
    assert_eq!(of("3Gi", 4), (4, 640));
    assert_eq!(of("64Gi", 1), (1, 2_048), "an extractor has no more than a worker gives");
    assert_eq!(of("2304Mi", 4), (3, 597), "fewer in place of too little for each");
    assert_eq!(of("640Mi", 4), (1, 512), "one there is always");
}

#[test]
fn shares_of_neo4j_are_of_what_is_given_or_left() {
    let shares = json!({"heapPercent": 40, "pageCachePercent": 30, "systemPercent": 30});
    let of_left = plan(json!({"instanceType": "t3.2xlarge", "memory": {"neo4j": shares}}));
    assert_eq!(of_left.neo4j, Some(neo4j([19_166, 7_666, 7_666, 5_749])));
    let of_given = plan(json!({"instanceType": "t3.2xlarge", "memory": {"neo4j": {"total": "4Gi"}}}));
    assert_eq!(of_given.neo4j, Some(neo4j([4_096, 1_024, 1_024, 2_048])));
}

#[test]
fn without_a_type_the_capacity_or_the_smallest_node_is_taken() {
    let given = plan(json!({"capacity": {"cpu": "16", "memory": "32Gi"}}));
    assert_eq!((given.node_name.as_str(), given.node.instance), ("16 cores, 32Gi", None));
    assert_eq!((given.workers_sized, given.api_workers), (8, 16), "derived, not published");
    let smallest = Node::of_allocatable(resources(8_000, 32_768), resources(7_900, 30_000));
    let found = make(&spec(json!({})), Some(smallest)).unwrap();
    assert_eq!((found.node_name.as_str(), found.node), ("8 cores, 32Gi", smallest));
    let named = make(&spec(json!({"instanceType": "c5.4xlarge"})), Some(smallest)).unwrap();
    assert_eq!(named.node_name, "c5.4xlarge", "the type goes before the node that is there");
}

#[test]
fn a_paused_pipeline_goes_to_nothing_at_once_and_keeps_its_sizes() {
    let given = |paused: bool| {
        plan(json!({
            "instanceType": "c5.4xlarge", "paused": paused, "workers": {"replicas": {"min": 2, "max": 8}},
        }))
    };
    let (running, paused) = (given(false), given(true));
    assert_eq!((running.policy.min, running.policy.max), (2, 8));
    let waits = |plan: &Plan| (plan.policy.scale_down_window_ms, plan.policy.scale_to_zero_after_ms);
    assert_eq!(waits(&running), (300_000, 600_000));
    assert_eq!((paused.policy.min, paused.policy.max), (0, 0));
    assert_eq!(waits(&paused), (0, 0));
    assert_eq!(paused.policy.max_busy_wait_ms, 600_000, "what is in work is finished");
    assert_eq!(Plan { policy: running.policy.clone(), ..paused }, running);
}

#[test]
fn rate_limits_are_budgets() {
    let plan = plan(json!({
        "instanceType": "c5.4xlarge",
        "rateLimits": [
            {"provider": "OpenAI", "requestsPerMinute": 500},
            {"provider": "Anthropic", "requestsPerMinute": 100, "callsPerDocument": 3},
        ],
    }));
    let found: Vec<_> = plan
        .budgets
        .iter()
        .map(|budget| {
            (budget.provider.as_str(), budget.requests_per_minute, budget.calls_per_document.get())
        })
        .collect();
    let number = std::num::NonZeroU32::new;
    assert_eq!(found, [("OpenAI", number(500), 10), ("Anthropic", number(100), 3)]);
    assert_eq!(plan.policy.budgets, plan.budgets);
}
