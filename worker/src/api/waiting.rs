//! Before the ledger's server answers: the API waits for it as a worker does. It says that it runs and is not ready,
//! and whoever wants more is told to come again.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::first_key::FirstKey;
use super::problem::Problem;
use crate::http::{self, Limits};
use crate::postgres::{self, Database, Options};
use crate::service::opened;

/// Answers are short, and nobody keeps a connection beyond the wait.
const LIMITS: Limits = Limits { connections_max: 64, keep_alive: false, grace: Duration::from_secs(1) };

/// The ledger, which knows the first key then, and whether a key of it was ever made; `None`: asked to end before it
/// answered.
///
/// # Errors
/// Somebody has to change something before it can answer.
pub(super) async fn ledger(
    options: &Options,
    first_key: Option<&FirstKey>,
    listeners: [&TcpListener; 2],
    mut stop: watch::Receiver<bool>,
) -> Result<Option<(Database, bool)>, postgres::Error> {
    let (answered, until) = watch::channel(false);
    let asked = async {
        let open = async || {
            let database = Box::pin(Database::open(options)).await?;
            if let Some(first_key) = first_key {
                Box::pin(first_key.keep(&database)).await?;
            }
            let has_keys = Box::pin(database.has_keys()).await?;
            Ok::<_, postgres::Error>((database, has_keys))
        };
        let opened = opened(&mut stop, postgres::Error::stays, open).await;
        answered.send_replace(true);
        opened
    };
    let [one, other] =
        listeners.map(|listener| http::serve_meanwhile(listener, router(), LIMITS, until.clone()));
    let (opened, (), ()) = tokio::join!(asked, one, other);
    opened
}

fn router() -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || http::readiness(false)))
        .fallback(async || Problem::ledger_away())
}
