//! What Kubernetes shows of all worker Deployments and their pods, kept by pipeline and no more of it than scaling
//! needs.
//!
//! It is fed with the events of two watches. A watch that begins anew lists all there is; what it does not list is
//! gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use docmill_core::scale::DELETION_COST;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::watcher::Event;

use crate::names::INSTANCE_LABEL;
use crate::pipeline_key::PipelineKey;

/// The annotation by which a ReplicaSet chooses who goes first.
pub const COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";
const REVISION_LABEL: &str = "pod-template-hash";

/// A pod, as far as scaling looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodSeen {
    /// It reports ready.
    pub ready: bool,
    /// It is being deleted, or has ended: it counts for nobody any more.
    pub gone: bool,
    /// It carries the deletion cost of those that go first.
    pub marked: bool,
    /// The revision of its Deployment; absent where nothing says.
    pub revision: Option<String>,
}

impl From<&Pod> for PodSeen {
    fn from(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let phase = status.and_then(|status| status.phase.as_deref());
        let cost = pod.annotations().get(COST_ANNOTATION).and_then(|cost| cost.parse::<i32>().ok());
        Self {
            ready: conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            gone: pod.metadata.deletion_timestamp.is_some()
                || matches!(phase, Some("Failed" | "Succeeded")),
            marked: cost == Some(DELETION_COST),
            revision: pod.labels().get(REVISION_LABEL).cloned(),
        }
    }
}

/// A workers' Deployment, as far as scaling looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentSeen {
    /// The version that a write of `replicas` goes by.
    pub resource_version: String,
    /// `spec.replicas`.
    pub replicas: u32,
    /// Pods that it counts.
    pub counted: u32,
    /// Of those, ones of the newest revision.
    pub updated: u32,
    /// What it counts belongs to an older specification.
    pub is_behind: bool,
}

impl From<&Deployment> for DeploymentSeen {
    fn from(deployment: &Deployment) -> Self {
        let number = |number: Option<i32>, absent| {
            number.map_or(absent, |number| u32::try_from(number).unwrap_or(0))
        };
        let status = deployment.status.as_ref();
        let observed = status.and_then(|status| status.observed_generation).unwrap_or(0);
        Self {
            resource_version: deployment.resource_version().unwrap_or_default(),
            // Kubernetes fills it in with 1.
            replicas: number(deployment.spec.as_ref().and_then(|spec| spec.replicas), 1),
            counted: number(status.and_then(|status| status.replicas), 0),
            updated: number(status.and_then(|status| status.updated_replicas), 0),
            is_behind: deployment.metadata.generation.is_some_and(|generation| observed < generation),
        }
    }
}

/// What is seen of a pipeline's workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Their Deployment; absent where there is none, or it is being deleted.
    pub deployment: Option<DeploymentSeen>,
    /// Their pods, by name.
    pub pods: BTreeMap<String, PodSeen>,
}

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// Nobody, or nothing that scaling looks at changed.
    None,
    /// That pipeline.
    One(PipelineKey),
    /// Any.
    All,
}

/// What is seen of all pipelines.
#[derive(Debug, Default)]
pub struct Index(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    pods: HashMap<PipelineKey, BTreeMap<String, PodSeen>>,
    deployments: HashMap<PipelineKey, DeploymentSeen>,
    /// What a watch that began anew has listed so far.
    listed_pods: Option<HashMap<PipelineKey, BTreeMap<String, PodSeen>>>,
    listed_deployments: Option<HashMap<PipelineKey, DeploymentSeen>>,
    has_pods: bool,
    has_deployments: bool,
}

impl Index {
    /// Takes in an event of the watch of pods.
    pub fn pod_event(&self, event: &Event<Pod>) -> Touched {
        let mut tables = self.tables();
        match event {
            Event::Apply(pod) => {
                let Some((key, name)) = place(pod) else { return Touched::None };
                let (seen, pods) = (PodSeen::from(pod), tables.pods.entry(key.clone()).or_default());
                if pods.get(&name) == Some(&seen) {
                    return Touched::None;
                }
                pods.insert(name, seen);
                Touched::One(key)
            }
            Event::Delete(pod) => {
                let Some((key, name)) = place(pod) else { return Touched::None };
                if let Some(pods) = tables.pods.get_mut(&key) {
                    pods.remove(&name);
                    if pods.is_empty() {
                        tables.pods.remove(&key);
                    }
                }
                Touched::One(key)
            }
            Event::Init => {
                tables.listed_pods = Some(HashMap::new());
                Touched::None
            }
            Event::InitApply(pod) => {
                if let Some((key, name)) = place(pod) {
                    let listed = tables.listed_pods.get_or_insert_default();
                    listed.entry(key).or_default().insert(name, PodSeen::from(pod));
                }
                Touched::None
            }
            Event::InitDone => {
                tables.pods = tables.listed_pods.take().unwrap_or_default();
                tables.has_pods = true;
                Touched::All
            }
        }
    }

    /// Takes in an event of the watch of Deployments.
    pub fn deployment_event(&self, event: &Event<Deployment>) -> Touched {
        let mut tables = self.tables();
        match event {
            Event::Apply(deployment) => {
                let Some(key) = place_of_workers(deployment) else { return Touched::None };
                if deployment.metadata.deletion_timestamp.is_some() {
                    tables.deployments.remove(&key);
                } else {
                    let seen = DeploymentSeen::from(deployment);
                    if tables.deployments.get(&key) == Some(&seen) {
                        return Touched::None;
                    }
                    tables.deployments.insert(key.clone(), seen);
                }
                Touched::One(key)
            }
            Event::Delete(deployment) => {
                let Some(key) = place_of_workers(deployment) else { return Touched::None };
                tables.deployments.remove(&key);
                Touched::One(key)
            }
            Event::Init => {
                tables.listed_deployments = Some(HashMap::new());
                Touched::None
            }
            Event::InitApply(deployment) => {
                if let Some(key) = place_of_workers(deployment)
                    && deployment.metadata.deletion_timestamp.is_none()
                {
                    let listed = tables.listed_deployments.get_or_insert_default();
                    listed.insert(key, DeploymentSeen::from(deployment));
                }
                Touched::None
            }
            Event::InitDone => {
                tables.deployments = tables.listed_deployments.take().unwrap_or_default();
                tables.has_deployments = true;
                Touched::All
            }
        }
    }

    /// What is seen of that pipeline's workers; none while the first lists are not complete.
    pub fn seen(&self, key: &PipelineKey) -> Option<Seen> {
        let tables = self.tables();
        (tables.has_pods && tables.has_deployments).then(|| Seen {
            deployment: tables.deployments.get(key).cloned(),
            pods: tables.pods.get(key).cloned().unwrap_or_default(),
        })
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(pod: &Pod) -> Option<(PipelineKey, String)> {
    let key = PipelineKey::new(pod.namespace()?, pod.labels().get(INSTANCE_LABEL)?.clone());
    Some((key, pod.metadata.name.clone()?))
}

fn place_of_workers(deployment: &Deployment) -> Option<PipelineKey> {
    let key = PipelineKey::new(deployment.namespace()?, deployment.labels().get(INSTANCE_LABEL)?.clone());
    (deployment.metadata.name.as_ref() == Some(&key.worker_deployment().name)).then_some(key)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, more: impl FnOnce(&mut Value)) -> Pod {
        let mut value = json!({
            "metadata": {"namespace": "n", "name": name, "labels": {INSTANCE_LABEL: "p", REVISION_LABEL: "r1"}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        more(&mut value);
        serde_json::from_value(value).unwrap()
    }

    fn deployment(version: &str) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "p-worker", "resourceVersion": version, "generation": 2,
                         "labels": {INSTANCE_LABEL: "p"}},
            "spec": {"replicas": 3, "selector": {}, "template": {}},
            "status": {"replicas": 3, "updatedReplicas": 2, "observedGeneration": 2},
        }))
        .unwrap()
    }

    fn key() -> PipelineKey {
        PipelineKey::new("n", "p")
    }

    fn listed() -> Index {
        let index = Index::default();
        index.pod_event(&Event::Init);
        index.deployment_event(&Event::Init);
        assert_eq!(index.pod_event(&Event::InitApply(pod("a", |_| {}))), Touched::None);
        index.deployment_event(&Event::InitApply(deployment("7")));
        assert_eq!(index.pod_event(&Event::InitDone), Touched::All);
        assert_eq!(index.seen(&key()), None, "not all is listed");
        assert_eq!(index.deployment_event(&Event::InitDone), Touched::All);
        index
    }

    #[test]
    fn what_is_looked_at_of_a_pod() {
        type Change = fn(&mut Value);
        let cases: [(Change, PodSeen); 5] = [
            (|_| {}, PodSeen { ready: true, ..PodSeen::default() }),
            (|pod| pod["status"] = json!({}), PodSeen::default()),
            (
                |pod| pod["status"]["phase"] = "Failed".into(),
                PodSeen { ready: true, gone: true, ..PodSeen::default() },
            ),
            (
                |pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
                PodSeen { ready: true, gone: true, ..PodSeen::default() },
            ),
            (
                |pod| pod["metadata"]["annotations"] = json!({COST_ANNOTATION: "-1000"}),
                PodSeen { ready: true, marked: true, ..PodSeen::default() },
            ),
        ];
        for (more, expected) in cases {
            let pod = pod("a", more);
            let expected = PodSeen { revision: Some("r1".into()), ..expected };
            assert_eq!(PodSeen::from(&pod), expected);
        }
    }

    #[test]
    fn it_is_kept_by_pipeline() {
        let index = listed();
        let seen = index.seen(&key()).unwrap();
        assert_eq!(seen.pods.keys().collect::<Vec<_>>(), ["a"]);
        let expected = DeploymentSeen {
            resource_version: "7".into(),
            replicas: 3,
            counted: 3,
            updated: 2,
            is_behind: false,
        };
        assert_eq!(seen.deployment, Some(expected));
        assert_eq!(index.seen(&PipelineKey::new("n", "q")), Some(Seen::default()));
        assert_eq!(index.pod_event(&Event::Apply(pod("a", |_| {}))), Touched::None, "as it was");
        assert_eq!(index.pod_event(&Event::Apply(pod("b", |_| {}))), Touched::One(key()));
        assert_eq!(index.pod_event(&Event::Delete(pod("a", |_| {}))), Touched::One(key()));
        assert_eq!(index.seen(&key()).unwrap().pods.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(index.deployment_event(&Event::Apply(deployment("8"))), Touched::One(key()));
        index.deployment_event(&Event::Delete(deployment("8")));
        assert_eq!(index.seen(&key()).unwrap().deployment, None);
    }

    #[test]
    fn a_new_list_replaces_all_at_its_end() {
        let index = listed();
        index.pod_event(&Event::Init);
        index.pod_event(&Event::InitApply(pod("c", |_| {})));
        assert_eq!(index.seen(&key()).unwrap().pods.keys().collect::<Vec<_>>(), ["a"]);
        index.pod_event(&Event::InitDone);
        assert_eq!(index.seen(&key()).unwrap().pods.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn others_are_not_looked_at() {
        let index = listed();
        let nobodys = pod("x", |pod| pod["metadata"]["labels"] = json!({}));
        assert_eq!(index.pod_event(&Event::Apply(nobodys)), Touched::None);
        let mut other = deployment("9");
        other.metadata.name = Some("p-api".into());
        assert_eq!(index.deployment_event(&Event::Apply(other)), Touched::None);
    }
}
