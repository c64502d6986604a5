//! Every pod that is ever made, by the standard for pods that is the strictest.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail, ensure};
use docmill_core::sizing::{Node, Resources};
use docmill_operator::build::{self, Images, Input, Volume};
use docmill_operator::child::Child;
use docmill_operator::names::Part;
use docmill_operator::plan;
use docmill_operator::resource::IngestionPipeline;
use docmill_tests::cluster::BUSYBOX;
use docmill_tests::cluster::install::repository;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::{Ground, installed};

/// A namespace that enforces the standard.
const NAMESPACE: &str = "restricted";
/// The account of pods that name none. Kubernetes makes it.
const DEFAULT: &str = "default";
/// What a refusal says.
const REFUSAL: &str = "violates PodSecurity \"restricted";

/// Kinds that the operator applies for any sample, each once.
pub fn resources() -> Result<Vec<ApiResource>> {
    let mut all = BTreeMap::new();
    for text in samples()?.into_values() {
        for child in built(&text)? {
            all.insert(child.resource.kind.clone(), child.resource);
        }
    }
    Ok(all.into_values().collect())
}

/// The operator's pod and those of all samples are admitted; the same as root are not, nor is one with all
/// rights.
pub fn are_admitted(ground: &Ground) -> Result<()> {
    ground.cluster.restricted_namespace(NAMESPACE)?;
    let mut pods = vec![pod("operator", &installed::template(&ground.cluster)?)];
    for (sample, text) in samples()? {
        let before = pods.len();
        let children = built(&text)?;
        for child in &children {
            if let Some(template) = child.object["spec"].get("template") {
                pods.push(pod(&format!("{sample}-{}", child.key().name), template));
            }
        }
        ensure!(pods.len() >= before + 2, "{sample} has no workers or no API");
    }
    make_accounts(ground, &pods)?;

    let api: Api<Pod> = Api::namespaced(ground.client.clone(), NAMESPACE);
    for mut pod in pods {
        let name = pod["metadata"]["name"].clone();
        let said = ground.runtime.block_on(try_out(&api, &pod))?;
        ensure!(said.is_none(), "{name} is refused: {}", said.unwrap_or_default());
        pod["spec"]["securityContext"]["runAsUser"] = json!(0);
        is_refused(ground, &api, &pod)?;
    }
    let container = json!({"name": "all", "image": BUSYBOX, "securityContext": {"privileged": true}});
    is_refused(ground, &api, &pod("privileged", &json!({"spec": {"containers": [container]}})))
}

/// All samples, by the names of their files without ending.
fn samples() -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(repository("manifests/samples"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("the name is UTF-8")?;
        all.insert(name.to_owned(), std::fs::read_to_string(&path)?);
    }
    ensure!(all.contains_key("minimal"), "there are only {:?}", all.keys());
    Ok(all)
}

/// All objects of a sample, in a cluster that knows every kind.
fn built(text: &str) -> Result<Vec<Child>> {
    let mut pipeline: IngestionPipeline =
        serde_saphyr::from_str(text).map_err(|error| anyhow!("{error}"))?;
    pipeline.metadata.namespace = Some(NAMESPACE.to_owned());
    pipeline.metadata.uid = Some("0a1b2c3d-0000-4000-8000-000000000001".to_owned());
    let resources = |cpu_milli, memory_mib| Resources { cpu_milli, memory_mib };
    let laptop = Node::of_allocatable(resources(2_000, 8_192), resources(1_900, 7_900));
    let plan = plan::make(&pipeline.spec, Some(laptop)).map_err(|problems| anyhow!("{problems:?}"))?;
    let images = Images {
        worker: "docmill/worker:1".to_owned(),
        redis: "redis:7".to_owned(),
        postgres: "pgvector/pgvector:pg16".to_owned(),
        neo4j: "neo4j:5.26-community".to_owned(),
        s3: "versity/versitygw:v1".to_owned(),
        ..Images::default()
    };
    let volume = |(number, part): (usize, Part)| {
        let uid = format!("{number:08}-0000-4000-8000-000000000000");
        (part, Volume { uid, storage_mib: 1, has_secret: true })
    };
    let volumes = Part::STORES.into_iter().enumerate().map(volume).collect();
    let input = Input {
        pipeline: &pipeline,
        plan: &plan,
        images: &images,
        volumes: &volumes,
        hpa: true,
        workers_there: 0,
        has_service_monitors: true,
        operator_namespace: "docmill-system",
        operator_keys_pem: "-----BEGIN PUBLIC KEY-----\n",
    };
    let mut all = build::volumes(&input);
    all.extend(build::children(&input));
    Ok(all)
}

/// The pod of a template.
fn pod(name: &str, template: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"],
    });
    pod["metadata"]["name"] = json!(name);
    pod
}

/// Accounts of the pods: without them, these are refused for another reason.
fn make_accounts(ground: &Ground, pods: &[Value]) -> Result<()> {
    let named: BTreeSet<&str> =
        pods.iter().filter_map(|pod| pod["spec"]["serviceAccountName"].as_str()).collect();
    ensure!(!named.is_empty(), "no pod has an account of its own");
    let api: Api<ServiceAccount> = Api::namespaced(ground.client.clone(), NAMESPACE);
    for name in named.into_iter().filter(|name| *name != DEFAULT) {
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(name.to_owned());
        ground.runtime.block_on(api.create(&PostParams::default(), &account))?;
    }
    let account = format!("serviceaccount/{DEFAULT}");
    let wait = ["--namespace", NAMESPACE, "wait", "--for=create", "--timeout=60s", &account];
    ground.cluster.kubectl(&wait).map(drop)
}

/// Why the API server would refuse a pod; none where it would take it.
async fn try_out(api: &Api<Pod>, pod: &Value) -> Result<Option<String>> {
    let pod: Pod = serde_json::from_value(pod.clone())?;
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(format!("{}: {}", status.code, status.message))),
        Err(error) => Err(error.into()),
    }
}

/// Succeeds where a pod is refused for what the standard says.
fn is_refused(ground: &Ground, api: &Api<Pod>, pod: &Value) -> Result<()> {
    let name = &pod["metadata"]["name"];
    match ground.runtime.block_on(try_out(api, pod))? {
        Some(said) if said.starts_with("403: ") && said.contains(REFUSAL) => Ok(()),
        Some(said) => bail!("{name} is refused for another reason: {said}"),
        None => bail!("{name} is admitted with all rights"),
    }
}
