//! Puts the parts together: who leads, keys, the metrics API, scaling, and the controller that looks at pipelines.

mod declared;
mod health;
mod metrics;
mod signing;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::{StreamExt, stream};
use kube::runtime::Controller;
use kube::runtime::controller::Config as ControllerConfig;
use kube::{Api, Client};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::args::Args;
use crate::build::Images;
use crate::certificates::secret::Keeper;
use crate::context::{Context, Settings, recorder};
use crate::leadership;
use crate::meters::Meters;
use crate::pipeline_key::PipelineKey;
use crate::reconcile::{again, reconcile};
use crate::scaling::{ApiSettings, KubeHands, PipelineApi, Pipelines};
use crate::served::Served;
use crate::watches::{self, Known, Scope};

/// Name of the Lease of who leads.
const LEASE: &str = "docmill-operator";
/// Changes of one pipeline that come within this time are one look.
const TOGETHER: Duration = Duration::from_millis(50);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// There is no Kubernetes to talk to, a port is taken, or a part of the operator ended by itself.
pub async fn run(args: Args) -> Result<()> {
    // Of several providers that are compiled in, this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client =
        Client::try_default().await.context("no Kubernetes: neither in a pod nor by a kubeconfig")?;
    let registry = Registry::new();
    let meters = Meters::new(&registry)?;
    let (stopping, stop) = watch::channel(false);
    tokio::spawn(async move {
        signal().await;
        stopping.send_replace(true);
    });
    let (leading, is_leader) = watch::channel(false);
    let ready = watch::Sender::new(false);
    let health = TcpListener::bind(args.health_listen).await;
    let health = health.with_context(|| format!("cannot listen on {}", args.health_listen))?;
    let (shown, is_ready) = (meters.clone(), ready.subscribe());
    let health = tokio::spawn(health::answer(health, registry.clone(), shown, is_ready, stop.clone()));

    let election = elect(client.clone(), &args, &leading, stop.clone());
    let work = work(client.clone(), &args, meters, &registry, is_leader, &ready, stop.clone());
    let mut end = stop.clone();
    tokio::select! {
        result = election => result.context("the election ended")?,
        result = work => result?,
        _ = async {
            let _ = end.wait_for(|end| *end).await;
            // The Lease is given back by the election, which ends this.
            tokio::time::sleep(Duration::from_secs(10)).await;
        } => {}
    }
    health.abort();
    Ok(())
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

async fn elect(
    client: Client,
    args: &Args,
    leading: &watch::Sender<bool>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let leases = leadership::KubeLeases::new(Api::namespaced(client, &args.namespace), LEASE.to_owned());
    let me = leadership::identity(&args.pod_name)?;
    leadership::run(leases, LEASE, me, leading, stop).await;
    Ok(())
}

async fn work(
    client: Client,
    args: &Args,
    meters: Meters,
    registry: &Registry,
    is_leader: watch::Receiver<bool>,
    ready: &watch::Sender<bool>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut parts = tokio::task::JoinSet::new();
    let (keeper, mut material) = Keeper::new(client.clone(), &args.namespace, &args.certificates_dir, None);
    let leads = is_leader.clone();
    parts.spawn(async move { keeper.run(leads).await });
    // Nothing is done without keys: nobody would answer.
    let tokens = signing::first(&mut material).await?;
    parts.spawn(signing::keep(tokens.clone(), material.clone()));
    let settings = ApiSettings {
        base: args.pipeline_url.clone(),
        interval: Duration::from_millis(args.observe_every_ms),
    };
    let api = PipelineApi::new(settings, tokens)?;
    let hands = Arc::new(KubeHands::new(client.clone(), api.clone()));
    let scaling = Pipelines::new(api, hands, is_leader.clone());
    let run_scaling = scaling.clone();
    parts.spawn(async move { run_scaling.run().await });

    let scope = args.watch_namespace.clone().map_or(Scope::Cluster, Scope::Namespace);
    let known = Known::default();
    if matches!(scope, Scope::Cluster) {
        parts.spawn(watches::nodes(client.clone(), known.nodes.clone()));
    }
    let (store, pipelines) = declared::watch(&client, &scope, &scaling);
    let values = Served {
        scaling: scaling.clone(),
        store: store.clone(),
        index: known.index.clone(),
        is_leader: is_leader.clone(),
    };
    let registration =
        metrics::serve(&client, args, values, &material, registry, stop.clone(), &mut parts).await?;
    let has_service_monitors = client.list_api_group_resources("monitoring.coreos.com/v1").await.is_ok();
    parts.spawn(show_leader(meters.clone(), is_leader.clone()));
    let object_ref = |key: PipelineKey| key.object_ref();
    let triggers = watches::triggers(&client, &scope, &known, &scaling).map(object_ref);
    let news = scaling.news().map(object_ref);
    let context = Arc::new(Context {
        recorder: recorder(client.clone(), &args.pod_name),
        client,
        settings: Settings {
            namespace: args.namespace.clone(),
            images: images(args),
            has_service_monitors,
        },
        known,
        applier: crate::apply::Applier::default(),
        scaling,
        material: material.clone(),
        registration: registration.clone(),
        is_leader: is_leader.clone(),
        meters,
        failing: Mutex::default(),
    });
    parts.spawn(declared::sweep(store.clone(), context.clone()));
    let all = stream::select(
        stream::select(turns(is_leader), turns(material)),
        stream::select(turns(registration), every(args.resync_ms)),
    );
    ready.send_replace(true);
    let mut end = stop;
    let controller = Controller::for_stream(pipelines, store)
        .with_config(ControllerConfig::default().concurrency(args.concurrency).debounce(TOGETHER))
        .reconcile_on(triggers)
        .reconcile_on(news)
        .reconcile_all_on(all)
        .graceful_shutdown_on(async move {
            let _ = end.wait_for(|end| *end).await;
        })
        .run(reconcile, again, context)
        .for_each(|result| {
            if let Err(error) = result {
                tracing::debug!(%error, "a look at a pipeline ended early");
            }
            std::future::ready(())
        });
    tokio::select! {
        () = controller => Ok(()),
        Some(ended) = parts.join_next() => {
            ended.context("a part of the operator failed")?;
            anyhow::bail!("a part of the operator ended by itself")
        }
    }
}

/// Shows who leads. Who does not, shows no pipeline.
async fn show_leader(meters: Meters, mut leads: watch::Receiver<bool>) {
    loop {
        let is_leader = *leads.borrow_and_update();
        meters.leader.set(i64::from(is_leader));
        if !is_leader {
            meters.forget_all();
        }
        if leads.changed().await.is_err() {
            return;
        }
    }
}

/// A look at all pipelines whenever this turns.
fn turns<T: Send + Sync + 'static>(receiver: watch::Receiver<T>) -> stream::BoxStream<'static, ()> {
    stream::unfold(receiver, |mut receiver| async move {
        match receiver.changed().await {
            Ok(()) => Some(((), receiver)),
            // It turns no more.
            Err(_) => std::future::pending().await,
        }
    })
    .boxed()
}

/// A look at all pipelines at this interval; none without one.
fn every(interval_ms: Option<u64>) -> stream::BoxStream<'static, ()> {
    let Some(interval_ms) = interval_ms else { return stream::pending().boxed() };
    let mut timer = tokio::time::interval(Duration::from_millis(interval_ms));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    stream::unfold(timer, |mut timer| async move {
        timer.tick().await;
        Some(((), timer))
    })
    .boxed()
}

fn images(args: &Args) -> Images {
    Images {
        worker: args.worker_image.clone(),
        redis: args.redis_image.clone(),
        postgres: args.postgres_image.clone(),
        neo4j: args.neo4j_image.clone(),
        s3: args.s3_image.clone(),
        pull_policy: args.image_pull_policy.clone(),
        pull_secrets: args.image_pull_secrets.clone(),
    }
}
