//! How memory is split where a part splits it itself.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::units::Quantity;

/// Memory of the parts that split it themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Of the managed Neo4j.
    #[serde(default)]
    pub neo4j: Neo4jMemory,
}

/// Memory of Neo4j: shares of it, or sizes. Without either: what is published for the instance type, else 25, 50 and
/// 25 percent of what the node leaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.heapPercent) || has(self.pageCachePercent) || has(self.systemPercent)) || \
        (has(self.heapPercent) && has(self.pageCachePercent) && has(self.systemPercent) && \
        self.heapPercent + self.pageCachePercent + self.systemPercent == 100)")
        .message("IP-10: heapPercent, pageCachePercent and systemPercent are given together and come to 100"),
    validation = Rule::new("!(has(self.heap) || has(self.pageCache)) || \
        (has(self.heap) && has(self.pageCache) && has(self.total))")
        .message("IP-11: total, heap and pageCache are given together"),
    validation = Rule::new("!(has(self.heap) && has(self.heapPercent))")
        .message("IP-12: give shares (heapPercent ...) or sizes (heap ...), not both"),
    validation = Rule::new("!has(self.total) || quantity(self.total).compareTo(quantity('2Gi')) >= 0")
        .message("IP-13: Neo4j needs at least 2Gi").field_path(".total"),
    validation = Rule::new("!(has(self.heap) && has(self.pageCache) && has(self.total)) || \
        quantity(self.heap).add(quantity(self.pageCache)).add(quantity('512Mi')).compareTo(quantity(self.total)) <= 0")
        .message("IP-14: heap and pageCache must leave 512Mi of total to the system").field_path(".heap"),
    validation = Rule::new("!has(self.initialHeap) || (has(self.heap) && \
        quantity(self.initialHeap).compareTo(quantity(self.heap)) <= 0)")
        .message("IP-15: initialHeap is given with heap and is not larger").field_path(".initialHeap"),
)]
pub struct Neo4jMemory {
    /// Share of the heap, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 98))]
    pub heap_percent: Option<u32>,
    /// Share of the page cache, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 98))]
    pub page_cache_percent: Option<u32>,
    /// Share that is left to the operating system and the JVM itself, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 98))]
    pub system_percent: Option<u32>,
    /// All its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Quantity>,
    /// Heap at the start; without it, as large as it may ever be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_heap: Option<Quantity>,
    /// Largest heap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<Quantity>,
    /// Page cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_cache: Option<Quantity>,
}
