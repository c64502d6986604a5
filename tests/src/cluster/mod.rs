//! A real Kubernetes cluster: API server, controllers, scheduler, name server, and a node that runs pods, all
//! in a network namespace of their own. `cargo xtask setup` builds it; tests/cluster says how it is put together.
//!
//! A keeper, a script, waits for the end of its input, which comes when the process that holds the other end
//! is gone in whatever way; it then takes the cluster down.

mod api;
mod component;
pub mod day2;
pub mod documents;
pub mod e2e;
pub mod faults;
mod following;
pub mod host;
pub mod install;
pub mod latency;
mod network;
mod object;
mod pipeline;
mod replicas;
pub mod sandbox;
pub mod scale;
mod wait;

pub use api::{Accepted, Api, Counts};
pub use component::Component;
pub use install::{Installation, lacking};
pub use object::{condition, merge};
pub use pipeline::Pipeline;
pub use replicas::{Change, Replicas};
pub use wait::wait_for;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::services::{cache, process};

/// Where setup puts the programs, below the cache: a folder for each state of their sources.
const PROGRAMS: &str = "services/cluster";
/// Where setup puts Helm, below the cache.
const HELM: &str = "services/helm/helm";
/// What the scripts of all clusters share: locks, and what each said.
const SHARED: &str = "/run/docmill-clusters";
/// An image that every node has: a shell, with little around it.
pub const BUSYBOX: &str = "localhost/busybox:dev";
/// The storage class of claims that name none: folders of this machine, which may grow.
pub const STORAGE_CLASS: &str = "local";
/// Longest time until a cluster is gone.
const DOWN_MAX: Duration = Duration::from_secs(120);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of each log that are shown when a cluster does not come up.
const LOG_LINES_SHOWN: usize = 10;

/// How a cluster is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Has a node that runs pods; without it there is the API and what acts on it, and starts are faster.
    pub node: bool,
    /// Autoscalers are as fast as a released cluster's (every 15 s, shrinking after 5 min), not as a test's.
    pub stock_autoscaling: bool,
    /// Further flags of the API server, between spaces.
    pub api_server_flags: String,
    /// Further flags of the controller manager.
    pub controller_flags: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node: true,
            stock_autoscaling: false,
            api_server_flags: String::new(),
            controller_flags: String::new(),
        }
    }
}

/// A running cluster; it goes with its handle.
pub struct Cluster {
    name: String,
    home: PathBuf,
    programs: PathBuf,
    kubeconfig: PathBuf,
    keeper: Child,
}

impl Cluster {
    /// Starts a cluster and waits until its API answers and its node is ready. Clusters of other names may
    /// run beside; a second one of this name waits for the first to go. The name is of small letters, digits
    /// and dashes.
    ///
    /// # Errors
    /// It is not installed, this is not root, or a part does not come up: the error has the ends of the logs.
    pub fn start(name: &str, options: &Options) -> Result<Self> {
        let home = PathBuf::from(format!("/tmp/docmill-cluster-{name}"));
        let programs = programs()?;
        let mut command = script(name, &home, &programs);
        command.arg("keep").args((!options.node).then_some("--no-node"));
        if options.stock_autoscaling {
            command.env("CLUSTER_HPA", "stock");
        }
        command.env("CLUSTER_APISERVER_FLAGS", &options.api_server_flags);
        command.env("CLUSTER_CONTROLLER_FLAGS", &options.controller_flags);
        // A signal to all of the test is not for what cleans up after it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let keeper = command.spawn().context("cannot start cluster.sh")?;
        let kubeconfig = home.join("kubeconfig");
        let mut cluster = Self { name: name.to_owned(), home, programs, kubeconfig, keeper };
        let mut said = String::new();
        let output = cluster.keeper.stdout.take().context("its output is a pipe")?;
        BufReader::new(output).read_line(&mut said)?;
        ensure!(said.trim() == "up 0", "the cluster {name} did not come up\n{}", cluster.all_logs());
        cluster.script(&["expose", &process::free_port().to_string()])?;
        Ok(cluster)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator's kubeconfig, of use to any process of this machine.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where the volumes of claims are, each under its claim's uid.
    pub fn volumes(&self) -> PathBuf {
        self.home.join("volumes")
    }

    /// Runs kubectl and gives its output.
    ///
    /// # Errors
    /// It failed; the error has what it said.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        output(self.kubectl_command().args(args), None)
    }

    /// The same with an input, as `-f -` reads it.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        output(self.kubectl_command().args(args), Some(input))
    }

    /// Applies manifests.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl_with(&["apply", "-f", "-"], manifests)
    }

    /// kubectl for this cluster, to be run as a test likes.
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(self.programs.join("kubectl"));
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", self.home.join("kubectl"));
        command
    }

    /// Runs helm and gives its output.
    ///
    /// # Errors
    /// It failed; the error has what it said.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(cache()?.join(HELM));
        command.env("KUBECONFIG", &self.kubeconfig);
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.join("helm").join(folder));
        }
        output(command.args(args), None)
    }

    /// Gives the node an image from an archive. The archive says its full name, such as
    /// `localhost/docmill:dev`; pods take it with `imagePullPolicy: Never`.
    ///
    /// # Errors
    /// It is no image.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        self.script(&["load", archive.to_str().context("the path is UTF-8")?]).map(drop)
    }

    /// Gives an image that the node has another name beside its own, as if that had been fetched.
    ///
    /// # Errors
    /// There is none of the one name, or one of the other.
    pub fn tag_image(&self, image: &str, name: &str) -> Result<()> {
        self.script(&["tag", image, name]).map(drop)
    }

    /// Runs a command in the cluster's network, where addresses of services and pods lead somewhere.
    ///
    /// # Errors
    /// It failed; the error has what it said.
    pub fn exec(&self, command: &[&str]) -> Result<String> {
        self.script(&[&["exec"][..], command].concat())
    }

    /// What a component wrote, where it was started.
    pub fn log(&self, component: Component) -> String {
        let path = self.home.join("logs").join(format!("{}.log", component.name()));
        std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// What the script said, and the end of each log.
    fn all_logs(&self) -> String {
        let log = Path::new(SHARED).join(format!("{}.log", self.name));
        let mut shown = std::fs::read_to_string(log).unwrap_or_default();
        for component in Component::ALL {
            let log = self.log(component);
            let lines: Vec<&str> = log.lines().collect();
            if !lines.is_empty() {
                let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
                shown += &format!("--- {}\n{}\n", component.name(), last.join("\n"));
            }
        }
        shown
    }

    fn script(&self, args: &[&str]) -> Result<String> {
        output(script(&self.name, &self.home, &self.programs).args(args), None)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input.
        drop(self.keeper.stdin.take());
        let began = Instant::now();
        while began.elapsed() < DOWN_MAX {
            match self.keeper.try_wait() {
                Ok(None) => std::thread::sleep(LOOK_EVERY),
                Ok(Some(status)) if status.success() => return,
                _ => break,
            }
        }
        eprintln!("the cluster {} is not all gone: {SHARED}/{}.log says more", self.name, self.name);
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cluster"))
}

/// The programs that were built from the sources as they are.
fn programs() -> Result<PathBuf> {
    // The script has the one definition of the key, for setup too.
    let key = output(Command::new(folder().join("build.sh")).arg("key"), None)?;
    let programs = cache()?.join(PROGRAMS).join(key.trim());
    ensure!(programs.is_dir(), "no {}: `cargo xtask setup` builds it", programs.display());
    Ok(programs)
}

fn script(name: &str, home: &Path, programs: &Path) -> Command {
    let mut command = Command::new(folder().join("cluster.sh"));
    command.env("CLUSTER_NAME", name).env("CLUSTER_HOME", home).env("CLUSTER_BIN", programs);
    command
}

fn output(command: &mut Command, input: Option<&str>) -> Result<String> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let command = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let sent = match (child.stdin.take(), input) {
        // Small against the other pipes' room: what it says meanwhile fits.
        (Some(mut stdin), Some(input)) => stdin.write_all(input.as_bytes()),
        _ => Ok(()),
    };
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{command:?} failed ({}):\n{}", output.status, String::from_utf8_lossy(&said).trim_end());
    }
    sent.context("it did not read its input")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
