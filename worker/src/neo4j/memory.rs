//! The memory that a Neo4j server has in force: what the operator set may not be what a server runs with.

use serde::Serialize;

use super::bolt::Value;
use super::check::undone;
use super::{Database, Error};

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Heap in force; none where it cannot be asked.
    pub heap_bytes: Option<u64>,
    /// Heap as it is set; none where it is not set or cannot be asked.
    pub heap_set_bytes: Option<u64>,
    /// Page cache as it is set; none where it is not set or cannot be asked.
    pub page_cache_bytes: Option<u64>,
}

impl Memory {
    /// Asks the server. What the user may not ask is left out.
    ///
    /// # Errors
    /// The server does not answer.
    pub(super) async fn gather(database: &Database) -> Result<Self, Error> {
        let mut memory = Self::default();
        let settings =
            "SHOW SETTINGS 'server.memory.heap.max_size', 'server.memory.pagecache.size' YIELD name, value";
        if let Ok((rows, _)) = undone(database, settings).await? {
            for row in &rows {
                let [Value::Text(name), Value::Text(value)] = row.as_slice() else { continue };
                match name.as_str() {
                    "server.memory.heap.max_size" => memory.heap_set_bytes = size_of(value),
                    _ => memory.page_cache_bytes = size_of(value),
                }
            }
        }
        let heap = "CALL dbms.queryJmx('java.lang:type=Memory') YIELD attributes
                    RETURN attributes.HeapMemoryUsage.value.properties.max";
        if let Ok((rows, _)) = undone(database, heap).await? {
            let max = rows.first().and_then(|row| row.first()?.int());
            memory.heap_bytes = max.and_then(|max| u64::try_from(max).ok());
        }
        Ok(memory)
    }
}

/// Sizes as settings have them: `512.00MiB`, `1g`, `256m`.
fn size_of(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * (1u64 << shift) as f64;
    // Saturates: no size is negative, and none is beyond.
    Some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("512.00MiB", 512 << 20), ("1g", 1 << 30), ("1.5k", 1536), ("7", 7)] {
            assert_eq!(size_of(text), Some(bytes));
        }
        assert_eq!((size_of("No Value"), size_of("")), (None, None));
    }
}
