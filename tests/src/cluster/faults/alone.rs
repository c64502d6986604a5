//! Who leads: two operators of which one writes, an API server that starts again, and no operator at all.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::Found;
use super::proxy::Proxy;
use super::subject::{LIMIT, Subject, World};
use crate::cluster::Component;
use crate::cluster::host::{self, Operator, Settings, until};

/// Times that the number of workers changes while two operators run.
const CHANGES: u64 = 4;

/// Two operators: only one writes; when it is killed, the other leads within twenty seconds and goes on.
pub async fn two(world: &World) -> Result<Found> {
    let subject = Subject::begun(world, &[]).await?;
    let folder = TempDir::with_prefix("docmill-faults-second-")?;
    let proxy = Proxy::start(host::client(world.cluster.kubeconfig()).await?).await?;
    let kubeconfig = folder.path().join("kubeconfig");
    proxy.write_kubeconfig(&kubeconfig)?;
    subject.mount().await?;
    let settings =
        Settings { kubeconfig, log: folder.path().join("operator.log"), ..subject.settings().clone() };
    let second = Operator::start(&settings)?;
    second.ready().await?;

    let first = subject.holder().await?;
    for change in 1..=CHANGES {
        let workers = 1 + change % 3;
        subject.scale(workers * 100, i32::try_from(workers)?).await?;
    }
    subject.scale(250, 3).await?;
    let follower_writes = proxy.written().len();
    ensure!(!second.leads().await?, "both say that they lead");
    ensure!(subject.holder().await? == first, "the Lease changed hands without a cause");

    // As a machine dies: nobody gives the Lease back.
    subject.recorder.forbid();
    let slot = subject.operator.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    drop(slot);
    let killed = Instant::now();
    until("the other leads", LIMIT, async || second.leads().await).await?;
    let take_over_s = killed.elapsed().as_secs_f64();
    ensure!(subject.holder().await? != first, "the Lease names who is gone");
    subject.scale(550, 6).await.context("the other does not scale")?;
    let wrong_lowerings = subject.recorder.lowerings();
    Ok(Found { follower_writes, take_over_s, wrong_lowerings, ..Found::default() })
}

/// The API server ends and starts again: nothing goes for it, and all goes on.
pub async fn restart(world: &World) -> Result<Found> {
    let subject = Subject::begun(world, &[]).await?;
    subject.api_runs().await?;
    subject.scale(250, 3).await?;
    subject
        .settled("three workers", async |subject: &Subject<'_>| Ok(subject.workers().await? == Some(3)))
        .await?;
    let since = subject.ready_since().await?;
    let before = subject.look().await?;
    subject.recorder.forbid();
    let writes = subject.proxy.written().len();
    for kill in [false, true] {
        match kill {
            false => world.cluster.stop_component(Component::ApiServer)?,
            true => world.cluster.kill_component(Component::ApiServer)?,
        }
        world.cluster.start_component(Component::ApiServer)?;
        let ready = async || anyhow::Ok(world.cluster.kubectl(&["get", "--raw", "/readyz"]).is_ok());
        until("the API server", Duration::from_secs(180), ready).await?;
        until("the same again", LIMIT, async || Ok(subject.look().await.is_ok_and(|now| now == before)))
            .await
            .with_context(|| subject.log())?;
    }
    let deleted = subject.proxy.written().iter().skip(writes).filter(|one| one.method == "DELETE").count();
    let flips = usize::from(subject.ready_since().await? != since);
    subject.scale(550, 6).await.with_context(|| subject.log())?;
    let wrong_lowerings = subject.recorder.lowerings();
    Ok(Found { wrong_deletes: deleted, wrong_lowerings, flips, ..Found::default() })
}

/// No operator for a while: what is there stays, and Ready does not turn. When it is back, it finds all as it was.
pub async fn away(world: &World, away: Duration) -> Result<Found> {
    let subject = Subject::begun(world, &[]).await?;
    subject.api_runs().await?;
    subject.scale(250, 3).await?;
    subject
        .settled("three workers", async |subject: &Subject<'_>| Ok(subject.workers().await? == Some(3)))
        .await?;
    let since = subject.ready_since().await?;
    ensure!(since.is_some(), "it is not Ready");
    let before = subject.look().await?;
    subject.recorder.forbid();
    subject.kill().await?;
    let (began, mut flips) = (Instant::now(), 0);
    let over = async || {
        flips += usize::from(subject.ready_since().await? != since);
        ensure!(subject.look().await? == before, "something changed with nobody there");
        anyhow::Ok(began.elapsed() >= away)
    };
    until("the time is over", away + LIMIT, over).await?;
    let writes = subject.proxy.written().len();
    subject.start().await?;
    subject.looked().await?;
    subject.settled("all its objects", Subject::has_all).await?;
    flips += usize::from(subject.ready_since().await? != since);
    ensure!(subject.look().await? == before, "it is other than it was before the operator was away");
    let deleted = subject.proxy.written().iter().skip(writes).filter(|one| one.method == "DELETE").count();
    subject.scale(550, 6).await.with_context(|| subject.log())?;
    let wrong_lowerings = subject.recorder.lowerings();
    Ok(Found { wrong_deletes: deleted, wrong_lowerings, flips, ..Found::default() })
}
