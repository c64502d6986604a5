//! The life of a pipeline, once undisturbed and then once for every write in it, with the operator killed at that
//! write: each stage has to end as it did undisturbed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::http::Method;
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::sync::Notify;

use super::proxy::{Trap, When};
use super::state::Everything;
use super::subject::{LIMIT, Subject, World};
use crate::cluster::host::until;

/// Documents for three workers.
const DOCUMENTS: u64 = 250;

/// A part of a pipeline's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Created,
    Raised,
    Lowered,
    Changed,
    Deleted,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Created, Self::Raised, Self::Lowered, Self::Changed, Self::Deleted];

    /// Brings it about, as far as people and documents do.
    async fn begin(self, subject: &Subject<'_>) -> Result<()> {
        match self {
            Self::Created => subject.create().await,
            Self::Raised => {
                subject.recorder.forbid();
                subject.set_waiting(DOCUMENTS);
                Ok(())
            }
            Self::Lowered => {
                subject.recorder.allow();
                subject.set_waiting(0);
                Ok(())
            }
            Self::Changed => {
                subject.change(json!({"workers": {"concurrency": 6}, "api": {"replicas": 3}})).await
            }
            Self::Deleted => subject.delete().await,
        }
    }

    /// Whether its end is in sight. Asked of the undisturbed life only, which is the measure of all others.
    async fn is_done(self, subject: &Subject<'_>) -> Result<bool> {
        let desired = async || {
            let status = subject.pipeline().await?.and_then(|pipeline| pipeline.status).unwrap_or_default();
            anyhow::Ok(status.scaling.map(|scaling| scaling.desired))
        };
        Ok(match self {
            Self::Created => subject.has_all().await? && desired().await? == Some(0),
            Self::Raised => subject.workers().await? == Some(3) && desired().await? == Some(3),
            Self::Lowered => subject.workers().await? == Some(0) && desired().await? == Some(0),
            Self::Changed => subject.has_all().await?,
            Self::Deleted => subject.look().await?.is_empty(),
        })
    }
}

/// What the sweep found.
#[derive(Debug, Default)]
pub struct Swept {
    /// Writes of the undisturbed life.
    pub writes: usize,
    /// Lives in which the operator was killed.
    pub killed: usize,
    /// Lives of which a stage did not end as it did undisturbed.
    pub diverged: usize,
    /// Objects deleted that were declared.
    pub wrong_deletes: usize,
    /// Times that fewer workers were asked for without a cause.
    pub wrong_lowerings: usize,
}

/// Which lives are gone through, and how many at once.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// Every so many writes.
    pub every: usize,
    /// So many lives at once.
    pub jobs: usize,
}

/// Runs it.
///
/// # Errors
/// The undisturbed life does not come to its end, or the API server does not answer.
pub async fn run(world: &World, sweep: Sweep) -> Result<Swept> {
    let (ends, writes) = undisturbed(world).await.context("the undisturbed life")?;
    eprintln!("faults: {writes} writes undisturbed");
    let ends = &ends;
    let places =
        (1..=writes).step_by(sweep.every.max(1)).flat_map(|at| [(at, When::Before), (at, When::After)]);
    let lives = stream::iter(places).map(|(at, when)| async move {
        let life = Box::pin(disturbed(world, ends, at, when)).await;
        life.with_context(|| format!("the life that is disturbed {when:?} write {at}"))
    });
    let mut lives = lives.buffer_unordered(sweep.jobs.max(1));
    let mut swept = Swept { writes, ..Swept::default() };
    while let Some(life) = lives.next().await {
        let life = life?;
        swept.killed += usize::from(life.killed);
        swept.diverged += usize::from(life.diverged);
        swept.wrong_deletes += life.wrong_deletes;
        swept.wrong_lowerings += life.wrong_lowerings;
    }
    Ok(swept)
}

/// How each stage ends, and how many writes it took.
async fn undisturbed(world: &World) -> Result<(Vec<Everything>, usize)> {
    let subject = Subject::new(world, &[]).await?;
    subject.start().await?;
    let mut ends = Vec::new();
    for stage in Stage::ALL {
        stage.begin(&subject).await?;
        subject
            .settled(&format!("{stage:?}"), async |subject: &Subject<'_>| stage.is_done(subject).await)
            .await?;
        ends.push(subject.look().await?);
    }
    for (number, written) in subject.proxy.written().iter().enumerate() {
        eprintln!("faults: write {}: {}", number + 1, written.line());
    }
    Ok((ends, subject.proxy.written().len()))
}

struct Life {
    killed: bool,
    diverged: bool,
    wrong_deletes: usize,
    wrong_lowerings: usize,
}

async fn disturbed(world: &World, ends: &[Everything], at: usize, when: When) -> Result<Life> {
    let subject = Subject::new(world, &[]).await?;
    let killed = Arc::new(Notify::new());
    let (slot, tells) = (subject.operator.clone(), killed.clone());
    let kill = Box::new(move || {
        // It is gone when its handle is.
        drop(slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        tells.notify_one();
    });
    subject.proxy.set(Trap { at, when, kill });
    subject.start().await?;
    let mut was_killed = false;
    let diverged = {
        let living = live(&subject, ends);
        let starting = async {
            killed.notified().await;
            was_killed = true;
            subject.free_lease().await?;
            subject.start().await?;
            std::future::pending::<Result<()>>().await
        };
        tokio::select! {
            lived = living => lived?,
            started = starting => { started?; None }
        }
    };
    if let Some(said) = &diverged {
        eprintln!("faults: diverged, killed {when:?} write {at}: {said}\n{}", subject.log());
    }
    let is_wrong = |path: &str| !path.contains("-config-");
    let written = subject.proxy.written();
    let deleted =
        written.iter().filter(|written| written.method == Method::DELETE && is_wrong(&written.path));
    let life = Life {
        killed: was_killed,
        diverged: diverged.is_some(),
        wrong_deletes: deleted.count(),
        wrong_lowerings: subject.recorder.lowerings(),
    };
    if life.wrong_deletes + life.wrong_lowerings > 0 {
        let (deletes, lowerings) = (life.wrong_deletes, life.wrong_lowerings);
        eprintln!(
            "faults: killed {when:?} write {at}: wrong deletes {deletes}, wrong lowerings {lowerings}"
        );
    }
    Ok(life)
}

/// Goes through all stages; gives what is other than undisturbed where something stays so.
async fn live(subject: &Subject<'_>, ends: &[Everything]) -> Result<Option<String>> {
    for (stage, end) in Stage::ALL.into_iter().zip(ends) {
        stage.begin(subject).await?;
        let mut last = Everything::default();
        let came = until("the same end", LIMIT, async || {
            last = subject.look().await?;
            Ok(last == *end)
        })
        .await;
        if let Err(error) = came {
            return Ok(Some(format!("{stage:?}: {error:#}\n{}", end.difference(&last))));
        }
    }
    // What is deleted must not come back.
    let quiet = Duration::from_secs(1);
    until("nothing is written", LIMIT, async || Ok(subject.proxy.quiet_for() >= quiet)).await?;
    let is_back = !subject.look().await?.is_empty();
    Ok(is_back.then(|| "something came back after it was deleted".to_owned()))
}
