//! A transaction that failed only because it met another one is run again, after a wait.

use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How often a transaction is run, and how long is waited in between.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Times that it is run.
    pub most: u32,
    /// Half of the longest wait before the second time; doubled by each further one.
    pub wait: Duration,
    /// Longest wait between two times.
    pub wait_max: Duration,
}

/// Counts the attempts of a transaction.
#[derive(Debug)]
pub struct Attempts {
    plan: Plan,
    made: u32,
}

impl Attempts {
    /// None made.
    pub fn new(plan: Plan) -> Self {
        Self { plan, made: 0 }
    }

    /// What the attempt came to, or `None` after a wait: run it again.
    pub async fn after<T, E: Display>(
        &mut self,
        done: Result<T, E>,
        met_another: impl Fn(&E) -> bool,
    ) -> Option<Result<T, E>> {
        self.made += 1;
        match done {
            Err(error) if met_another(&error) && self.made < self.plan.most => {
                tracing::debug!(%error, attempt = self.made, "a transaction met another");
                let doubled = self.plan.wait.saturating_mul(1 << self.made.min(16));
                tokio::time::sleep(jittered(doubled.min(self.plan.wait_max))).await;
                None
            }
            done => Some(done),
        }
    }
}

/// Between half of the wait and all of it: two that met do not meet again in step.
fn jittered(wait: Duration) -> Duration {
    // The keys of a hash map are random, and here already.
    let random = RandomState::new().hash_one(0u8) % 1_000;
    wait / 2 + wait.mul_f64(random as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan =
        Plan { most: 3, wait: Duration::from_micros(1), wait_max: Duration::from_micros(10) };

    #[test]
    fn waits_differ_and_stay_within_their_bounds() {
        let wait = Duration::from_millis(100);
        let waits: std::collections::BTreeSet<_> = (0..100).map(|_| jittered(wait)).collect();
        assert!(waits.len() > 20);
        assert!(waits.iter().all(|waited| (wait / 2..=wait).contains(waited)));
    }

    #[tokio::test]
    async fn attempts_end() {
        let mut attempts = Attempts::new(PLAN);
        let met = |error: &&str| *error == "met";
        for again in [true, true, false] {
            assert_eq!(attempts.after(Err::<(), _>("met"), met).await.is_none(), again);
        }
        assert_eq!(Attempts::new(PLAN).after(Err::<(), _>("full"), met).await, Some(Err("full")));
        assert_eq!(Attempts::new(PLAN).after(Ok::<_, &str>(1), met).await, Some(Ok(1)));
    }
}
