//! The managed graph: Neo4j Community, with exactly the memory that was worked out for it.

use std::collections::BTreeMap;

use docmill_core::sizing::neo4j::Memory;
use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::Input;
use super::pods::{self, Every};
use super::secrets::AUTH;
use super::stores::{self, DATA, Pod};
use crate::child::Child;
use crate::names::Part;
use crate::plan::{Bounds, ManagedStore};

/// Port of Bolt.
pub(super) const PORT: i32 = 7_687;
/// Name of the port.
const PORT_NAME: &str = "bolt";
/// The user.
pub(super) const USER: &str = "neo4j";
/// User and group of the image.
const UID: i64 = 7_474;
/// Where the image has its settings, and writes those of the environment to.
const CONF: &str = "/var/lib/neo4j/conf";
/// Where that is to be for the main container, while the image's own are still seen.
const CONF_TO_BE: &str = "/conf-to-be";
/// Where it keeps the number of its process.
const RUN: &str = "/var/lib/neo4j/run";
/// How the image starts it, after the number of a process that ended hard is gone. That file lies in the pod, so that
/// it outlives the container; numbers begin again in each container, so that the next start would find one of its own
/// with that number and say that it is running already, again and again.
const START: &str =
    "rm -f /var/lib/neo4j/run/neo4j.pid && exec tini -g -- /startup/docker-entrypoint.sh neo4j";
/// Settings beside memory.
const SETTINGS: [(&str, &str); 3] = [
    ("NEO4J_server_directories_run", RUN),
    // Full memory ends it with code 3, which status explains, in place of a server that answers nothing.
    ("NEO4J_server_jvm_additional", "-XX:+ExitOnOutOfMemoryError"),
    // Nothing is told to anybody.
    ("NEO4J_dbms_usage__report_enabled", "false"),
];

/// Service and, where its Secret has a name, the StatefulSet.
pub(super) fn children(input: &Input<'_>, store: &ManagedStore) -> Vec<Child> {
    let part = Part::Neo4j;
    let mut all = vec![stores::service(input, part, PORT_NAME, PORT)];
    let memory = input.plan.neo4j.as_ref();
    let bounds = bounds(store, memory);
    let image = &input.images.neo4j;
    all.extend(input.store_secret(part).map(|secret| {
        let container = Container {
            command: Some(pods::words(&["sh", "-c", START])),
            env: Some(environment(&secret, memory)),
            ports: Some(vec![pods::port(PORT_NAME, PORT)]),
            // Up to ten minutes: its log may be long.
            startup_probe: Some(pods::tcp(PORT, Every(5, 120))),
            readiness_probe: Some(pods::tcp(PORT, Every(5, 3))),
            volume_mounts: Some(vec![
                pods::mount(DATA, "/data"),
                pods::mount("conf", CONF),
                pods::mount("logs", "/logs"),
                pods::mount("run", RUN),
                pods::mount("tmp", "/tmp"),
            ]),
            ..pods::container(input, part.as_str(), image, &bounds)
        };
        // The folder of settings is written to, and what the image has there is needed.
        let copy = format!("cp -R {CONF}/. {CONF_TO_BE}/");
        let conf = Container {
            command: Some(pods::words(&["sh", "-c", &copy])),
            volume_mounts: Some(vec![pods::mount("conf", CONF_TO_BE)]),
            ..pods::container(input, "conf", image, &bounds)
        };
        let volumes = vec![
            pods::empty_dir("conf", 16),
            pods::empty_dir("logs", 512),
            pods::empty_dir("run", 16),
            pods::empty_dir("tmp", 256),
        ];
        let config = BTreeMap::new();
        stores::stateful_set(input, Pod { part, user: UID, container, init: vec![conf], volumes, config })
    }));
    all
}

/// All its memory is asked for and is the limit: it takes what it was given at the start.
fn bounds(store: &ManagedStore, memory: Option<&Memory>) -> Bounds {
    let mut bounds = store.bounds;
    if let Some(memory) = memory {
        bounds.requests.memory_mib = memory.total_mib;
        bounds.limits.memory_mib = memory.total_mib;
    }
    bounds
}

fn environment(secret: &str, memory: Option<&Memory>) -> Vec<EnvVar> {
    let mut all = vec![pods::env_of_secret("NEO4J_AUTH", secret, AUTH)];
    all.extend(SETTINGS.iter().map(|(name, value)| pods::env(name, value)));
    let sizes = memory.into_iter().flat_map(Memory::environment);
    all.extend(sizes.map(|(name, value)| pods::env(name, &value)));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::build::fixture;

    fn container(world: &fixture::World) -> Value {
        let input = world.input();
        let store = world.plan.graph.as_ref().unwrap().managed().unwrap();
        let all = children(&input, store);
        let set = all.iter().find(|child| child.key().kind == "StatefulSet").unwrap();
        set.object["spec"]["template"]["spec"]["containers"][0].clone()
    }

    #[test]
    fn its_memory_is_what_was_worked_out() {
        let container = container(&fixture::managed());
        let resources = &container["resources"];
        for bound in ["requests", "limits"] {
            assert_eq!(resources[bound]["memory"], "8Gi");
        }
        let env = container["env"].as_array().unwrap();
        let value = |name: &str| {
            let found = env.iter().find(|variable| variable["name"] == name).unwrap();
            found["value"].as_str().unwrap().to_owned()
        };
        assert_eq!(value("NEO4J_server_memory_heap_max__size"), "2048m");
        assert_eq!(value("NEO4J_server_memory_pagecache_size"), "4096m");
    }

    #[test]
    fn the_number_of_a_process_does_not_outlive_it() {
        assert!(START.starts_with(&format!("rm -f {RUN}/neo4j.pid && exec ")));
    }

    #[test]
    fn its_password_is_in_no_argument() {
        let container = container(&fixture::managed());
        assert!(container.get("args").is_none());
        assert_eq!(container["command"], json!(["sh", "-c", START]));
        let auth = &container["env"][0];
        let expected = json!({"name": "knowbase-neo4j-neo4j-ui", "key": "auth"});
        assert_eq!(auth["valueFrom"]["secretKeyRef"], expected);
    }
}
