//! Asks the metrics API as Kubernetes' API server does: with the front proxy's certificate, at a steady rate. The time
//! of an answer counts from when it was to be asked, so that a slow one hides none of those after it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use docmill_operator::certificates::secret::SECRET;
use docmill_operator::certificates::stored::AUTHORITY;
use docmill_operator::metrics_api::{GROUP, VERSION};
use docmill_operator::names::{METRIC, PIPELINE_LABEL};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Identity};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{OPERATORS, Options};
use crate::cluster::Cluster;
use crate::cluster::host::until;

/// The Service that autoscalers would reach it by.
pub const SERVICE: &str = "docmill-metrics-api";
/// Questions a second.
const RATE: u32 = 200;
/// Longest time until it answers at all.
const READY_MAX: Duration = Duration::from_secs(60);

/// Asks, and gives the time of the slowest answer but for one in a hundred, in milliseconds.
///
/// # Errors
/// An answer is not what it should be.
pub async fn ask(
    cluster: &Cluster,
    client: &Client,
    port: u16,
    options: &Options,
    place: fn(usize) -> (String, String),
) -> Result<f64> {
    let http = front_proxy(cluster, client, port).await?;
    let url = |number: usize| {
        let (namespace, name) = place(number % options.pipelines.max(1));
        format!(
            "https://{}:{port}/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{METRIC}?labelSelector={}%3D{name}",
            host(),
            PIPELINE_LABEL.replace('/', "%2F"),
        )
    };
    let first = url(0);
    until("the metrics API answers", READY_MAX, async || {
        Ok(http.get(&first).send().await.is_ok_and(|answer| answer.status().is_success()))
    })
    .await?;

    let mut timer = interval(Duration::from_secs(1) / RATE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asking = JoinSet::new();
    for number in 0..options.requests {
        let due = timer.tick().await.into_std();
        let request = http.get(url(number)).send();
        asking.spawn(async move {
            let answer = request.await?;
            let status = answer.status();
            let text = answer.text().await?;
            ensure!(status.is_success() && text.contains("metricName"), "{status}: {text}");
            anyhow::Ok(Instant::now().saturating_duration_since(due))
        });
    }
    let mut times = Vec::with_capacity(options.requests);
    while let Some(asked) = asking.join_next().await {
        times.push(asked??);
    }
    Ok(p99(times).as_secs_f64() * 1_000.0)
}

/// A client that is believed to speak for others.
async fn front_proxy(cluster: &Cluster, client: &Client, port: u16) -> Result<reqwest::Client> {
    let pki = cluster.kubeconfig().parent().context("a kubeconfig in a folder")?.join("pki");
    let mut pem = std::fs::read(pki.join("front-proxy-client.crt"))?;
    pem.extend(std::fs::read(pki.join("front-proxy-client.key"))?);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), OPERATORS);
    let data = secrets.get(SECRET).await?.data.unwrap_or_default();
    let authority = data.get(AUTHORITY).context("the operator's authority")?;
    let mut headers = HeaderMap::new();
    headers.insert("x-remote-user", HeaderValue::from_static("system:kube-controller-manager"));
    headers.insert("x-remote-group", HeaderValue::from_static("system:masters"));
    Ok(reqwest::Client::builder()
        .no_proxy()
        .identity(Identity::from_pem(&pem)?)
        .tls_certs_only([Certificate::from_pem(&authority.0)?])
        .resolve(&host(), SocketAddr::from(([127, 0, 0, 1], port)))
        .default_headers(headers)
        .build()?)
}

/// The name in the server's certificate.
fn host() -> String {
    format!("{SERVICE}.{OPERATORS}.svc")
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_may_be_slower() {
        let ms = |count: u64| (1..=count).map(Duration::from_millis).collect();
        assert_eq!(p99(ms(100)), Duration::from_millis(99));
        assert_eq!(p99(ms(1)), Duration::from_millis(1));
        assert_eq!(p99(Vec::new()), Duration::ZERO);
    }
}
