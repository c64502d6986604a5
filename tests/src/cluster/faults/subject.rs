//! One pipeline and its operator behind a proxy, in two namespaces of their own, so that several stand side by side in
//! one cluster.
//!
//! Nothing runs where a kubelet would: when an operator starts again, what a kubelet would have mounted by then (the
//! Secret with its keys) is put in its directory. A Lease of one that was killed is deleted, as a person in a hurry
//! does: how long it takes without that is measured by itself (`two`).

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use docmill_operator::certificates::secret::SECRET;
use docmill_operator::resource::IngestionPipeline;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::proxy::Proxy;
use super::recorder::Recorder;
use super::state::{self, Everything};
use crate::cluster::Cluster;
use crate::cluster::host::{self, Operator, Settings, Stub, until};

/// Name of every pipeline: namespaces tell them apart.
pub const NAME: &str = "books";
/// Name of the operator's Lease.
const LEASE: &str = "docmill-operator";
/// Longest time until something is as it is to be.
pub const LIMIT: Duration = Duration::from_secs(90);

/// What all subjects share.
pub struct World {
    /// The cluster.
    pub cluster: Cluster,
    /// Straight to its API server.
    pub client: Client,
    /// The APIs of all pipelines.
    pub stub: Stub,
    /// The operator's program.
    pub program: PathBuf,
    /// Number of the next subject.
    pub next: AtomicU32,
}

/// See the module.
pub struct Subject<'a> {
    /// What it shares with others.
    pub world: &'a World,
    /// The pipeline's namespace.
    pub namespace: String,
    /// The operator's.
    pub operators: String,
    /// What the operator talks to.
    pub proxy: Proxy,
    /// The operator, while there is one.
    pub operator: Arc<Mutex<Option<Operator>>>,
    /// How many workers were asked for, as it changed.
    pub recorder: Recorder,
    settings: Settings,
    folder: TempDir,
}

impl<'a> Subject<'a> {
    /// Makes namespaces and a proxy; starts nothing yet.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn new(world: &'a World, more: &[&str]) -> Result<Self> {
        let number = world.next.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("faults-{number:04}");
        let operators = format!("{namespace}-operators");
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        for name in [&namespace, &operators] {
            let object = serde_json::from_value(host::namespace(name))?;
            namespaces.create(&PostParams::default(), &object).await?;
        }
        let folder = TempDir::with_prefix("docmill-faults-")?;
        let proxy = Proxy::start(host::client(world.cluster.kubeconfig()).await?).await?;
        let kubeconfig = folder.path().join("kubeconfig");
        proxy.write_kubeconfig(&kubeconfig)?;
        let certificates = folder.path().join("certificates");
        std::fs::create_dir(&certificates)?;
        let mut arguments = vec!["--watch-namespace".to_owned(), namespace.clone()];
        arguments.extend(["--observe-every-ms", "100"].iter().chain(more).map(ToString::to_string));
        let settings = Settings {
            program: world.program.clone(),
            kubeconfig,
            namespace: operators.clone(),
            pipeline_url: world.stub.url(),
            certificates,
            log: folder.path().join("operator.log"),
            more: arguments,
        };
        let recorder = Recorder::start(world.client.clone(), &namespace, &format!("{NAME}-worker"));
        Ok(Self {
            world,
            namespace,
            operators,
            proxy,
            operator: Arc::default(),
            recorder,
            settings,
            folder,
        })
    }

    /// One whose operator runs and whose pipeline has all its objects.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn begun(world: &'a World, more: &[&str]) -> Result<Self> {
        let subject = Self::new(world, more).await?;
        subject.start().await?;
        subject.create().await?;
        subject.settled("all its objects", Self::has_all).await?;
        Ok(subject)
    }

    /// How its operator is started.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Starts the operator, with its keys where they were made before.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn start(&self) -> Result<()> {
        self.mount().await?;
        let operator = Operator::start(&self.settings)?;
        *self.slot() = Some(operator);
        Ok(())
    }

    /// Kills the operator as a machine dies; gives the Lease free.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn kill(&self) -> Result<()> {
        drop(self.slot().take());
        self.free_lease().await
    }

    /// Deletes the Lease of an operator that is gone.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn free_lease(&self) -> Result<()> {
        let leases: Api<Lease> = Api::namespaced(self.world.client.clone(), &self.operators);
        match leases.delete(LEASE, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Who leads, as the Lease says.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn holder(&self) -> Result<String> {
        let leases: Api<Lease> = Api::namespaced(self.world.client.clone(), &self.operators);
        let spec = leases.get_opt(LEASE).await?.and_then(|lease| lease.spec);
        Ok(spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
    }

    /// Does what a kubelet does: the Secret as files.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn mount(&self) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.world.client.clone(), &self.operators);
        for (file, bytes) in
            secrets.get_opt(SECRET).await?.and_then(|secret| secret.data).into_iter().flatten()
        {
            std::fs::write(self.settings.certificates.join(file), bytes.0)?;
        }
        Ok(())
    }

    /// Declares the pipeline.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn create(&self) -> Result<()> {
        let pipeline = host::pipeline(&self.namespace, NAME)?;
        self.pipelines().create(&PostParams::default(), &pipeline).await?;
        Ok(())
    }

    /// Declares something else of it.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.pipelines().patch(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Deletes it.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn delete(&self) -> Result<()> {
        self.pipelines().delete(NAME, &DeleteParams::background()).await?;
        Ok(())
    }

    /// So many documents wait.
    pub fn set_waiting(&self, documents: u64) {
        self.world.stub.set_waiting(&self.namespace, NAME, documents);
    }

    /// Workers that are asked for; none without their Deployment.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn workers(&self) -> Result<Option<i32>> {
        let found = self.deployments().get_opt(&format!("{NAME}-worker")).await?;
        Ok(found.and_then(|deployment| deployment.spec).and_then(|spec| spec.replicas))
    }

    /// Scales to this by the number of documents that wait, and waits until it is asked for.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn scale(&self, documents: u64, workers: i32) -> Result<Duration> {
        self.set_waiting(documents);
        until(&format!("{workers} workers"), LIMIT, async || Ok(self.workers().await? == Some(workers)))
            .await
    }

    /// Everything that is there.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn look(&self) -> Result<Everything> {
        state::look(&self.world.client, &self.namespace, NAME, &self.operators).await
    }

    /// The pipeline; none when it is gone.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn pipeline(&self) -> Result<Option<IngestionPipeline>> {
        Ok(self.pipelines().get_opt(NAME).await?)
    }

    /// Whether both Deployments are there, and status speaks of the newest declaration.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn has_all(&self) -> Result<bool> {
        let Some(pipeline) = self.pipeline().await? else { return Ok(false) };
        let observed = pipeline.status.as_ref().and_then(|status| status.observed_generation);
        let deployments = self.deployments().list(&ListParams::default()).await?.items.len();
        Ok(deployments == 2 && observed == pipeline.metadata.generation)
    }

    /// Waits until it is so and then nothing was written for three seconds: nobody has anything left to do.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn settled(&self, what: &str, is_so: impl AsyncFn(&Self) -> Result<bool>) -> Result<()> {
        let quiet = Duration::from_secs(3);
        until(what, LIMIT, async || Ok(is_so(self).await? && self.proxy.quiet_for() >= quiet))
            .await
            .with_context(|| self.log())
            .map(drop)
    }

    /// Waits until the operator looked at the pipeline so many times more.
    ///
    /// # Errors
    /// There is none, or it does not.
    pub async fn looks(&self, more: u32) -> Result<()> {
        self.looks_within(more, LIMIT).await
    }

    /// Waits until an operator that was just started looked at the pipeline.
    ///
    /// # Errors
    /// There is none, or it does not.
    pub async fn looked(&self) -> Result<()> {
        let operator = self.slot().take().context("no operator runs")?;
        let looked = async {
            operator.ready().await?;
            operator.looked(LIMIT).await
        };
        let looked = looked.await;
        *self.slot() = Some(operator);
        looked.with_context(|| self.log())
    }

    /// The same as [`Subject::looks`] within a limit.
    ///
    /// # Errors
    /// There is none, or it does not.
    pub async fn looks_within(&self, more: u32, limit: Duration) -> Result<()> {
        // Taken out meanwhile: a lock is not held while one waits.
        let operator = self.slot().take().context("no operator runs")?;
        let looked = async {
            operator.ready().await?;
            operator.looks(more, limit).await
        };
        let looked = looked.await;
        *self.slot() = Some(operator);
        looked.with_context(|| self.log())
    }

    /// Has Kubernetes believe that the API's pods run and are ready, in place of a kubelet.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn api_runs(&self) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.world.client.clone(), &self.namespace);
        let of_api = ListParams::default().labels("app.kubernetes.io/component=api");
        until("pods of the API", LIMIT, async || Ok(pods.list(&of_api).await?.items.len() >= 2)).await?;
        let status = json!({"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"},
        ]}});
        for pod in pods.list(&of_api).await? {
            pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(&status)).await?;
        }
        self.settled("Ready", async |subject: &Self| Ok(subject.ready_since().await?.is_some())).await
    }

    /// Since when the pipeline is Ready, as its status says; none while it is not.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn ready_since(&self) -> Result<Option<String>> {
        let status = self.pipeline().await?.and_then(|pipeline| pipeline.status).unwrap_or_default();
        let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready");
        let ready = ready.filter(|condition| condition.status == "True");
        Ok(ready.map(|condition| condition.last_transition_time.0.to_string()))
    }

    /// Deployments of the namespace.
    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.world.client.clone(), &self.namespace)
    }

    /// The end of the operator's log, for who looks for a cause.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("operator.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("the operator's log ends:\n{}", lines[lines.len().saturating_sub(12)..].join("\n"))
    }

    fn pipelines(&self) -> Api<IngestionPipeline> {
        Api::namespaced(self.world.client.clone(), &self.namespace)
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Operator>> {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subject<'_> {
    fn drop(&mut self) {
        // A trap that did not spring holds on to it, too.
        drop(self.slot().take());
    }
}
