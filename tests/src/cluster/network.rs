//! Ways from this machine's network into the cluster's.

use anyhow::Result;

use super::Cluster;
use crate::services::process::free_port;

impl Cluster {
    /// Makes a port of the cluster's network, such as a service's, reachable on loopback, and gives the port
    /// there. It lasts as long as the cluster.
    ///
    /// # Errors
    /// Nothing listens.
    pub fn forward(&self, address: &str, port: u16) -> Result<u16> {
        let here = free_port();
        self.script(&["forward", &here.to_string(), address, &port.to_string()])?;
        Ok(here)
    }

    /// The same for a service: the port that it has for its clients.
    ///
    /// # Errors
    /// There is no such service, or it has no address.
    pub fn forward_service(&self, namespace: &str, service: &str, port: u16) -> Result<u16> {
        let path = "jsonpath={.spec.clusterIP}";
        let address =
            self.kubectl(&["--namespace", namespace, "get", "service", service, "--output", path])?;
        self.forward(address.trim(), port)
    }

    /// Takes a way back; connections through it end.
    ///
    /// # Errors
    /// The script failed.
    pub fn unforward(&self, port: u16) -> Result<()> {
        self.script(&["unforward", &port.to_string()]).map(drop)
    }
}
