//! The task in a small world: a Deployment whose pods come and go at once, and workers that obey.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard};

use docmill_core::scale::Depth;
use kube::runtime::watcher::Event;

use super::super::line::LiveWorker;
use super::*;
use crate::names::INSTANCE_LABEL;
use crate::pipeline_key::PipelineKey;

/// What is there.
#[derive(Default)]
struct World {
    replicas: u32,
    version: u64,
    made: u32,
    /// By pod: the worker in it, and whether its pod carries the mark.
    workers: BTreeMap<String, (LiveWorker, bool)>,
    done: Vec<String>,
    /// What the API was told.
    told: Vec<String>,
    interrupted: u32,
    /// Kubernetes shows nothing new.
    is_hidden: bool,
    is_api_away: bool,
}

#[derive(Clone)]
struct Hand {
    world: Arc<Mutex<World>>,
    index: Arc<Index>,
    touched: Arc<Notify>,
}

impl Hand {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Lets the watches show what is there.
    fn show(&self) {
        let world = self.world();
        if world.is_hidden {
            return;
        }
        let deployment = serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "p-worker", "resourceVersion": world.version.to_string(),
                         "generation": 1, "labels": {INSTANCE_LABEL: "p"}},
            "spec": {"replicas": world.replicas, "selector": {}, "template": {}},
            "status": {"replicas": world.workers.len(), "updatedReplicas": world.workers.len(),
                       "observedGeneration": 1},
        }));
        self.index.deployment_event(&Event::Init);
        self.index.deployment_event(&Event::InitApply(deployment.unwrap()));
        self.index.deployment_event(&Event::InitDone);
        self.index.pod_event(&Event::Init);
        for (name, (worker, marked)) in &world.workers {
            let annotations = if *marked {
                json!({"controller.kubernetes.io/pod-deletion-cost": "-1000"})
            } else {
                json!({})
            };
            let ready = if worker.drained { "False" } else { "True" };
            let pod = serde_json::from_value(json!({
                "metadata": {"namespace": "n", "name": name, "annotations": annotations,
                             "labels": {INSTANCE_LABEL: "p", "pod-template-hash": "r"}},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
            }));
            self.index.pod_event(&Event::InitApply(pod.unwrap()));
        }
        self.index.pod_event(&Event::InitDone);
        self.touched.notify_one();
    }

    fn order(&self, worker: &str, drain: bool) -> Result<(), Error> {
        {
            let mut world = self.world();
            world.done.push(format!("{} {worker}", if drain { "drain" } else { "resume" }));
            if world.is_api_away {
                return Err(Error::Slow);
            }
            for (known, _) in world.workers.values_mut().filter(|(known, _)| known.name == worker) {
                known.draining = drain;
                known.drained = drain && known.busy == 0;
            }
        }
        self.show();
        Ok(())
    }

    fn cost(&self, pod: &str, mark: bool) -> Result<(), Error> {
        {
            let mut world = self.world();
            world.done.push(format!("{} {pod}", if mark { "mark" } else { "unmark" }));
            if let Some((_, marked)) = world.workers.get_mut(pod) {
                *marked = mark;
            }
        }
        self.show();
        Ok(())
    }

    fn replicas(&self, write: &Write) -> Result<(), Error> {
        {
            let mut world = self.world();
            if write.resource_version != world.version.to_string() {
                world.done.push("conflict".into());
                return Err(Error::Conflict);
            }
            world.done.push(format!("replicas {}", write.to));
            (world.replicas, world.version) = (write.to, world.version + 1);
            world.settle();
        }
        self.show();
        Ok(())
    }
}

impl World {
    /// As a ReplicaSet does.
    fn settle(&mut self) {
        while (self.workers.len() as u32) < self.replicas {
            self.made += 1;
            let pod = format!("w-{:03}", self.made);
            let worker = LiveWorker { name: format!("{pod}.1"), pod: pod.clone(), ..LiveWorker::default() };
            self.workers.insert(pod, (worker, false));
        }
        while self.workers.len() as u32 > self.replicas {
            let order =
                |(_, (worker, marked)): &(&String, &(LiveWorker, bool))| (!worker.drained, !*marked);
            let Some(pod) = self.workers.iter().min_by_key(order).map(|(pod, _)| pod.clone()) else {
                return;
            };
            if self.workers.remove(&pod).is_some_and(|(worker, _)| worker.busy > 0) {
                self.interrupted += 1;
            }
        }
    }
}

impl Hands for Hand {
    fn drain<'a>(&'a self, _: &'a Target, worker: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        std::future::ready(self.order(worker, true)).boxed()
    }

    fn resume<'a>(&'a self, _: &'a Target, worker: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        std::future::ready(self.order(worker, false)).boxed()
    }

    fn mark<'a>(&'a self, _: &'a Target, pod: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        std::future::ready(self.cost(pod, true)).boxed()
    }

    fn unmark<'a>(&'a self, _: &'a Target, pod: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        std::future::ready(self.cost(pod, false)).boxed()
    }

    fn set_replicas<'a>(&'a self, _: &'a Target, write: &'a Write) -> BoxFuture<'a, Result<(), Error>> {
        std::future::ready(self.replicas(write)).boxed()
    }

    fn tell<'a>(&'a self, _: &'a Target, decision: String) -> BoxFuture<'a, Result<(), Error>> {
        self.world().told.push(decision);
        std::future::ready(Ok(())).boxed()
    }
}

/// A driver and all around it.
struct Rig {
    hand: Hand,
    clock: Clock,
    heard: watch::Sender<Heard>,
    scaling: watch::Sender<PipelineScaling>,
    is_leader: watch::Sender<bool>,
    published: watch::Receiver<Option<Arc<Scaled>>>,
    news: Arc<News>,
}

impl Rig {
    fn start() -> Self {
        let touched = Arc::new(Notify::new());
        let hand = Hand { world: Arc::default(), index: Arc::default(), touched: touched.clone() };
        let policy = Policy {
            min: 0,
            max: 5,
            depth_per_replica: NonZeroU32::new(10).unwrap(),
            scale_down_window_ms: 10_000,
            scale_to_zero_after_ms: 15_000,
            ..Policy::default()
        };
        let scaling = PipelineScaling { key: PipelineKey::new("n", "p"), uid: "u".into(), policy };
        let (scaling, told) = watch::channel(scaling);
        let (heard, hears) = watch::channel(Heard::default());
        let (is_leader, leads) = watch::channel(true);
        let (publishes, published) = watch::channel(None);
        let (clock, news) = (Clock::start(), Arc::new(News::default()));
        let around = Surroundings {
            clock,
            index: hand.index.clone(),
            news: news.clone(),
            hands: Arc::new(hand.clone()),
            is_leader: leads,
        };
        tokio::spawn(Driver::new(around, told, hears, touched, publishes).run());
        Self { hand, clock, heard, scaling, is_leader, published, news }
    }

    /// A line comes, and the driver is given a moment.
    async fn line(&self, waiting: u64) {
        let workers: Vec<LiveWorker> =
            self.hand.world().workers.values().map(|(worker, _)| worker.clone()).collect();
        let in_flight = workers.iter().map(|worker| u64::from(worker.busy)).sum();
        let now_ms = self.clock.now_ms();
        let depth = Some(Depth { waiting, in_flight, due: 0 });
        let line = Line { at_ms: now_ms, depth, workers, ..Line::default() };
        self.heard.send_replace(Heard { last: Some((Arc::new(line), now_ms)), unheard: None });
        sleep(Duration::from_millis(50)).await;
    }

    async fn lines(&self, seconds: u32, waiting: u64) {
        for _ in 0..seconds * 4 {
            self.line(waiting).await;
            sleep(Duration::from_millis(200)).await;
        }
    }

    fn replicas(&self) -> u32 {
        self.hand.world().replicas
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.hand.world().done)
    }

    fn scaled(&self) -> Scaled {
        Scaled::clone(self.published.borrow().as_ref().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn none_to_many_at_once_and_back_to_none_without_an_interruption() {
    let rig = Rig::start();
    rig.hand.show();
    rig.line(35).await;
    assert_eq!((rig.replicas(), rig.scaled().desired, rig.scaled().metric_value), (4, 4, 40));
    assert_eq!(rig.news.next().await, PipelineKey::new("n", "p"));
    assert_eq!(rig.done(), ["replicas 4"]);
    rig.lines(5, 35).await;
    assert!(rig.done().is_empty(), "nothing is to be done");
    let told: serde_json::Value = serde_json::from_str(rig.hand.world().told.last().unwrap()).unwrap();
    assert_eq!((told["desired"].as_u64(), told["metric"].as_u64()), (Some(4), Some(40)));
    assert!(told["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{told}");

    // One is busy for long; the others go, one after the window of the last demand.
    if let Some((worker, _)) = rig.hand.world().workers.get_mut("w-002") {
        worker.busy = 1;
    }
    rig.lines(40, 0).await;
    let (replicas, interrupted) = (rig.replicas(), rig.hand.world().interrupted);
    assert_eq!((replicas, interrupted), (1, 0));
    let done = rig.done();
    let at = |what: &str| done.iter().position(|done| done == what);
    for pod in ["w-001", "w-003", "w-004"] {
        let (drained, marked) = (at(&format!("drain {pod}.1")), at(&format!("mark {pod}")));
        assert!(drained.is_some() && drained < marked && marked < at("replicas 1"), "{pod}: {done:?}");
    }
    // It ends.
    if let Some((worker, _)) = rig.hand.world().workers.get_mut("w-002") {
        worker.busy = 0;
    }
    rig.lines(30, 0).await;
    let (replicas, interrupted) = (rig.replicas(), rig.hand.world().interrupted);
    assert_eq!((replicas, interrupted), (0, 0));
    rig.line(1).await;
    assert_eq!(rig.replicas(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_stays_while_nothing_is_heard() {
    let rig = Rig::start();
    rig.hand.show();
    rig.line(35).await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!((rig.replicas(), rig.scaled().desired), (4, 4));
    assert!(matches!(rig.scaled().reasons[..], [Reason::Unknown { held: 4, .. }]));
    assert_eq!(rig.done(), ["replicas 4"]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_when_more_is_seen() {
    let rig = Rig::start();
    rig.hand.show();
    // Somebody writes, and the watch does not show it yet.
    (rig.hand.world().version, rig.hand.world().is_hidden) = (7, true);
    rig.lines(2, 35).await;
    assert_eq!(rig.replicas(), 0);
    assert_eq!(rig.done(), ["conflict"], "once, while nothing else is seen");
    rig.hand.world().is_hidden = false;
    rig.hand.show();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(rig.replicas(), 4);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_does_nothing() {
    let rig = Rig::start();
    rig.is_leader.send_replace(false);
    rig.hand.show();
    rig.lines(3, 35).await;
    assert_eq!((rig.replicas(), rig.scaled().desired), (0, 4));
    assert!(rig.done().is_empty());
    rig.is_leader.send_replace(true);
    rig.lines(2, 35).await;
    assert_eq!(rig.replicas(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_empties_workers_and_its_end_brings_them_back() {
    let rig = Rig::start();
    rig.hand.show();
    rig.line(15).await;
    assert_eq!(rig.replicas(), 2);
    let declared = rig.scaling.borrow().policy.clone();
    // As a plan has it of a paused pipeline.
    let paused =
        Policy { min: 0, max: 0, scale_down_window_ms: 0, scale_to_zero_after_ms: 0, ..declared.clone() };
    rig.scaling.send_modify(|scaling| scaling.policy = paused);
    rig.lines(30, 15).await;
    let (replicas, interrupted) = (rig.replicas(), rig.hand.world().interrupted);
    assert_eq!((replicas, interrupted, rig.scaled().metric_value), (0, 0, 0));
    rig.scaling.send_modify(|scaling| scaling.policy = declared);
    rig.lines(2, 50).await;
    assert_eq!(rig.replicas(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_fails_is_told_and_given_again() {
    let rig = Rig::start();
    rig.hand.show();
    rig.line(35).await;
    rig.lines(2, 35).await;
    rig.hand.world().is_api_away = true;
    rig.lines(20, 0).await;
    assert_eq!(rig.replicas(), 4, "nobody goes who was not emptied");
    assert!(rig.scaled().trouble.is_some());
    rig.hand.world().is_api_away = false;
    rig.lines(30, 0).await;
    assert_eq!((rig.replicas(), rig.scaled().trouble), (0, None));
}

#[tokio::test(start_paused = true)]
async fn without_a_deployment_nothing_is_said() {
    let rig = Rig::start();
    rig.lines(2, 35).await;
    assert!(rig.published.borrow().is_none() && rig.done().is_empty(), "the watches have not listed all");
    rig.hand.index.pod_event(&Event::InitDone);
    rig.hand.index.deployment_event(&Event::InitDone);
    rig.lines(2, 35).await;
    assert!(rig.published.borrow().is_none() && rig.done().is_empty());
}
