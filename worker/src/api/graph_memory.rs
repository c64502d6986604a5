//! The memory that the graph's server has in force, for the operator that set it: asked now and then, told from
//! what was heard last, and absent while the server does not answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use crate::config::GraphStore;
use crate::neo4j::{Database, Error, Memory, Options};

/// Time between two questions: a server changes it only by a restart.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Longest wait for the answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What a Neo4j server has in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GraphMemory {
    /// Heap in force, in bytes; absent where it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    heap_bytes: Option<u64>,
    /// Heap as it is set, in bytes; absent where it is not set or cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    heap_set_bytes: Option<u64>,
    /// Page cache as it is set, in bytes; absent where it is not set or cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_cache_bytes: Option<u64>,
}

impl From<Memory> for GraphMemory {
    fn from(memory: Memory) -> Self {
        let Memory { heap_bytes, heap_set_bytes, page_cache_bytes } = memory;
        Self { heap_bytes, heap_set_bytes, page_cache_bytes }
    }
}

/// What was heard last.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Option<GraphMemory>>);

impl Heard {
    /// The memory; none while the server does not answer, or where there is none.
    pub fn last(&self) -> Option<GraphMemory> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, memory: Option<GraphMemory>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = memory;
    }
}

/// Asks until it is dropped. A graph beside the ledger has no memory of its own.
pub async fn watch(api: Shared) {
    let GraphStore::Neo4j(options) = &api.graph else { return };
    let mut connected = None;
    loop {
        let answer = tokio::time::timeout(ANSWER_MAX, Box::pin(ask(options, &mut connected))).await;
        let memory = match answer {
            Ok(Ok(memory)) => Some(memory.into()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the memory of the graph's server is not known");
                None
            }
            Err(_) => None,
        };
        api.graph_memory.is(memory);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn ask(options: &Options, connected: &mut Option<Database>) -> Result<Memory, Error> {
    let database = match connected {
        Some(database) => database.clone(),
        None => connected.insert(Database::connect(options).await?).clone(),
    };
    database.memory().await
}
