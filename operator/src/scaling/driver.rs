//! One pipeline's task: looks whenever something changed or time may change a decision, lets core decide, publishes
//! that, and has it done. It decides nothing itself.
//!
//! Whatever cannot be done is asked for again by core at a later step. Nothing here ends the task.

use std::sync::Arc;
use std::time::Duration;

use docmill_core::scale::{Action, Decision, Observation, Policy, Reason, State, step};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::Clock;
use super::api::told;
use super::hands::{Error, Hands, Target, Write};
use super::join::join;
use super::line::Line;
use super::rate::Rate;
use super::scaled::{News, PipelineScaling, Scaled, Told};
use super::seen::Index;
use super::stream::Heard;

/// Longest time between two steps, in milliseconds: windows and waits end to the second.
const STEP_EVERY_MS: u64 = 1_000;
/// The same where nothing is there and nobody works: core's window goes by as much between two observations.
const IDLE_STEP_EVERY_MS: u64 = 5_000;
/// Orders and marks on their way at once.
const AT_ONCE: usize = 8;
/// Longest that orders and marks of a step take together; what is left is asked for again.
const ORDERS_MAX: Duration = Duration::from_secs(5);
/// How long it is told that something could not be done while nothing else is tried, in milliseconds: core asks again
/// after 3 s.
const TROUBLE_MS: u64 = 10_000;
/// Time after which the API is told the same again, in milliseconds: it may have been away.
const TELL_EVERY_MS: u64 = 60_000;
/// Shortest time between two tellings, in milliseconds: reasons have numbers that move all the time.
const TELL_AGAIN_MS: u64 = 1_000;
/// Most reasons that it is told.
const REASONS_MAX: usize = 32;
/// How long a write counts as on its way to the watch, in milliseconds.
const SHOWS_MS: u64 = 5_000;

/// What all drivers share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub clock: Clock,
    pub index: Arc<Index>,
    pub news: Arc<News>,
    pub hands: Arc<dyn Hands>,
    /// Whether this process leads: nothing is done unless it does.
    pub is_leader: watch::Receiver<bool>,
}

/// See the module.
pub(super) struct Driver {
    around: Surroundings,
    target: Target,
    scaling: watch::Receiver<PipelineScaling>,
    heard: watch::Receiver<Heard>,
    /// Something that Kubernetes shows of it changed.
    touched: Arc<Notify>,
    published: watch::Sender<Option<Arc<Scaled>>>,
    told: Told,
    state: State,
    rate: Rate,
    /// When the last step was, how soon the next must be, and the line that it went by.
    stepped_at_ms: u64,
    step_every_ms: u64,
    went_by: Option<Arc<Line>>,
    /// The version of the Deployment over which was written, or which was not the newest, and when.
    past: Option<(String, u64)>,
    /// What could not be done, and when that was.
    trouble: Option<(String, u64)>,
    /// What the API was told last, without what only time changes, and when.
    told_api: Option<(String, u64)>,
}

/// What woke a driver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    Line,
    Else,
}

impl Driver {
    pub(super) fn new(
        around: Surroundings,
        scaling: watch::Receiver<PipelineScaling>,
        heard: watch::Receiver<Heard>,
        touched: Arc<Notify>,
        published: watch::Sender<Option<Arc<Scaled>>>,
    ) -> Self {
        let target = {
            let scaling = scaling.borrow();
            Target { key: scaling.key.clone(), uid: scaling.uid.clone() }
        };
        Self {
            around,
            target,
            scaling,
            heard,
            touched,
            published,
            told: Told::default(),
            state: State::default(),
            rate: Rate::default(),
            stepped_at_ms: 0,
            step_every_ms: 0,
            went_by: None,
            past: None,
            trouble: None,
            told_api: None,
        }
    }

    /// Goes on until it is dropped, or nobody can want anything any more.
    pub(super) async fn run(mut self) {
        loop {
            let left_ms = (self.stepped_at_ms + self.step_every_ms).saturating_sub(self.now_ms());
            let woken = tokio::select! {
                changed = self.scaling.changed() => if changed.is_err() { return } else { Woken::Else },
                () = self.touched.notified() => Woken::Else,
                changed = self.heard.changed() => if changed.is_err() { return } else { Woken::Line },
                () = sleep(Duration::from_millis(left_ms)) => Woken::Else,
            };
            self.look(woken).await;
        }
    }

    async fn look(&mut self, woken: Woken) {
        let now_ms = self.now_ms();
        let heard = self.heard.borrow_and_update().clone();
        if let Some((line, _)) = &heard.last {
            self.rate.see(line);
        }
        if woken == Woken::Line && !self.is_worth_a_step(&heard, now_ms) {
            return;
        }
        (self.stepped_at_ms, self.step_every_ms) = (now_ms, STEP_EVERY_MS);
        let Some(seen) = self.around.index.seen(&self.target.key) else { return };
        let line = heard.last.as_ref().map(|(line, came_at_ms)| (&**line, *came_at_ms));
        let Some(observation) = join(line, self.rate.documents_per_minute(), &seen) else {
            self.forget();
            return;
        };
        self.went_by = heard.last.as_ref().map(|(line, _)| line.clone());
        let policy = self.scaling.borrow_and_update().policy.clone();
        let decision = self.decide(&policy, &observation, now_ms);
        if is_idle(&observation, &decision) {
            self.step_every_ms = IDLE_STEP_EVERY_MS;
        }
        let mut scaled = Scaled::new(&policy, &decision, &observation, line.map(|(line, _)| line), now_ms);
        scaled.throughput_per_min = self.rate.throughput_per_minute();
        scaled.unheard = heard.unheard;
        let decided = decided(&scaled);
        self.publish(scaled, now_ms);
        let version = seen.deployment.map(|deployment| deployment.resource_version).unwrap_or_default();
        self.act(&decision, &observation, version).await;
        self.tell(decided, now_ms);
    }

    /// Tells the pipeline's API beside everything else: no decision waits for it.
    fn tell(&mut self, decided: String, now_ms: u64) {
        let is_known = self.told_api.as_ref().is_some_and(|(before, at_ms)| {
            let since_ms = now_ms.saturating_sub(*at_ms);
            since_ms < if *before == decided { TELL_EVERY_MS } else { TELL_AGAIN_MS }
        });
        if is_known || !self.may_act() {
            return;
        }
        self.told_api = Some((decided.clone(), now_ms));
        let (hands, target) = (self.around.hands.clone(), self.target.clone());
        tokio::spawn(async move {
            if let Err(error) = hands.tell(&target, decided).await {
                tracing::debug!(pipeline = %target.key, error = told(&error), "the API is not told");
            }
        });
    }

    /// Most lines say what the one before said.
    fn is_worth_a_step(&self, heard: &Heard, now_ms: u64) -> bool {
        let line = heard.last.as_ref().map(|(line, _)| line);
        let is_like = match (line, &self.went_by) {
            (Some(line), Some(before)) => line.is_like(before),
            (None, None) => true,
            _ => false,
        };
        let unheard =
            self.published.borrow().as_ref().is_some_and(|scaled| scaled.unheard != heard.unheard);
        !is_like || unheard || now_ms.saturating_sub(self.stepped_at_ms) >= self.step_every_ms
    }

    fn decide(&mut self, policy: &Policy, observation: &Observation, now_ms: u64) -> Decision {
        let (state, decision) = step(std::mem::take(&mut self.state), policy, observation, now_ms);
        self.state = state;
        decision
    }

    fn publish(&mut self, mut scaled: Scaled, now_ms: u64) {
        scaled.trouble = self.trouble.as_ref().map(|(said, _)| said.clone());
        let is_news = self.told.is_news(&scaled, now_ms);
        self.published.send_replace(Some(Arc::new(scaled)));
        if is_news {
            self.around.news.tell(&self.target.key);
        }
    }

    /// There is no Deployment: nothing to scale, and nothing to say.
    fn forget(&mut self) {
        (self.state, self.past, self.trouble, self.went_by) = (State::default(), None, None, None);
        self.told.forget();
        if self.published.send_replace(None).is_some() {
            self.around.news.tell(&self.target.key);
        }
    }

    async fn act(&mut self, decision: &Decision, observation: &Observation, version: String) {
        let mut trouble = None;
        let (mut write, mut orders) = (None, Vec::new());
        for action in &decision.actions {
            match action {
                Action::SetReplicas { replicas } => write = Some(*replicas),
                order => orders.push(order),
            }
        }
        let from = observation.replicas;
        let write = write.map(|to| Write { from, to, resource_version: version });
        let (raise, lower) = match write {
            Some(write) if write.to > from => (Some(write), None),
            other => (None, other),
        };
        // More workers wait for nobody. Fewer come last, when those that go are ordered and marked.
        if let Some(write) = raise {
            self.write(&write, &mut trouble).await;
        }
        self.order(&orders, &mut trouble).await;
        if let Some(write) = lower {
            self.write(&write, &mut trouble).await;
        }
        self.told_of(trouble, !decision.actions.is_empty());
    }

    /// Publishes what could not be done, or that it was done after all.
    fn told_of(&mut self, trouble: Option<String>, something_was_tried: bool) {
        let now_ms = self.now_ms();
        let before = self.trouble.take();
        let is_same = before.as_ref().map(|(said, _)| said) == trouble.as_ref();
        let is_young = before.as_ref().is_some_and(|(_, at_ms)| now_ms.saturating_sub(*at_ms) < TROUBLE_MS);
        if trouble.is_none() && !something_was_tried && is_young {
            self.trouble = before;
            return;
        }
        self.trouble = trouble.map(|said| (said, now_ms));
        let latest = self.published.borrow().clone();
        if let Some(scaled) = latest.filter(|_| !is_same) {
            self.publish(Scaled::clone(&scaled), now_ms);
        }
    }

    async fn order(&self, orders: &[&Action], trouble: &mut Option<String>) {
        if orders.is_empty() {
            return;
        }
        // Boxed: what borrows from a list could not be sent to another thread otherwise.
        let doing: Vec<BoxFuture<'_, _>> =
            orders.iter().map(|action| self.perform(action).boxed()).collect();
        let mut doing = stream::iter(doing).buffer_unordered(AT_ONCE);
        let collecting = async {
            while let Some(done) = doing.next().await {
                if let Err((action, error)) = done {
                    self.complain(action, &error, trouble);
                }
            }
        };
        if timeout(ORDERS_MAX, collecting).await.is_err() {
            tracing::warn!(pipeline = %self.target.key, "orders take too long and are given again");
            trouble.get_or_insert_with(|| "orders take too long".to_owned());
        }
    }

    async fn perform<'a>(&self, action: &'a Action) -> Result<(), (&'a Action, Error)> {
        if !self.may_act() {
            return Ok(());
        }
        let (hands, target) = (&self.around.hands, &self.target);
        let done = match action {
            Action::Resume { worker } => hands.resume(target, worker).await,
            Action::Drain { worker } => hands.drain(target, worker).await,
            Action::Mark { pod } => hands.mark(target, pod).await,
            Action::Unmark { pod } => hands.unmark(target, pod).await,
            // It goes by the version that was read, and is written apart.
            Action::SetReplicas { .. } => Ok(()),
        };
        done.map_err(|error| (action, error))
    }

    async fn write(&mut self, write: &Write, trouble: &mut Option<String>) {
        let now_ms = self.now_ms();
        let is_past = self.past.as_ref().is_some_and(|(version, at_ms)| {
            *version == write.resource_version && now_ms.saturating_sub(*at_ms) < SHOWS_MS
        });
        if is_past || !self.may_act() {
            return;
        }
        let done = self.around.hands.set_replicas(&self.target, write).await;
        match done {
            Ok(()) => {
                let (from, to) = (write.from, write.to);
                tracing::info!(pipeline = %self.target.key, from, to, "replicas are written");
                self.past = Some((write.resource_version.clone(), now_ms));
            }
            // The watch is about to show a newer one.
            Err(Error::Conflict) => {
                tracing::debug!(pipeline = %self.target.key, "somebody else wrote the workers' deployment");
                self.past = Some((write.resource_version.clone(), now_ms));
            }
            Err(error) => self.complain(&Action::SetReplicas { replicas: write.to }, &error, trouble),
        }
    }

    /// Checked before each thing that is done, not once a step.
    fn may_act(&self) -> bool {
        *self.around.is_leader.borrow()
    }

    fn complain(&self, action: &Action, error: &Error, trouble: &mut Option<String>) {
        let said = told(error);
        // Said once, not at every step.
        if self.trouble.as_ref().is_some_and(|(before, _)| *before == said) {
            tracing::debug!(pipeline = %self.target.key, ?action, error = said, "not done");
        } else {
            tracing::warn!(pipeline = %self.target.key, ?action, error = said, "not done, and tried again");
        }
        if trouble.is_none() {
            *trouble = Some(said);
        }
    }

    fn now_ms(&self) -> u64 {
        self.around.clock.now_ms()
    }
}

/// A decision as the pipeline's API is told it.
fn decided(scaled: &Scaled) -> String {
    let reason = |reason: &Reason| json!({"code": reason.code(), "message": reason.to_string()});
    let reasons: Vec<_> = scaled.reasons.iter().take(REASONS_MAX).map(reason).collect();
    let Scaled { desired, replicas, metric_value, .. } = scaled;
    json!({"desired": desired, "replicas": replicas, "metric": metric_value, "reasons": reasons})
        .to_string()
}

/// Whether nothing is there, and nobody is there to do it.
fn is_idle(observation: &Observation, decision: &Decision) -> bool {
    let nothing_to_do = observation.depth.is_some_and(|depth| depth.demand() == 0);
    nothing_to_do && observation.replicas == 0 && decision.desired == 0 && observation.workers.is_empty()
}

#[cfg(test)]
mod tests;
