//! What is killed when: decided by the seed alone, before anything begins.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Of a hundred kills: Redis, PostgreSQL, Neo4j, the API; the others are workers.
const REDIS: usize = 8;
const POSTGRES: usize = 6;
const NEO4J: usize = 3;
const API: usize = 7;
/// From this many kills on, Neo4j has a larger share, so that each server is killed often enough.
const MANY: usize = 1_000;
const NEO4J_OF_MANY: usize = 4;
/// Every how many kills a worker is stopped and wakes up again.
const ZOMBIE_EVERY: usize = 10;
/// Wait before a step.
const WAIT_MS: std::ops::Range<u64> = 150..2_050;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// kill -9 of a worker.
    Worker,
    /// kill -9 of Redis, and a start on its files.
    Redis,
    /// kill -9 of PostgreSQL, and a start on its files.
    Postgres,
    /// kill -9 of Neo4j, and a start on its files.
    Neo4j,
    /// kill -9 of the API while an upload is on its way.
    Api,
    /// A worker stands still for three leases and then goes on.
    Zombie,
}

/// One step, after a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Before it.
    pub wait: Duration,
    /// What is done.
    pub act: Act,
}

/// The steps of so many kills.
pub fn plan(kills: usize, seed: u64) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let neo4j = if kills >= MANY { NEO4J_OF_MANY } else { NEO4J };
    // At least one of each, where there are enough for it.
    let share = |percent: usize| match kills * percent / 100 {
        0 if percent > 0 && kills >= 10 => 1,
        count => count,
    };
    let counts = [
        (Act::Redis, share(REDIS)),
        (Act::Postgres, share(POSTGRES)),
        (Act::Neo4j, share(neo4j)),
        (Act::Api, share(API)),
    ];
    let mut acts: Vec<Act> =
        counts.iter().flat_map(|(act, count)| std::iter::repeat_n(*act, *count)).collect();
    acts.resize(kills.max(acts.len()), Act::Worker);
    acts.extend(std::iter::repeat_n(Act::Zombie, kills.div_ceil(ZOMBIE_EVERY)));
    acts.shuffle(&mut random);
    acts.into_iter()
        .map(|act| Step { wait: Duration::from_millis(random.random_range(WAIT_MS)), act })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(steps: &[Step], act: Act) -> usize {
        steps.iter().filter(|step| step.act == act).count()
    }

    #[test]
    fn kills_are_shared_out() {
        let steps = plan(100, 1);
        let of = |act| count(&steps, act);
        assert_eq!([Act::Redis, Act::Postgres, Act::Neo4j, Act::Api].map(of), [8, 6, 3, 7]);
        assert_eq!([Act::Worker, Act::Zombie].map(of), [76, 10]);
        assert_eq!(steps, plan(100, 1));
        assert_ne!(steps, plan(100, 2));
        let many = plan(1_000, 1);
        for act in [Act::Redis, Act::Postgres, Act::Neo4j, Act::Api] {
            assert!(count(&many, act) >= 40, "{act:?}");
        }
        let few = plan(10, 1);
        let of = |act| count(&few, act);
        assert_eq!([Act::Redis, Act::Postgres, Act::Neo4j, Act::Api].map(of), [1, 1, 1, 1]);
    }
}
