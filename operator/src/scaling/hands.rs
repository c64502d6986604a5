//! What scaling does to the world: orders to workers, marks on pods, and `replicas`.

use std::time::Duration;

use docmill_core::scale::DELETION_COST;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::api::{self, PipelineApi};
use super::seen::COST_ANNOTATION;
use crate::names;
use crate::pipeline_key::PipelineKey;

/// Longest that one thing takes, waiting for its turn included.
const TAKES_MAX: Duration = Duration::from_secs(5);
/// Orders on their way at once, all pipelines together.
const ORDERS_MAX: usize = 64;
/// Writes to Kubernetes on their way at once, all pipelines together.
const WRITES_MAX: usize = 16;

/// Why something was not done. It is asked for again by a later step while it is still wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody wrote in between: what was seen is too old.
    #[error("somebody else wrote in between")]
    Conflict,
    /// Not done in time.
    #[error("it takes longer than {} s", TAKES_MAX.as_secs())]
    Slow,
    /// The pipeline's API did not take the order.
    #[error("the order was not taken")]
    Order(#[source] api::Error),
    /// Kubernetes did not take the write.
    #[error("Kubernetes refuses")]
    Kubernetes(#[source] Box<kube::Error>),
}

/// A pipeline, as hands find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub key: PipelineKey,
    /// Its UID.
    pub uid: String,
}

/// A write of `replicas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What was seen.
    pub from: u32,
    /// What there is to be.
    pub to: u32,
    /// The version of the Deployment in which it was seen.
    pub resource_version: String,
}

/// Does things. Each may be done twice; each ends within a few seconds, done or not; dropped on the way, it may be
/// done or not.
pub trait Hands: Send + Sync {
    /// Orders a worker to take no new work.
    fn drain<'a>(&'a self, target: &'a Target, worker: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Lets a worker take work again.
    fn resume<'a>(&'a self, target: &'a Target, worker: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Writes the deletion cost of those that go first.
    fn mark<'a>(&'a self, target: &'a Target, pod: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Removes it.
    fn unmark<'a>(&'a self, target: &'a Target, pod: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Writes `replicas` of the workers' Deployment, through its scale. [`Error::Conflict`] where it is not as it was
    /// seen.
    fn set_replicas<'a>(&'a self, target: &'a Target, write: &'a Write)
    -> BoxFuture<'a, Result<(), Error>>;

    /// Tells the pipeline's API what was decided, in JSON. Nothing depends on it.
    fn tell<'a>(&'a self, target: &'a Target, decision: String) -> BoxFuture<'a, Result<(), Error>>;
}

/// The hands of the operator.
pub struct KubeHands {
    client: kube::Client,
    api: PipelineApi,
    orders: Semaphore,
    writes: Semaphore,
}

impl KubeHands {
    /// Nothing is done yet.
    pub fn new(client: kube::Client, api: PipelineApi) -> Self {
        Self { client, api, orders: Semaphore::new(ORDERS_MAX), writes: Semaphore::new(WRITES_MAX) }
    }

    async fn order(&self, target: &Target, worker: &str, order: &str) -> Result<(), Error> {
        in_turn(&self.orders, async { self.api.order(target, worker, order).await.map_err(Error::Order) })
            .await
    }

    async fn cost(&self, target: &Target, pod: &str, cost: Value) -> Result<(), Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &target.key.namespace);
        let patch = Patch::Merge(json!({"metadata": {"annotations": {COST_ANNOTATION: cost}}}));
        let params = PatchParams {
            field_manager: Some(names::SCALING_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patching = async { pods.patch_metadata(pod, &params, &patch).await.map(drop).map_err(refused) };
        in_turn(&self.writes, patching).await
    }

    async fn replicas(&self, target: &Target, write: &Write) -> Result<(), Error> {
        let done = self.put(target, write.resource_version.clone(), write.to).await;
        if !matches!(done, Err(Error::Conflict)) || write.to < write.from {
            return done;
        }
        // Most often only its status was written. More workers hurt nobody, so one look is enough; fewer would be
        // decided on pods that are not those of this version.
        let name = target.key.worker_deployment().name;
        let now = self.deployments(target).get_scale(&name).await.map_err(refused)?;
        let replicas =
            now.spec.as_ref().and_then(|spec| spec.replicas).and_then(|now| u32::try_from(now).ok());
        match (replicas, now.metadata.resource_version) {
            (Some(replicas), Some(version)) if replicas == write.from => {
                self.put(target, version, write.to).await
            }
            _ => Err(Error::Conflict),
        }
    }

    async fn put(&self, target: &Target, resource_version: String, replicas: u32) -> Result<(), Error> {
        let name = target.key.worker_deployment().name;
        let params =
            PostParams { field_manager: Some(names::SCALING_MANAGER.to_owned()), ..PostParams::default() };
        let scale = scale(&target.key, &name, resource_version, replicas);
        self.deployments(target).replace_scale(&name, &params, &scale).await.map(drop).map_err(refused)
    }

    fn deployments(&self, target: &Target) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &target.key.namespace)
    }
}

impl Hands for KubeHands {
    fn drain<'a>(&'a self, target: &'a Target, worker: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.order(target, worker, "drain"))
    }

    fn resume<'a>(&'a self, target: &'a Target, worker: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.order(target, worker, "resume"))
    }

    fn mark<'a>(&'a self, target: &'a Target, pod: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.cost(target, pod, DELETION_COST.to_string().into()))
    }

    fn unmark<'a>(&'a self, target: &'a Target, pod: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.cost(target, pod, Value::Null))
    }

    fn set_replicas<'a>(
        &'a self,
        target: &'a Target,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(in_turn(&self.writes, self.replicas(target, write)))
    }

    fn tell<'a>(&'a self, target: &'a Target, decision: String) -> BoxFuture<'a, Result<(), Error>> {
        let telling = async move { self.api.tell(target, decision).await.map_err(Error::Order) };
        Box::pin(in_turn(&self.orders, telling))
    }
}

/// Does it when it is its turn. The time counts from now: one that waits long is asked for again, and later.
async fn in_turn(turns: &Semaphore, work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let working = async {
        // Nobody closes it.
        let _turn = turns.acquire().await.map_err(|_| Error::Slow)?;
        work.await
    };
    timeout(TAKES_MAX, working).await.unwrap_or(Err(Error::Slow))
}

fn scale(key: &PipelineKey, name: &str, resource_version: String, replicas: u32) -> Scale {
    Scale {
        metadata: ObjectMeta {
            namespace: Some(key.namespace.clone()),
            name: Some(name.to_owned()),
            resource_version: Some(resource_version),
            ..ObjectMeta::default()
        },
        spec: Some(ScaleSpec { replicas: Some(i32::try_from(replicas).unwrap_or(i32::MAX)) }),
        status: None,
    }
}

fn refused(error: kube::Error) -> Error {
    match &error {
        kube::Error::Api(status) if status.is_conflict() => Error::Conflict,
        _ => Error::Kubernetes(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_names_what_it_goes_by() {
        let written = scale(&PipelineKey::new("n", "p"), "p-worker", "17".into(), 3);
        let expected = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"namespace": "n", "name": "p-worker", "resourceVersion": "17"},
            "spec": {"replicas": 3},
        });
        assert_eq!(serde_json::to_value(written).unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_its_turn_for_too_long_is_not_done() {
        let turns = Semaphore::new(1);
        let held = turns.acquire().await.unwrap();
        let done = in_turn(&turns, async { Ok(()) }).await;
        assert!(matches!(done, Err(Error::Slow)));
        drop(held);
        assert!(in_turn(&turns, async { Ok(()) }).await.is_ok());
    }
}
