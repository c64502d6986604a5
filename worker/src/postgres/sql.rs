//! Prepared statements: each is prepared once a connection and then costs one round trip.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Error;

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) async fn rows(
    transaction: &Transaction<'_>,
    sql: &str,
    values: Values<'_>,
) -> Result<Vec<Row>, Error> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query(&statement, values).await?)
}

pub(super) async fn optional(
    transaction: &Transaction<'_>,
    sql: &str,
    values: Values<'_>,
) -> Result<Option<Row>, Error> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_opt(&statement, values).await?)
}

pub(super) async fn one(
    transaction: &Transaction<'_>,
    sql: &str,
    values: Values<'_>,
) -> Result<Row, Error> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_one(&statement, values).await?)
}

/// Returns how many rows it touched.
pub(super) async fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    values: Values<'_>,
) -> Result<u64, Error> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.execute(&statement, values).await?)
}

/// Lifts the limit of time from the statements of a transaction that looks at all rows there are.
pub(super) async fn take_your_time(transaction: &Transaction<'_>) -> Result<(), Error> {
    Ok(transaction.batch_execute("SET LOCAL statement_timeout = 0").await?)
}

/// Gives the process a minute between two statements of a transaction in which it has much to put together, or to
/// send, while its locks are held.
pub(super) async fn think_longer(transaction: &Transaction<'_>) -> Result<(), Error> {
    Ok(transaction.batch_execute("SET LOCAL idle_in_transaction_session_timeout = '60s'").await?)
}
