//! `cluster_up`: a real cluster of this machine with docmill and a first pipeline, to try it. Ctrl-C ends all of it,
//! and what it had is gone. Wants root.
//!
//! `--documents PATH` hands in what is there and waits for it. `--mock` puts stand-ins in the place of models, for
//! measurements: `cargo xtask bench ask --k8s`.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use docmill_tests::cluster::{Api, Cluster, Installation, Options, Pipeline, lacking};
use docmill_tests::command::locate;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// Where kubectl looks where nothing is said, so that commands can be copied from the documentation.
const NAMESPACE: &str = "default";
/// The sample that is applied.
const SAMPLE: &str = "minimal";
/// Longest time until all of a new pipeline answers.
const READY_MAX: Duration = Duration::from_secs(600);
/// Longest time until all documents are in, in seconds: scans among them take minutes on two cores.
const DOCUMENTS_MAX_S: &str = "2400";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Stand-ins for models.
    mock: bool,
    /// What is handed in.
    documents: Option<PathBuf>,
}

impl Asked {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut asked = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--mock" => asked.mock = true,
                "--documents" => {
                    let path = arguments.next().context("--documents wants a file or a folder")?;
                    asked.documents = Some(path.into());
                }
                other => bail!("unknown argument {other}; there are --mock and --documents PATH"),
            }
        }
        Ok(asked)
    }

    /// What is otherwise than in the sample.
    fn patch(&self) -> Value {
        if !self.mock {
            return json!({});
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        json!({"spec": {
            "ask": {"benchmark": {"mockModel": true, "mockEmbeddings": true}},
            // As many as the server has that it is compared with, which runs beside it.
            "api": {"resources": {"limits": {"cpu": cores.to_string()}}},
        }})
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let wanted = Asked::read(std::env::args().skip(1))?;
    if let Some(lacking) = lacking() {
        bail!(lacking);
    }
    let mut asked = signal(SignalKind::interrupt())?;
    let mut ended = signal(SignalKind::terminate())?;
    let home = tempfile::tempdir()?;
    let place = home.path().to_owned();
    let started = tokio::task::spawn_blocking(move || start(&wanted, &place));
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

fn start(asked: &Asked, place: &Path) -> Result<Cluster> {
    println!("starting a cluster …");
    let cluster = Cluster::start("up", &Options { stock_autoscaling: true, ..Options::default() })?;
    println!("installing docmill …");
    cluster.restricted_namespace(NAMESPACE)?;
    cluster.install(&Installation::default())?;
    println!("applying manifests/samples/{SAMPLE}.yaml …");
    let pipeline = Pipeline::of_sample(&cluster, NAMESPACE, SAMPLE, &asked.patch())?;
    pipeline.apply()?;
    pipeline.wait_ready(READY_MAX)?;
    let api = pipeline.api()?;
    let key = place.join("key");
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&key)?;
    writeln!(file, "{}", api.key())?;
    if let Some(documents) = &asked.documents {
        hand_in(documents, &api, &key, place)?;
    }
    tell(&cluster, &pipeline, &api, &key)?;
    if asked.mock {
        println!(
            "\nModels are stand-ins here. With the exports above, beside `docmill serve`:\n\n\
             cargo xtask bench ask --k8s {}",
            api.url()
        );
    }
    Ok(cluster)
}

/// Hands in, and waits until all can be found.
fn hand_in(documents: &Path, api: &Api, key: &Path, place: &Path) -> Result<()> {
    println!("handing in {} …", documents.display());
    let status = Command::new(locate(None)?)
        .args(["--server", &api.url(), "submit", "--wait", "--timeout", DOCUMENTS_MAX_S])
        .arg(documents)
        .env("DOCMILL_API_KEY_FILE", key)
        .env_remove("DOCMILL_API_KEY")
        // What was handed in goes with the cluster, and so does what is noted of it.
        .env("XDG_STATE_HOME", place)
        .status()
        .context("cannot start docmill")?;
    ensure!(status.success(), "not all documents are in: docmill submit ended with {status}");
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Asked> {
        Asked::read(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn stand_ins_are_in_the_patch_where_they_are_asked_for() {
        assert_eq!(read(&[]).unwrap().patch(), json!({}));
        let asked = read(&["--documents", "docs", "--mock"]).unwrap();
        assert_eq!(asked, Asked { mock: true, documents: Some("docs".into()) });
        let stand_ins = json!({"mockModel": true, "mockEmbeddings": true});
        assert_eq!(asked.patch()["spec"]["ask"]["benchmark"], stand_ins);
        for wrong in [&["--documents"][..], &["--real"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
