//! What holds for all objects of a pipeline together.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

/// Pods of all Deployments and StatefulSets, with who runs them.
fn pods_of(children: &[Child]) -> Vec<(String, Value)> {
    let of = |child: &Child| {
        let template = child.object["spec"].get("template")?.clone();
        Some((format!("{:?}", child.key()), template))
    };
    children.iter().filter_map(of).collect()
}

fn containers(spec: &Value) -> Vec<&Value> {
    let of = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
    of("initContainers").chain(of("containers")).collect()
}

/// Names of objects, `Kind/name`.
fn names_of(children: &[Child]) -> Vec<String> {
    children.iter().map(|child| format!("{}/{}", child.key().kind, child.key().name)).collect()
}

#[test]
fn all_that_there_is_to_be_in_order() {
    let world = fixture::managed();
    let config = format!("ConfigMap/{}", config_name(&world.input()));
    let expected = [
        "ServiceAccount/knowbase",
        config.as_str(),
        "ConfigMap/knowbase-operator-keys",
        "ConfigMap/knowbase-postgres",
        "ConfigMap/knowbase-redis",
        "NetworkPolicy/knowbase-api",
        "NetworkPolicy/knowbase-neo4j",
        "NetworkPolicy/knowbase-postgres",
        "NetworkPolicy/knowbase-redis",
        "NetworkPolicy/knowbase-s3",
        "NetworkPolicy/knowbase-worker",
        "Service/knowbase-api",
        "Service/knowbase-api-internal",
        "Service/knowbase-neo4j",
        "Service/knowbase-postgres",
        "Service/knowbase-redis",
        "Service/knowbase-s3",
        "StatefulSet/knowbase-neo4j",
        "StatefulSet/knowbase-postgres",
        "StatefulSet/knowbase-redis",
        "StatefulSet/knowbase-s3",
        "Deployment/knowbase-api",
        "Deployment/knowbase-worker",
        "PodDisruptionBudget/knowbase-api",
        "PodDisruptionBudget/knowbase-worker",
        "HorizontalPodAutoscaler/knowbase-worker",
        "PodMonitor/knowbase-worker",
        "ServiceMonitor/knowbase-api",
    ];
    assert_eq!(names_of(&children(&world.input())), expected);
    assert_eq!(world.input().missing(), []);
}

#[test]
fn the_same_input_is_the_same_objects() {
    for world in [fixture::managed(), fixture::external()] {
        let text = |children: Vec<Child>| -> Vec<String> {
            children.iter().map(|child| child.object.to_string()).collect()
        };
        let input = world.input();
        assert_eq!(text(children(&input)), text(children(&input)));
        assert_eq!(text(volumes(&input)), text(volumes(&input)));
    }
}

#[test]
fn other_categories_roll_workers_and_api() {
    let mut world = fixture::managed();
    let mut of = |categories: Value| {
        let classify = json!({"categories": categories});
        world.pipeline.spec.classify = serde_json::from_value(classify).unwrap();
        let pods = pods_of(&children(&world.input()));
        let named = |part: Part| {
            let name = format!("{:?}", part.name("knowbase"));
            pods.iter().find(|(who, _)| who.contains(&name)).unwrap().1.clone()
        };
        [Part::Worker, Part::Api].map(named)
    };
    let (letter, invoice) = (json!({"name": "letter"}), json!({"name": "invoice"}));
    let described = json!({"name": "letter", "description": "Mail to people"});
    // The first of two that are as near is taken: another order are other categories.
    let [none, one, text, two, turned] = [
        json!([]),
        json!([letter]),
        json!([described]),
        json!([letter, invoice]),
        json!([invoice, letter]),
    ]
    .map(&mut of);
    for (before, after) in [(&none, &one), (&one, &text), (&one, &two), (&two, &turned)] {
        assert!(before.iter().zip(after).all(|(before, after)| before != after), "{before:?}");
    }
    assert_eq!(none, of(json!([])), "as before");
}

#[test]
fn what_has_no_secret_yet_is_left_out() {
    let mut world = fixture::managed();
    world.volumes.remove(&Part::Neo4j);
    let input = world.input();
    assert_eq!(input.missing(), [Part::Neo4j]);
    let names = names_of(&children(&input));
    for left_out in ["StatefulSet/knowbase-neo4j", "Deployment/knowbase-api", "Deployment/knowbase-worker"]
    {
        assert!(!names.iter().any(|name| name == left_out), "{left_out}");
    }
    assert!(names.iter().any(|name| name == "StatefulSet/knowbase-redis"));
    let external = fixture::external();
    let names = names_of(&children(&external.input()));
    assert!(names.iter().any(|name| name == "Deployment/letters-worker"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("StatefulSet/")));
}

#[test]
fn all_belongs_to_the_pipeline_and_holds_up_no_deletion() {
    for world in [fixture::managed(), fixture::external()] {
        let name = world.pipeline.metadata.name.clone().unwrap();
        let children = children(&world.input());
        let keys: BTreeSet<_> = children.iter().map(Child::key).collect();
        assert_eq!(keys.len(), children.len(), "each name once");
        for child in children {
            let meta = &child.object["metadata"];
            assert_eq!(meta["namespace"], "archive", "{child:?}");
            for (key, value) in names::labels(&name) {
                assert_eq!(meta["labels"][&key], value, "{child:?}");
            }
            let owner = json!([{
                "apiVersion": "docmill.dev/v1alpha1", "kind": "IngestionPipeline", "name": name,
                "uid": fixture::UID, "controller": true, "blockOwnerDeletion": false,
            }]);
            assert_eq!(meta["ownerReferences"], owner, "{child:?}");
        }
    }
}

#[test]
fn every_pod_is_restricted_and_has_no_token() {
    for world in [fixture::managed(), fixture::external()] {
        for (who, template) in pods_of(&children(&world.input())) {
            let spec = &template["spec"];
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{who}");
            assert!(security["runAsUser"].as_i64().unwrap() > 0, "{who}");
            assert_eq!(security["runAsUser"], security["fsGroup"], "{who}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{who}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{who}");
            assert_eq!(spec["enableServiceLinks"], false, "{who}");
            assert_eq!(spec["imagePullSecrets"], json!([{"name": "registry"}]), "{who}");
            assert!(spec["terminationGracePeriodSeconds"].as_i64().unwrap() < 60, "{who}");
            let host = ["hostNetwork", "hostPID", "hostIPC"];
            assert!(host.iter().all(|field| spec.get(field).is_none()), "{who}");
            for container in containers(spec) {
                let expected = json!({
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                });
                assert_eq!(container["securityContext"], expected, "{who}: {container}");
            }
        }
    }
}

#[test]
fn everything_has_a_bound() {
    for world in [fixture::managed(), fixture::external()] {
        for (who, template) in pods_of(&children(&world.input())) {
            for container in containers(&template["spec"]) {
                let resources = &container["resources"];
                let (requests, limits) = (&resources["requests"], &resources["limits"]);
                for amount in [&requests["cpu"], &requests["memory"], &limits["memory"]] {
                    assert!(amount.is_string(), "{who}: {container}");
                }
            }
            for volume in template["spec"]["volumes"].as_array().unwrap() {
                let is_bounded = volume.get("emptyDir").is_none_or(|dir| dir["sizeLimit"].is_string());
                assert!(is_bounded, "{who}: {volume}");
            }
        }
    }
}

#[test]
fn every_mount_has_its_volume() {
    for world in [fixture::managed(), fixture::external()] {
        for (who, template) in pods_of(&children(&world.input())) {
            let spec = &template["spec"];
            let volumes = spec["volumes"].as_array().unwrap();
            let named: BTreeSet<&str> =
                volumes.iter().map(|volume| volume["name"].as_str().unwrap()).collect();
            let mut mounted = BTreeSet::new();
            for container in containers(spec) {
                let mounts = container["volumeMounts"].as_array().unwrap();
                mounted.extend(mounts.iter().map(|mount| mount["name"].as_str().unwrap()));
            }
            assert_eq!((mounted, named.len()), (named.clone(), volumes.len()), "{who}");
        }
    }
}

#[test]
fn no_object_but_a_secret_holds_a_secret() {
    let world = fixture::managed();
    let input = world.input();
    let mut next = 0;
    let made = secrets(&input, &mut || {
        next += 1;
        format!("hunter{next:04}")
    });
    assert_eq!((made.len(), next), (4, 5));
    let mut all = children(&input);
    all.extend(volumes(&input));
    for child in all {
        assert!(!child.object.to_string().contains("hunter"), "{child:?}");
        assert_ne!(child.key().kind, "Secret");
    }
    // What is named is what is made.
    let text: String = children(&input).iter().map(|child| child.object.to_string()).collect();
    for (_, secret) in made {
        assert!(text.contains(&format!("{:?}", secret.metadata.name.unwrap())));
    }
}

#[test]
fn pods_bear_the_labels_that_select_them() {
    for (who, template) in pods_of(&children(&fixture::managed().input())) {
        let labels = &template["metadata"]["labels"];
        let named = labels[names::COMPONENT_LABEL].as_str().unwrap();
        let mut parts = [Part::Worker, Part::Api].into_iter().chain(Part::STORES);
        let part = parts.find(|part| part.as_str() == named).unwrap();
        for (key, value) in names::selector("knowbase", part) {
            assert_eq!(labels[&key], value, "{who}");
        }
        assert_eq!(labels[names::PIPELINE_LABEL], "knowbase", "{who}");
    }
}
