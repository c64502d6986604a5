//! What a cluster is made of, and taking pieces of it away.

use anyhow::Result;

use super::Cluster;

/// A process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// What the API server keeps its objects in.
    Etcd,
    /// The API server.
    ApiServer,
    /// Deployments, jobs, autoscalers, garbage and the like.
    ControllerManager,
    /// Gives pods their node.
    Scheduler,
    /// Gives claims their volumes.
    Provisioner,
    /// Runs containers.
    Containerd,
    /// The node's own agent.
    Kubelet,
    /// Leads addresses of services to pods.
    KubeProxy,
    /// Names of services.
    NameServer,
}

impl Component {
    /// All of them, in the order in which they start.
    pub const ALL: [Self; 9] = [
        Self::Etcd,
        Self::Containerd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Provisioner,
        Self::Kubelet,
        Self::KubeProxy,
        Self::NameServer,
    ];

    /// Its name in the script.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Provisioner => "provisioner",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::NameServer => "coredns",
        }
    }
}

impl Cluster {
    /// Asks a component to end and waits until it did; after ten seconds it is killed.
    ///
    /// # Errors
    /// The script failed.
    pub fn stop_component(&self, component: Component) -> Result<()> {
        self.script(&["stop", component.name()]).map(drop)
    }

    /// Kills a component as a machine dies.
    ///
    /// # Errors
    /// The script failed.
    pub fn kill_component(&self, component: Component) -> Result<()> {
        self.script(&["stop", component.name(), "KILL"]).map(drop)
    }

    /// Starts a component that was stopped or killed as it was before. It need not be ready yet.
    ///
    /// # Errors
    /// It runs, or never did.
    pub fn start_component(&self, component: Component) -> Result<()> {
        self.script(&["again", component.name()]).map(drop)
    }

    /// Stops a component in the middle of what it does. A node whose kubelet says nothing is not ready after
    /// 20 seconds.
    ///
    /// # Errors
    /// The script failed.
    pub fn pause_component(&self, component: Component) -> Result<()> {
        self.script(&["signal", component.name(), "STOP"]).map(drop)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// The script failed.
    pub fn resume_component(&self, component: Component) -> Result<()> {
        self.script(&["signal", component.name(), "CONT"]).map(drop)
    }
}
