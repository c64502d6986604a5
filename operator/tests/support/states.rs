//! Pipelines in each state that the operator tells of. Status is made by its own code from parts as they would be seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use docmill_core::scale::{Depth, Reason, ScalingLimited, Unknown};
use docmill_core::sizing::neo4j::Symptom;
use docmill_operator::child::ChildKey;
use docmill_operator::live::{Live, LiveState, Rollout};
use docmill_operator::names::Part;
use docmill_operator::plan;
use docmill_operator::resource::{IngestionPipeline, IngestionPipelineStatus};
use docmill_operator::scaling::Scaled;
use docmill_operator::status::{self, Scaling};
use docmill_operator::trouble::Trouble;
use serde_json::{Value, json};

pub const NAMESPACE: &str = "archive";
pub const NAME: &str = "knowbase";
const NOW: &str = "2026-01-01T00:00:00Z";

/// What tools that wait for a pipeline are to make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It is on its way.
    Progressing,
    /// It does what is declared.
    Healthy,
    /// It does not, or a person is waited for.
    Degraded,
    /// A person paused it, and all else is well.
    Suspended,
}

/// A pipeline as the API server has it.
pub struct State {
    /// In words.
    pub name: &'static str,
    /// What it is to count as.
    pub health: Health,
    /// All of it.
    pub object: Value,
}

/// A pipeline, and what the operator sees of it.
#[derive(Clone)]
struct World {
    spec: Value,
    generation: i64,
    status: Option<IngestionPipelineStatus>,
    parts: BTreeMap<Part, Rollout>,
    scaled: Option<Scaled>,
    troubles: Vec<Trouble>,
    refused: Option<&'static str>,
    rolled_back: Option<&'static str>,
}

impl World {
    /// Just applied: nothing is there, and nobody has said anything.
    fn new() -> Self {
        Self {
            spec: json!({"instanceType": "c5.4xlarge"}),
            generation: 1,
            status: None,
            parts: BTreeMap::new(),
            scaled: None,
            troubles: Vec::new(),
            refused: None,
            rolled_back: None,
        }
    }

    /// All that is declared is there, and has been said to be.
    fn running() -> Self {
        let mut world = Self::new();
        for part in Part::STORES.into_iter().chain([Part::Api]) {
            world.parts.insert(part, pods(1, 1));
        }
        world.parts.insert(Part::Worker, pods(2, 2));
        world.scaled = Some(scaled());
        world.looked()
    }

    /// A person declares something else, and the operator has not looked yet.
    fn declared(mut self, field: &str, value: Value) -> Self {
        self.spec[field] = value;
        self.generation += 1;
        self
    }

    fn with(mut self, part: Part, pods: Rollout) -> Self {
        self.parts.insert(part, pods);
        self
    }

    fn in_trouble(mut self, trouble: Trouble) -> Self {
        self.troubles.push(trouble);
        self
    }

    /// The operator looks, and says what it finds.
    fn looked(mut self) -> Self {
        let pipeline = self.pipeline();
        let plan = plan::make(&pipeline.spec, None);
        let live: BTreeMap<ChildKey, Live> =
            self.parts.iter().map(|(part, pods)| self::live(*part, pods)).collect();
        let scaling = self
            .scaled
            .clone()
            .map(|scaled| Scaling { scaled: Arc::new(scaled), observed_at: NOW.to_owned() });
        self.status = Some(status::make(&status::Input {
            pipeline: &pipeline,
            plan: plan.as_ref().map_err(Vec::as_slice),
            live: &live,
            troubles: &self.troubles,
            scaling: scaling.as_ref(),
            provider: "Builtin",
            refused: self.refused,
            config: "knowbase-config-1",
            image: "docmill/worker:1",
            rolled_back: self.rolled_back,
            now: NOW,
        }));
        self
    }

    fn pipeline(&self) -> IngestionPipeline {
        let mut pipeline: IngestionPipeline = serde_json::from_value(json!({
            "apiVersion": "docmill.dev/v1alpha1",
            "kind": "IngestionPipeline",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "generation": self.generation},
            "spec": self.spec,
        }))
        .unwrap();
        pipeline.status.clone_from(&self.status);
        pipeline
    }

    fn object(&self) -> Value {
        without_nulls(serde_json::to_value(self.pipeline()).unwrap())
    }
}

/// The API server keeps no field that says nothing.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// So many pods that are there, of the newest revision, and so many of them ready.
fn pods(there: i32, ready: i32) -> Rollout {
    Rollout {
        observed_generation: 1,
        wanted: there,
        there,
        updated: there,
        ready,
        available: ready,
        stuck: None,
    }
}

/// Pods that run, all of a revision that is not the newest.
fn old_pods(there: i32) -> Rollout {
    Rollout { updated: 0, ..pods(there, there) }
}

fn live(part: Part, pods: &Rollout) -> (ChildKey, Live) {
    let kind = if Part::STORES.contains(&part) { "StatefulSet" } else { "Deployment" };
    let live = Live {
        uid: "0a1b2c3d-0000-4000-8000-000000000001".into(),
        resource_version: "1".to_owned(),
        generation: Some(1),
        owner: None,
        deleting: false,
        has_secret: false,
        state: LiveState::Pods(pods.clone()),
    };
    (ChildKey::of_part(kind, part, NAME), live)
}

/// Two workers, and enough for both to do.
pub fn scaled() -> Scaled {
    Scaled {
        desired: 2,
        replicas: 2,
        metric_value: 20,
        reasons: vec![Reason::Demand {
            waiting: 12,
            in_flight: 4,
            due: 1,
            depth_per_replica: 10,
            asked: 2,
        }],
        limited: Vec::new(),
        at_ms: 60_000,
        observed_at_ms: Some(59_800),
        depth: Some(Depth { waiting: 12, in_flight: 4, due: 1 }),
        unsettled: 17,
        dead: 0,
        oldest_age_ms: Some(4_000),
        workers: 2,
        ready: 2,
        busy: 4,
        throughput_per_min: Some(24.0),
        documents_per_minute: Some(12.0),
        neo4j_memory: None,
        unheard: None,
        trouble: None,
    }
}

fn trouble(part: Part, reason: &str, is_lasting: bool) -> Trouble {
    Trouble {
        component: part.as_str().to_owned(),
        pod: format!("{}-0", part.name(NAME)),
        reason: reason.to_owned(),
        message: "as Kubernetes says it".to_owned(),
        symptom: None,
        is_lasting,
        from: None,
    }
}

/// All states, with what each is to count as.
pub fn all() -> Vec<State> {
    let groups = [beginning(), in_service(), changing(), waiting_for_a_person(), in_trouble(), ending()];
    groups.into_iter().flatten().collect()
}

fn state(name: &'static str, health: Health, world: &World) -> State {
    State { name, health, object: world.object() }
}

/// A pipeline whose first pods start.
fn starting() -> World {
    World { scaled: None, status: None, ..World::running() }
        .with(Part::Api, pods(1, 0))
        .with(Part::Worker, Rollout { there: 0, updated: 0, ..pods(1, 0) })
        .looked()
}

fn beginning() -> Vec<State> {
    let seen = World::new().looked();
    let no_room = starting().in_trouble(trouble(Part::Api, "Unschedulable", false)).looked();
    let paused = starting().declared("paused", json!(true)).looked();
    let running = World { status: starting().status, ..World::running() }.looked();
    vec![
        state("applied", Health::Progressing, &World::new()),
        state("seen, and nothing is there", Health::Progressing, &seen),
        state("its first pods start", Health::Progressing, &starting()),
        state("its first pods have no room yet", Health::Progressing, &no_room),
        state("paused before it ever ran", Health::Progressing, &paused),
        state("it runs for the first time", Health::Healthy, &running),
    ]
}

fn in_service() -> Vec<State> {
    let scaled_so = |scaled: Scaled| World { scaled: Some(scaled), ..World::running() };
    let nothing_to_do = Depth { waiting: 0, in_flight: 0, due: 0 };
    let idle = Scaled { desired: 0, replicas: 0, depth: Some(nothing_to_do), ..scaled() };
    let silent = Reason::Unknown { why: Unknown::QueueUnreachable, held: 2 };
    let blind = Scaled { depth: None, reasons: vec![silent], ..scaled() };
    let bounded = Scaled { limited: vec![ScalingLimited::MaxReplicas], ..scaled() };
    let unheard = World { scaled: None, ..World::running() };
    vec![
        state("workers work", Health::Healthy, &World::running()),
        state("scaled to zero", Health::Healthy, &scaled_so(idle).with(Part::Worker, pods(0, 0)).looked()),
        state("its queue does not answer", Health::Healthy, &scaled_so(blind).looked()),
        state("it has as many workers as it may", Health::Healthy, &scaled_so(bounded).looked()),
        state("nothing is heard of its queue yet", Health::Healthy, &unheard.looked()),
    ]
}

fn changing() -> Vec<State> {
    let changed = World::running().declared("instanceType", json!("c5.9xlarge"));
    let rolling = changed.clone().with(Part::Api, old_pods(1)).looked();
    let done = rolling.clone().with(Part::Api, pods(1, 1)).looked();
    vec![
        state("changed, and not looked at", Health::Progressing, &changed),
        state("a change is rolled out", Health::Progressing, &rolling),
        state("a change was rolled out", Health::Healthy, &done),
    ]
}

fn waiting_for_a_person() -> Vec<State> {
    let last_worker_ends = Rollout { wanted: 0, ..pods(1, 1) };
    let pausing =
        World::running().declared("paused", json!(true)).with(Part::Worker, last_worker_ends).looked();
    let paused = pausing.clone().with(Part::Worker, pods(0, 0)).looked();
    let resumed = paused.clone().declared("paused", json!(false)).looked();
    let unknown = json!("c5.4xlarg");
    let wrong = World::new().declared("instanceType", unknown.clone()).looked();
    let made_wrong = World::running().declared("instanceType", unknown).looked();
    let righted = made_wrong.clone().declared("instanceType", json!("c5.4xlarge")).looked();
    vec![
        state("paused, and its last worker ends", Health::Suspended, &pausing),
        state("paused", Health::Suspended, &paused),
        state("resumed", Health::Healthy, &resumed),
        state("wrong from the start", Health::Degraded, &wrong),
        state("changed to what cannot be", Health::Degraded, &made_wrong),
        state("put right", Health::Healthy, &righted),
    ]
}

fn in_trouble() -> Vec<State> {
    let no_image = || trouble(Part::Api, "ErrImagePull", true);
    let rolling =
        World::running().declared("instanceType", json!("c5.9xlarge")).with(Part::Api, old_pods(1));
    let refused = World { refused: Some("ConfigMap knowbase-config-2: denied"), ..World::running() };
    let back = World { rolled_back: Some("knowbase-api-0 ErrImagePull: not found"), ..World::running() };
    let away = World::running().with(Part::Neo4j, pods(1, 0)).looked();
    let no_memory = Trouble {
        symptom: Some(Symptom::HeapExhausted),
        ..trouble(Part::Neo4j, "CrashLoopBackOff", false)
    };
    let no_memory = away.clone().in_trouble(no_memory).looked();
    let no_room = World::running().in_trouble(trouble(Part::Worker, "Unschedulable", false)).looked();
    let healed = away.clone().with(Part::Neo4j, pods(1, 1)).looked();
    vec![
        state(
            "its first image is not there",
            Health::Degraded,
            &starting().in_trouble(no_image()).looked(),
        ),
        state("a new image is not there", Health::Degraded, &rolling.in_trouble(no_image()).looked()),
        state("its last good state is in force again", Health::Degraded, &back.looked()),
        state("something cannot be written", Health::Degraded, &refused.looked()),
        state("Neo4j is away", Health::Degraded, &away),
        state("Neo4j has too little memory", Health::Degraded, &no_memory),
        state("there is no room for a worker", Health::Degraded, &no_room),
        state("Neo4j is back", Health::Healthy, &healed),
    ]
}

fn ending() -> Vec<State> {
    let deleted = |name, world: &World| {
        let mut state = state(name, Health::Progressing, world);
        state.object["metadata"]["deletionTimestamp"] = json!(NOW);
        state
    };
    let wrong = World::new().declared("instanceType", json!("c5.4xlarg")).looked();
    vec![
        deleted("deleted while it runs", &World::running()),
        deleted("deleted while it waits for a person", &wrong),
        deleted("deleted before anybody saw it", &World::new()),
    ]
}
