//! Rights of the accounts: as they are documented, verb by verb, and no others.

use std::time::Duration;

use anyhow::{Result, ensure};
use docmill_tests::cluster::install::{NAMESPACE, OPERATOR};

use crate::asked::{Account, questions};
use crate::installed;
use crate::table::{Grant, Grants};
use crate::{Ground, TEAM, is_same};

/// Longest time until new roles and bindings are in force.
const IN_FORCE_MAX: Duration = Duration::from_secs(30);
/// Namespace of Kubernetes' own.
const KUBE_SYSTEM: &str = "kube-system";
/// A namespace that is nobody's.
const ELSEWHERE: &str = "default";
/// Namespace of the release for one namespace.
const TEAM_OPERATOR: &str = "team-a-operator";
/// What says which client certificates are the API server's.
const AUTHENTICATION: &str = "extension-apiserver-authentication";
/// Accounts of pods of a pipeline: of workers and API, and of stores.
const OF_PIPELINES: [&str; 2] = ["knowbase", "default"];

/// The operator of the whole cluster, in namespaces of all kinds and in none.
pub fn of_the_operator(ground: &Ground) -> Result<()> {
    let account = Account::service(NAMESPACE, OPERATOR);
    let table = &ground.table;
    let everywhere: Grants = table.pipelines.union(&table.cluster).cloned().collect();
    let at_home: Grants = everywhere.union(&table.own).cloned().collect();
    let mut of_kubernetes = everywhere.clone();
    let look = |verb| Grant::of("", "configmaps", verb).named(AUTHENTICATION);
    of_kubernetes.extend(["get", "list", "watch"].map(look));
    let places = [(TEAM, &everywhere), (NAMESPACE, &at_home), (KUBE_SYSTEM, &of_kubernetes)];
    are(ground, &account, &places)?;
    answers(ground, &account, None, &table.all(), &everywhere)
}

/// What pods of pipelines run as.
pub fn of_pipelines(ground: &Ground) -> Result<()> {
    let nothing = Grants::new();
    for name in OF_PIPELINES {
        are(ground, &Account::service(TEAM, name), &[(TEAM, &nothing)])?;
    }
    Ok(())
}

/// The operator of one namespace: there, in its own, and nowhere else.
pub fn of_one_namespace(ground: &Ground) -> Result<()> {
    ground.cluster.restricted_namespace(TEAM_OPERATOR)?;
    // The definition is the other release's.
    let watched = format!("watchNamespace={TEAM}");
    installed::upgraded(&ground.cluster, TEAM_OPERATOR, &[watched.as_str(), "crds.install=false"])?;
    let account = Account::service(TEAM_OPERATOR, OPERATOR);
    let (table, nothing) = (&ground.table, Grants::new());
    let places = [(TEAM, &table.pipelines), (TEAM_OPERATOR, &table.own), (ELSEWHERE, &nothing)];
    are(ground, &account, &places)?;
    for namespace in [NAMESPACE, KUBE_SYSTEM] {
        listed(ground, &account, namespace, &nothing)?;
    }
    answers(ground, &account, None, &table.all(), &nothing)
}

/// Whether an account has these rights in these namespaces: all that are listed, and each one asked for.
fn are(ground: &Ground, account: &Account, places: &[(&str, &Grants)]) -> Result<()> {
    let asked = questions(&ground.table.all());
    for &(namespace, granted) in places {
        listed(ground, account, namespace, granted)?;
        answers(ground, account, Some(namespace), &asked, granted)?;
    }
    Ok(())
}

/// Waits until the rights that the API server lists are these.
fn listed(ground: &Ground, account: &Account, namespace: &str, granted: &Grants) -> Result<()> {
    let what = format!("rights of {} in {namespace}", account.user);
    ground
        .cluster
        .wait_for(&what, IN_FORCE_MAX, || is_same(&account.rights(&ground.cluster, namespace)?, granted))
}

/// Asks the questions, and compares the answers with what is granted.
fn answers(
    ground: &Ground,
    account: &Account,
    namespace: Option<&str>,
    questions: &Grants,
    granted: &Grants,
) -> Result<()> {
    let asking = account.wrong(&ground.client, namespace, questions, granted);
    let wrong = ground.runtime.block_on(asking)?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
