//! The metrics API, where this installation has one: its certificates, its server and its registration.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use kube::Client;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::args::Args;
use crate::certificates::secret::Materials;
use crate::certificates::{front_proxy, server_tls};
use crate::metrics_api::registration::{self, Registrar, Registration, Target};
use crate::metrics_api::{access, server};
use crate::served::Served;

/// Port of the Service that the metrics API is reached by.
const SERVICE_PORT: u16 = 443;

/// Starts what serves, and says how to find out whether the cluster's autoscalers ask us.
///
/// # Errors
///
/// The port is taken.
pub async fn serve(
    client: &Client,
    args: &Args,
    values: Served,
    materials: &Materials,
    registry: &Registry,
    stop: watch::Receiver<bool>,
    parts: &mut JoinSet<()>,
) -> Result<watch::Receiver<Option<Registration>>> {
    let Some(service) = &args.metrics_api_service else { return Ok(registration::disabled()) };
    let is_leader = values.is_leader.clone();
    let (seen, front_proxy) = front_proxy::channel();
    parts.spawn(front_proxy::watch_cluster(client.clone(), seen));
    let tls = server_tls::ServerTls::new();
    let dns = vec![format!("{service}.{}.svc", args.namespace), format!("{service}.{}", args.namespace)];
    parts.spawn(server_tls::keep(tls.clone(), dns, materials.clone(), front_proxy.clone()));
    let access = Arc::new(access::Reviewed::new(client.clone()));
    let metrics = server::MetricsApi::new(Arc::new(values), access, front_proxy, registry)?;
    let listener = TcpListener::bind(args.metrics_api_listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.metrics_api_listen))?;
    parts.spawn(server::serve(listener, metrics, tls, stop));
    let Some(role) = &args.owner_cluster_role else { return Ok(registration::disabled()) };
    let target = Target { namespace: args.namespace.clone(), name: service.clone(), port: SERVICE_PORT };
    let (registrar, registration) = Registrar::new(client.clone(), target, role);
    parts.spawn(registrar.run(is_leader, materials.clone()));
    Ok(registration)
}
