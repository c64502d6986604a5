//! The cluster that is asked, by the same kubeconfig as kubectl's.

use std::ffi::OsString;
use std::time::Duration;

use docmill_operator::resource::IngestionPipeline;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::args::Global;
use crate::failure::Failure;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Pipelines that one page of a list shows.
const PAGE: u32 = 500;

/// Who is written down as the one who changed a field.
pub const FIELD_MANAGER: &str = "kubectl-docmill";

/// A cluster, and the namespace in question.
pub struct Cluster {
    /// What asks it.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// The same choice for kubectl.
    flags: Vec<OsString>,
}

impl Cluster {
    /// By what was said on the command line. Nothing is asked yet.
    pub async fn connect(global: &Global) -> Result<Self, Failure> {
        let options = KubeConfigOptions { context: global.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&global.kubeconfig, &global.context) {
            (Some(file), _) => {
                let read = Kubeconfig::read_from(file).map_err(|error| Failure::kubeconfig(&error))?;
                let config = Config::from_custom_kubeconfig(read, &options).await;
                config.map_err(|error| Failure::kubeconfig(&error))?
            }
            (None, Some(_)) => {
                let config = Config::from_kubeconfig(&options).await;
                config.map_err(|error| Failure::kubeconfig(&error))?
            }
            (None, None) => Config::infer().await.map_err(|error| Failure::kubeconfig(&error))?,
        };
        config.connect_timeout = Some(CONNECT_MAX);
        let namespace = global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)?;
        let mut flags = Vec::new();
        if let Some(file) = &global.kubeconfig {
            flags.extend([OsString::from("--kubeconfig"), OsString::from(file)]);
        }
        if let Some(context) = &global.context {
            flags.extend([OsString::from("--context"), OsString::from(context)]);
        }
        flags.extend([OsString::from("--namespace"), OsString::from(&namespace)]);
        Ok(Self { client, namespace, flags })
    }

    /// What makes kubectl ask the same cluster and namespace.
    pub fn flags(&self) -> &[OsString] {
        &self.flags
    }

    /// Pipelines of the namespace.
    pub fn pipelines(&self) -> Api<IngestionPipeline> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Pipelines of the namespace, or of all.
    pub fn pipelines_in(&self, all_namespaces: bool) -> Api<IngestionPipeline> {
        if all_namespaces { Api::all(self.client.clone()) } else { self.pipelines() }
    }

    /// One pipeline.
    pub async fn pipeline(&self, name: &str) -> Result<IngestionPipeline, Failure> {
        match self.pipelines().get(name).await {
            Ok(pipeline) => Ok(pipeline),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                // Where the kind itself is unknown, nothing is named in the answer.
                let said = Failure::from_status(&status);
                Err(if said.code == "no_crd" { said } else { self.unknown(name) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// There is no such pipeline.
    pub fn unknown(&self, name: &str) -> Failure {
        let message = format!("there is no pipeline {name} in namespace {}", self.namespace);
        Failure::new(
            "unknown_pipeline",
            message,
            "`kubectl docmill status -A` lists all; -n chooses the namespace",
        )
    }

    /// All pipelines of the namespace, or of all.
    pub async fn list(&self, all_namespaces: bool) -> Result<Vec<IngestionPipeline>, Failure> {
        let api = self.pipelines_in(all_namespaces);
        let mut params = ListParams::default().limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = api.list(&params).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }
}
