//! Rights of others: of people by the cluster's own roles, and of the autoscaler.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::asked::Account;
use crate::table::{Grant, Grants};
use crate::{Ground, TEAM};

/// Longest time until Kubernetes has put the roles together.
const TOGETHER_MAX: Duration = Duration::from_secs(30);
/// The resource and its parts.
const PIPELINES: [&str; 3] =
    ["ingestionpipelines", "ingestionpipelines/status", "ingestionpipelines/scale"];
/// All verbs.
const VERBS: [&str; 8] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// What `view` gives.
const LOOKS: [(&str, &[&str]); 3] =
    [(PIPELINES[0], &["get", "list", "watch"]), (PIPELINES[1], &["get"]), (PIPELINES[2], &["get"])];
/// What `edit` and `admin` give beside.
const CHANGES: [(&str, &[&str]); 2] = [
    (PIPELINES[0], &["create", "update", "patch", "delete", "deletecollection"]),
    (PIPELINES[2], &["update", "patch"]),
];
/// The metric that autoscalers read.
const METRIC: (&str, &str) = ("external.metrics.k8s.io", "docmill-queue-demand");

/// Asks for people of each role, for one without a role, and for the autoscaler.
pub fn may_do_their_part(ground: &Ground) -> Result<()> {
    let asked: Grants =
        PIPELINES.iter().flat_map(|resource| VERBS.map(|verb| of_docmill(resource, verb))).collect();
    let (looks, changes) = (grants(&LOOKS), grants(&CHANGES));
    let all: Grants = looks.union(&changes).cloned().collect();
    for (role, granted) in [("view", &looks), ("edit", &all), ("admin", &all)] {
        let person = format!("person-who-may-{role}");
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={person}"));
        ground.cluster.kubectl(&["--namespace", TEAM, "create", "rolebinding", &person, &role, &user])?;
        answers(ground, &Account::person(&person), &asked, granted)?;
    }
    answers(ground, &Account::person("person-without-a-role"), &asked, &Grants::new())?;

    // What else a cluster lets its autoscaler do is the cluster's, and differs by version.
    let reads = Grants::from(["get", "list"].map(|verb| Grant::of(METRIC.0, METRIC.1, verb)));
    answers(ground, &Account::service("kube-system", "horizontal-pod-autoscaler"), &reads, &reads)
}

fn of_docmill(resource: &str, verb: &str) -> Grant {
    Grant::of("docmill.dev", resource, verb)
}

fn grants(these: &[(&str, &[&str])]) -> Grants {
    let each = |(resource, verbs): &(&str, &[&str])| -> Vec<Grant> {
        verbs.iter().map(|verb| of_docmill(resource, verb)).collect()
    };
    these.iter().flat_map(each).collect()
}

/// Waits until every answer is as it is granted: roles are put together and bindings seen a moment later.
fn answers(ground: &Ground, account: &Account, asked: &Grants, granted: &Grants) -> Result<()> {
    ground.cluster.wait_for(&format!("rights of {}", account.user), TOGETHER_MAX, || {
        let wrong = ground.runtime.block_on(account.wrong(&ground.client, Some(TEAM), asked, granted))?;
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
}
