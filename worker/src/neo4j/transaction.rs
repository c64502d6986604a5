//! One call, one transaction; one that only met another is run again.

use std::time::Duration;

use super::bolt::{Access, Answer, Value};
use super::{Database, Error};
use crate::attempts::{Attempts, Plan};

/// Counts those of a transaction: with the waits at most four seconds, well within a lease.
pub(super) fn attempts() -> Attempts {
    Attempts::new(Plan { most: 16, wait: Duration::from_millis(4), wait_max: Duration::from_millis(400) })
}

/// Runs statements as one transaction that waits for nothing we say, and gives what `judge` makes of the answers
/// and of what the server refused.
pub(super) async fn at_once<T>(
    database: &Database,
    statements: &[(&str, Value)],
    judge: impl Fn(&[Answer], Option<Error>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut attempts = attempts();
    loop {
        let done = async {
            let begun = database.pool.begin(Access::Write, database.pool.usual()).await?;
            let (answers, refused) = begun.finish(statements).await?;
            judge(&answers, refused)
        };
        if let Some(done) = attempts.after(done.await, Error::met_another).await {
            return done;
        }
    }
}

/// Runs the body in a transaction and commits it, or undoes it; dropped at any await, it is undone. A macro and
/// not a function: the body borrows both the transaction and the caller's arguments.
macro_rules! transaction {
    ($database:expr, $access:expr, $limit:expr, |$transaction:ident| $body:expr) => {{
        let mut attempts = $crate::neo4j::transaction::attempts();
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
            if let Some(done) = attempts.after(done, $crate::neo4j::Error::met_another).await {
                break done;
            }
        }
    }};
}

pub(super) use transaction;
