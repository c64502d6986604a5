//! What a node has, and what of it is left for pods.

use serde::Serialize;

use super::catalogue::Instance;

/// Cores and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// What the pods of the cluster itself (network, DNS, logs) ask for on a node, and is not ours.
pub const SYSTEM_RESERVE: Resources = Resources { cpu_milli: 100, memory_mib: 256 };

/// MiB of a GiB. The G of the published figures is one: so Docker Compose and the JVM read it.
pub(super) const GIB: u64 = 1_024;

impl Resources {
    /// So many of it.
    pub fn times(self, n: u32) -> Self {
        let n = u64::from(n);
        Self { cpu_milli: self.cpu_milli.saturating_mul(n), memory_mib: self.memory_mib.saturating_mul(n) }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
        }
    }

    /// What is left without the other; nothing where the other is more.
    pub fn minus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_sub(other.cpu_milli),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
        }
    }

    /// Whether it fits into the other.
    pub fn fits(self, other: Self) -> bool {
        self.cpu_milli <= other.cpu_milli && self.memory_mib <= other.memory_mib
    }

    /// A share of it, rounded down.
    pub(super) fn share(self, of: u64, parts: u64) -> Self {
        let share = |whole: u64| (u128::from(whole) * u128::from(of) / u128::from(parts.max(1))) as u64;
        Self { cpu_milli: share(self.cpu_milli), memory_mib: share(self.memory_mib) }
    }
}

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its instance type; absent where cores and memory were given.
    pub instance: Option<&'static str>,
    /// All it has.
    pub capacity: Resources,
    /// What the kubelet gives to pods.
    pub allocatable: Resources,
}

impl Node {
    /// A node of this type.
    pub fn of_instance(instance: &'static Instance) -> Self {
        let capacity = Resources {
            cpu_milli: u64::from(instance.vcpu) * 1_000,
            memory_mib: u64::from(instance.memory_gib) * GIB,
        };
        Self { instance: Some(instance.name), ..Self::of_capacity(capacity) }
    }

    /// A node of which is known what it has.
    pub fn of_capacity(capacity: Resources) -> Self {
        Self { instance: None, capacity, allocatable: allocatable(capacity) }
    }

    /// A node of the cluster, which says itself what it gives to pods.
    pub fn of_allocatable(capacity: Resources, allocatable: Resources) -> Self {
        Self { instance: None, capacity, allocatable }
    }

    /// What is there for our pods.
    pub fn usable(&self) -> Resources {
        self.allocatable.minus(SYSTEM_RESERVE)
    }
}

/// What the kubelet leaves, by the published reservations of GKE. EKS has the same for cores; for memory it reserves
/// 255 MiB and 11 a pod, which is less (2.9 GiB with 234 pods and the eviction threshold; here 3.7 of 32 GiB).
fn allocatable(capacity: Resources) -> Resources {
    let cpu_steps = [(1_000, 600), (1_000, 100), (2_000, 50), (u64::MAX, 25)];
    let memory_steps =
        [(4 * GIB, 2_500), (4 * GIB, 2_000), (8 * GIB, 1_000), (112 * GIB, 600), (u64::MAX, 200)];
    capacity.minus(Resources {
        cpu_milli: reserved(capacity.cpu_milli, &cpu_steps),
        memory_mib: reserved(capacity.memory_mib, &memory_steps) + EVICTION_MIB,
    })
}

/// Memory that must stay free, or the kubelet evicts: its default.
const EVICTION_MIB: u64 = 100;

/// The sum over steps of so much, of which so many ten-thousandths are reserved; rounded up.
fn reserved(whole: u64, steps: &[(u64, u64)]) -> u64 {
    let mut left = whole;
    let mut sum: u128 = 0;
    for &(step, ten_thousandths) in steps {
        let here = left.min(step);
        sum += u128::from(here) * u128::from(ten_thousandths);
        left -= here;
    }
    sum.div_ceil(10_000) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sizing::catalogue::find;

    fn resources(cpu_milli: u64, memory_mib: u64) -> Resources {
        Resources { cpu_milli, memory_mib }
    }

    #[test]
    fn what_the_kubelet_leaves() {
        // 60 + 10 + 2 x 5 + 12 x 2.5 milli of 16 cores; 1 + 0.8 + 0.8 + 0.96 GiB and 100 MiB of 32 GiB.
        let node = Node::of_instance(find("c5.4xlarge").unwrap());
        assert_eq!(node.capacity, resources(16_000, 32_768));
        assert_eq!(node.allocatable, resources(15_890, 32_768 - 3_646 - 100));
        assert_eq!(node.usable(), resources(15_790, 32_768 - 3_646 - 356));
        assert_eq!(Node::of_capacity(resources(0, 50)).allocatable, resources(0, 0));
        let said = Node::of_allocatable(resources(2_000, 4_096), resources(1_900, 3_000));
        assert_eq!(said.usable(), resources(1_800, 2_744));
    }

    proptest! {
        #[test]
        fn more_capacity_never_leaves_less(cpu in 0u64..500_000, memory in 0u64..4_000_000, more in 0u64..100_000) {
            let less = allocatable(resources(cpu, memory));
            prop_assert!(less.fits(allocatable(resources(cpu + more, memory + more))));
            prop_assert!(less.fits(resources(cpu, memory)));
        }
    }
}
