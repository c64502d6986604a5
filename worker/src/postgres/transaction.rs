//! One call, one transaction; one that only met another is run again.

use std::time::Duration;

use super::Error;
use crate::attempts::{Attempts, Plan};

/// Times that a transaction is run when it keeps meeting others: enough for many crossing writers, and
/// with the waits below about two seconds, well within a lease.
pub(super) const ATTEMPTS_MAX: u32 = 12;

/// Counts those of a transaction.
pub(super) fn attempts() -> Attempts {
    let (wait, wait_max) = (Duration::from_millis(1), Duration::from_millis(250));
    Attempts::new(Plan { most: ATTEMPTS_MAX, wait, wait_max })
}

/// What a failure comes to before anything was asked to be durable, on a connection that the server ended: the
/// same again finds nothing of it.
pub(super) fn ended(error: Error) -> Error {
    tracing::debug!(%error, "the server ended a session in the middle of a transaction");
    Error::Raced("the server ended the session")
}

/// Runs the body in a transaction of the database and commits it; dropped at any await, it is rolled back. One
/// whose session the server ended before the commit, as it does where we stood still, is run again too.
/// A macro and not a function: the body borrows both the transaction and the caller's arguments.
macro_rules! transaction {
    ($database:expr, |$transaction:ident| $body:expr) => {{
        let mut attempts = $crate::postgres::transaction::attempts();
        loop {
            let mut client = $database.client().await?;
            let mut committing = false;
            let done: Result<_, $crate::postgres::Error> = async {
                let begun = client.transaction().await?;
                let $transaction = &begun;
                let value = $body.await?;
                committing = true;
                begun.commit().await?;
                Ok(value)
            }
            .await;
            let closed = client.is_closed();
            drop(client);
            let done = match done {
                Err(error) if !committing && (closed || error.ends_the_session()) => {
                    Err($crate::postgres::transaction::ended(error))
                }
                done => done,
            };
            if let Some(done) = attempts.after(done, $crate::postgres::Error::met_another).await {
                break done;
            }
        }
    }};
}

pub(super) use transaction;
