//! What the API server says of rights: all that an account has, and one question at a time.

use anyhow::{Context, Result, ensure};
use docmill_tests::cluster::Cluster;
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::table::{Grant, Grants};

/// Questions on their way at once.
const AT_ONCE: usize = 32;
/// Verbs that objects have, and the one that stands for all.
const VERBS: [&str; 9] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*"];
/// The API group of roles.
const RBAC: &str = "rbac.authorization.k8s.io";
/// What is on no list: other ways to secrets, to more rights, into pods and nodes, and things of others.
const BEYOND: [(&str, &str); 48] = [
    ("", "bindings"),
    ("", "endpoints"),
    ("", "events"),
    ("", "limitranges"),
    ("", "namespaces"),
    ("", "namespaces/finalize"),
    ("", "nodes"),
    ("", "nodes/proxy"),
    ("", "nodes/status"),
    ("", "persistentvolumes"),
    ("", "pods/attach"),
    ("", "pods/binding"),
    ("", "pods/ephemeralcontainers"),
    ("", "pods/eviction"),
    ("", "pods/exec"),
    ("", "pods/log"),
    ("", "pods/portforward"),
    ("", "pods/proxy"),
    ("", "pods/status"),
    ("", "replicationcontrollers"),
    ("", "resourcequotas"),
    ("", "secrets"),
    ("", "serviceaccounts/token"),
    ("", "services/proxy"),
    ("*", "*"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("apps", "statefulsets/scale"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("certificates.k8s.io", "certificatesigningrequests/approval"),
    ("docmill.dev", "ingestionpipelines/finalizers"),
    ("docmill.dev", "ingestionpipelines/scale"),
    ("external.metrics.k8s.io", "docmill-queue-demand"),
    ("node.k8s.io", "runtimeclasses"),
    (RBAC, "clusterrolebindings"),
    (RBAC, "clusterroles"),
    (RBAC, "rolebindings"),
    (RBAC, "roles"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("storage.k8s.io", "storageclasses"),
];
/// Verbs that only these have.
const OF_THEIR_OWN: [(&str, &str, &str); 7] = [
    ("", "groups", "impersonate"),
    ("", "serviceaccounts", "impersonate"),
    ("", "users", "impersonate"),
    (RBAC, "clusterroles", "bind"),
    (RBAC, "clusterroles", "escalate"),
    (RBAC, "roles", "bind"),
    (RBAC, "roles", "escalate"),
];
/// A Secret of a pipeline, which nobody may look at by its name either.
const A_SECRET: &str = "knowbase-api-key";

/// Who asks.
#[derive(Debug, Clone)]
pub struct Account {
    /// Name of the user.
    pub user: String,
    /// Groups of the user.
    pub groups: Vec<String>,
}

impl Account {
    /// A person.
    pub fn person(name: &str) -> Self {
        Self { user: name.to_owned(), groups: vec!["system:authenticated".to_owned()] }
    }

    /// A service account. It need not exist.
    pub fn service(namespace: &str, name: &str) -> Self {
        let groups = vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ];
        Self { user: format!("system:serviceaccount:{namespace}:{name}"), groups }
    }

    /// All that it may do in a namespace, but for what any account may.
    pub fn rights(&self, cluster: &Cluster, namespace: &str) -> Result<Grants> {
        let mut all = rules(cluster, &self.user, namespace)?;
        let anybody = Self::service("nowhere", "nobody");
        for grant in rules(cluster, &anybody.user, namespace)? {
            all.remove(&grant);
        }
        Ok(all)
    }

    /// Whether it may do this in a namespace; without one, in all of them and on what has none.
    pub async fn may(&self, client: &Client, namespace: Option<&str>, asked: &Grant) -> Result<bool> {
        let (resource, subresource) = match asked.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (asked.resource.as_str(), None),
        };
        let attributes = ResourceAttributes {
            namespace: namespace.map(str::to_owned),
            group: Some(asked.group.clone()),
            resource: Some(resource.to_owned()),
            subresource,
            name: asked.name.clone(),
            verb: Some(asked.verb.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(self.user.clone()),
            groups: Some(self.groups.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let said = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
        let status = said.status.context("a review has an answer")?;
        Ok(status.allowed && !status.denied.unwrap_or_default())
    }

    /// Asks one by one, and gives the questions that are not answered as the grants have it.
    pub async fn wrong(
        &self,
        client: &Client,
        namespace: Option<&str>,
        questions: &Grants,
        granted: &Grants,
    ) -> Result<Vec<String>> {
        let asking = stream::iter(questions.iter().cloned()).map(|asked| async move {
            let may = self.may(client, namespace, &asked).await?;
            let should = granted.iter().any(|grant| grant.covers(&asked));
            let verdict = if may { "may, and should not" } else { "should, and may not" };
            let wrong = || format!("{} in {namespace:?} {verdict}: {asked:?}", self.user);
            anyhow::Ok((may != should).then(wrong))
        });
        let answers: Vec<_> = asking.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }
}

/// All that an account may do in a namespace, as the API server lists it.
fn rules(cluster: &Cluster, user: &str, namespace: &str) -> Result<Grants> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    });
    let args = ["create", "--validate=false", "--as", user, "--output=json", "-f", "-"];
    let said: Value = serde_json::from_str(&cluster.kubectl_with(&args, &review.to_string())?)?;
    let status = &said["status"];
    let unknown = &status["evaluationError"];
    ensure!(status["incomplete"] == false, "not all rights of {user} are known: {unknown}");
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let listed = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let mut all = Grants::new();
    for rule in listed("resourceRules") {
        let names: Vec<Option<String>> = match texts(&rule["resourceNames"]) {
            none if none.is_empty() => vec![None],
            some => some.into_iter().map(Some).collect(),
        };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let grant = Grant::of(&group, &resource, &verb);
                    all.extend(names.iter().map(|name| Grant { name: name.clone(), ..grant.clone() }));
                }
            }
        }
    }
    for rule in listed("nonResourceRules") {
        for path in texts(&rule["nonResourceURLs"]) {
            all.extend(texts(&rule["verbs"]).iter().map(|verb| Grant::of("", &path, verb)));
        }
    }
    Ok(all)
}

/// Every verb on everything that is documented and on much that is not.
pub fn questions(documented: &Grants) -> Grants {
    let mut all = Grants::new();
    for verb in VERBS {
        all.extend(BEYOND.iter().map(|(group, resource)| Grant::of(group, resource, verb)));
        all.extend(documented.iter().map(|grant| Grant::of(&grant.group, &grant.resource, verb)));
        // With the name of the one object, too.
        all.extend(documented.iter().map(|grant| Grant { verb: verb.to_owned(), ..grant.clone() }));
        all.insert(Grant::of("", "secrets", verb).named(A_SECRET));
    }
    all.extend(OF_THEIR_OWN.iter().map(|(group, resource, verb)| Grant::of(group, resource, verb)));
    all
}
