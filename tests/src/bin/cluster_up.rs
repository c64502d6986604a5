//! `cluster_up`: a real cluster of this machine with docmill and a first pipeline, to try it. Ctrl-C ends all of it,
//! and what it had is gone. Wants root.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use docmill_tests::cluster::{Api, Cluster, Installation, Options, Pipeline, lacking};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Where kubectl looks where nothing is said, so that commands can be copied from the documentation.
const NAMESPACE: &str = "default";
/// The sample that is applied.
const SAMPLE: &str = "minimal";
/// Longest time until all of a new pipeline answers.
const READY_MAX: Duration = Duration::from_secs(600);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    if let Some(argument) = std::env::args().nth(1) {
        bail!("unknown argument {argument}; there are none");
    }
    if let Some(lacking) = lacking() {
        bail!(lacking);
    }
    let mut asked = signal(SignalKind::interrupt())?;
    let mut ended = signal(SignalKind::terminate())?;
    let home = tempfile::tempdir()?;
    let key = home.path().join("key");
    let started = tokio::task::spawn_blocking(move || start(&key));
    let cluster = tokio::select! {
        cluster = started => Some(cluster??),
        // The end of this process is the end of the cluster.
        _ = asked.recv() => None,
        _ = ended.recv() => None,
    };
    let Some(cluster) = cluster else {
        drop(home);
        std::process::exit(130)
    };
    tokio::select! {
        _ = asked.recv() => {}
        _ = ended.recv() => {}
    }
    println!("ending …");
    // It waits until all of it is gone.
    tokio::task::block_in_place(|| drop(cluster));
    Ok(())
}

fn start(key: &Path) -> Result<Cluster> {
    println!("starting a cluster …");
    let cluster = Cluster::start("up", &Options { stock_autoscaling: true, ..Options::default() })?;
    println!("installing docmill …");
    cluster.restricted_namespace(NAMESPACE)?;
    cluster.install(&Installation::default())?;
    println!("applying manifests/samples/{SAMPLE}.yaml …");
    let pipeline = Pipeline::of_sample(&cluster, NAMESPACE, SAMPLE, &json!({}))?;
    pipeline.apply()?;
    pipeline.wait_ready(READY_MAX)?;
    let api = pipeline.api()?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(key)?;
    writeln!(file, "{}", api.key())?;
    tell(&cluster, &pipeline, &api, key)?;
    Ok(cluster)
}

fn tell(cluster: &Cluster, pipeline: &Pipeline<'_>, api: &Api, key: &Path) -> Result<()> {
    let command = cluster.kubectl_command();
    let programs = Path::new(command.get_program()).parent().context("kubectl is in a folder")?;
    let name = pipeline.name();
    // `kubectl docmill` is a program beside this one.
    let ours = std::env::current_exe()?;
    let ours = ours.parent().context("this program is in a folder")?;
    println!(
        "\nA cluster is up, with docmill in docmill-system and the pipeline {name}. In another terminal, as root:\n\n\
         export KUBECONFIG={} PATH={}:{}:$PATH\n\
         export DOCMILL_SERVER={} DOCMILL_API_KEY_FILE={}\n\
         kubectl get ingp {name} --watch\n\
         docmill submit docs --wait\n\
         kubectl docmill status {name}\n\
         kubectl get pods\n\
         kubectl events --for ingp/{name}\n\n\
         docs/kubernetes.md says what else to try; the API is forwarded already.\n\
         Addresses of Services and pods lead somewhere within the cluster's network:\n\n\
         sudo ip netns exec docmill-{} curl http://…\n\n\
         Ctrl-C ends all of it; what it had is gone then.",
        cluster.kubeconfig().display(),
        programs.display(),
        ours.display(),
        api.url(),
        key.display(),
        cluster.name(),
    );
    Ok(())
}
