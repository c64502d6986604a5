//! Puts the parts together: who leads, keys, the metrics API, scaling, and the controller that looks at pipelines.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use futures::{StreamExt, TryStreamExt, stream};
use kube::runtime::controller::Config as ControllerConfig;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, WatchStreamExt, predicates};
use kube::{Api, Client, ResourceExt};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::args::Args;
use crate::build::Images;
use crate::certificates::secret::{Keeper, Materials};
use crate::certificates::{front_proxy, server_tls};
use crate::context::{Context, Settings, recorder};
use crate::leadership;
use crate::live::PipelineKey;
use crate::meters::Meters;
use crate::metrics_api::registration::{self, Registrar, Registration, Target};
use crate::metrics_api::{access, server};
use crate::reconcile::{again, reconcile};
use crate::resource::IngestionPipeline;
use crate::scaling::{ApiSettings, Key, KubeHands, PipelineApi, Pipelines, Signer, Tokens};
use crate::served::Served;
use crate::watches::{self, Known, Scope};

/// Name of the Lease of who leads.
const LEASE: &str = "docmill-operator";
/// Time between two looks for pipelines that went without anybody having seen it.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
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
    let health = tokio::spawn(answer_health(health, registry.clone(), ready.subscribe(), stop.clone()));

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
    // Nothing is done without keys: tokens could not be signed.
    let first = material.wait_for(Option::is_some).await.context("the keys' keeper ended")?.clone();
    let first = first.context("keys that were there are gone")?;
    let signer = |material: &crate::certificates::stored::Material| {
        let tokens = material.tokens();
        Signer::from_pkcs8_pem(tokens.pem().as_bytes(), Some(tokens.kid().to_owned()))
    };
    let tokens = Arc::new(Tokens::new(signer(&first)?));
    let settings = ApiSettings {
        base: args.pipeline_url.clone(),
        interval: Duration::from_millis(args.observe_every_ms),
    };
    let api = PipelineApi::new(settings, tokens.clone())?;
    let hands = Arc::new(KubeHands::new(client.clone(), api.clone()));
    let scaling = Pipelines::new(api, hands, is_leader.clone());
    let (mut materials, signing) = (material.clone(), tokens);
    parts.spawn(async move {
        while materials.changed().await.is_ok() {
            let newest = materials.borrow_and_update().clone();
            match newest.as_deref().map(signer) {
                Some(Ok(signer)) => signing.sign_with(signer),
                Some(Err(error)) => tracing::error!(%error, "a new key of tokens is not usable"),
                None => {}
            }
        }
    });
    let run_scaling = scaling.clone();
    parts.spawn(async move { run_scaling.run().await });

    let scope = args.watch_namespace.clone().map_or(Scope::Cluster, Scope::Namespace);
    let known = Known::default();
    if matches!(scope, Scope::Cluster) {
        parts.spawn(watches::nodes(client.clone(), known.nodes.clone()));
    }
    let (store, pipelines) = pipelines(&client, &scope, &scaling);
    let registration = serve_metrics(
        &client, args, registry, &scaling, &store, &known, &material, &is_leader, &stop, &mut parts,
    )
    .await?;
    let has_service_monitors = client.list_api_group_resources("monitoring.coreos.com/v1").await.is_ok();
    let leader = meters.leader.clone();
    let mut leads = is_leader.clone();
    parts.spawn(async move {
        loop {
            leader.set(i64::from(*leads.borrow_and_update()));
            if leads.changed().await.is_err() {
                return;
            }
        }
    });
    let triggers = watches::triggers(&client, &scope, &known, &scaling).map(reference);
    let news =
        scaling.news().map(|key| reference(PipelineKey { namespace: key.namespace, name: key.name }));
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
    parts.spawn(sweep(store.clone(), context.clone()));
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

/// Pipelines that are declared: the store of them, and those of which something but status changed.
fn pipelines(
    client: &Client,
    scope: &Scope,
    scaling: &Pipelines,
) -> (
    Store<IngestionPipeline>,
    impl futures::Stream<Item = Result<IngestionPipeline, watcher::Error>> + Send + 'static,
) {
    let (store, writer) = reflector::store();
    let api: Api<IngestionPipeline> = scope.api(client.clone());
    let scaling = scaling.clone();
    let mut newest = Newest::default();
    let stream = watcher::watcher(api, watcher::Config::default())
        .default_backoff()
        .try_filter(move |event| std::future::ready(newest.is_news(event)))
        .modify(|pipeline| {
            // Of no use here, and more than half of each.
            pipeline.metadata.managed_fields = None;
            let last = "kubectl.kubernetes.io/last-applied-configuration";
            pipeline.annotations_mut().remove(last);
        })
        .inspect(move |event| {
            if let Ok(Event::Delete(pipeline)) = event {
                scaling.remove(&Key::new(pipeline.namespace().unwrap_or_default(), pipeline.name_any()));
            }
        })
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::generation, kube::runtime::PredicateConfig::default());
    (store, stream)
}

/// The newest version of each pipeline that was seen. A watch that goes back in time, as of an API server that fell
/// behind, shows what was declared before; only a list, which is read consistently, may do so.
#[derive(Default)]
struct Newest(HashMap<String, u128>);

impl Newest {
    fn is_news(&mut self, event: &Event<IngestionPipeline>) -> bool {
        match event {
            Event::Init => {
                self.0.clear();
                true
            }
            Event::InitDone => true,
            Event::InitApply(pipeline) | Event::Apply(pipeline) => {
                let version =
                    pipeline.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0);
                let newest = self.0.entry(pipeline.uid().unwrap_or_default()).or_default();
                let is_news = version >= *newest;
                *newest = version.max(*newest);
                is_news
            }
            Event::Delete(pipeline) => {
                self.0.remove(&pipeline.uid().unwrap_or_default());
                true
            }
        }
    }
}

/// Forgets pipelines that went while nobody watched.
async fn sweep(store: Store<IngestionPipeline>, context: Arc<Context>) {
    let mut known = std::collections::BTreeSet::new();
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let now: std::collections::BTreeSet<PipelineKey> = store
            .state()
            .iter()
            .map(|pipeline| PipelineKey {
                namespace: pipeline.namespace().unwrap_or_default(),
                name: pipeline.name_any(),
            })
            .collect();
        for gone in known.difference(&now) {
            context.scaling.remove(&Key::new(&gone.namespace, &gone.name));
            context.applier.forget(gone);
            context.meters.forget(gone);
        }
        known = now;
    }
}

fn reference(key: PipelineKey) -> ObjectRef<IngestionPipeline> {
    ObjectRef::new(&key.name).within(&key.namespace)
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

#[allow(clippy::too_many_arguments)]
async fn serve_metrics(
    client: &Client,
    args: &Args,
    registry: &Registry,
    scaling: &Pipelines,
    store: &Store<IngestionPipeline>,
    known: &Known,
    materials: &Materials,
    is_leader: &watch::Receiver<bool>,
    stop: &watch::Receiver<bool>,
    parts: &mut tokio::task::JoinSet<()>,
) -> Result<watch::Receiver<Option<Registration>>> {
    let Some(service) = &args.metrics_api_service else { return Ok(registration::disabled()) };
    let (seen, front_proxy) = front_proxy::channel();
    parts.spawn(front_proxy::watch_cluster(client.clone(), seen));
    let tls = server_tls::ServerTls::new();
    let dns = vec![format!("{service}.{}.svc", args.namespace), format!("{service}.{}", args.namespace)];
    parts.spawn(server_tls::keep(tls.clone(), dns, materials.clone(), front_proxy.clone()));
    let values = Served {
        scaling: scaling.clone(),
        store: store.clone(),
        index: known.index.clone(),
        is_leader: is_leader.clone(),
    };
    let access = Arc::new(access::Reviewed::new(client.clone()));
    let metrics = server::MetricsApi::new(Arc::new(values), access, front_proxy, registry)?;
    let listener = TcpListener::bind(args.metrics_api_listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.metrics_api_listen))?;
    parts.spawn(server::serve(listener, metrics, tls, stop.clone()));
    let Some(role) = &args.owner_cluster_role else { return Ok(registration::disabled()) };
    let target = Target { namespace: args.namespace.clone(), name: service.clone(), port: 443 };
    let (registrar, registration) = Registrar::new(client.clone(), target, role);
    parts.spawn(registrar.run(is_leader.clone(), materials.clone()));
    Ok(registration)
}

async fn answer_health(
    listener: TcpListener,
    registry: Registry,
    ready: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let is_ready = async move || match *ready.borrow() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: no keys yet\n"),
    };
    let render = async move || {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&registry.gather(), &mut text);
        let status = if encoded.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, [("content-type", "text/plain; version=0.0.4")], text)
    };
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(is_ready))
        .route("/metrics", get(render));
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    if let Err(error) = serving.await {
        tracing::warn!(%error, "health is answered no more");
    }
}
