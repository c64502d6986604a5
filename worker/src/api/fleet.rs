//! Queues and workers, which all tenants share: `/v1/queues`, `/v1/workers`, and for the operator
//! `/internal/v1/observations` and orders to workers.

use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use docmill_core::lane::Lane;
use futures::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::Shared;
use super::graph_memory::GraphMemory;
use super::problem::Problem;
use super::request::Params;
use crate::desk::{LaneCounts, LiveWorker};
use crate::queue::Depth;

/// How long an order to take no new work lasts; whoever gave it renews it.
pub const ORDER_LASTS: Duration = Duration::from_secs(60);
/// Time between two observations where nothing is said.
const INTERVAL_MS: u64 = 1_000;
/// Oldest observation that another stream is given, whatever its interval: an operator wants to see what comes.
const SHARED_MAX: Duration = Duration::from_millis(125);
/// Oldest counts of the ledger in an observation, but for the first of a stream: the server reads a row of each
/// unsettled document for them, and an operator goes by the queue as long as it answers.
const COUNTS_MAX: Duration = Duration::from_secs(1);
/// Longest wait for the queue's answer to an observation.
const QUEUE_WAIT: Duration = Duration::from_secs(2);

/// What waits in a lane.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LaneView {
    /// `small` or `large`.
    lane: &'static str,
    /// Entries that nobody has; absent while the queue does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u64>,
    /// Entries under a lease; absent while the queue does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<u64>,
    /// Entries that wait for their time, however far it is; absent while the queue does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    delayed: Option<u64>,
    /// Of those, the ones whose time comes within a minute; absent while the queue does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<u64>,
    /// Unsettled documents, as the ledger knows them.
    pub(super) unsettled: u64,
    /// Dead letters.
    dead: u64,
    /// How long the oldest unsettled document is there, in milliseconds; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) oldest_age_ms: Option<u64>,
}

/// What waits.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queues {
    /// Whether the queue answers. What is handed in meanwhile is kept by the ledger.
    queue_reachable: bool,
    /// By lane.
    lanes: Vec<LaneView>,
}

/// A worker that lives.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerView {
    /// Its name: the pod's, and what tells its starts apart.
    name: String,
    /// Its pod.
    pod: String,
    /// Documents in work.
    busy: u32,
    /// It is ordered to take no new work.
    draining: bool,
    /// It is ordered to, and has none left.
    drained: bool,
    /// When it started, in milliseconds since the Unix epoch.
    since_ms: u64,
    /// For how long it has been at its longest document, in milliseconds; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_document_ms: Option<u64>,
}

/// The workers that live.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// By name.
    pub(super) workers: Vec<WorkerView>,
}

/// What an operator needs to know at a moment: one line of the stream.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The ledger's time, in milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
    /// Whether the queue answers. Where it does not, its numbers are absent: unknown is not zero.
    pub(super) queue_reachable: bool,
    /// By lane.
    pub(super) lanes: Vec<LaneView>,
    /// Commits a second since the line before; absent in the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate_per_s: Option<f64>,
    /// Workers that live.
    pub(super) workers: Vec<WorkerView>,
    /// The memory that Neo4j has in force; absent while it does not answer, and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    neo4j_memory: Option<GraphMemory>,
}

/// How a stream is to be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    interval_ms: Option<u64>,
}

/// `GET /v1/queues`.
pub async fn queues(State(api): State<Shared>) -> Result<Json<Queues>, Problem> {
    let (_, now) = api.desk.commits().await?;
    let counts = api.desk.lane_counts().await?;
    let (lanes, queue_reachable) = lanes(&api, &counts, now).await;
    Ok(Json(Queues { queue_reachable, lanes }))
}

/// `GET /v1/workers`.
pub async fn workers(State(api): State<Shared>) -> Result<Json<Workers>, Problem> {
    let (workers, now) = api.desk.live_workers().await?;
    Ok(Json(Workers { workers: workers.into_iter().map(|worker| view(worker, now)).collect() }))
}

/// `POST /internal/v1/workers/{name}/drain`.
pub async fn drain(State(api): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    order(&api, &name, Some(ORDER_LASTS)).await
}

/// `POST /internal/v1/workers/{name}/resume`.
pub async fn resume(State(api): State<Shared>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    order(&api, &name, None).await
}

async fn order(api: &Shared, name: &str, lasts: Option<Duration>) -> Result<StatusCode, Problem> {
    match api.desk.order_drain(name, lasts).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::missing("worker", name)),
    }
}

/// `GET /internal/v1/observations`: a line now and one each interval, until either side ends it.
pub async fn observations(
    State(api): State<Shared>,
    Params(wanted): Params<Wanted>,
) -> Result<Response, Problem> {
    let interval = match wanted.interval_ms.unwrap_or(INTERVAL_MS) {
        ms @ 100..=60_000 => Duration::from_millis(ms),
        other => {
            let wrong = Problem::invalid("intervalMs", "is out of bounds", "100 to 60000");
            return Err(wrong.given(&other.to_string()));
        }
    };
    let mut timer = tokio::time::interval(interval);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let state = (api, timer, None);
    let lines = stream::unfold(state, move |(api, mut timer, mut before)| async move {
        let mut stop = api.stop.clone();
        tokio::select! {
            _ = timer.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return None,
        }
        // The first is looked up for this stream alone.
        let age_max = if before.is_some() { SHARED_MAX.min(interval / 2) } else { Duration::ZERO };
        let mut line = match observe(&api, age_max, &mut before).await {
            Ok(observation) => serde_json::to_vec(&observation).unwrap_or_default(),
            // The reader holds what it does: nothing is known.
            Err(problem) => {
                serde_json::to_vec(&serde_json::json!({ "problem": problem })).unwrap_or_default()
            }
        };
        line.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(line)), (api, timer, before)))
    });
    let head = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(lines)).into_response())
}

/// What was looked up last, for all streams: two operators do not ask twice as much.
#[derive(Default)]
pub struct Seen(Mutex<Option<Sight>>);

#[derive(Clone)]
struct Sight {
    looked: Instant,
    counted: Instant,
    counts: [LaneCounts; 2],
    commits: u64,
    /// Without a rate, which is each stream's own.
    observation: Observation,
}

impl Seen {
    /// What is not older than this; looked up where nothing is.
    async fn not_older(&self, api: &Shared, age_max: Duration) -> Result<Sight, Problem> {
        // Who comes meanwhile waits, and takes what is found then.
        let mut last = self.0.lock().await;
        if let Some(sight) = last.as_ref().filter(|sight| sight.looked.elapsed() < age_max) {
            return Ok(sight.clone());
        }
        let still_good = |sight: &&Sight| !age_max.is_zero() && sight.counted.elapsed() < COUNTS_MAX;
        let counts = last.as_ref().filter(still_good).map(|sight| (sight.counted, sight.counts));
        Ok(last.insert(look(api, counts).await?).clone())
    }
}

async fn look(api: &Shared, counts: Option<(Instant, [LaneCounts; 2])>) -> Result<Sight, Problem> {
    let looked = Instant::now();
    let (commits, at_ms) = api.desk.commits().await?;
    let (counted, counts) = match counts {
        Some(counts) => counts,
        None => (looked, api.desk.lane_counts().await?),
    };
    let (lanes, queue_reachable) = lanes(api, &counts, at_ms).await;
    let (workers, now) = api.desk.live_workers().await?;
    let workers = workers.into_iter().map(|worker| view(worker, now)).collect();
    let neo4j_memory = api.graph_memory.last();
    let rate_per_s = None;
    let observation = Observation { at_ms, queue_reachable, lanes, rate_per_s, workers, neo4j_memory };
    Ok(Sight { looked, counted, counts, commits, observation })
}

/// What is there now, not older than this, with the rate since `before`, which is told anew.
pub(super) async fn observe(
    api: &Shared,
    age_max: Duration,
    before: &mut Option<(u64, u64)>,
) -> Result<Observation, Problem> {
    let Sight { commits, observation, .. } = api.seen.not_older(api, age_max).await?;
    let at_ms = observation.at_ms;
    let rate_per_s = before.map(|(commits_before, at_before)| {
        commits.saturating_sub(commits_before) as f64 * 1_000.0
            / at_ms.saturating_sub(at_before).max(1) as f64
    });
    *before = Some((commits, at_ms));
    Ok(Observation { rate_per_s, ..observation })
}

/// What waits, and whether the queue answers.
async fn lanes(api: &Shared, counts: &[LaneCounts; 2], now: u64) -> (Vec<LaneView>, bool) {
    let depths = async {
        let mut depths = Vec::with_capacity(Lane::ALL.len());
        for lane in Lane::ALL {
            depths.push(api.queue.depth(lane).await?);
        }
        Ok::<_, crate::queue::Error>(depths)
    };
    let depths: Option<Vec<Depth>> = match tokio::time::timeout(QUEUE_WAIT, depths).await {
        Ok(Ok(depths)) => Some(depths),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the queue does not answer");
            None
        }
        Err(_) => None,
    };
    let view = |(at, (lane, counts)): (usize, (Lane, LaneCounts))| {
        let depth = depths.as_ref().and_then(|depths| depths.get(at));
        LaneView {
            lane: lane.as_str(),
            waiting: depth.map(|depth| depth.waiting),
            in_flight: depth.map(|depth| depth.in_flight),
            delayed: depth.map(|depth| depth.delayed),
            due: depth.map(|depth| depth.due),
            unsettled: counts.queued + counts.processing,
            dead: counts.dead,
            oldest_age_ms: counts.oldest_ms.map(|oldest| now.saturating_sub(oldest)),
        }
    };
    let lanes = Lane::ALL.into_iter().zip(*counts).enumerate().map(view).collect();
    (lanes, depths.is_some())
}

fn view(worker: LiveWorker, now: u64) -> WorkerView {
    WorkerView {
        name: worker.name,
        pod: worker.report.host,
        busy: worker.report.busy,
        draining: worker.drain_until_ms.is_some(),
        drained: worker.report.drained && worker.drain_until_ms.is_some(),
        since_ms: worker.started_at_ms,
        longest_document_ms: worker.report.oldest_began_ms.map(|began| now.saturating_sub(began)),
    }
}
