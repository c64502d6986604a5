//! What is installed, by a real API server: it is taken, upgraded and taken away, its accounts may do what
//! `docs/reference/rbac.md` says and no more, and its pods keep to the standard `restricted`. No pod runs.
#![allow(clippy::unwrap_used)]

#[path = "cluster_rights/asked.rs"]
mod asked;
#[path = "cluster_rights/installed.rs"]
mod installed;
#[path = "cluster_rights/people.rs"]
mod people;
#[path = "cluster_rights/pods.rs"]
mod pods;
#[path = "cluster_rights/rights.rs"]
mod rights;
#[path = "cluster_rights/table.rs"]
mod table;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use docmill_tests::cluster::install::repository;
use docmill_tests::cluster::{Cluster, Options, host};
use kube::Client;
use table::{Grant, Grants, Table};
use tokio::runtime::{Builder, Runtime};

/// The page with the rights.
const PAGE: &str = "docs/reference/rbac.md";
/// Namespace of a pipeline, and the one that the release for one namespace is for.
const TEAM: &str = "team-a";
/// A step, with what it shows.
type Step = (&'static str, fn(&Ground) -> Result<()>);
/// In this order: each finds what those before it left.
const STEPS: [Step; 9] = [
    ("install.yaml is taken, and its pods are admitted", installed::manifests_are_taken),
    ("all pods of samples are admitted under restricted", pods::are_admitted),
    ("install.yaml is taken away", installed::manifests_are_gone),
    ("Helm installs and upgrades", installed::release_is_upgraded),
    ("the operator may do what is documented", rights::of_the_operator),
    ("pods of pipelines may do nothing", rights::of_pipelines),
    ("people and the autoscaler may do what is documented", people::may_do_their_part),
    ("a release for one namespace ends there", rights::of_one_namespace),
    ("an uninstall leaves the definition", installed::definition_stays),
];

/// What the steps share: a cluster without a node, and the page.
struct Ground {
    cluster: Cluster,
    runtime: Runtime,
    client: Client,
    table: Table,
}

impl Ground {
    fn start() -> Result<Self> {
        let table = documented()?;
        let cluster = Cluster::start("rights", &Options { node: false, ..Options::default() })?;
        // A thread of its own: connections are looked after between the questions, too.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = runtime.block_on(host::client(cluster.kubeconfig()))?;
        cluster.kubectl(&["create", "namespace", TEAM])?;
        Ok(Self { cluster, runtime, client, table })
    }
}

/// The rights that the page names.
fn documented() -> Result<Table> {
    let page = std::fs::read_to_string(repository(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    Table::read(&page).context(PAGE)
}

#[test]
fn what_is_installed_may_do_what_is_written_and_no_more() {
    let ground = Ground::start().unwrap();
    for (name, step) in STEPS {
        let began = Instant::now();
        step(&ground).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        println!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
}

/// Verbs that the operator needs of whatever it applies: server-side apply is `patch`, and `create` where
/// there is nothing yet; `list` and `watch` are how it sees what became of it.
#[test]
fn whatever_is_built_may_be_written() {
    let table = documented().unwrap();
    let mut lacking = Vec::new();
    for resource in pods::resources().unwrap() {
        for verb in ["list", "watch", "create", "patch", "delete"] {
            let needed = Grant::of(&resource.group, &resource.plural, verb);
            if !table.pipelines.contains(&needed) {
                lacking.push(needed);
            }
        }
    }
    assert!(lacking.is_empty(), "{PAGE} lacks {lacking:#?}");
}

#[test]
fn no_secret_may_be_looked_at() {
    let is_look = |grant: &Grant| {
        let is_read = ["get", "list", "watch", "*"].contains(&grant.verb.as_str());
        is_read && ["secrets", "*"].contains(&grant.resource.as_str())
    };
    let table = documented().unwrap();
    let looks: Vec<_> = table.all().into_iter().filter(is_look).collect();
    assert!(looks.is_empty(), "{PAGE} has {looks:?}");
}

/// Succeeds where both are the same; the error has what is only in one.
fn is_same(found: &Grants, wanted: &Grants) -> Result<()> {
    let beyond: Vec<_> = found.difference(wanted).collect();
    let lacking: Vec<_> = wanted.difference(found).collect();
    ensure!(found == wanted, "given, not documented: {beyond:#?}\ndocumented, not given: {lacking:#?}");
    Ok(())
}
