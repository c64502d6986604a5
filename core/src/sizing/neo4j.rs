//! How Neo4j's memory is split, what is refused, and what to change when it is not enough.
//!
//! A JVM needs more than its heap, and a page cache is beside it: what is left to the operating system is part of the
//! sum, and the container's limit is the whole sum.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::node::GIB;
use super::published::Neo4jRow;

/// Least memory for Neo4j, in MiB; with less it starts and then fails over its first large transaction.
pub const LEAST_MIB: u64 = 2 * GIB;
/// Least of it that is left to the operating system and the JVM itself, in MiB: a quarter of the least.
pub const SYSTEM_LEAST_MIB: u64 = LEAST_MIB / 4;

/// How the memory is split, in percent. The parts are all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Split {
    /// Heap.
    pub heap_percent: u64,
    /// Page cache.
    pub page_cache_percent: u64,
    /// Operating system and the JVM itself.
    pub system_percent: u64,
}

impl Default for Split {
    /// The published split.
    fn default() -> Self {
        Self { heap_percent: 25, page_cache_percent: 50, system_percent: 25 }
    }
}

/// How large the heap is at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitialHeap {
    /// As large as it may ever be: memory that is not there is found at the start, not under load.
    #[default]
    Max,
    /// Half of that.
    Half,
}

/// Memory of Neo4j, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// All of it: request and limit of the container.
    pub total_mib: u64,
    /// Heap at the start.
    pub heap_initial_mib: u64,
    /// Largest heap.
    pub heap_max_mib: u64,
    /// Page cache.
    pub page_cache_mib: u64,
}

/// Why a memory is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Less than Neo4j runs with.
    #[error(
        "Neo4j would have {given_mib} MiB and needs {LEAST_MIB}: give it a node of its own, or a larger instance type"
    )]
    TooLittle {
        /// What it would have.
        given_mib: u64,
    },
    /// The percentages are not all of it.
    #[error("the percentages of heap, page cache and system come to {sum}, not 100")]
    NotHundred {
        /// Their sum.
        sum: u64,
    },
    /// A heap or a page cache of nothing.
    #[error("the {part} is 0")]
    PartIsZero {
        /// Which.
        part: &'static str,
    },
    /// The heap is larger at the start than it may ever be.
    #[error("the heap at the start, {initial_mib} MiB, is larger than the largest, {max_mib} MiB")]
    InitialAboveMax {
        /// At the start.
        initial_mib: u64,
        /// Largest.
        max_mib: u64,
    },
    /// Heap and page cache leave too little, or nothing.
    #[error(
        "heap and page cache are {parts_mib} of {total_mib} MiB, and {SYSTEM_LEAST_MIB} MiB must be left to the system"
    )]
    SystemTooSmall {
        /// Heap and page cache.
        parts_mib: u64,
        /// All memory.
        total_mib: u64,
    },
}

impl Memory {
    /// So much memory, split by percentages, rounded down to MiB; what that leaves is the system's.
    pub fn split(total_mib: u64, split: Split, initial: InitialHeap) -> Result<Self, Error> {
        let Split { heap_percent, page_cache_percent, system_percent } = split;
        let sum = heap_percent.saturating_add(page_cache_percent).saturating_add(system_percent);
        if sum != 100 {
            return Err(Error::NotHundred { sum });
        }
        let part = |percent: u64| (u128::from(total_mib) * u128::from(percent) / 100) as u64;
        let heap_max_mib = part(heap_percent);
        let heap_initial_mib = initial.of(heap_max_mib);
        Self { total_mib, heap_initial_mib, heap_max_mib, page_cache_mib: part(page_cache_percent) }
            .checked()
    }

    /// Sizes that a person gave; without one at the start, the heap is as large as it may be.
    pub fn given(
        total_mib: u64,
        heap_initial_mib: Option<u64>,
        heap_max_mib: u64,
        page_cache_mib: u64,
    ) -> Result<Self, Error> {
        let heap_initial_mib = heap_initial_mib.unwrap_or(heap_max_mib);
        Self { total_mib, heap_initial_mib, heap_max_mib, page_cache_mib }.checked()
    }

    /// A published row. Only heap and page cache are published: they are three quarters, as in the published split.
    pub fn published(row: &Neo4jRow) -> Self {
        let Neo4jRow { heap_initial_mib, heap_max_mib, page_cache_mib } = *row;
        let total_mib = ((heap_max_mib + page_cache_mib) * 4).div_ceil(3);
        Self { total_mib, heap_initial_mib, heap_max_mib, page_cache_mib }
    }

    /// The same with another heap at the start.
    pub fn with_initial_heap(self, initial: InitialHeap) -> Self {
        Self { heap_initial_mib: initial.of(self.heap_max_mib), ..self }
    }

    /// What is left to the operating system and the JVM itself, in MiB.
    pub fn system_mib(&self) -> u64 {
        self.total_mib.saturating_sub(self.heap_max_mib.saturating_add(self.page_cache_mib))
    }

    /// The environment of the container, by the names of the official image.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("NEO4J_server_memory_heap_initial__size", format!("{}m", self.heap_initial_mib)),
            ("NEO4J_server_memory_heap_max__size", format!("{}m", self.heap_max_mib)),
            ("NEO4J_server_memory_pagecache_size", format!("{}m", self.page_cache_mib)),
        ]
    }

    fn checked(self) -> Result<Self, Error> {
        let Self { total_mib, heap_initial_mib, heap_max_mib, page_cache_mib } = self;
        if total_mib < LEAST_MIB {
            return Err(Error::TooLittle { given_mib: total_mib });
        }
        let parts = [
            ("heap at the start", heap_initial_mib),
            ("heap", heap_max_mib),
            ("page cache", page_cache_mib),
        ];
        if let Some((part, _)) = parts.into_iter().find(|(_, mib)| *mib == 0) {
            return Err(Error::PartIsZero { part });
        }
        if heap_initial_mib > heap_max_mib {
            return Err(Error::InitialAboveMax { initial_mib: heap_initial_mib, max_mib: heap_max_mib });
        }
        let parts_mib = heap_max_mib.saturating_add(page_cache_mib);
        if parts_mib.saturating_add(SYSTEM_LEAST_MIB) > total_mib {
            return Err(Error::SystemTooSmall { parts_mib, total_mib });
        }
        Ok(self)
    }
}

impl InitialHeap {
    fn of(self, heap_max_mib: u64) -> u64 {
        match self {
            Self::Max => heap_max_mib,
            Self::Half => heap_max_mib / 2,
        }
    }
}

/// How it shows that the memory is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Symptom {
    /// The JVM found no room in the heap.
    HeapExhausted,
    /// Pages are read from disk that were there before.
    PageCacheMisses,
    /// The kernel ended it at the container's limit.
    KilledForMemory,
}

impl Symptom {
    /// What the end of the container tells: exit code 3 is the JVM's own at a full heap; whether the kernel did it,
    /// Kubernetes says (`OOMKilled`). Any other end says nothing of memory.
    pub fn of_exit(code: i32, oom_killed: bool) -> Option<Self> {
        match (code, oom_killed) {
            (_, true) => Some(Self::KilledForMemory),
            (3, false) => Some(Self::HeapExhausted),
            _ => None,
        }
    }
}

/// What to raise. What it takes is added to the whole, so that no other part loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// What was seen.
    pub symptom: Symptom,
    /// The part's size, in MiB.
    pub from_mib: u64,
    /// The size to try next, in MiB: half as much again.
    pub to_mib: u64,
    /// All memory then, in MiB.
    pub total_mib: u64,
}

/// What to raise so that this is not seen again.
pub fn advise(memory: &Memory, symptom: Symptom) -> Advice {
    let from_mib = match symptom {
        Symptom::HeapExhausted => memory.heap_max_mib,
        Symptom::PageCacheMisses => memory.page_cache_mib,
        Symptom::KilledForMemory => memory.system_mib(),
    };
    let more = from_mib.div_ceil(2);
    Advice { symptom, from_mib, to_mib: from_mib + more, total_mib: memory.total_mib + more }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { symptom, from_mib, to_mib, total_mib } = self;
        match symptom {
            Symptom::HeapExhausted => {
                write!(f, "the heap was full: raise heap from {from_mib} to {to_mib} MiB")
            }
            Symptom::PageCacheMisses => write!(
                f,
                "pages are read from disk again and again: raise pageCache from {from_mib} to {to_mib} MiB"
            ),
            Symptom::KilledForMemory => write!(
                f,
                "it was ended at its limit, which heap and page cache leave {from_mib} MiB of: leave it {to_mib} MiB"
            ),
        }?;
        write!(f, ", and total to {total_mib} MiB")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sizing::published::row;

    fn default_split(total_mib: u64) -> Result<Memory, Error> {
        Memory::split(total_mib, Split::default(), InitialHeap::Max)
    }

    #[test]
    fn a_quarter_a_half_and_a_quarter() {
        let memory = default_split(32 * GIB).unwrap();
        let expected = Memory {
            total_mib: 32_768,
            heap_initial_mib: 8_192,
            heap_max_mib: 8_192,
            page_cache_mib: 16_384,
        };
        assert_eq!((memory, memory.system_mib()), (expected, 8_192));
        let half = Memory::split(32 * GIB, Split::default(), InitialHeap::Half).unwrap();
        assert_eq!((half.heap_initial_mib, half.heap_max_mib), (4_096, 8_192));
        let names = [
            ("NEO4J_server_memory_heap_initial__size", "4096m".to_owned()),
            ("NEO4J_server_memory_heap_max__size", "8192m".to_owned()),
            ("NEO4J_server_memory_pagecache_size", "16384m".to_owned()),
        ];
        assert_eq!(half.environment(), names);
    }

    #[test]
    fn published_memory_number_by_number() {
        let of = |instance| Memory::published(&row(instance).unwrap().neo4j.unwrap());
        let small = of("c5.4xlarge");
        assert_eq!(
            (small.heap_initial_mib, small.heap_max_mib, small.page_cache_mib),
            (4_096, 8_192, 8_192)
        );
        let large = of("c5.9xlarge");
        assert_eq!(
            (large.heap_initial_mib, large.heap_max_mib, large.page_cache_mib),
            (16_384, 16_384, 24_576)
        );
        for published in [small, large] {
            assert_eq!(published.checked(), Ok(published));
            assert_eq!(published.system_mib(), published.total_mib.div_ceil(4));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_advice() {
        let split = |heap_percent, page_cache_percent, system_percent| {
            Memory::split(
                4_096,
                Split { heap_percent, page_cache_percent, system_percent },
                InitialHeap::Max,
            )
        };
        let cases = [
            (default_split(2_047), Error::TooLittle { given_mib: 2_047 }),
            (split(25, 50, 24), Error::NotHundred { sum: 99 }),
            (split(u64::MAX, 50, 25), Error::NotHundred { sum: u64::MAX }),
            (split(0, 75, 25), Error::PartIsZero { part: "heap at the start" }),
            (split(75, 0, 25), Error::PartIsZero { part: "page cache" }),
            (split(45, 50, 5), Error::SystemTooSmall { parts_mib: 3_891, total_mib: 4_096 }),
            (
                Memory::given(4_096, None, 2_048, 2_048),
                Error::SystemTooSmall { parts_mib: 4_096, total_mib: 4_096 },
            ),
            (
                Memory::given(4_096, Some(1_025), 1_024, 1_024),
                Error::InitialAboveMax { initial_mib: 1_025, max_mib: 1_024 },
            ),
            (
                Memory::given(4_096, None, u64::MAX, u64::MAX),
                Error::SystemTooSmall { parts_mib: u64::MAX, total_mib: 4_096 },
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found, Err(expected));
        }
        assert!(default_split(2_048).is_ok() && Memory::given(4_096, Some(512), 1_024, 2_048).is_ok());
        let advice = default_split(100).unwrap_err().to_string();
        assert_eq!(
            advice,
            "Neo4j would have 100 MiB and needs 2048: give it a node of its own, or a larger instance type"
        );
    }

    #[test]
    fn heap_errors_raise_the_heap_and_misses_the_page_cache() {
        let memory = default_split(4_096).unwrap();
        let cases = [
            (
                Symptom::of_exit(3, false),
                "the heap was full: raise heap from 1024 to 1536 MiB, and total to 4608 MiB",
            ),
            (
                Some(Symptom::PageCacheMisses),
                "pages are read from disk again and again: raise pageCache from 2048 to 3072 MiB, and total to \
                 5120 MiB",
            ),
            (
                Symptom::of_exit(137, true),
                "it was ended at its limit, which heap and page cache leave 1024 MiB of: leave it 1536 MiB, and total \
                 to 4608 MiB",
            ),
        ];
        for (symptom, advice) in cases {
            assert_eq!(advise(&memory, symptom.unwrap()).to_string(), advice);
        }
        assert_eq!(Symptom::of_exit(137, false), None, "somebody else's SIGKILL");
        assert_eq!(Symptom::of_exit(1, false), None);
    }

    proptest! {
        #[test]
        fn what_is_given_out_is_what_is_there(total in LEAST_MIB..1_000_000, half: bool) {
            let initial = if half { InitialHeap::Half } else { InitialHeap::Max };
            let memory = Memory::split(total, Split::default(), initial).unwrap();
            prop_assert_eq!(memory.heap_max_mib + memory.page_cache_mib + memory.system_mib(), total);
            prop_assert!(memory.heap_initial_mib <= memory.heap_max_mib && memory.system_mib() >= SYSTEM_LEAST_MIB);
            let larger = Memory::split(total + 4, Split::default(), initial).unwrap();
            prop_assert!(larger.heap_max_mib > memory.heap_max_mib && larger.page_cache_mib > memory.page_cache_mib);
        }
    }
}
