//! Sizings as a whole: the published scenarios number by number, and every instance type by its properties.

use proptest::prelude::*;

use super::*;

fn node(name: &str) -> Node {
    Node::of_instance(catalogue::find(name).unwrap())
}

fn external() -> Wishes {
    Wishes { neo4j: Neo4jPlace::External, ..Wishes::default() }
}

fn requests(sizing: &Sizing) -> Resources {
    sizing
        .workers
        .requests
        .times(sizing.workers.replicas)
        .plus(sizing.api.requests.times(sizing.api_replicas))
}

#[test]
fn the_published_set_of_a_c5_4xlarge_needs_two_nodes() {
    let sizing = size(&node("c5.4xlarge"), &Wishes::default()).unwrap();
    let memory = sizing.neo4j.unwrap();
    // 24 + 8 + 16 of 32 G: the limits alone say so, and the requests do too.
    let limits = [
        sizing.workers.limits.times(sizing.workers.replicas).memory_mib,
        sizing.api.limits.memory_mib,
        memory.heap_max_mib + memory.page_cache_mib,
    ];
    assert_eq!(limits, [24 * 1_024, 8 * 1_024, 16 * 1_024]);
    assert_eq!(sizing.fit, Fit::SpreadNeeded { nodes: 2 });
    assert_eq!(
        (memory.heap_initial_mib, memory.heap_max_mib, memory.page_cache_mib),
        (4_096, 8_192, 8_192)
    );
    assert_eq!(
        (sizing.workers.replicas, sizing.api.workers, sizing.clients.neo4j_connections),
        (8, 12, 100)
    );
    let alone = size(&node("c5.4xlarge"), &external()).unwrap();
    assert_eq!((alone.fit, alone.neo4j), (Fit::OneNode, None));
}

#[test]
fn the_published_set_of_a_c5_9xlarge_needs_two_nodes() {
    let sizing = size(&node("c5.9xlarge"), &Wishes::default()).unwrap();
    let memory = sizing.neo4j.unwrap();
    assert_eq!(sizing.fit, Fit::SpreadNeeded { nodes: 2 });
    assert_eq!(
        (memory.heap_initial_mib, memory.heap_max_mib, memory.page_cache_mib),
        (16_384, 16_384, 24_576)
    );
    assert_eq!(
        (sizing.workers.replicas, sizing.api.workers, sizing.clients.neo4j_connections),
        (16, 24, 200)
    );
}

#[test]
fn a_c5_12xlarge_has_neo4j_on_a_node_of_its_own() {
    let sizing = size(&node("c5.12xlarge"), &Wishes::default()).unwrap();
    let own: Vec<_> = sizing.own_nodes.iter().map(|own| (own.part, own.instance)).collect();
    let published =
        [(Part::Neo4j, "r5.2xlarge"), (Part::VectorStore, "c5.2xlarge"), (Part::Redis, "r5.large")];
    assert_eq!(own, published);
    assert_eq!(sizing.fit, Fit::OneNode);
    let memory = sizing.neo4j.unwrap();
    assert_eq!(memory.total_mib, node("r5.2xlarge").usable().memory_mib);
    assert_eq!(memory.heap_max_mib, memory.total_mib / 4);
}

#[test]
fn neo4j_gets_what_requests_leave() {
    let sizing = size(&node("t3.2xlarge"), &Wishes::default()).unwrap();
    let memory = sizing.neo4j.unwrap();
    let usable = node("t3.2xlarge").usable().memory_mib;
    assert_eq!(memory.total_mib, usable - requests(&sizing).memory_mib);
    assert_eq!((memory.heap_max_mib, memory.page_cache_mib), (memory.total_mib / 4, memory.total_mib / 2));
    assert_eq!((sizing.workers.replicas, sizing.api.workers, sizing.fit), (4, 4, Fit::OneNode));
    // Other parts come first.
    let beside = Resources { cpu_milli: 500, memory_mib: 4_096 };
    let less = size(&node("t3.2xlarge"), &Wishes { beside, ..Wishes::default() }).unwrap();
    assert_eq!(less.neo4j.unwrap().total_mib, memory.total_mib - 4_096);
}

#[test]
fn a_node_too_small_for_neo4j_is_refused_with_advice() {
    let refused = size(&node("c6i.large"), &Wishes::default()).unwrap_err();
    let Error::Neo4j(neo4j::Error::TooLittle { given_mib }) = refused else { panic!("{refused}") };
    assert!(given_mib < neo4j::LEAST_MIB);
    let own = Wishes { neo4j: Neo4jPlace::OwnNode(node("r5.large")), ..Wishes::default() };
    let sizing = size(&node("c6i.large"), &own).unwrap();
    assert_eq!(
        (sizing.fit, sizing.neo4j.unwrap().total_mib),
        (Fit::OneNode, node("r5.large").usable().memory_mib)
    );
}

#[test]
fn what_a_person_gives_goes_before_what_is_published() {
    let split = Split { heap_percent: 40, page_cache_percent: 40, system_percent: 20 };
    let on = |wishes| size(&node("c5.4xlarge"), &wishes).map(|sizing| sizing.neo4j.unwrap());
    let own = on(Wishes { split: Some(split), ..Wishes::default() }).unwrap();
    assert_eq!(own.heap_max_mib, own.total_mib * 40 / 100);
    let half = on(Wishes { initial_heap: Some(InitialHeap::Max), ..Wishes::default() }).unwrap();
    assert_eq!(half.heap_initial_mib, 8_192);
    let given = on(Wishes { neo4j: Neo4jPlace::Given { total_mib: 4_096 }, ..Wishes::default() }).unwrap();
    assert_eq!(given.heap_max_mib, 1_024);
    let exactly = Memory::given(4_096, Some(512), 1_024, 2_048).unwrap();
    assert_eq!(on(Wishes { neo4j: Neo4jPlace::Exactly(exactly), ..Wishes::default() }), Ok(exactly));
    let too_large = on(Wishes { neo4j: Neo4jPlace::Given { total_mib: 64 * 1_024 }, ..Wishes::default() });
    assert!(matches!(too_large, Err(Error::DoesNotFit { what: "Neo4j", .. })), "{too_large:?}");
}

#[test]
fn a_node_that_is_smaller_than_it_says_carries_fewer() {
    let capacity = Resources { cpu_milli: 16_000, memory_mib: 32_768 };
    let shared = Node::of_allocatable(capacity, Resources { cpu_milli: 5_000, memory_mib: 20_000 });
    // 4.9 cores, of which 2 for the API: two workers of a core each.
    assert_eq!(size(&shared, &external()).unwrap().workers.replicas, 2);
    let tiny = Node::of_capacity(Resources { cpu_milli: 100, memory_mib: 256 });
    assert!(matches!(size(&tiny, &external()), Err(Error::DoesNotFit { .. })));
    let crowded = Wishes { beside: Resources { cpu_milli: 99_000, memory_mib: 0 }, ..external() };
    assert!(matches!(size(&shared, &crowded), Err(Error::DoesNotFit { .. })));
}

#[test]
fn requests_fit_every_instance_type() {
    for instance in CATALOGUE {
        let node = Node::of_instance(instance);
        let sizing = size(&node, &external()).unwrap();
        let asked = requests(&sizing).plus(SYSTEM_RESERVE);
        assert!(asked.fits(node.allocatable), "{}: {asked:?} of {:?}", instance.name, node.allocatable);
        assert_eq!((sizing.fit, sizing.workers), (Fit::OneNode, workers(&node)), "{}", instance.name);
        for (requests, limits) in
            [(sizing.workers.requests, sizing.workers.limits), (sizing.api.requests, sizing.api.limits)]
        {
            assert!(requests.fits(limits) && limits.fits(node.capacity), "{}", instance.name);
        }
    }
}

#[test]
fn neo4j_beside_fits_every_instance_type_or_is_refused() {
    let mut refused = Vec::new();
    for instance in CATALOGUE {
        let node = Node::of_instance(instance);
        match size(&node, &Wishes::default()) {
            Ok(sizing) => {
                let memory = sizing.neo4j.unwrap();
                let is_spread = matches!(sizing.fit, Fit::SpreadNeeded { .. });
                let has_published = published::row(instance.name).is_some_and(|row| row.neo4j.is_some());
                assert_eq!(is_spread, has_published, "{}", instance.name);
                assert!(
                    memory.total_mib >= neo4j::LEAST_MIB && memory.system_mib() >= neo4j::SYSTEM_LEAST_MIB
                );
            }
            Err(Error::Neo4j(neo4j::Error::TooLittle { .. })) => refused.push(instance.name),
            Err(error) => panic!("{}: {error}", instance.name),
        }
    }
    let small = [
        "c5.large",
        "c6i.large",
        "c6i.xlarge",
        "c7i.large",
        "c7i.xlarge",
        "c7g.medium",
        "c7g.large",
        "c7g.xlarge",
    ];
    assert_eq!(refused, small);
}

proptest! {
    #[test]
    fn given_cores_and_memory_fit_or_are_refused(
        cpu in 0u64..400_000, memory in 0u64..4_000_000, api_replicas in 0u32..5,
    ) {
        let node = Node::of_capacity(Resources { cpu_milli: cpu, memory_mib: memory });
        let wishes = Wishes { api_replicas, ..external() };
        if let Ok(sizing) = size(&node, &wishes) {
            prop_assert!(requests(&sizing).fits(node.usable()));
            prop_assert!(sizing.workers.replicas >= 1 && sizing.fit == Fit::OneNode);
        }
    }

    #[test]
    fn spread_pods_have_room(memory in 1u64..100, count in 1u32..50, other in 1u64..100) {
        let usable = Resources { cpu_milli: 1_000, memory_mib: 100 };
        let pod = |memory_mib| Resources { cpu_milli: 10, memory_mib };
        let nodes = nodes_needed(vec![("a", pod(memory), count), ("b", pod(other), 1)], usable).unwrap();
        let sum = memory * u64::from(count) + other;
        prop_assert!(u64::from(nodes) >= sum.div_ceil(100) && nodes <= count + 1);
    }
}

#[test]
fn what_is_given_of_a_pod_makes_what_is_sized_give_way() {
    let sized = (
        Resources { cpu_milli: 1_000, memory_mib: 2_048 },
        Resources { cpu_milli: 1_500, memory_mib: 3_072 },
    );
    assert_eq!(Given::default().over(sized.0, sized.1), sized);
    let little = Given { requests_cpu_milli: Some(50), limits_memory_mib: Some(1_024), ..Given::default() };
    let (requests, limits) = little.over(sized.0, sized.1);
    assert_eq!(requests, Resources { cpu_milli: 50, memory_mib: 1_024 });
    assert_eq!(limits, Resources { cpu_milli: 1_500, memory_mib: 1_024 });
    let much = Given { requests_cpu_milli: Some(4_000), ..Given::default() };
    assert_eq!(much.over(sized.0, sized.1).1.cpu_milli, 4_000);
    // A laptop's node of two cores carries a pipeline that asks for little.
    let laptop = Node::of_capacity(Resources { cpu_milli: 2_000, memory_mib: 8_192 });
    let small = |requests_memory_mib| Given {
        requests_cpu_milli: Some(50),
        requests_memory_mib: Some(requests_memory_mib),
        ..Given::default()
    };
    let wishes = Wishes {
        neo4j: Neo4jPlace::Given { total_mib: 2_048 },
        worker: small(256),
        api: small(128),
        ..Wishes::default()
    };
    let sizing = size(&laptop, &wishes).unwrap();
    assert_eq!((sizing.workers.replicas, sizing.fit), (1, Fit::OneNode));
}
