//! Lanes: small files go first, and a share of every look is kept for large ones so that they never starve.

use serde::{Deserialize, Serialize};

/// Which queue a document waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Files below [`SMALL_BYTES_MAX`].
    Small,
    /// All others.
    Large,
}

/// Files of fewer bytes than this (1 MB, requirements "queues by size") take the small lane.
pub const SMALL_BYTES_MAX: u64 = 1_000_000;

/// Of this many deliveries, one is offered to the large lane first.
pub const LARGE_SHARE: u64 = 4;

impl Lane {
    /// Both lanes, first served first.
    pub const ALL: [Lane; 2] = [Lane::Small, Lane::Large];

    /// The lane of a file of this size.
    pub fn of_bytes(bytes: u64) -> Self {
        if bytes < SMALL_BYTES_MAX { Self::Small } else { Self::Large }
    }

    /// The lane's name in status, metrics and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    /// The order in which the `n`-th look (from 0) offers its free slot to the lanes.
    pub fn order_of_look(n: u64) -> [Lane; 2] {
        if n % LARGE_SHARE == LARGE_SHARE - 1 { [Self::Large, Self::Small] } else { Self::ALL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_decides_the_lane() {
        assert_eq!(Lane::of_bytes(0), Lane::Small);
        assert_eq!(Lane::of_bytes(SMALL_BYTES_MAX - 1), Lane::Small);
        assert_eq!(Lane::of_bytes(SMALL_BYTES_MAX), Lane::Large);
    }

    #[test]
    fn large_is_first_once_in_every_share() {
        for start in 0..LARGE_SHARE {
            let first_large =
                (start..start + LARGE_SHARE).filter(|&n| Lane::order_of_look(n)[0] == Lane::Large).count();
            assert_eq!(first_large, 1);
        }
    }
}
