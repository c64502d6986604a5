//! The harness' own look at the ledger's server: statements of its own, on a connection of its own that is
//! made again when the server was away.

use std::time::Duration;

use anyhow::{Context, Result};
use docmill_worker::postgres::Options;
use docmill_worker::postgres::tokio_postgres::types::ToSql;
use docmill_worker::postgres::tokio_postgres::{Client, Row};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::services::postgres::client;

/// Longest wait for a connection or an answer: a killed server answers nothing.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub struct Look {
    options: Options,
    client: Mutex<Option<Client>>,
}

impl Look {
    /// Looks at this schema.
    pub fn new(options: Options) -> Self {
        Self { options, client: Mutex::default() }
    }

    /// The rows of a statement.
    ///
    /// # Errors
    /// The server does not answer now.
    pub async fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let mut held = self.client.lock().await;
        if held.as_ref().is_none_or(Client::is_closed) {
            *held = Some(timeout(ANSWER_MAX, client(&self.options)).await??);
        }
        let asked = held.as_ref().context("just made")?.query(sql, parameters);
        let answered = timeout(ANSWER_MAX, asked).await;
        match answered {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => {
                *held = None;
                Err(error).with_context(|| sql.to_owned())
            }
            Err(elapsed) => {
                *held = None;
                Err(elapsed).with_context(|| sql.to_owned())
            }
        }
    }

    /// The number that a statement gives.
    ///
    /// # Errors
    /// As [`Look::rows`].
    pub async fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.rows(sql, &[]).await?.first().context("one row")?.try_get(0)?)
    }

    /// Documents that are not settled.
    ///
    /// # Errors
    /// As [`Look::rows`].
    pub async fn unsettled(&self) -> Result<i64> {
        self.number("SELECT count(*) FROM documents WHERE state IN ('queued', 'processing')").await
    }
}
