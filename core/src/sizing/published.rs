//! The published sets of figures, as they are. What they leave open is derived by `workers` and `neo4j`.

use serde::Serialize;

use super::node::{GIB, Resources};

/// What is published for an instance type. What is absent is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The instance type.
    pub instance: &'static str,
    /// Workers.
    pub replicas: Option<u32>,
    /// Documents that a worker does at once.
    pub slots: Option<u32>,
    /// Most that a worker may take of cores, in thousandths.
    pub worker_cpu_milli: Option<u64>,
    /// Most that a worker may take of memory, in MiB.
    pub worker_memory_mib: Option<u64>,
    /// What a worker asks for.
    pub worker_requests: Option<Resources>,
    /// Requests that the API server works on at once.
    pub api_workers: Option<u32>,
    /// Most that the API server may take.
    pub api_limits: Option<Resources>,
    /// Memory of Neo4j.
    pub neo4j: Option<Neo4jRow>,
    /// Parts that have a node of their own.
    pub own_nodes: &'static [OwnNode],
}

/// Published memory of Neo4j, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Neo4jRow {
    /// Heap at the start.
    pub heap_initial_mib: u64,
    /// Largest heap.
    pub heap_max_mib: u64,
    /// Page cache.
    pub page_cache_mib: u64,
}

/// A part beside workers and API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Part {
    /// The graph.
    Neo4j,
    /// The vectors.
    VectorStore,
    /// The queue.
    Redis,
}

/// A part and the node that it has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OwnNode {
    /// The part.
    pub part: Part,
    /// The instance type of its node.
    pub instance: &'static str,
}

const NOTHING: Row = Row {
    instance: "",
    replicas: None,
    slots: None,
    worker_cpu_milli: None,
    worker_memory_mib: None,
    worker_requests: None,
    api_workers: None,
    api_limits: None,
    neo4j: None,
    own_nodes: &[],
};

/// The published rows (requirements §1).
pub const ROWS: &[Row] = &[
    Row { instance: "t3.2xlarge", replicas: Some(4), api_workers: Some(4), ..NOTHING },
    Row {
        instance: "c5.4xlarge",
        replicas: Some(8),
        slots: Some(4),
        worker_cpu_milli: Some(1_500),
        worker_memory_mib: Some(3 * GIB),
        worker_requests: Some(Resources { cpu_milli: 1_000, memory_mib: 2 * GIB }),
        api_workers: Some(12),
        api_limits: Some(Resources { cpu_milli: 8_000, memory_mib: 8 * GIB }),
        neo4j: Some(Neo4jRow { heap_initial_mib: 4 * GIB, heap_max_mib: 8 * GIB, page_cache_mib: 8 * GIB }),
        ..NOTHING
    },
    Row {
        instance: "c5.9xlarge",
        replicas: Some(16),
        slots: Some(4),
        worker_cpu_milli: Some(2_000),
        worker_memory_mib: Some(4 * GIB),
        api_workers: Some(24),
        api_limits: Some(Resources { cpu_milli: 16_000, memory_mib: 16 * GIB }),
        // Heap 16 g and page cache 24 g are published; a heap at the start is not, so it is the largest.
        neo4j: Some(Neo4jRow {
            heap_initial_mib: 16 * GIB,
            heap_max_mib: 16 * GIB,
            page_cache_mib: 24 * GIB,
        }),
        ..NOTHING
    },
    Row {
        instance: "c5.12xlarge",
        own_nodes: &[
            OwnNode { part: Part::Neo4j, instance: "r5.2xlarge" },
            OwnNode { part: Part::VectorStore, instance: "c5.2xlarge" },
            OwnNode { part: Part::Redis, instance: "r5.large" },
        ],
        ..NOTHING
    },
    // One worker that uses all cores but one; under 4 G of memory, which a limit of 4 G sees to.
    Row {
        instance: "c5.xlarge",
        replicas: Some(1),
        slots: Some(3),
        worker_cpu_milli: Some(3_000),
        worker_memory_mib: Some(4 * GIB),
        ..NOTHING
    },
    // Its memory is not published: half of the node's, as of a c5.xlarge.
    Row {
        instance: "c5.2xlarge",
        replicas: Some(1),
        slots: Some(7),
        worker_cpu_milli: Some(7_000),
        worker_memory_mib: Some(8 * GIB),
        ..NOTHING
    },
];

/// What is published for this instance type.
pub fn row(instance: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.instance == instance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::catalogue::find;

    #[test]
    fn every_name_is_in_the_catalogue() {
        for row in ROWS {
            assert!(find(row.instance).is_ok(), "{}", row.instance);
            for own in row.own_nodes {
                assert!(find(own.instance).is_ok(), "{}", own.instance);
            }
        }
    }
}
