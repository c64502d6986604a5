//! A pipeline in a cluster, as a person uses it: apply, wait, upload, look, delete.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docmill_worker::neo4j::bolt::map;
use docmill_worker::neo4j::{Database, Options};
use docmill_worker::secret::Secret;
use serde_json::Value;

use super::install::repository;
use super::{Api, Cluster, Replicas, condition, merge};
use crate::command::{FINDINGS, locate};

/// Port of the API's Service.
const API_PORT: u16 = 8_080;
/// Port of Neo4j's Service.
const BOLT_PORT: u16 = 7_687;
/// Longest time until a Secret that belongs to a ready pipeline is there.
const SECRET_MAX: Duration = Duration::from_secs(30);
/// How long an audit may find something that is on its way.
const VERIFY_S: &str = "120";
/// Asks PostgreSQL as workers do: over TCP and with the password of the pod's own file.
const PSQL: &str = r#"PGPASSWORD=$(cat /run/secrets/docmill/postgres/password) \
exec psql -h 127.0.0.1 -U docmill -d docmill -v ON_ERROR_STOP=1 -XAtc "$1""#;

/// A pipeline of a cluster, there or not.
pub struct Pipeline<'a> {
    cluster: &'a Cluster,
    namespace: String,
    name: String,
    manifest: Value,
}

impl<'a> Pipeline<'a> {
    /// The sample of this name, with what the patch says, for a namespace. Nothing is applied yet.
    ///
    /// # Errors
    /// There is no such sample.
    pub fn of_sample(cluster: &'a Cluster, namespace: &str, sample: &str, patch: &Value) -> Result<Self> {
        let path = repository(&format!("manifests/samples/{sample}.yaml"));
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut manifest: Value = serde_saphyr::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        merge(&mut manifest, patch);
        let name = manifest["metadata"]["name"].as_str().context("a sample has a name")?.to_owned();
        Ok(Self { cluster, namespace: namespace.to_owned(), name, manifest })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Name of its workers' Deployment and autoscaler.
    pub fn workers(&self) -> String {
        format!("{}-worker", self.name)
    }

    /// Runs kubectl in its namespace.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["--namespace", self.namespace.as_str()][..], args].concat())
    }

    /// An object of its namespace.
    ///
    /// # Errors
    /// As [`Cluster::object`].
    pub fn object(&self, args: &[&str]) -> Result<Value> {
        self.cluster.object(&[&["--namespace", self.namespace.as_str(), "get"][..], args].concat())
    }

    /// Applies it.
    ///
    /// # Errors
    /// The API server refused.
    pub fn apply(&self) -> Result<()> {
        let args = ["--namespace", self.namespace.as_str(), "apply", "-f", "-"];
        self.cluster.kubectl_with(&args, &self.manifest.to_string()).map(drop)
    }

    /// Itself, as the API server shows it.
    ///
    /// # Errors
    /// It is not there.
    pub fn shown(&self) -> Result<Value> {
        self.object(&["ingestionpipeline", &self.name])
    }

    /// Waits until it says that it is ready, of what was applied last.
    ///
    /// # Errors
    /// It is not in time: the error says what to look at.
    pub fn wait_ready(&self, limit: Duration) -> Result<()> {
        self.cluster.wait_for("the pipeline", limit, || {
            let shown = self.shown()?;
            let (is_ready, says) = condition(&shown, "Ready").context("nothing is said of it")?;
            ensure!(is_ready, "{says}");
            let (seen, newest) = (&shown["status"]["observedGeneration"], &shown["metadata"]["generation"]);
            ensure!(seen == newest, "generation {seen} was looked at, not {newest}");
            Ok(())
        })
    }

    /// Watches how many workers are asked for.
    ///
    /// # Errors
    /// There is no such Deployment.
    pub fn watch_workers(&self) -> Result<Replicas> {
        Replicas::watch(self.cluster, &self.namespace, &self.workers())
    }

    /// Pods of a part, `worker` for example.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn pods(&self, part: &str) -> Result<Vec<Value>> {
        let selector = self.selector(part);
        let mut list = self.object(&["pods", "--selector", &selector])?;
        match list["items"].take() {
            Value::Array(pods) => Ok(pods),
            other => bail!("no list of pods: {other}"),
        }
    }

    /// The API, reached through its Service with the first key.
    ///
    /// # Errors
    /// There is no Service, or no key.
    pub fn api(&self) -> Result<Api> {
        let key = self.cluster.wait_for("the API's key", SECRET_MAX, || {
            let secret = self.object(&["secret", &format!("{}-api-key", self.name)])?;
            of_secret(&secret, "key")
        })?;
        let port =
            self.cluster.forward_service(&self.namespace, &format!("{}-api", self.name), API_PORT)?;
        Ok(Api::new(port, key.trim().to_owned()))
    }

    /// Audits the ledger against all stores with the command, and gives the number of findings.
    ///
    /// # Errors
    /// The audit could not be made.
    pub fn verify(&self, api: &Api) -> Result<u64> {
        let output = Command::new(locate(None)?)
            .args(["--json", "--server", &api.url(), "verify", "--wait", "--timeout", VERIFY_S])
            .env("DOCMILL_API_KEY", api.key())
            .output()
            .context("cannot start docmill")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let findings: Value =
            serde_json::from_str(&said).with_context(|| format!("docmill verify: {said}{errors}"))?;
        let counts = FINDINGS.map(|name| findings[name].as_u64());
        let known: Vec<u64> = counts.into_iter().flatten().collect();
        ensure!(known.len() + 1 >= FINDINGS.len(), "docmill verify says too little: {findings}");
        let found: u64 = known.iter().sum();
        let is_good = output.status.success();
        ensure!(is_good == (found == 0), "docmill verify exits with {}: {findings}", output.status);
        Ok(found)
    }

    /// A number that PostgreSQL answers, asked in its own pod.
    ///
    /// # Errors
    /// It does not answer, or not with a number.
    pub fn postgres(&self, statement: &str) -> Result<i64> {
        let pod = format!("{}-postgres-0", self.name);
        let said = self.kubectl(&[
            "exec",
            &pod,
            "--container=postgres",
            "--",
            "sh",
            "-c",
            PSQL,
            "psql",
            statement,
        ])?;
        said.trim().parse().with_context(|| format!("{statement}: no number: {said}"))
    }

    /// Numbers that Neo4j answers, one for each statement, asked through its Service.
    ///
    /// # Errors
    /// It does not answer, or not with a number.
    pub fn neo4j(&self, statements: &[&str]) -> Result<Vec<i64>> {
        let secrets = self.object(&["secrets", "--selector", &self.selector("neo4j")])?;
        let password = of_secret(&secrets["items"][0], "password")?;
        let port =
            self.cluster.forward_service(&self.namespace, &format!("{}-neo4j", self.name), BOLT_PORT)?;
        let options = Options {
            url: format!("bolt://127.0.0.1:{port}"),
            username: "neo4j".to_owned(),
            password: Some(Secret::new(&password)),
            ..Options::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let numbers = runtime.block_on(async {
            let database = Database::connect(&options).await?;
            let mut numbers = Vec::new();
            for statement in statements {
                let rows = database.run(statement, map([])).await?;
                let number = rows.first().and_then(|row| row.first()).and_then(|value| value.int());
                numbers.push(number.with_context(|| format!("{statement}: no number: {rows:?}"))?);
            }
            Ok::<_, anyhow::Error>(numbers)
        });
        self.cluster.unforward(port)?;
        numbers
    }

    /// Deletes it, and waits until nothing of it is there but volumes and Secrets.
    ///
    /// # Errors
    /// Something is left.
    pub fn delete(&self, limit: Duration) -> Result<()> {
        self.kubectl(&["delete", "ingestionpipeline", &self.name, "--wait=false"])?;
        let selector = format!("docmill.dev/pipeline={}", self.name);
        let kinds = "ingestionpipelines,deployments,statefulsets,replicasets,pods,services,configmaps,\
                     serviceaccounts,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies";
        self.cluster.wait_for("the end of the pipeline", limit, || {
            self.cluster.is_gone(&[
                "--namespace",
                &self.namespace,
                "get",
                "ingestionpipeline",
                &self.name,
            ])?;
            self.cluster.is_gone(&["--namespace", &self.namespace, "get", kinds, "--selector", &selector])
        })
    }

    fn selector(&self, part: &str) -> String {
        format!("docmill.dev/pipeline={},app.kubernetes.io/component={part}", self.name)
    }
}

fn of_secret(secret: &Value, key: &str) -> Result<String> {
    let encoded = secret["data"][key].as_str().with_context(|| format!("a Secret lacks {key}"))?;
    String::from_utf8(STANDARD.decode(encoded)?).context("a Secret is text")
}
