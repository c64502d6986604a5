//! Every watch of the operator: each feeds what is known ([`Index`], [`Pods`], [`Nodes`]) and says which pipeline to look
//! at again. Objects are cut down to what is kept before anything holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docmill_core::sizing::{Node, Resources};
use futures::stream::{BoxStream, SelectAll, StreamExt};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{
    self as core, ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as KubeQuantity;
use k8s_openapi::jiff::Timestamp;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::live::{self, Index, LiveState, Relist, Rollout};
use crate::names::{self, Part};
use crate::pipeline_key::PipelineKey;
use crate::resource::Quantity;
use crate::scaling::Pipelines;
use crate::trouble::{self, Trouble};

/// Where watches look.
#[derive(Debug, Clone)]
pub enum Scope {
    /// In all namespaces.
    Cluster,
    /// In one.
    Namespace(String),
}

impl Scope {
    /// The client of a kind.
    pub fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::Cluster => Api::all(client),
            Self::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }
}

/// Pods that do not run, by pipeline and pod; also those that will be in trouble if they do not soon.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<PipelineKey, BTreeMap<String, Trouble>>>);

impl Troubles {
    /// What troubles a pipeline now.
    pub fn of(&self, pipeline: &PipelineKey, now: Timestamp) -> Vec<Trouble> {
        let all = self.lock();
        let pods = all.get(pipeline).into_iter().flat_map(BTreeMap::values);
        pods.filter(|trouble| trouble.is_at(now)).cloned().collect()
    }

    /// Time until something more troubles a pipeline, if nothing happens: no event will tell.
    pub fn next(&self, pipeline: &PipelineKey, now: Timestamp) -> Option<Duration> {
        let all = self.lock();
        let pods = all.get(pipeline).into_iter().flat_map(BTreeMap::values);
        let to_come = pods.filter_map(|trouble| trouble.from).filter(|from| *from > now);
        to_come.min().map(|from| from.duration_since(now).unsigned_abs())
    }

    fn put(&self, pipeline: &PipelineKey, pod: &str, trouble: Option<Trouble>) -> bool {
        let mut all = self.lock();
        let pods = all.entry(pipeline.clone()).or_default();
        let changed = match trouble {
            Some(trouble) if pods.get(pod) != Some(&trouble) => {
                pods.insert(pod.to_owned(), trouble);
                true
            }
            Some(_) => false,
            None => pods.remove(pod).is_some(),
        };
        if pods.is_empty() {
            all.remove(pipeline);
        }
        changed
    }

    fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PipelineKey, BTreeMap<String, Trouble>>> {
        self.0.lock().expect("no code panics while holding it")
    }
}

/// Nodes on which pods may run.
#[derive(Debug, Default)]
pub struct Nodes(Mutex<BTreeMap<String, Node>>);

impl Nodes {
    /// The smallest by memory, then by cores: what is sized for it fits every other.
    pub fn smallest(&self) -> Option<Node> {
        let nodes = self.0.lock().expect("no code panics while holding it");
        nodes.values().min_by_key(|node| (node.allocatable.memory_mib, node.allocatable.cpu_milli)).copied()
    }

    fn put(&self, name: &str, node: Option<Node>) {
        let mut nodes = self.0.lock().expect("no code panics while holding it");
        match node {
            Some(node) => drop(nodes.insert(name.to_owned(), node)),
            None => drop(nodes.remove(name)),
        }
    }
}

/// Pipelines to look at again.
pub type Triggers = SelectAll<BoxStream<'static, PipelineKey>>;

/// What the watches fill.
#[derive(Clone, Default)]
pub struct Known {
    /// Objects of pipelines.
    pub index: Arc<Index>,
    /// Pods that do not run.
    pub troubles: Arc<Troubles>,
    /// Nodes.
    pub nodes: Arc<Nodes>,
    /// Kinds that were not listed yet.
    unlisted: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Known {
    /// Whether every kind was listed once. Before, what is not known may be there all the same.
    pub fn is_complete(&self) -> bool {
        self.unlisted.lock().expect("no code panics while holding it").is_empty()
    }
}

/// Objects of one page of a list. Ten kinds are listed at once, and a page of each is in memory with all that is cut off
/// later: 14 MiB more at the start beside 300 pipelines where a page has 500 objects, as is the default, and none at 100.
const PAGE: u32 = 100;

/// All objects of a kind.
pub fn all() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// Only what the operator made.
pub fn ours() -> watcher::Config {
    all().labels(&format!("{}={}", names::MANAGED_BY.0, names::MANAGED_BY.1))
}

/// Starts all watches of what belongs to pipelines. Those of Deployments and pods feed scaling, too.
pub fn triggers(client: &Client, scope: &Scope, known: &Known, scaling: &Pipelines) -> Triggers {
    let mut all = SelectAll::new();
    all.push(deployments(client, scope, known, scaling.clone()));
    all.push(pods(client, scope, known.clone(), scaling.clone()));
    all.push(full::<StatefulSet>(client, scope, known, "StatefulSet", stateful_set));
    all.push(full::<PersistentVolumeClaim>(client, scope, known, "PersistentVolumeClaim", volume));
    all.push(metadata::<ConfigMap>(client, scope, known, "ConfigMap"));
    all.push(metadata::<Service>(client, scope, known, "Service"));
    all.push(metadata::<ServiceAccount>(client, scope, known, "ServiceAccount"));
    all.push(metadata::<HorizontalPodAutoscaler>(client, scope, known, "HorizontalPodAutoscaler"));
    all.push(metadata::<PodDisruptionBudget>(client, scope, known, "PodDisruptionBudget"));
    all.push(metadata::<NetworkPolicy>(client, scope, known, "NetworkPolicy"));
    all
}

fn full<K>(
    client: &Client,
    scope: &Scope,
    known: &Known,
    kind: &'static str,
    state: fn(&K) -> LiveState,
) -> BoxStream<'static, PipelineKey>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let api: Api<K> = scope.api(client.clone());
    feed(watch(api, ours()).default_backoff().boxed(), known, kind, state)
}

fn metadata<K>(
    client: &Client,
    scope: &Scope,
    known: &Known,
    kind: &'static str,
) -> BoxStream<'static, PipelineKey>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let api: Api<PartialObjectMeta<K>> = scope.api(client.clone());
    feed(watch(api, ours()).default_backoff().boxed(), known, kind, |_| LiveState::Plain)
}

fn feed<K>(
    events: BoxStream<'static, Result<Event<K>, watcher::Error>>,
    known: &Known,
    kind: &'static str,
    state: fn(&K) -> LiveState,
) -> BoxStream<'static, PipelineKey>
where
    K: Resource + Send + 'static,
{
    let mut relist = Relist::default();
    let (index, unlisted) = (known.index.clone(), known.unlisted.clone());
    unlisted.lock().expect("no code panics while holding it").insert(kind);
    events
        .flat_map(move |event| {
            let touched = match event {
                Ok(event) => {
                    if matches!(event, Event::InitDone) {
                        unlisted.lock().expect("no code panics while holding it").remove(kind);
                    }
                    index.take(kind, &mut relist, &event, state)
                }
                Err(error) => {
                    tracing::warn!(%error, kind, "a watch broke off; it is begun again");
                    Vec::new()
                }
            };
            futures::stream::iter(touched)
        })
        .boxed()
}

fn deployments(
    client: &Client,
    scope: &Scope,
    known: &Known,
    scaling: Pipelines,
) -> BoxStream<'static, PipelineKey> {
    let events = watch(scope.api::<Deployment>(client.clone()), ours()).default_backoff();
    let events = events.inspect(move |event| {
        if let Ok(event) = event
            && is_of_workers(event)
        {
            scaling.deployment_event(event);
        }
    });
    feed(events.boxed(), known, "Deployment", deployment)
}

fn pods(
    client: &Client,
    scope: &Scope,
    known: Known,
    scaling: Pipelines,
) -> BoxStream<'static, PipelineKey> {
    let events = watch(scope.api::<Pod>(client.clone()), ours()).default_backoff();
    events
        .filter_map(move |event| {
            let touched = match event {
                Ok(event) => {
                    if is_of_workers(&event) {
                        scaling.pod_event(&event);
                    }
                    pod(&known, &event)
                }
                Err(error) => {
                    tracing::warn!(%error, "the watch of pods broke off; it is begun again");
                    None
                }
            };
            std::future::ready(touched)
        })
        .boxed()
}

/// Whether an event speaks of workers, or of the watch itself.
fn is_of_workers<K: Resource>(event: &Event<K>) -> bool {
    let (Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event else {
        return true;
    };
    let labels = object.meta().labels.as_ref();
    labels
        .and_then(|labels| labels.get(names::COMPONENT_LABEL))
        .is_some_and(|part| part == Part::Worker.as_str())
}

/// How far a StatefulSet is.
fn stateful_set(object: &StatefulSet) -> LiveState {
    let status = object.status.clone().unwrap_or_default();
    // Of a set whose pods are as they were, no update revision is counted.
    let is_same = status.update_revision == status.current_revision;
    // A pod of the newest revision that still starts is not what is declared.
    let ready = status.ready_replicas.unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default().min(ready);
    LiveState::Pods(Rollout {
        observed_generation: status.observed_generation.unwrap_or_default(),
        wanted: object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        there: status.replicas,
        updated: if is_same { status.replicas } else { updated },
        ready,
        available: status.available_replicas.unwrap_or_default(),
        stuck: None,
    })
}

/// How far a Deployment is.
pub fn deployment(object: &Deployment) -> LiveState {
    let status = object.status.clone().unwrap_or_default();
    let stuck = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| {
            (condition.type_ == "Progressing" && condition.status == "False")
                || (condition.type_ == "ReplicaFailure" && condition.status == "True")
        })
        .map(|condition| condition.message.clone().unwrap_or_default());
    LiveState::Pods(Rollout {
        observed_generation: status.observed_generation.unwrap_or_default(),
        wanted: object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        there: status.replicas.unwrap_or_default(),
        updated: status.updated_replicas.unwrap_or_default(),
        ready: status.ready_replicas.unwrap_or_default(),
        available: status.available_replicas.unwrap_or_default(),
        stuck,
    })
}

fn volume(object: &PersistentVolumeClaim) -> LiveState {
    let requests =
        object.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    let asked_mib = requests.and_then(|quantity| Quantity(quantity.0.clone()).mib()).unwrap_or_default();
    LiveState::Volume { asked_mib }
}

/// Takes an event of a pod in. The pipeline is given back where what keeps a pod from running changed.
pub fn pod(known: &Known, event: &Event<Pod>) -> Option<PipelineKey> {
    let (object, trouble) = match event {
        Event::Apply(pod) | Event::InitApply(pod) => {
            let is_going = pod.metadata.deletion_timestamp.is_some();
            (pod, if is_going { None } else { trouble::of_pod(pod) })
        }
        Event::Delete(pod) => (pod, None),
        Event::Init => {
            known.troubles.clear();
            return None;
        }
        Event::InitDone => return None,
    };
    let pipeline = live::pipeline_of(object)?;
    let name = object.metadata.name.as_deref()?;
    known.troubles.put(&pipeline, name, trouble).then_some(pipeline)
}

/// Keeps the nodes known, until it is dropped.
pub async fn nodes(client: Client, nodes: Arc<Nodes>) {
    let api: Api<core::Node> = Api::all(client);
    let mut events = watch(api, all()).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(node) | Event::InitApply(node)) => {
                let name = node.metadata.name.clone().unwrap_or_default();
                nodes.put(&name, usable(&node));
            }
            Ok(Event::Delete(node)) => nodes.put(&node.metadata.name.unwrap_or_default(), None),
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => tracing::debug!(%error, "the watch of nodes broke off; it is begun again"),
        }
    }
}

/// A node that takes pods; none where it is cordoned, or has a taint that keeps them off.
fn usable(node: &core::Node) -> Option<Node> {
    let spec = node.spec.as_ref();
    let is_off = spec.is_some_and(|spec| spec.unschedulable == Some(true))
        || spec.is_some_and(|spec| {
            spec.taints.iter().flatten().any(|taint| {
                // Taints of Kubernetes itself come and go with the node's health.
                taint.effect != "PreferNoSchedule" && !taint.key.starts_with("node.kubernetes.io/")
            })
        });
    if is_off {
        return None;
    }
    let resources = |amounts: Option<&BTreeMap<String, KubeQuantity>>| {
        let of =
            |key: &str| amounts.and_then(|all| all.get(key)).map(|quantity| Quantity(quantity.0.clone()));
        Some(Resources { cpu_milli: of("cpu")?.cpu_milli()?, memory_mib: of("memory")?.mib()? })
    };
    let status = node.status.as_ref()?;
    let capacity = resources(status.capacity.as_ref())?;
    Some(Node::of_allocatable(capacity, resources(status.allocatable.as_ref())?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_nodes_that_take_pods_count() {
        let node = |spec: serde_json::Value, memory: &str| -> core::Node {
            let amounts = json!({"cpu": "4", "memory": memory});
            serde_json::from_value(json!({
                "metadata": {"name": memory},
                "spec": spec,
                "status": {"capacity": amounts, "allocatable": amounts},
            }))
            .unwrap()
        };
        let nodes = Nodes::default();
        let cordoned = node(json!({"unschedulable": true}), "1Gi");
        let tainted = node(json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}]}), "2Gi");
        let sick = node(
            json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}),
            "4Gi",
        );
        let large = node(json!({}), "8Gi");
        for node in [&cordoned, &tainted, &sick, &large] {
            nodes.put(node.metadata.name.as_deref().unwrap(), usable(node));
        }
        assert_eq!(nodes.smallest().unwrap().allocatable.memory_mib, 4_096);
        nodes.put("4Gi", None);
        assert_eq!(nodes.smallest().unwrap().allocatable.memory_mib, 8_192);
    }

    #[test]
    fn what_starts_slowly_is_trouble_from_a_moment_on() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (known, before, then) =
            (Known::default(), at("2026-01-01T00:00:15Z"), at("2026-01-01T00:01:00Z"));
        let (by, part) = (names::MANAGED_BY, names::COMPONENT_LABEL);
        let mut creating: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "p-api-1", "labels": {
                (by.0): by.1, (names::PIPELINE_LABEL): "p", (part): "api",
            }},
            "status": {"phase": "Pending", "conditions": [{
                "type": "PodReadyToStartContainers", "status": "False",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]},
        }))
        .unwrap();
        let pipeline =
            pod(&known, &Event::Apply(creating.clone())).expect("it is looked at, to learn when");
        let troubles = &known.troubles;
        assert!(troubles.of(&pipeline, before).is_empty());
        assert_eq!(troubles.next(&pipeline, before), Some(Duration::from_secs(45)));
        assert_eq!((troubles.of(&pipeline, then).len(), troubles.next(&pipeline, then)), (1, None));
        assert_eq!(pod(&known, &Event::Apply(creating.clone())), None, "nothing new");
        creating.status = None;
        assert_eq!(pod(&known, &Event::Apply(creating)), Some(pipeline.clone()));
        assert!(troubles.of(&pipeline, then).is_empty());
    }

    #[test]
    fn a_store_is_rolled_out_until_its_new_pod_is_ready() {
        let is_done = |updated: i32, ready: i32, current: &str| {
            let object: StatefulSet = serde_json::from_value(json!({
                "metadata": {"generation": 2},
                "spec": {"replicas": 1, "serviceName": "s", "selector": {}, "template": {}},
                "status": {
                    "observedGeneration": 2, "replicas": 1, "readyReplicas": ready,
                    "updatedReplicas": updated, "updateRevision": "b", "currentRevision": current,
                },
            }))
            .unwrap();
            let LiveState::Pods(rollout) = stateful_set(&object) else { panic!() };
            rollout.is_done(Some(2))
        };
        assert!(!is_done(0, 1, "a"), "the old pod is there");
        assert!(!is_done(1, 0, "a"), "the new one starts");
        assert!(is_done(1, 1, "b"));
        assert!(is_done(0, 0, "b"), "it was done, and its pod failed since");
    }

    #[test]
    fn a_deployment_that_is_as_declared_is_done() {
        let object: Deployment = serde_json::from_value(json!({
            "metadata": {"generation": 3},
            "spec": {"replicas": 0, "selector": {}, "template": {}},
            "status": {"observedGeneration": 3},
        }))
        .unwrap();
        let LiveState::Pods(rollout) = deployment(&object) else { panic!() };
        assert!(rollout.is_done(Some(3)) && !rollout.is_done(Some(4)));
    }
}
