//! One call, one transaction; one that only met another is run again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::bolt::{Access, Answer, Value};
use super::{Database, Error};

/// Times that a transaction is run when it keeps meeting others: with the waits below at most four seconds,
/// well within a lease.
pub(super) const ATTEMPTS_MAX: u32 = 16;
/// Longest wait before the second attempt; doubled by each further one.
const WAIT: Duration = Duration::from_millis(4);
/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_millis(400);

/// Counts the attempts of a transaction.
#[derive(Default)]
pub(super) struct Attempts(u32);

impl Attempts {
    /// What the attempt came to, or `None` after a wait: run it again.
    pub(super) async fn after<T>(&mut self, done: Result<T, Error>) -> Option<Result<T, Error>> {
        self.0 += 1;
        match done {
            Err(error) if error.met_another() && self.0 < ATTEMPTS_MAX => {
                tracing::debug!(%error, attempt = self.0, "a transaction met another");
                tokio::time::sleep(jittered(WAIT.saturating_mul(1 << self.0.min(16)).min(WAIT_MAX))).await;
                None
            }
            done => Some(done),
        }
    }
}

/// Runs statements as one transaction that waits for nothing we say, and gives what `judge` makes of the answers
/// and of what the server refused.
pub(super) async fn at_once<T>(
    database: &Database,
    statements: &[(&str, Value)],
    judge: impl Fn(&[Answer], Option<Error>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut attempts = Attempts::default();
    loop {
        let done = async {
            let begun = database.pool.begin(Access::Write, database.pool.usual()).await?;
            let (answers, refused) = begun.finish(statements).await?;
            judge(&answers, refused)
        };
        if let Some(done) = attempts.after(done.await).await {
            return done;
        }
    }
}

/// Between half of the wait and all of it: two that met do not meet again in step.
fn jittered(wait: Duration) -> Duration {
    // The keys of a hash map are random, and here already.
    let random = RandomState::new().hash_one(0u8) % 1_000;
    wait / 2 + wait.mul_f64(random as f64 / 2_000.0)
}

/// Runs the body in a transaction and commits it, or undoes it; dropped at any await, it is undone. A macro and
/// not a function: the body borrows both the transaction and the caller's arguments.
macro_rules! transaction {
    ($database:expr, $access:expr, $limit:expr, |$transaction:ident| $body:expr) => {{
        let mut attempts = $crate::neo4j::transaction::Attempts::default();
        loop {
            let done: Result<_, $crate::neo4j::Error> = async {
                let mut begun = $database.pool.begin($access, $limit).await?;
                let $transaction = &mut begun;
                let done = $body.await;
                match done {
                    Ok(value) => begun.commit().await.map(|()| value),
                    Err(error) => {
                        begun.roll_back().await;
                        Err(error)
                    }
                }
            }
            .await;
            if let Some(done) = attempts.after(done).await {
                break done;
            }
        }
    }};
}

pub(super) use transaction;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_differ_and_stay_within_their_bounds() {
        let wait = Duration::from_millis(100);
        let waits: std::collections::BTreeSet<_> = (0..100).map(|_| jittered(wait)).collect();
        assert!(waits.len() > 20);
        assert!(waits.iter().all(|waited| (wait / 2..=wait).contains(waited)));
    }

    #[tokio::test]
    async fn attempts_end() {
        let raced = || Err::<(), _>(Error::Raced("again"));
        assert!(Attempts::default().after(raced()).await.is_none());
        assert!(Attempts(ATTEMPTS_MAX - 1).after(raced()).await.is_some());
        assert!(Attempts::default().after::<()>(Err(Error::DiskFull)).await.is_some());
    }
}
