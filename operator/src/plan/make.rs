//! Works out the defaults, or says all that is wrong with what was given.

use std::num::NonZeroU32;

use docmill_core::scale::{self, ModelBudget, Policy};
use docmill_core::sizing::neo4j::{Memory, Split};
use docmill_core::sizing::shares::{Shares, shares};
use docmill_core::sizing::{self, Documents, Node, Resources, Sizing, Wishes, catalogue};

use super::check::check;
use super::read::{Read, neo4j_store, time_ms};
use super::{Bounds, Plan, Problem, Store};
use crate::resource::{Duration, ExternalNeo4j, IngestionPipelineSpec, Quantity};

/// Most address space of an extractor, in MiB: what a worker gives by itself.
const EXTRACTOR_MIB_MAX: u64 = 2_048;

/// Makes the plan. `smallest` is the smallest node of the cluster, for a pipeline that names none.
///
/// # Errors
///
/// All that is wrong, at once.
pub fn make(spec: &IngestionPipelineSpec, smallest: Option<Node>) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let node = node(spec, smallest, &mut problems);
    let policy = policy(spec, &mut problems);
    let read = Read::of(spec, &mut problems);
    let Some(node) = node else { return Err(problems) };
    match sizing::size(&node, &wishes(spec, &read)) {
        Ok(sizing) => {
            let plan = plan(spec, &sizing, read, policy);
            check(&plan, spec, &mut problems);
            if problems.is_empty() { Ok(plan) } else { Err(problems) }
        }
        Err(error) => {
            problems.push(Problem::of_sizing(&error));
            Err(problems)
        }
    }
}

fn node(spec: &IngestionPipelineSpec, smallest: Option<Node>, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut note = |rule, path, message| problems.push(Problem { rule, path, message });
    if let Some(name) = &spec.instance_type {
        return match catalogue::find(name) {
            Ok(instance) => Some(Node::of_instance(instance)),
            Err(unknown) => {
                let message = format!("{unknown}; or give spec.capacity with cpu and memory of a node");
                note("VP-01", "spec.instanceType", message);
                None
            }
        };
    }
    if let Some(capacity) = &spec.capacity {
        return match (capacity.cpu.cpu_milli(), capacity.memory.mib()) {
            (Some(cpu_milli @ 1..), Some(memory_mib @ 1..)) => {
                Some(Node::of_capacity(Resources { cpu_milli, memory_mib }))
            }
            _ => {
                let message = "cpu and memory of a node are amounts above 0, such as \"16\" and 32Gi";
                note("VP-02", "spec.capacity", message.to_owned());
                None
            }
        };
    }
    if smallest.is_none() {
        let message = "no node of the cluster is known that pods may run on, so give spec.instanceType or \
                       spec.capacity";
        note("VP-03", "spec.capacity", message.to_owned());
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
    let mut ms = |path, duration: &Duration| time_ms(path, duration, problems);
    let scaling = &spec.autoscaling;
    let scale_down_window_ms = ms("spec.autoscaling.scaleDownWindow", &scaling.scale_down_window);
    let scale_to_zero_after_ms = ms("spec.autoscaling.scaleToZeroAfter", &scaling.scale_to_zero_after);
    let max_busy_wait_ms = ms("spec.autoscaling.maxBusyWait", &scaling.max_busy_wait);
    let policy = Policy {
        min: spec.workers.replicas.min,
        max: spec.workers.replicas.max,
        depth_per_replica: NonZeroU32::new(scaling.queue_depth_per_replica).unwrap_or(NonZeroU32::MIN),
        budgets: budgets(spec),
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

fn budgets(spec: &IngestionPipelineSpec) -> Vec<ModelBudget> {
    let limits = spec.rate_limits.iter();
    limits
        .map(|limit| ModelBudget {
            provider: limit.provider.as_str().to_owned(),
            requests_per_minute: NonZeroU32::new(limit.requests_per_minute),
            calls_per_document: NonZeroU32::new(limit.calls_per_document).unwrap_or(NonZeroU32::MIN),
            tokens_per_minute: None,
            tokens_per_document: None,
        })
        .collect()
}

fn wishes(spec: &IngestionPipelineSpec, read: &Read) -> Wishes {
    Wishes {
        api_replicas: spec.api.replicas,
        neo4j: read.neo4j,
        split: split(spec),
        initial_heap: None,
        beside: read.beside(),
        worker: read.worker,
        api: read.api,
    }
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

/// What was sized, with what is given before it.
fn plan(spec: &IngestionPipelineSpec, sizing: &Sizing, read: Read, policy: Policy) -> Plan {
    let Shares { extractors, extractor_mib, .. } = worker_shares(spec, sizing);
    Plan {
        node: sizing.node,
        node_name: node_name(spec, &sizing.node),
        fit: sizing.fit,
        workers_sized: sizing.workers.replicas,
        worker: Bounds { requests: sizing.workers.requests, limits: sizing.workers.limits },
        slots: extractors,
        extractor_mib,
        scratch_mib: read.scratch_mib,
        api: Bounds { requests: sizing.api.requests, limits: sizing.api.limits },
        api_replicas: spec.api.replicas,
        api_workers: spec.api.workers.unwrap_or(sizing.api.workers),
        documents: documents(spec, sizing.documents, read.scratch_mib),
        page_ms: read.page_ms,
        document_ms: read.document_ms,
        ask: read.ask,
        queue: read.queue,
        ledger: read.ledger,
        graph: graph(spec, sizing.neo4j),
        neo4j: sizing.neo4j,
        neo4j_connections: neo4j_connections(spec).unwrap_or(sizing.clients.neo4j_connections),
        objects: read.objects,
        budgets: policy.budgets.clone(),
        policy,
    }
}

/// How a worker shares its memory, by the rule that it keeps to itself.
fn worker_shares(spec: &IngestionPipelineSpec, sizing: &Sizing) -> Shares {
    let asked = spec.workers.concurrency.unwrap_or(sizing.workers.slots);
    shares(sizing.workers.limits.memory_mib, asked, EXTRACTOR_MIB_MAX)
}

/// Where no limit of files is given, it is at most what the scratch holds.
fn documents(spec: &IngestionPipelineSpec, sized: Documents, scratch_mib: u64) -> Documents {
    let limits = &spec.extract.limits;
    Documents {
        file_mib: limits.max_file_mib.map_or(sized.file_mib.min(scratch_mib.max(1)), u64::from),
        pages: limits.max_pages.unwrap_or(sized.pages),
    }
}

fn graph(spec: &IngestionPipelineSpec, memory: Option<Memory>) -> Option<Store<ExternalNeo4j>> {
    let store = spec.stores.graph.neo4j.as_ref();
    if let Some(external) = store.and_then(|store| store.external.as_ref()) {
        return Some(Store::External(external.clone()));
    }
    let managed = store.and_then(|store| store.managed.clone()).unwrap_or_default();
    memory.map(|memory| Store::Managed(neo4j_store(&managed, memory)))
}

/// Connections to Neo4j, where they are given.
fn neo4j_connections(spec: &IngestionPipelineSpec) -> Option<u32> {
    let store = spec.stores.graph.neo4j.as_ref()?;
    let external = store.external.as_ref().and_then(|external| external.max_connection_pool_size);
    external.or_else(|| store.managed.as_ref().and_then(|managed| managed.max_connection_pool_size))
}
