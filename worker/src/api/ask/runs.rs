//! Answers that are on their way, so that a client whose connection broke can go on reading where it stopped. They are
//! in this process alone: another one does not know them, and their clients ask again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use docmill_core::id::TenantId;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use crate::api::keys;
use crate::api::problem::Problem;
use crate::api::shares::{Place, Shares};
use crate::api::sse::Event;

/// Answers at once, which tenants share; as many are kept, those that ended included.
const RUNS_MAX: usize = 1_000;
/// Bytes of answers that ended and are kept; each has some ten thousands.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// How long an answer is kept after its end, while there is room.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// How long an answer goes on that nobody reads.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer's name: too many to guess.
const ID_BYTES: usize = 16;

/// Every answer of this process.
pub struct Runs {
    kept: Mutex<Kept>,
    places: Arc<Shares>,
}

#[derive(Default)]
struct Kept {
    runs: HashMap<String, Arc<Run>>,
    /// Those that ended, by tenant.
    ended: BTreeMap<TenantId, Ended>,
    ended_bytes: usize,
}

/// A tenant's answers that ended, the longest ago first, and what they take.
#[derive(Default)]
struct Ended {
    runs: VecDeque<(Instant, String, usize)>,
    bytes: usize,
}

/// An answer.
pub struct Run {
    id: String,
    tenant: TenantId,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    readers: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    events: Vec<Said>,
    over: bool,
    /// Until it is over.
    place: Option<Place>,
}

/// An event's name, and what it says.
pub type Said = (&'static str, String);

/// Whatever panicked while it was held: what is kept is moved in and out whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Runs {
    fn default() -> Self {
        Self { kept: Mutex::default(), places: Shares::new(RUNS_MAX) }
    }
}

impl Runs {
    /// Begins an answer.
    ///
    /// # Errors
    /// As many are on their way as may be, or as the tenant may have.
    pub fn begin(&self, tenant: &TenantId) -> Result<Arc<Run>, Problem> {
        let busy = || {
            let detail = "as many questions are being answered as may be";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail, "ask again later").retry_after(1)
        };
        let id = keys::random_hex(ID_BYTES).map_err(|error| {
            tracing::error!(%error, "there are no random numbers");
            busy()
        })?;
        let place = Some(self.places.take(tenant).ok_or_else(busy)?);
        let run = Arc::new(Run {
            id: id.clone(),
            tenant: tenant.clone(),
            state: Mutex::new(State { place, ..State::default() }),
            changed: watch::Sender::new(()),
            readers: watch::Sender::new(0),
        });
        let mut kept = lock(&self.kept);
        kept.forget(RUNS_MAX - 1, Instant::now());
        kept.runs.insert(id, run.clone());
        Ok(run)
    }

    /// The answer has ended; it is kept for those who did not read all of it.
    pub fn end(&self, run: &Run) {
        let bytes: usize = {
            let mut state = lock(&run.state);
            state.over = true;
            state.place = None;
            state.events.iter().map(|(_, data)| data.len()).sum()
        };
        run.changed.send_replace(());
        let mut kept = lock(&self.kept);
        let now = Instant::now();
        let ended = kept.ended.entry(run.tenant.clone()).or_default();
        ended.runs.push_back((now, run.id.clone(), bytes));
        ended.bytes += bytes;
        kept.ended_bytes += bytes;
        kept.forget(RUNS_MAX, now);
    }

    /// The tenant's answer of this name.
    ///
    /// # Errors
    /// There is none: it was forgotten, is another's or another process's; the three are not told apart.
    pub fn find(&self, tenant: &TenantId, id: &str) -> Result<Arc<Run>, Problem> {
        let run = lock(&self.kept).runs.get(id).filter(|run| run.tenant == *tenant).cloned();
        run.ok_or_else(lost)
    }
}

/// Nobody can go on with it.
pub fn lost() -> Problem {
    let detail = "the answer that is to go on is not known here";
    Problem::new(StatusCode::GONE, "stream_lost", detail, "ask again, without Last-Event-ID")
}

impl Kept {
    /// Forgets what ended: all that is old, and, until there is room, what ended first of who has most.
    fn forget(&mut self, runs_max: usize, now: Instant) {
        let is_old = |ended: &Ended| {
            ended.runs.front().is_some_and(|(since, _, _)| now.duration_since(*since) >= KEPT_FOR)
        };
        while let Some(tenant) =
            self.ended.iter().find(|(_, ended)| is_old(ended)).map(|(tenant, _)| tenant.clone())
        {
            self.forget_first(&tenant);
        }
        while self.runs.len() > runs_max {
            let Some(tenant) = self.most_by(|ended| ended.runs.len()) else { return };
            self.forget_first(&tenant);
        }
        while self.ended_bytes > KEPT_BYTES_MAX {
            let Some(tenant) = self.most_by(|ended| ended.bytes) else { return };
            self.forget_first(&tenant);
        }
    }

    fn most_by(&self, size: impl Fn(&Ended) -> usize) -> Option<TenantId> {
        self.ended.iter().max_by_key(|(_, ended)| size(ended)).map(|(tenant, _)| tenant.clone())
    }

    fn forget_first(&mut self, tenant: &TenantId) {
        let Some(ended) = self.ended.get_mut(tenant) else { return };
        if let Some((_, id, bytes)) = ended.runs.pop_front() {
            self.runs.remove(&id);
            ended.bytes -= bytes;
            self.ended_bytes -= bytes;
        }
        if ended.runs.is_empty() {
            self.ended.remove(tenant);
        }
    }
}

impl Run {
    /// Something happened; what happened at once is told at once.
    pub fn push(&self, events: impl IntoIterator<Item = Said>) {
        lock(&self.state).events.extend(events);
        self.changed.send_replace(());
    }

    /// Its events so far.
    pub fn so_far(&self) -> Vec<Event> {
        let state = lock(&self.state);
        state.events.iter().enumerate().map(|(at, said)| self.event(at + 1, said)).collect()
    }

    fn event(&self, number: usize, said: &Said) -> Event {
        Event { id: Some(format!("{}-{number}", self.id)), name: said.0, data: said.1.clone() }
    }

    /// Its events after the `after`-th, as they happen, to the end.
    pub fn read(self: &Arc<Self>, after: usize) -> BoxStream<'static, Event> {
        self.readers.send_modify(|readers| *readers += 1);
        let reading = Reading { changed: self.changed.subscribe(), run: self.clone(), at: after };
        stream::unfold(
            reading,
            |mut reading| async move { reading.next().await.map(|event| (event, reading)) },
        )
        .boxed()
    }

    /// Ends when nobody read for a while.
    pub async fn abandoned(&self) {
        let mut readers = self.readers.subscribe();
        loop {
            if readers.wait_for(|readers| *readers == 0).await.is_err() {
                return;
            }
            let back = readers.wait_for(|readers| *readers > 0);
            if tokio::time::timeout(UNREAD_MAX, back).await.is_err() {
                return;
            }
        }
    }
}

/// Somebody who reads an answer.
struct Reading {
    run: Arc<Run>,
    changed: watch::Receiver<()>,
    at: usize,
}

impl Reading {
    async fn next(&mut self) -> Option<Event> {
        loop {
            // Before the look: what happens after it is a change again.
            self.changed.mark_unchanged();
            if let Some(next) = self.look() {
                return next;
            }
            self.changed.changed().await.ok()?;
        }
    }

    /// The next event or the end; `None` where neither is there yet.
    fn look(&mut self) -> Option<Option<Event>> {
        let state = lock(&self.run.state);
        let Some(said) = state.events.get(self.at) else { return state.over.then_some(None) };
        self.at += 1;
        Some(Some(self.run.event(self.at, said)))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.run.readers.send_modify(|readers| *readers -= 1);
    }
}

/// An answer's name and how many of its events were read, of an event's id.
pub fn place_of(event: &str) -> Option<(&str, usize)> {
    let (id, after) = event.trim().rsplit_once('-')?;
    Some((id, after.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ids(run: &Arc<Run>, after: usize) -> Vec<String> {
        run.read(after).map(|event| event.data).collect().await
    }

    #[tokio::test]
    async fn reading_goes_on_where_it_stopped() {
        let (runs, tenant) = (Runs::default(), TenantId::default());
        let run = runs.begin(&tenant).unwrap();
        run.push([("message", "1".to_owned())]);
        let mut first = run.read(0);
        let event = first.next().await.unwrap();
        assert_eq!((event.name, event.data.as_str()), ("message", "1"));
        drop(first);
        run.push([("message", "2".to_owned())]);
        let (id, after) = event.id.as_deref().and_then(place_of).unwrap();
        let found = runs.find(&tenant, id).unwrap();
        let rest = tokio::spawn(async move { ids(&found, after).await });
        run.push([("final_answer", "3".to_owned())]);
        runs.end(&run);
        assert_eq!(rest.await.unwrap(), ["2", "3"]);
        assert_eq!(ids(&run, 0).await, ["1", "2", "3"]);
        assert_eq!(run.so_far(), run.read(0).collect::<Vec<_>>().await);
        assert!(ids(&run, 7).await.is_empty());
        assert_eq!(*run.readers.borrow(), 0);
    }

    #[test]
    fn an_answer_is_its_tenants_alone() {
        let (runs, tenant) = (Runs::default(), TenantId::default());
        let run = runs.begin(&tenant).unwrap();
        let other = TenantId::new("other").unwrap();
        let (foreign, unknown) = (runs.find(&other, &run.id).err(), runs.find(&tenant, "0").err());
        assert!(foreign.is_some() && foreign == unknown);
        assert!(runs.find(&tenant, &run.id).is_ok());
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let (runs, tenant) = (Runs::default(), TenantId::default());
        let other = TenantId::new("other").unwrap();
        let kept = runs.begin(&other).unwrap();
        runs.end(&kept);
        let first = runs.begin(&tenant).unwrap();
        for _ in 1..RUNS_MAX / 2 {
            runs.begin(&tenant).unwrap();
        }
        assert_eq!(runs.begin(&tenant).err().map(|problem| problem.status()), Some(429));
        assert!(runs.begin(&other).is_ok(), "others have their share");
        runs.end(&first);
        assert!(runs.find(&tenant, &first.id).is_ok(), "there was room");
        for _ in 0..RUNS_MAX {
            let run = runs.begin(&tenant).unwrap();
            runs.end(&run);
        }
        assert!(runs.find(&tenant, &first.id).is_err() && runs.find(&other, &kept.id).is_ok());
        assert_eq!(lock(&runs.kept).runs.len(), RUNS_MAX);
        let large = runs.begin(&tenant).unwrap();
        large.push([("message", "x".repeat(KEPT_BYTES_MAX + 1))]);
        runs.end(&large);
        assert!(runs.find(&tenant, &large.id).is_err() && runs.find(&other, &kept.id).is_ok());
        assert_eq!(lock(&runs.kept).ended_bytes, 0);
        lock(&runs.kept).forget(RUNS_MAX, Instant::now() + KEPT_FOR);
        assert!(lock(&runs.kept).ended.is_empty());
        assert!(runs.find(&other, &kept.id).is_err());
    }

    #[test]
    fn names_of_events_are_read_back() {
        assert_eq!(place_of("ab12-7"), Some(("ab12", 7)));
        for bad in ["", "ab12", "ab12-", "ab12-x", "ab12--1x"] {
            assert_eq!(place_of(bad), None, "{bad}");
        }
    }
}
