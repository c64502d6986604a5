//! Plans of the samples that ship.

use std::path::Path;

use super::*;
use crate::resource::IngestionPipeline;

/// A node of a laptop's cluster, on which a sample that names none is planned.
fn laptop() -> Node {
    Node::of_allocatable(resources(2_000, 8_192), resources(1_900, 7_900))
}

fn samples() -> Vec<IngestionPipeline> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/samples");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

fn sample(name: &str) -> Plan {
    let all = samples();
    let found = all.iter().find(|pipeline| pipeline.metadata.name.as_deref() == Some(name)).unwrap();
    make(&found.spec, Some(laptop())).unwrap_or_else(|problems| panic!("{name}: {problems:?}"))
}

#[test]
fn each_has_a_plan() {
    let mut names: Vec<String> =
        samples().into_iter().map(|pipeline| pipeline.metadata.name.unwrap()).collect();
    names.iter().for_each(|name| drop(sample(name)));
    names.sort();
    let expected = [
        "c5-12xlarge",
        "c5-2xlarge",
        "c5-4xlarge",
        "c5-9xlarge",
        "c5-xlarge",
        "external",
        "full",
        "knowbase",
        "t3-2xlarge",
    ];
    assert_eq!(names, expected);
}

#[test]
fn they_come_to_the_published_figures() {
    // Name, workers, their slots, most workers, requests of an API pod at once, fit.
    let two = Fit::SpreadNeeded { nodes: 2 };
    let cases = [
        ("t3-2xlarge", 4, 4, 4, 4, Fit::OneNode),
        ("c5-4xlarge", 8, 4, 8, 12, two),
        ("c5-9xlarge", 16, 4, 16, 24, two),
        ("c5-12xlarge", 21, 4, 50, 24, Fit::OneNode),
        ("c5-xlarge", 1, 3, 50, 9, Fit::OneNode),
        ("c5-2xlarge", 1, 7, 50, 16, Fit::OneNode),
        ("external", 8, 4, 50, 12, Fit::OneNode),
        ("full", 8, 4, 50, 12, two),
        // Its 2 GiB have room for three.
        ("knowbase", 1, 3, 50, 5, Fit::OneNode),
    ];
    for (name, workers, slots, max, api_workers, fit) in cases {
        let plan = sample(name);
        let found = (plan.workers_sized, plan.slots, plan.policy.max, plan.api_workers, plan.fit);
        assert_eq!(found, (workers, slots, max, api_workers, fit), "{name}");
    }
    for (name, file_mib, pages) in [("c5-xlarge", 200, 500), ("c5-2xlarge", 500, 1_000)] {
        let plan = sample(name);
        assert_eq!(plan.documents, Documents { file_mib, pages }, "{name}");
        assert_eq!((plan.policy.min, plan.graph, plan.neo4j), (2, None, None), "{name}");
    }
}

#[test]
fn a_laptop_runs_the_smallest() {
    let plan = sample("knowbase");
    assert_eq!(plan.worker, bounds((50, 256), (1_500, 2_048)));
    assert_eq!(plan.api.requests, resources(50, 128));
    assert_eq!((plan.scratch_mib, plan.documents.file_mib), (512, 200));
    assert_eq!(plan.neo4j, Some(neo4j([2_048, 512, 512, 1_024])));
    let stores = [plan.queue.managed(), plan.ledger.managed(), plan.objects.managed()]
        .map(|store| store.unwrap().bounds.requests);
    assert_eq!(stores, [resources(50, 64), resources(50, 128), resources(50, 64)]);
}

#[test]
fn nothing_is_managed_of_what_is_external() {
    let plan = sample("external");
    assert!(matches!(plan.queue, Store::External(_)) && matches!(plan.ledger, Store::External(_)));
    assert!(matches!(plan.objects, Store::External(_)) && matches!(plan.graph, Some(Store::External(_))));
    assert_eq!((plan.neo4j, plan.neo4j_connections), (None, 100));
}

#[test]
fn a_node_for_each_store_is_filled_by_its_requests() {
    let plan = sample("c5-12xlarge");
    // The queue on an r5.large, the ledger on a c5.2xlarge: each fits its node, and no other beside it.
    let stores = [(plan.queue.managed(), "r5.large"), (plan.ledger.managed(), "c5.2xlarge")];
    for (store, name) in stores {
        let node = Node::of_instance(docmill_core::sizing::catalogue::find(name).unwrap());
        let asked = store.unwrap().bounds.requests;
        assert!(asked.fits(node.usable()), "{name}: {asked:?} of {:?}", node.usable());
        assert!(!asked.times(2).fits(node.usable()), "{name}");
    }
    assert_eq!(plan.neo4j.unwrap().total_mib, 59_568, "all that an r5.2xlarge has for pods");
    assert_eq!(plan.neo4j_connections, 200);
}
