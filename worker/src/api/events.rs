//! What goes on now, for people who look at it: `/v1/overview`, the same each second as `/v1/events`, and what each
//! worker is doing, `/v1/work`.
//!
//! A tenant sees its own numbers. What all tenants share, the queue and the workers, is shown to administrators. Nothing
//! here is kept: who looks again is told what is true then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures::stream;
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::ToSchema;

use super::Shared;
use super::auth::{Caller, Scope};
use super::batches::Batch;
use super::fleet::{self, LaneView, Workers};
use super::metrics::ApiMetrics;
use super::problem::Problem;
use super::shares::Place;
use super::sse::{self, Event};
use crate::desk::{DocumentRow, LetterFilter};

/// Streams of events that are open at once, which tenants share: each asks the ledger again and again.
pub const STREAMS_MAX: usize = 128;
/// Longest life of a stream: its reader comes again, and shows that it still may.
const STREAM_MAX: Duration = Duration::from_secs(600);
/// Time between two events of the overview.
const TICK: Duration = Duration::from_secs(1);
/// Oldest sight of queue and workers that a stream is told.
const SIGHT_MAX: Duration = Duration::from_millis(500);
/// How old the parts of an overview may be for which many rows are read.
const COUNTS_MAX: Duration = Duration::from_secs(5);
/// Documents whose stage times are told.
const LATELY: u32 = 200;
/// Over how long the tenant's own rate is taken, in milliseconds.
const RATE_OVER_MS: u64 = 60_000;
/// Dead letters whose codes are counted.
const LETTERS_MAX: u32 = 1_000;
/// Batches that are told of.
const BATCHES_MAX: u32 = 50;
/// Documents in work that are told.
const WORK_MAX: u32 = 1_000;
/// Seconds after which to come again where as many streams are open as may.
const BUSY_RETRY_S: u64 = 10;

/// How long a stage takes, over the documents that were committed last.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageTime {
    /// fetch, extract, chunk, enrich, index.
    stage: String,
    /// Half of them took no longer, in milliseconds.
    p50_ms: f64,
    /// 95 of 100 took no longer, in milliseconds.
    p95_ms: f64,
}

/// Answers that were kept, of all tenants, since the API began; zeros for who is no administrator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheView {
    /// Questions that one of them answered.
    hits: u64,
    /// Questions that none did.
    misses: u64,
    /// How many are kept now.
    entries: u64,
}

impl CacheView {
    fn of(metrics: &ApiMetrics) -> Self {
        Self {
            hits: metrics.memo_hits.get(),
            misses: metrics.memo_misses.get(),
            entries: u64::try_from(metrics.memo_entries.get()).unwrap_or(0),
        }
    }
}

/// Dead letters with a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureCount {
    /// What programs go by; never renamed.
    code: String,
    /// How many, of the last 1,000 that failed.
    documents: u64,
}

/// What goes on now.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The ledger's time, in milliseconds since the Unix epoch.
    at_ms: u64,
    /// Commits a second: of all tenants for an administrator, else of the tenant; absent before it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_s: Option<f64>,
    /// Whether the queue answers.
    queue_reachable: bool,
    /// What waits, of all tenants, by lane; empty for who is no administrator.
    lanes: Vec<LaneView>,
    /// Seconds until what waits is done, at this rate; absent while nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_s: Option<u64>,
    /// How long stages took lately.
    stages: Vec<StageTime>,
    /// Kept answers.
    cache: CacheView,
    /// Why documents of the tenant were given up, the most frequent first.
    failures: Vec<FailureCount>,
    /// The tenant's documents by state.
    documents: BTreeMap<String, u64>,
    /// The tenant's batches that go on, of its last 50.
    batches_running: u64,
}

/// A document in work.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkItem {
    /// The worker that has it.
    worker: String,
    /// The document; another tenant's has no name here.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    /// Its size.
    bytes: u64,
    /// How often it was begun without getting further.
    starts: u32,
    /// Since when, in milliseconds since the Unix epoch.
    since_ms: u64,
}

/// What the workers are doing.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// The ledger's time, in milliseconds since the Unix epoch.
    at_ms: u64,
    /// Documents in work, longest first, at most 1,000.
    items: Vec<WorkItem>,
}

/// `GET /v1/work`. Of all tenants, as workers are everybody's, but without what names another's document.
pub async fn work(State(api): State<Shared>, caller: Caller) -> Result<Json<Work>, Problem> {
    let (_, at_ms) = api.desk.commits().await?;
    let mut found = api.desk.in_work(WORK_MAX).await?;
    found.sort_by_key(|item| item.since_ms);
    let items = found.into_iter().map(|item| {
        let is_own = item.tenant == caller.tenant;
        WorkItem {
            worker: item.owner,
            document: is_own.then(|| item.document.to_string()),
            uri: is_own.then_some(item.uri),
            bytes: item.bytes,
            starts: item.starts,
            since_ms: item.since_ms,
        }
    });
    Ok(Json(Work { at_ms, items: items.collect() }))
}

/// `GET /v1/overview`.
pub async fn overview(State(api): State<Shared>, caller: Caller) -> Result<Json<Overview>, Problem> {
    let mut watched = Watched::new(caller);
    Ok(Json(watched.overview(&api).await?))
}

/// `GET /v1/events`: `overview` each second; `batches` and, for administrators, `workers` when they changed; `error`
/// while the ledger does not answer.
pub async fn stream(State(api): State<Shared>, caller: Caller) -> Result<Response, Problem> {
    let place = api.streams.take(&caller.tenant).ok_or_else(|| {
        let detail = "as many streams of events are open as may, of all or of this tenant";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail, "close one, or come again")
            .retry_after(BUSY_RETRY_S)
    })?;
    let stop = api.stop.clone();
    let mut timer = interval(TICK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let told = Teller {
        api,
        watched: Watched::new(caller),
        timer,
        began: Instant::now(),
        ready: Vec::new(),
        _place: place,
    };
    Ok(sse::response(stream::unfold(told, Teller::next), stop))
}

/// A stream that is open.
struct Teller {
    api: Shared,
    watched: Watched,
    timer: Interval,
    began: Instant,
    /// What is to be told before the next look, the first at the end.
    ready: Vec<Event>,
    _place: Place,
}

impl Teller {
    async fn next(mut self) -> Option<(Event, Self)> {
        while self.ready.is_empty() {
            if self.began.elapsed() > STREAM_MAX {
                return None;
            }
            self.timer.tick().await;
            self.ready = self.watched.look(&self.api).await;
            self.ready.reverse();
        }
        self.ready.pop().map(|event| (event, self))
    }
}

/// What one reader was told.
struct Watched {
    caller: Caller,
    /// Commits and the time of the look before.
    before: Option<(u64, u64)>,
    counts: Option<(Instant, Counts)>,
    batches: String,
    workers: String,
}

/// Parts of an overview for which many rows are read.
#[derive(Clone, Default)]
struct Counts {
    own_rate_per_s: Option<f64>,
    stages: Vec<StageTime>,
    failures: Vec<FailureCount>,
    documents: BTreeMap<String, u64>,
    batches_running: u64,
    /// As `/v1/batches` shows them.
    batches: String,
}

impl Watched {
    fn new(caller: Caller) -> Self {
        Self { caller, before: None, counts: None, batches: String::new(), workers: String::new() }
    }

    /// The events that a look leads to.
    async fn look(&mut self, api: &Shared) -> Vec<Event> {
        let mut events = Vec::new();
        match self.overview(api).await {
            Ok(overview) => events.push(event("overview", &overview)),
            Err(problem) => return vec![event("error", &problem)],
        }
        if let Some((_, counts)) = &self.counts
            && counts.batches != self.batches
        {
            self.batches.clone_from(&counts.batches);
            events.push(Event { id: None, name: "batches", data: counts.batches.clone() });
        }
        // Of the sight that the overview was made of, unless another reader had a new one taken meanwhile.
        let mut before = self.before;
        if self.caller.may(Scope::Admin)
            && let Ok(observation) = fleet::observe(api, SIGHT_MAX, &mut before).await
        {
            let told = event("workers", &Workers { workers: observation.workers });
            if told.data != self.workers {
                self.workers.clone_from(&told.data);
                events.push(told);
            }
        }
        events
    }

    async fn overview(&mut self, api: &Shared) -> Result<Overview, Problem> {
        let observation = fleet::observe(api, SIGHT_MAX, &mut self.before).await?;
        let counts = match &self.counts {
            Some((at, counts)) if at.elapsed() < COUNTS_MAX => counts.clone(),
            _ => {
                let counts = self.count(api, observation.at_ms).await?;
                self.counts = Some((Instant::now(), counts.clone()));
                counts
            }
        };
        let is_admin = self.caller.may(Scope::Admin);
        let waiting = |state: &str| counts.documents.get(state).copied().unwrap_or(0);
        let (rate_per_s, unsettled) = match is_admin {
            true => (observation.rate_per_s, observation.lanes.iter().map(|lane| lane.unsettled).sum()),
            false => (counts.own_rate_per_s, waiting("queued") + waiting("processing")),
        };
        Ok(Overview {
            at_ms: observation.at_ms,
            rate_per_s,
            queue_reachable: observation.queue_reachable,
            lanes: if is_admin { observation.lanes } else { Vec::new() },
            eta_s: eta(unsettled, rate_per_s.or(counts.own_rate_per_s)),
            stages: counts.stages,
            cache: if is_admin { CacheView::of(&api.metrics) } else { CacheView::default() },
            failures: counts.failures,
            documents: counts.documents,
            batches_running: counts.batches_running,
        })
    }

    async fn count(&self, api: &Shared, at_ms: u64) -> Result<Counts, Problem> {
        let tenant = &self.caller.tenant;
        let lately = api.desk.lately(Some(tenant), LATELY).await?;
        let letters = api.desk.dead_letters(tenant, &LetterFilter::default(), None, LETTERS_MAX).await?;
        let batches = api.desk.batches(tenant, None, BATCHES_MAX).await?;
        let is_running =
            |row: &&crate::desk::BatchRow| row.cancelled_at_ms.is_none() && row.queued + row.processing > 0;
        let batches_running = batches.iter().filter(is_running).count() as u64;
        let batches: Vec<Batch> = batches.into_iter().map(Batch::from).collect();
        Ok(Counts {
            own_rate_per_s: rate(&lately, at_ms),
            stages: stages(&lately),
            failures: failures(&letters),
            documents: api.desk.states(tenant).await?,
            batches_running,
            batches: serde_json::json!({ "batches": batches }).to_string(),
        })
    }
}

fn event(name: &'static str, data: &impl Serialize) -> Event {
    Event { id: None, name, data: serde_json::to_string(data).unwrap_or_default() }
}

/// Seconds until so many documents are done at this rate.
fn eta(unsettled: u64, rate_per_s: Option<f64>) -> Option<u64> {
    match (unsettled, rate_per_s) {
        (0, _) => Some(0),
        (unsettled, Some(rate)) if rate > 0.0 => Some((unsettled as f64 / rate).ceil() as u64),
        _ => None,
    }
}

/// Commits a second over the last minute; where more were committed than are listed, over the time of those.
fn rate(lately: &[DocumentRow], at_ms: u64) -> Option<f64> {
    let ages = lately.iter().filter_map(|row| Some(at_ms.saturating_sub(row.committed_at_ms?)));
    let young: Vec<u64> = ages.filter(|age| *age <= RATE_OVER_MS).collect();
    let over_ms = match young.len() == LATELY as usize {
        true => young.iter().copied().max().unwrap_or(RATE_OVER_MS).max(1),
        false => RATE_OVER_MS,
    };
    (!young.is_empty()).then(|| (young.len() as f64 * 100_000.0 / over_ms as f64).round() / 100.0)
}

fn stages(lately: &[DocumentRow]) -> Vec<StageTime> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (stage, took_ms) in
        lately.iter().filter_map(|row| row.summary.as_ref()).flat_map(|summary| &summary.stage_ms)
    {
        times.entry(stage).or_default().push(*took_ms);
    }
    let told = |(stage, mut took_ms): (&str, Vec<f64>)| {
        took_ms.sort_by(f64::total_cmp);
        let within = |share: usize| {
            let at = (took_ms.len() * share).div_ceil(100).saturating_sub(1);
            took_ms.get(at).copied().unwrap_or(0.0)
        };
        StageTime { stage: stage.to_owned(), p50_ms: within(50), p95_ms: within(95) }
    };
    times.into_iter().map(told).collect()
}

fn failures(letters: &[DocumentRow]) -> Vec<FailureCount> {
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in letters.iter().filter_map(|row| row.failure.as_ref()) {
        *counted.entry(failure.code.as_str()).or_default() += 1;
    }
    let told = |(code, documents): (&str, u64)| FailureCount { code: code.to_owned(), documents };
    let mut told: Vec<FailureCount> = counted.into_iter().map(told).collect();
    told.sort_by_key(|failure| std::cmp::Reverse(failure.documents));
    told
}

#[cfg(test)]
mod tests {
    use docmill_core::id::{DocumentId, TenantId};

    use super::*;
    use crate::ledger::Summary;

    fn row(committed_at_ms: u64, extract_ms: f64) -> DocumentRow {
        let stage_ms = BTreeMap::from([("extract".to_owned(), extract_ms)]);
        DocumentRow {
            id: DocumentId::born(&TenantId::default(), "u", 0),
            arrived: 1,
            uri: "u".to_owned(),
            state: "committed".to_owned(),
            generation: 1,
            bytes: 1,
            deleted: false,
            summary: Some(Summary { stage_ms, ..Summary::default() }),
            committed_at_ms: Some(committed_at_ms),
            failure: None,
            failed_at_ms: None,
            changed_at_ms: 0,
            attempts: [0; 3],
        }
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let rows: Vec<_> = (1..=100).map(|n| row(0, f64::from(n))).collect();
        assert_eq!(stages(&rows), [StageTime { stage: "extract".to_owned(), p50_ms: 50.0, p95_ms: 95.0 }]);
        assert_eq!(stages(&rows[..1])[0].p95_ms, 1.0);
        assert!(stages(&[]).is_empty());
    }

    #[test]
    fn the_rate_is_of_the_last_minute() {
        let rows: Vec<_> = (0..30).map(|n| row(100_000 - n * 1_000, 1.0)).chain([row(1, 1.0)]).collect();
        assert_eq!(rate(&rows, 100_000), Some(0.5));
        assert_eq!(rate(&[row(1, 1.0)], 100_000), None);
        // As many as are listed came within two seconds.
        let many: Vec<_> = (0..LATELY).map(|n| row(98_000 + u64::from(n) * 10, 1.0)).collect();
        assert_eq!(rate(&many, 100_000), Some(100.0));
    }

    #[test]
    fn an_end_is_told_only_at_a_known_rate() {
        assert_eq!((eta(0, None), eta(10, None), eta(10, Some(0.0))), (Some(0), None, None));
        assert_eq!(eta(10, Some(4.0)), Some(3));
    }
}
