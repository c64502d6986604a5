//! How much workers ask of stores and models at once: two published sets, one a size of node.

use serde::Serialize;

use super::node::Node;
use super::workers::SMALL_CPU_MILLI_MAX;

/// Figures of the clients of stores and models. The environment names that people use stand beside each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Clients {
    /// Connections to Neo4j (`NEO4J_MAX_CONNECTION_POOL_SIZE`).
    pub neo4j_connections: u32,
    /// Rows of a write batch to the vector store (`QDRANT_BATCH_SIZE`).
    pub vector_batch_rows: u32,
    /// Write batches to it at once (`QDRANT_PARALLEL_UPLOADS`).
    pub vector_parallel_uploads: u32,
    /// Requests a minute to OpenAI, all workers together (`OPENAI_MAX_RPM`).
    pub openai_requests_per_minute: u32,
    /// Requests a minute to Anthropic, all workers together (`ANTHROPIC_MAX_RPM`).
    pub anthropic_requests_per_minute: u32,
}

/// The set of c5.4xlarge up to 16 cores, that of c5.9xlarge above.
pub fn clients(node: &Node) -> Clients {
    let small = node.capacity.cpu_milli <= SMALL_CPU_MILLI_MAX;
    let (neo4j_connections, vector_batch_rows, openai) =
        if small { (100, 100, 500) } else { (200, 200, 1_000) };
    Clients {
        neo4j_connections,
        vector_batch_rows,
        vector_parallel_uploads: 4,
        openai_requests_per_minute: openai,
        anthropic_requests_per_minute: 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::catalogue::find;

    #[test]
    fn the_published_sets() {
        for (name, figures) in [
            ("t3.2xlarge", [100, 100, 4, 500, 100]),
            ("c5.4xlarge", [100, 100, 4, 500, 100]),
            ("c5.9xlarge", [200, 200, 4, 1_000, 100]),
            ("c5.12xlarge", [200, 200, 4, 1_000, 100]),
        ] {
            let clients = clients(&Node::of_instance(find(name).unwrap()));
            let found = [
                clients.neo4j_connections,
                clients.vector_batch_rows,
                clients.vector_parallel_uploads,
                clients.openai_requests_per_minute,
                clients.anthropic_requests_per_minute,
            ];
            assert_eq!(found, figures, "{name}");
        }
    }
}
