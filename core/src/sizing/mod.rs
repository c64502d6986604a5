//! What runs on a node of an instance type: workers, API server, Neo4j, and how many nodes that needs.
//!
//! Published figures are kept as they are and are limits; requests are what must fit. All of it is arithmetic on
//! numbers that are given.

use serde::Serialize;

pub mod catalogue;
mod clients;
pub mod neo4j;
mod node;
mod published;
pub mod shares;
mod workers;

#[cfg(test)]
mod tests;

pub use catalogue::{CATALOGUE, Instance, UnknownInstance};
pub use clients::{Clients, clients};
pub use node::{Node, Resources, SYSTEM_RESERVE};
pub use published::{Neo4jRow, OwnNode, Part, ROWS, Row};
pub use workers::{Api, Documents, SLOTS, Workers, api, documents, workers};

use neo4j::{InitialHeap, Memory, Split};

/// Cores that Neo4j asks for, in thousandths. Nothing is published: its memory decides where it goes.
const NEO4J_CPU_MILLI: u64 = 500;

/// Where Neo4j's memory comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neo4jPlace {
    /// It runs elsewhere.
    External,
    /// Beside workers and API: what is published for the instance type, else what their requests leave.
    Beside,
    /// It has this node for itself.
    OwnNode(Node),
    /// It gets so much, in MiB, wherever it is.
    Given {
        /// All its memory.
        total_mib: u64,
    },
    /// All sizes are given.
    Exactly(Memory),
}

/// What a person may want otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// Pods of the API server.
    pub api_replicas: u32,
    /// Neo4j.
    pub neo4j: Neo4jPlace,
    /// How its memory is split; absent for the published figures of the instance type, else the published split.
    pub split: Option<Split>,
    /// Its heap at the start; absent for the published one, else as large as it may be.
    pub initial_heap: Option<InitialHeap>,
    /// What other parts on the same node ask for: a managed queue, ledger, object store.
    pub beside: Resources,
    /// What is given of a worker.
    pub worker: Given,
    /// What is given of an API pod.
    pub api: Given,
}

/// What a person gives of a pod; what is absent is sized.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// Cores it asks for, in thousandths.
    pub requests_cpu_milli: Option<u64>,
    /// Memory it asks for, in MiB.
    pub requests_memory_mib: Option<u64>,
    /// Most cores it may take, in thousandths.
    pub limits_cpu_milli: Option<u64>,
    /// Most memory it may take, in MiB.
    pub limits_memory_mib: Option<u64>,
}

impl Given {
    /// Requests and limits, where so much was sized. What is sized gives way: requests never come to more than limits
    /// but where both are given.
    pub fn over(self, requests: Resources, limits: Resources) -> (Resources, Resources) {
        let (request_cpu, limit_cpu) =
            pair(self.requests_cpu_milli, self.limits_cpu_milli, requests.cpu_milli, limits.cpu_milli);
        let (request_memory, limit_memory) =
            pair(self.requests_memory_mib, self.limits_memory_mib, requests.memory_mib, limits.memory_mib);
        (
            Resources { cpu_milli: request_cpu, memory_mib: request_memory },
            Resources { cpu_milli: limit_cpu, memory_mib: limit_memory },
        )
    }
}

/// A request and a limit of one kind.
fn pair(request: Option<u64>, limit: Option<u64>, sized_request: u64, sized_limit: u64) -> (u64, u64) {
    match (request, limit) {
        (Some(request), Some(limit)) => (request, limit),
        (Some(request), None) => (request, sized_limit.max(request)),
        (None, Some(limit)) => (sized_request.min(limit), limit),
        (None, None) => (sized_request, sized_limit),
    }
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            api_replicas: 2,
            neo4j: Neo4jPlace::Beside,
            split: None,
            initial_heap: None,
            beside: Resources::default(),
            worker: Given::default(),
            api: Given::default(),
        }
    }
}

/// Whether one node is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "fit", rename_all_fields = "camelCase")]
pub enum Fit {
    /// All that is on nodes of this type fits one.
    OneNode,
    /// It does not: so many are needed.
    SpreadNeeded {
        /// Nodes of the type.
        nodes: u32,
    },
}

/// What runs on nodes of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizing {
    /// The node.
    pub node: Node,
    /// Workers.
    pub workers: Workers,
    /// API server.
    pub api: Api,
    /// Pods of the API server.
    pub api_replicas: u32,
    /// Limits of documents.
    pub documents: Documents,
    /// Figures of the clients of stores and models.
    pub clients: Clients,
    /// Memory of Neo4j; absent where it runs elsewhere.
    pub neo4j: Option<Memory>,
    /// Parts that are to have nodes of their own, beside those that `fit` counts.
    pub own_nodes: &'static [OwnNode],
    /// Whether one node is enough.
    pub fit: Fit,
}

/// Why there is no sizing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neo4j's memory is refused.
    #[error("the memory of Neo4j does not work out")]
    Neo4j(#[from] neo4j::Error),
    /// Not even one pod of each kind fits.
    #[error(
        "{what} asks for {} MiB and {} thousandths of a core, and a node has {} and {} for pods: take a larger one",
        needed.memory_mib, needed.cpu_milli, usable.memory_mib, usable.cpu_milli
    )]
    DoesNotFit {
        /// What does not fit.
        what: &'static str,
        /// What it asks for.
        needed: Resources,
        /// What there is for it.
        usable: Resources,
    },
}

/// Sizes all that runs on nodes of this kind.
///
/// Published numbers of workers stay, and what does not fit is spread. Derived numbers of workers are lowered until
/// they fit one node beside API and other parts.
pub fn size(node: &Node, wishes: &Wishes) -> Result<Sizing, Error> {
    let row = node.instance.and_then(published::row);
    let mut api = workers::api(node);
    (api.requests, api.limits) = wishes.api.over(api.requests, api.limits);
    let others = api.requests.times(wishes.api_replicas).plus(wishes.beside);
    let mut workers = workers::workers(node);
    (workers.requests, workers.limits) = wishes.worker.over(workers.requests, workers.limits);
    if row.is_none_or(|row| row.replicas.is_none()) {
        workers.replicas = as_many_as_fit(&workers, others, node.usable())?;
    }
    let left = node.usable().minus(workers.requests.times(workers.replicas).plus(others));
    let own_nodes = row.map_or(&[][..], |row| row.own_nodes);
    let (neo4j, is_here) = neo4j_memory(row, own_nodes, left.memory_mib, wishes)?;

    let mut pods = vec![("other parts", wishes.beside, 1)];
    if let Some(memory) = neo4j.filter(|_| is_here) {
        let requests =
            Resources { cpu_milli: NEO4J_CPU_MILLI.min(left.cpu_milli), memory_mib: memory.total_mib };
        pods.push(("Neo4j", requests, 1));
    }
    pods.push(("the API server", api.requests, wishes.api_replicas));
    pods.push(("a worker", workers.requests, workers.replicas));
    let fit = match nodes_needed(pods, node.usable())? {
        0 | 1 => Fit::OneNode,
        nodes => Fit::SpreadNeeded { nodes },
    };
    let (documents, clients) = (workers::documents(node), clients::clients(node));
    let (node, api_replicas) = (*node, wishes.api_replicas);
    Ok(Sizing { node, workers, api, api_replicas, documents, clients, neo4j, own_nodes, fit })
}

/// So many of the workers as fit beside the others; at least one.
fn as_many_as_fit(workers: &Workers, others: Resources, usable: Resources) -> Result<u32, Error> {
    let left = usable.minus(others);
    if !others.fits(usable) || !workers.requests.fits(left) {
        let needed = workers.requests.plus(others);
        return Err(Error::DoesNotFit {
            what: "one worker beside API server and other parts",
            needed,
            usable,
        });
    }
    let by_cores = left.cpu_milli / workers.requests.cpu_milli.max(1);
    let by_memory = left.memory_mib / workers.requests.memory_mib.max(1);
    Ok(u64::from(workers.replicas).min(by_cores).min(by_memory) as u32)
}

/// Neo4j's memory, and whether it is on nodes of this type.
fn neo4j_memory(
    row: Option<&Row>,
    own_nodes: &[OwnNode],
    left_mib: u64,
    wishes: &Wishes,
) -> Result<(Option<Memory>, bool), Error> {
    let split = |total_mib| {
        Memory::split(total_mib, wishes.split.unwrap_or_default(), wishes.initial_heap.unwrap_or_default())
    };
    let published_own = own_nodes
        .iter()
        .find(|own| own.part == Part::Neo4j)
        .and_then(|own| catalogue::find(own.instance).ok())
        .map(Node::of_instance);
    let published = row.and_then(|row| row.neo4j).filter(|_| wishes.split.is_none());
    let (memory, is_here) = match (wishes.neo4j, published_own, published) {
        (Neo4jPlace::External, _, _) => return Ok((None, false)),
        (Neo4jPlace::Exactly(memory), _, _) => (memory, true),
        (Neo4jPlace::Given { total_mib }, _, _) => (split(total_mib)?, true),
        (Neo4jPlace::OwnNode(node), _, _) | (Neo4jPlace::Beside, Some(node), _) => {
            (split(node.usable().memory_mib)?, false)
        }
        (Neo4jPlace::Beside, None, Some(row)) => {
            let memory = Memory::published(&row);
            (wishes.initial_heap.map_or(memory, |initial| memory.with_initial_heap(initial)), true)
        }
        (Neo4jPlace::Beside, None, None) => (split(left_mib)?, true),
    };
    Ok((Some(memory), is_here))
}

/// How many nodes take these pods: the largest first, each to the first node with room for it.
fn nodes_needed(mut pods: Vec<(&'static str, Resources, u32)>, usable: Resources) -> Result<u32, Error> {
    pods.sort_by_key(|(_, requests, _)| std::cmp::Reverse(requests.memory_mib));
    let mut nodes: Vec<Resources> = Vec::new();
    for (what, requests, count) in pods {
        if requests == Resources::default() {
            continue;
        }
        if count > 0 && !requests.fits(usable) {
            return Err(Error::DoesNotFit { what, needed: requests, usable });
        }
        for _ in 0..count {
            match nodes.iter_mut().find(|left| requests.fits(**left)) {
                Some(left) => *left = left.minus(requests),
                None => nodes.push(usable.minus(requests)),
            }
        }
    }
    Ok(nodes.len() as u32)
}
