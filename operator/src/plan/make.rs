//! Works out the defaults, or says all that is wrong with what was given.

use std::num::NonZeroU32;

use docmill_core::scale::{self, ModelBudget, Policy};
use docmill_core::sizing::neo4j::{self, InitialHeap, Memory, Split};
use docmill_core::sizing::{self, Given, Neo4jPlace, Node, Resources, Wishes, catalogue};

use super::{Bounds, ManagedStore, Plan, Store, has_managed_neo4j};
use crate::resource::{
    self, Duration, IngestionPipelineSpec, Managed, ManagedNeo4j, Quantity, ResourceAmounts,
};

/// Memory that a managed store asks for and may take, in MiB, unless it is given.
const STORE_MIB: (u64, u64) = (128, 1_024);
/// Cores that a managed store asks for and may take, in thousandths, unless they are given.
const STORE_CPU_MILLI: (u64, u64) = (50, 2_000);
/// Cores that a managed Neo4j asks for, in thousandths, unless they are given: sizing counts with them.
const NEO4J_CPU_MILLI: u64 = 500;
/// Sizes of volumes, in MiB, unless they are given (of Redis, PostgreSQL, Neo4j, S3).
const STORAGE_MIB: [u64; 4] = [10 * 1_024, 20 * 1_024, 20 * 1_024, 50 * 1_024];
/// Memory of a worker beside its scratch, in MiB: the model, one extractor and what is in work.
const WORKER_BESIDE_SCRATCH_MIB: u64 = 512;
/// Least size of a volume, in MiB.
const STORAGE_LEAST_MIB: u64 = 64;
/// Languages of scans that the worker's image reads, by Tesseract's names.
pub const OCR_LANGUAGES: [&str; 7] = ["eng", "deu", "rus", "jpn", "chi_sim", "osd", "auto"];

/// Something that is wrong with what was given: the rule, the field, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule's number in `docs/reference/validation.md`.
    pub rule: &'static str,
    /// The field, from `spec` on.
    pub path: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.path, self.rule, self.message)
    }
}

/// Makes the plan. `smallest` is the smallest node of the cluster, for a pipeline that names none.
///
/// # Errors
///
/// All that is wrong, at once.
pub fn make(spec: &IngestionPipelineSpec, smallest: Option<Node>) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let node = node(spec, smallest, &mut problems);
    let policy = policy(spec, &mut problems);
    let mut read = Reading { problems: &mut problems };
    let worker = read.given("spec.workers.resources", &spec.workers.resources);
    let api = read.given("spec.api.resources", &spec.api.resources);
    let scratch_mib = read.mib("spec.workers.scratch.tmpfs", &spec.workers.scratch.tmpfs).unwrap_or(0);
    let redis = &spec.queue.redis;
    let postgres = &spec.stores.ledger.postgres;
    let s3 = &spec.stores.objects.s3;
    let queue = match &redis.external {
        Some(external) => Store::External(external.clone()),
        None => {
            Store::Managed(read.managed("spec.queue.redis.managed", redis.managed.as_ref(), STORAGE_MIB[0]))
        }
    };
    let ledger = match &postgres.external {
        Some(external) => Store::External(external.clone()),
        None => {
            let path = "spec.stores.ledger.postgres.managed";
            Store::Managed(read.managed(path, postgres.managed.as_ref(), STORAGE_MIB[1]))
        }
    };
    let objects = match &s3.external {
        Some(external) => Store::External(external.clone()),
        None => {
            let path = "spec.stores.objects.s3.managed";
            Store::Managed(read.managed(path, s3.managed.as_ref(), STORAGE_MIB[3]))
        }
    };
    let neo4j_store = spec.stores.graph.neo4j.as_ref();
    let neo4j_external = neo4j_store.and_then(|store| store.external.as_ref());
    let managed_neo4j = neo4j_store.and_then(|store| store.managed.clone()).unwrap_or_default();
    let place = read.neo4j_place(spec);
    let split = split(spec);
    if let Some(node) = &node {
        let beside = [queue.managed(), ledger.managed(), objects.managed()]
            .into_iter()
            .flatten()
            .fold(Resources::default(), |sum, store| sum.plus(store.bounds.requests));
        let wishes = Wishes {
            api_replicas: spec.api.replicas,
            neo4j: place,
            split,
            initial_heap: None::<InitialHeap>,
            beside,
            worker,
            api,
        };
        match sizing::size(node, &wishes) {
            Ok(sizing) => {
                let plan_of = |neo4j: Option<Memory>| {
                    let connections = neo4j_external
                        .and_then(|external| external.max_connection_pool_size)
                        .or(managed_neo4j.max_connection_pool_size)
                        .unwrap_or(sizing.clients.neo4j_connections);
                    let graph = match (neo4j_external, neo4j) {
                        (Some(external), _) => Some(Store::External(external.clone())),
                        (None, Some(memory)) => {
                            Some(Store::Managed(neo4j_store_of(&managed_neo4j, memory)))
                        }
                        (None, None) => None,
                    };
                    Plan {
                        node: *node,
                        node_name: node_name(spec, node),
                        fit: sizing.fit,
                        workers_sized: sizing.workers.replicas,
                        policy: policy.clone(),
                        worker: Bounds { requests: sizing.workers.requests, limits: sizing.workers.limits },
                        slots: spec.workers.concurrency.unwrap_or(sizing.workers.slots),
                        scratch_mib,
                        api: Bounds { requests: sizing.api.requests, limits: sizing.api.limits },
                        api_replicas: spec.api.replicas,
                        api_workers: spec.api.workers.unwrap_or(sizing.api.workers),
                        documents: sizing::Documents {
                            file_mib: spec
                                .extract
                                .limits
                                .max_file_mib
                                .map_or(sizing.documents.file_mib.min(scratch_mib.max(1)), u64::from),
                            pages: spec.extract.limits.max_pages.unwrap_or(sizing.documents.pages),
                        },
                        queue: queue.clone(),
                        ledger: ledger.clone(),
                        graph,
                        neo4j,
                        neo4j_connections: connections,
                        objects: objects.clone(),
                        budgets: policy.budgets.clone(),
                    }
                };
                let plan = plan_of(sizing.neo4j);
                check(&plan, spec, &mut problems);
                if problems.is_empty() {
                    return Ok(plan);
                }
            }
            Err(error) => problems.push(sizing_problem(&error)),
        }
    }
    Err(problems)
}

fn node(spec: &IngestionPipelineSpec, smallest: Option<Node>, problems: &mut Vec<Problem>) -> Option<Node> {
    if let Some(name) = &spec.instance_type {
        return match catalogue::find(name) {
            Ok(instance) => Some(Node::of_instance(instance)),
            Err(unknown) => {
                let message = format!("{unknown}; or give spec.capacity with cpu and memory of a node");
                problems.push(Problem { rule: "VP-01", path: "spec.instanceType", message });
                None
            }
        };
    }
    if let Some(capacity) = &spec.capacity {
        let (cpu, memory) = (capacity.cpu.cpu_milli(), capacity.memory.mib());
        return match (cpu, memory) {
            (Some(cpu_milli @ 1..), Some(memory_mib @ 1..)) => {
                Some(Node::of_capacity(Resources { cpu_milli, memory_mib }))
            }
            _ => {
                let message =
                    "cpu and memory of a node are amounts above 0, such as \"16\" and 32Gi".into();
                problems.push(Problem { rule: "VP-02", path: "spec.capacity", message });
                None
            }
        };
    }
    if smallest.is_none() {
        let message = "no node of the cluster is known that pods may run on, so give spec.instanceType or \
                       spec.capacity"
            .into();
        problems.push(Problem { rule: "VP-03", path: "spec.capacity", message });
    }
    smallest
}

fn node_name(spec: &IngestionPipelineSpec, node: &Node) -> String {
    match &spec.instance_type {
        Some(name) => name.clone(),
        None => format!(
            "{} cores, {}",
            Quantity::of_cpu_milli(node.capacity.cpu_milli).0,
            Quantity::of_mib(node.capacity.memory_mib).0
        ),
    }
}

fn policy(spec: &IngestionPipelineSpec, problems: &mut Vec<Problem>) -> Policy {
    let mut ms = |path, duration: &Duration| {
        duration.ms().unwrap_or_else(|| {
            let message = format!("{:?} is no time; write 300s, 10m or 1h30m", duration.0);
            problems.push(Problem { rule: "VP-04", path, message });
            0
        })
    };
    let scaling = &spec.autoscaling;
    let scale_down_window_ms = ms("spec.autoscaling.scaleDownWindow", &scaling.scale_down_window);
    let scale_to_zero_after_ms = ms("spec.autoscaling.scaleToZeroAfter", &scaling.scale_to_zero_after);
    let max_busy_wait_ms = ms("spec.autoscaling.maxBusyWait", &scaling.max_busy_wait);
    let budgets = spec
        .rate_limits
        .iter()
        .map(|limit| ModelBudget {
            provider: limit.provider.as_str().to_owned(),
            requests_per_minute: NonZeroU32::new(limit.requests_per_minute),
            calls_per_document: NonZeroU32::new(limit.calls_per_document).unwrap_or(NonZeroU32::MIN),
            tokens_per_minute: None,
            tokens_per_document: None,
        })
        .collect();
    let policy = Policy {
        min: spec.workers.replicas.min,
        max: spec.workers.replicas.max,
        depth_per_replica: NonZeroU32::new(scaling.queue_depth_per_replica).unwrap_or(NonZeroU32::MIN),
        budgets,
        scale_down_window_ms,
        scale_to_zero_after_ms,
        max_busy_wait_ms,
    };
    for problem in policy.problems() {
        let path = match problem {
            scale::Error::NoWorkers => "spec.workers.replicas.max",
            scale::Error::MinAboveMax { .. } => "spec.workers.replicas.min",
        };
        problems.push(Problem { rule: "IP-03", path, message: problem.to_string() });
    }
    if !spec.paused {
        return policy;
    }
    // What is in work is finished, and then nobody waits for anything.
    Policy { min: 0, max: 0, scale_down_window_ms: 0, scale_to_zero_after_ms: 0, ..policy }
}

fn split(spec: &IngestionPipelineSpec) -> Option<Split> {
    let memory = &spec.memory.neo4j;
    match (memory.heap_percent, memory.page_cache_percent, memory.system_percent) {
        (Some(heap), Some(page_cache), Some(system)) => Some(Split {
            heap_percent: u64::from(heap),
            page_cache_percent: u64::from(page_cache),
            system_percent: u64::from(system),
        }),
        _ => None,
    }
}

/// Reads amounts, and notes those that are none.
struct Reading<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn not_an_amount(&mut self, path: &'static str, text: &Quantity) {
        let message =
            format!("{:?} is no amount; write 500m or 2 for cores, 512Mi or 2Gi for memory", text.0);
        self.problems.push(Problem { rule: "VP-05", path, message });
    }

    fn mib(&mut self, path: &'static str, quantity: &Quantity) -> Option<u64> {
        let mib = quantity.mib();
        if mib.is_none() {
            self.not_an_amount(path, quantity);
        }
        mib
    }

    fn cpu(&mut self, path: &'static str, quantity: &Quantity) -> Option<u64> {
        let milli = quantity.cpu_milli();
        if milli.is_none() {
            self.not_an_amount(path, quantity);
        }
        milli
    }

    fn amounts(&mut self, path: &'static str, amounts: &ResourceAmounts) -> (Option<u64>, Option<u64>) {
        let cpu = amounts.cpu.as_ref().and_then(|cpu| self.cpu(path, cpu));
        (cpu, amounts.memory.as_ref().and_then(|memory| self.mib(path, memory)))
    }

    fn given(&mut self, path: &'static str, resources: &resource::Resources) -> Given {
        let (requests_cpu_milli, requests_memory_mib) = self.amounts(path, &resources.requests);
        let (limits_cpu_milli, limits_memory_mib) = self.amounts(path, &resources.limits);
        let above = |request: Option<u64>, limit: Option<u64>| {
            request.zip(limit).is_some_and(|(request, limit)| request > limit)
        };
        if above(requests_cpu_milli, limits_cpu_milli) || above(requests_memory_mib, limits_memory_mib) {
            let message = "requests are more than limits; raise limits or lower requests".into();
            self.problems.push(Problem { rule: "VP-06", path, message });
        }
        Given { requests_cpu_milli, requests_memory_mib, limits_cpu_milli, limits_memory_mib }
    }

    fn managed(&mut self, path: &'static str, managed: Option<&Managed>, storage_mib: u64) -> ManagedStore {
        let nothing = Managed::default();
        let managed = managed.unwrap_or(&nothing);
        let storage_mib = self.storage(path, managed.storage.as_ref(), storage_mib);
        let sized = (
            Resources { cpu_milli: STORE_CPU_MILLI.0, memory_mib: STORE_MIB.0 },
            Resources { cpu_milli: STORE_CPU_MILLI.1, memory_mib: STORE_MIB.1 },
        );
        let (requests, limits) = self.given(path, &managed.resources).over(sized.0, sized.1);
        ManagedStore {
            storage_mib,
            storage_class: managed.storage_class_name.clone(),
            bounds: Bounds { requests, limits },
        }
    }

    fn storage(&mut self, path: &'static str, storage: Option<&Quantity>, otherwise: u64) -> u64 {
        let Some(storage) = storage else { return otherwise };
        let mib = self.mib(path, storage).unwrap_or(otherwise);
        if mib < STORAGE_LEAST_MIB {
            let message =
                format!("a volume of {mib} MiB holds nothing; give at least {STORAGE_LEAST_MIB}Mi");
            self.problems.push(Problem { rule: "VP-07", path, message });
        }
        mib
    }

    fn neo4j_place(&mut self, spec: &IngestionPipelineSpec) -> Neo4jPlace {
        if !has_managed_neo4j(spec) {
            let memory = &spec.memory.neo4j;
            if memory != &resource::Neo4jMemory::default() {
                let message =
                    "the memory of a Neo4j that the operator does not run is not its to set; remove it";
                self.problems.push(Problem {
                    rule: "VP-08",
                    path: "spec.memory.neo4j",
                    message: message.into(),
                });
            }
            return Neo4jPlace::External;
        }
        let managed = spec.stores.graph.neo4j.as_ref().and_then(|store| store.managed.as_ref());
        if let Some(storage) = managed.and_then(|managed| managed.storage.as_ref()) {
            self.storage("spec.stores.graph.neo4j.managed.storage", Some(storage), STORAGE_MIB[2]);
        }
        let memory = &spec.memory.neo4j;
        let path = "spec.memory.neo4j";
        let mut mib = |quantity: &Option<Quantity>| quantity.as_ref().and_then(|text| self.mib(path, text));
        let (total, initial) = (mib(&memory.total), mib(&memory.initial_heap));
        match (total, mib(&memory.heap), mib(&memory.page_cache)) {
            (Some(total), Some(heap), Some(page_cache)) => {
                match Memory::given(total, initial, heap, page_cache) {
                    Ok(memory) => Neo4jPlace::Exactly(memory),
                    Err(error) => {
                        self.problems.push(neo4j_problem(&error));
                        Neo4jPlace::External
                    }
                }
            }
            (Some(total_mib), None, None) => Neo4jPlace::Given { total_mib },
            _ => Neo4jPlace::Beside,
        }
    }
}

fn neo4j_store_of(managed: &ManagedNeo4j, memory: Memory) -> ManagedStore {
    let cpu_milli = managed.cpu.as_ref().and_then(Quantity::cpu_milli).unwrap_or(NEO4J_CPU_MILLI);
    let storage = managed.storage.as_ref().and_then(Quantity::mib).unwrap_or(STORAGE_MIB[2]);
    let requests = Resources { cpu_milli, memory_mib: memory.total_mib };
    let limits = Resources { cpu_milli: cpu_milli.max(4_000), memory_mib: memory.total_mib };
    ManagedStore {
        storage_mib: storage,
        storage_class: managed.storage_class_name.clone(),
        bounds: Bounds { requests, limits },
    }
}

fn neo4j_problem(error: &neo4j::Error) -> Problem {
    Problem { rule: "VP-09", path: "spec.memory.neo4j", message: error.to_string() }
}

fn sizing_problem(error: &sizing::Error) -> Problem {
    match error {
        sizing::Error::Neo4j(error) => neo4j_problem(error),
        sizing::Error::DoesNotFit { .. } => Problem {
            rule: "VP-10",
            path: "spec.instanceType",
            message: format!("{error}, or ask for less in resources"),
        },
    }
}

/// What needs the plan: sizes against each other.
fn check(plan: &Plan, spec: &IngestionPipelineSpec, problems: &mut Vec<Problem>) {
    if plan.documents.file_mib > plan.scratch_mib {
        let message = format!(
            "files of {} MiB do not fit the scratch of {} MiB; raise spec.workers.scratch.tmpfs or lower it",
            plan.documents.file_mib, plan.scratch_mib
        );
        problems.push(Problem { rule: "VP-11", path: "spec.extract.limits.maxFileMib", message });
    }
    if plan.scratch_mib + WORKER_BESIDE_SCRATCH_MIB > plan.worker.limits.memory_mib {
        let message = format!(
            "a scratch of {} MiB leaves less than {WORKER_BESIDE_SCRATCH_MIB} MiB of the {} that a worker may take; \
             lower it or raise spec.workers.resources.limits.memory",
            plan.scratch_mib, plan.worker.limits.memory_mib
        );
        problems.push(Problem { rule: "VP-12", path: "spec.workers.scratch.tmpfs", message });
    }
    for language in &spec.extract.ocr.languages {
        if !OCR_LANGUAGES.contains(&language.as_str()) {
            let known = OCR_LANGUAGES.join(", ");
            let message = format!("the worker's image does not read {language:?}; it reads {known}");
            problems.push(Problem { rule: "VP-13", path: "spec.extract.ocr.languages", message });
        }
    }
}
