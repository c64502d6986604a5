//! One call, one transaction; one that only met another is run again.

use std::time::Duration;

use super::Error;

/// Times that a transaction is run when it keeps meeting others: enough for many crossing writers, and
/// with the waits below about two seconds, well within a lease.
pub(super) const ATTEMPTS_MAX: u32 = 12;
/// Wait before the second attempt; doubled by each further one.
const WAIT: Duration = Duration::from_millis(1);
/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_millis(250);

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
                let doubled = WAIT.saturating_mul(1 << self.0.min(16));
                tokio::time::sleep(doubled.min(WAIT_MAX)).await;
                None
            }
            done => Some(done),
        }
    }
}

/// Runs the body in a transaction of the database and commits it; dropped at any await, it is rolled back.
/// A macro and not a function: the body borrows both the transaction and the caller's arguments.
macro_rules! transaction {
    ($database:expr, |$transaction:ident| $body:expr) => {{
        let mut attempts = $crate::postgres::transaction::Attempts::default();
        loop {
            let mut client = $database.client().await?;
            let done: Result<_, $crate::postgres::Error> = async {
                let begun = client.transaction().await?;
                let $transaction = &begun;
                let value = $body.await?;
                begun.commit().await?;
                Ok(value)
            }
            .await;
            drop(client);
            if let Some(done) = attempts.after(done).await {
                break done;
            }
        }
    }};
}

pub(super) use transaction;
