//! How many workers and API workers a node carries, what each may take (limits) and what it asks for (requests).
//!
//! Published figures are limits and stay as they are. Where none is published, the same proportions hold: workers'
//! limits come to 3/4 of a node up to 16 cores (c5.4xlarge: 12 of 16 cores, 24 of 32 G) and 8/9 above (c5.9xlarge: 32
//! of 36 cores, 64 of 72 G); requests are 2/3 of limits (c5.4xlarge: 1.0 of 1.5 cores, 2 of 3 G).

use serde::Serialize;

use super::node::{GIB, Node, Resources};
use super::published::{self, Row};

/// Documents that a worker does at once (`WORKER_CONCURRENCY`).
pub const SLOTS: u32 = 4;
/// Nodes of no more cores than this, in thousandths, are the small ones of the published rules.
pub(super) const SMALL_CPU_MILLI_MAX: u64 = 16_000;
/// Most workers that a node carries: a kubelet takes 110 pods unless told otherwise, and there are others.
const REPLICAS_MAX: u64 = 100;
/// Least memory of a worker, in MiB: the built-in model, one extractor and what is in work.
const WORKER_MEMORY_MIB_MIN: u64 = GIB;

/// Pods of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// Workers that the node carries.
    pub replicas: u32,
    /// Documents that each does at once.
    pub slots: u32,
    /// Most that each may take.
    pub limits: Resources,
    /// What each asks for.
    pub requests: Resources,
}

/// Pods of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    /// Requests that each works on at once.
    pub workers: u32,
    /// Most that each may take.
    pub limits: Resources,
    /// What each asks for.
    pub requests: Resources,
}

/// Largest documents that are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Documents {
    /// Largest file, in MiB.
    pub file_mib: u64,
    /// Most pages.
    pub pages: u32,
}

fn row(node: &Node) -> Option<&'static Row> {
    node.instance.and_then(published::row)
}

fn is_small(node: &Node) -> bool {
    node.capacity.cpu_milli <= SMALL_CPU_MILLI_MAX
}

/// The workers of a node. Whether they fit beside the API is asked by [`super::size`].
pub fn workers(node: &Node) -> Workers {
    let derived = derived_workers(node);
    let Some(row) = row(node) else { return derived };
    let limits = Resources {
        cpu_milli: row.worker_cpu_milli.unwrap_or(derived.limits.cpu_milli),
        memory_mib: row.worker_memory_mib.unwrap_or(derived.limits.memory_mib),
    };
    Workers {
        replicas: row.replicas.unwrap_or(derived.replicas),
        slots: row.slots.unwrap_or(derived.slots),
        limits,
        requests: row.worker_requests.unwrap_or(limits.share(2, 3)),
    }
}

/// Half the cores (8 of 16) of 1.5 cores and 3 G each up to 16 cores, four ninths (16 of 36) of 2 cores and 4 G each
/// above; fewer where the memory is less than theirs.
fn derived_workers(node: &Node) -> Workers {
    let Resources { cpu_milli, memory_mib } = node.capacity;
    let small = is_small(node);
    let (by_cores, share_of_memory, most) = if small {
        (cpu_milli / 2_000, memory_mib * 3 / 4, Resources { cpu_milli: 1_500, memory_mib: 3 * GIB })
    } else {
        (cpu_milli * 4 / 9_000, memory_mib * 8 / 9, Resources { cpu_milli: 2_000, memory_mib: 4 * GIB })
    };
    let by_memory = share_of_memory / WORKER_MEMORY_MIB_MIN;
    let replicas = by_cores.min(by_memory).clamp(1, REPLICAS_MAX);
    let limits = Resources {
        cpu_milli: most.cpu_milli.min(cpu_milli),
        memory_mib: most.memory_mib.min(share_of_memory / replicas),
    };
    Workers { replicas: replicas as u32, slots: SLOTS, limits, requests: limits.share(2, 3) }
}

/// The API server of a node. It streams what it takes in and gives out, so it asks for an eighth of what it may take.
pub fn api(node: &Node) -> Api {
    let row = row(node);
    let vcpu = node.capacity.cpu_milli / 1_000;
    let most = if is_small(node) { 16 } else { 24 };
    let by_rule = (2 * vcpu + 1).min(most) as u32;
    // Half the cores, at most 16, and 1 G of memory a core: 8 and 16 are published.
    let cpu_milli = (node.capacity.cpu_milli / 2).min(16_000);
    let memory_mib = (cpu_milli * GIB / 1_000).min(node.capacity.memory_mib / 4);
    let limits = row.and_then(|row| row.api_limits).unwrap_or(Resources { cpu_milli, memory_mib });
    Api {
        workers: row.and_then(|row| row.api_workers).unwrap_or(by_rule),
        limits,
        requests: limits.share(1, 8),
    }
}

/// Limits of documents: 500 MB and 1,000 pages from 8 cores on, else 200 MB and 500 pages (requirements §1, §2).
pub fn documents(node: &Node) -> Documents {
    match node.capacity.cpu_milli {
        8_000.. => Documents { file_mib: 500, pages: 1_000 },
        _ => Documents { file_mib: 200, pages: 500 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::catalogue::{CATALOGUE, find};

    fn node(name: &str) -> Node {
        Node::of_instance(find(name).unwrap())
    }

    fn resources(cpu_milli: u64, memory_mib: u64) -> Resources {
        Resources { cpu_milli, memory_mib }
    }

    #[test]
    fn published_workers_number_by_number() {
        let cases = [
            // type, replicas, slots, limits, requests
            ("t3.2xlarge", 4, 4, resources(1_500, 3_072), resources(1_000, 2_048)),
            ("c5.4xlarge", 8, 4, resources(1_500, 3_072), resources(1_000, 2_048)),
            ("c5.9xlarge", 16, 4, resources(2_000, 4_096), resources(1_333, 2_730)),
            ("c5.12xlarge", 21, 4, resources(2_000, 4_096), resources(1_333, 2_730)),
            ("c5.xlarge", 1, 3, resources(3_000, 4_096), resources(2_000, 2_730)),
            ("c5.2xlarge", 1, 7, resources(7_000, 8_192), resources(4_666, 5_461)),
        ];
        for (name, replicas, slots, limits, requests) in cases {
            assert_eq!(workers(&node(name)), Workers { replicas, slots, limits, requests }, "{name}");
        }
    }

    #[test]
    fn published_api_number_by_number() {
        let cases = [
            ("t3.2xlarge", 4, resources(4_000, 4_096)),
            ("c5.4xlarge", 12, resources(8_000, 8_192)),
            ("c5.9xlarge", 24, resources(16_000, 16_384)),
            ("c5.12xlarge", 24, resources(16_000, 16_384)),
            ("c5.xlarge", 9, resources(2_000, 2_048)),
            ("c5.2xlarge", 16, resources(4_000, 4_096)),
            ("c7g.medium", 3, resources(500, 512)),
            ("m5.8xlarge", 24, resources(16_000, 16_384)),
        ];
        for (name, workers, limits) in cases {
            let api = api(&node(name));
            assert_eq!((api.workers, api.limits), (workers, limits), "{name}");
            assert_eq!(api.requests, limits.share(1, 8));
        }
    }

    #[test]
    fn the_formula_meets_the_published_sets_it_was_taken_from() {
        for name in ["t3.2xlarge", "c5.4xlarge", "c5.9xlarge"] {
            let (derived, published) = (derived_workers(&node(name)), workers(&node(name)));
            assert_eq!(derived, published, "{name}");
        }
    }

    #[test]
    fn derived_workers_of_other_types() {
        let cases = [
            ("t3.xlarge", 2, resources(1_500, 3_072)),
            ("m5.2xlarge", 4, resources(1_500, 3_072)),
            ("c6i.4xlarge", 8, resources(1_500, 3_072)),
            ("c6i.8xlarge", 14, resources(2_000, 4_096)),
            ("r5.large", 1, resources(1_500, 3_072)),
            ("c7g.medium", 1, resources(1_000, 1_536)),
            ("c7g.large", 1, resources(1_500, 3_072)),
            ("m7i.48xlarge", 85, resources(2_000, 4_096)),
        ];
        for (name, replicas, limits) in cases {
            let workers = workers(&node(name));
            assert_eq!((workers.replicas, workers.limits, workers.slots), (replicas, limits, 4), "{name}");
        }
        let little_memory = workers(&Node::of_capacity(resources(32_000, 8 * GIB)));
        assert_eq!((little_memory.replicas, little_memory.limits.memory_mib), (7, 1_040));
        assert_eq!(workers(&Node::of_capacity(resources(500, 512))).limits, resources(500, 384));
    }

    #[test]
    fn larger_documents_from_eight_cores_on() {
        assert_eq!(documents(&node("c5.xlarge")), Documents { file_mib: 200, pages: 500 });
        assert_eq!(documents(&node("c5.2xlarge")), Documents { file_mib: 500, pages: 1_000 });
    }

    #[test]
    fn limits_grow_within_a_family() {
        for pair in CATALOGUE.windows(2).filter(|pair| pair[0].family() == pair[1].family()) {
            let [smaller, larger] = [Node::of_instance(&pair[0]), Node::of_instance(&pair[1])];
            let all = |node: &Node| {
                let workers = workers(node);
                workers.limits.times(workers.replicas)
            };
            assert!(all(&smaller).fits(all(&larger)), "{pair:?}");
            assert!(api(&smaller).limits.fits(api(&larger).limits), "{pair:?}");
            assert!(workers(&smaller).replicas <= workers(&larger).replicas, "{pair:?}");
            assert!(documents(&smaller).file_mib <= documents(&larger).file_mib);
        }
    }
}
