//! How much is on its way: the mark above which no more is taken, and what each tenant may have. Looked up at
//! most once a second and counted on in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use docmill_core::id::TenantId;
use tokio::sync::Mutex;

use super::problem::Problem;
use crate::config::ApiSettings;
use crate::desk::{self, Desk};
use crate::ledger::Ledger;
use crate::stages::models;

/// How long a look is good for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Seconds after which it is worth asking again.
const FULL_RETRY_S: u64 = 10;
const DAY_S: u64 = 86_400;

/// See the module.
pub struct Load {
    desk: Arc<dyn Desk>,
    high_water: u64,
    in_flight_max: Option<u64>,
    bytes_per_day: Option<u64>,
    seen: Mutex<Seen>,
    ledger: Arc<dyn Ledger>,
    first_embedder: (&'static str, usize),
    indexed: Mutex<BTreeSet<TenantId>>,
    spread: AtomicU64,
}

#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    by_tenant: BTreeMap<String, u64>,
}

impl Load {
    /// Under these limits; a tenant's first index is begun with this embedder of these dimensions.
    pub fn new(
        desk: Arc<dyn Desk>,
        ledger: Arc<dyn Ledger>,
        first_embedder: (&'static str, usize),
        settings: &ApiSettings,
    ) -> Self {
        Self {
            desk,
            ledger,
            first_embedder,
            high_water: settings.high_water_documents,
            in_flight_max: settings.tenant_documents_in_flight,
            bytes_per_day: settings.tenant_bytes_per_day,
            seen: Mutex::default(),
            indexed: Mutex::default(),
            spread: AtomicU64::new(0),
        }
    }

    /// Whether the tenant may bring so many documents now; they are counted from here on.
    ///
    /// # Errors
    /// 429, or the ledger does not answer.
    pub async fn admit(&self, tenant: &TenantId, documents: u64) -> Result<(), Problem> {
        self.have_an_index(tenant).await?;
        let mut seen = self.seen.lock().await;
        if seen.at.is_none_or(|at| at.elapsed() > LOOK_EVERY) {
            seen.by_tenant = self.desk.unsettled_by_tenant().await?;
            seen.at = Some(Instant::now());
        }
        let all: u64 = seen.by_tenant.values().sum();
        if all.saturating_add(documents) > self.high_water {
            let detail = "as many documents wait as may";
            return Err(Self::full("queue_full", detail, FULL_RETRY_S)
                .at("documents", format!("{} in all", self.high_water)));
        }
        let own = seen.by_tenant.entry(tenant.as_str().to_owned()).or_default();
        if let Some(max) = self.in_flight_max
            && own.saturating_add(documents) > max
        {
            let detail = "as many of your documents wait as may";
            return Err(Self::full("documents_quota", detail, FULL_RETRY_S)
                .at("documents", format!("{max} at once")));
        }
        *own += documents;
        Ok(())
    }

    /// A tenant's first documents come with its first index.
    async fn have_an_index(&self, tenant: &TenantId) -> Result<(), Problem> {
        let mut indexed = self.indexed.lock().await;
        if indexed.contains(tenant) {
            return Ok(());
        }
        if self.ledger.indexes(tenant).await.map_err(desk::Error::from)?.is_empty() {
            let (embedder, dimensions) = self.first_embedder;
            let spec = models::spec(embedder, dimensions, models::CONCEPTS_BUILTIN);
            self.ledger.begin_index(tenant, &spec).await.map_err(desk::Error::from)?;
        }
        indexed.insert(tenant.clone());
        Ok(())
    }

    /// Bytes that the tenant may still upload today; none: any. What is on its way at once may exceed it.
    ///
    /// # Errors
    /// 429 where none are left, or the ledger does not answer.
    pub async fn bytes_left(&self, tenant: &TenantId) -> Result<Option<u64>, Problem> {
        let Some(max) = self.bytes_per_day else { return Ok(None) };
        let used = self.desk.usage(tenant, now_s() / DAY_S).await?;
        if used >= max {
            return Err(self.no_bytes_left(max));
        }
        Ok(Some(max - used))
    }

    /// What an upload is told that is larger than what is left of the day.
    pub fn bytes_exceeded(&self) -> Problem {
        self.no_bytes_left(self.bytes_per_day.unwrap_or_default())
    }

    /// Counts bytes that were accepted.
    ///
    /// # Errors
    /// The ledger does not answer.
    pub async fn used(&self, tenant: &TenantId, bytes: u64) -> Result<(), Problem> {
        if self.bytes_per_day.is_some() {
            let spread = self.spread.fetch_add(1, Ordering::Relaxed);
            self.desk.add_usage(tenant, now_s() / DAY_S, bytes, spread).await?;
        }
        Ok(())
    }

    fn no_bytes_left(&self, max: u64) -> Problem {
        let until_tomorrow = DAY_S - now_s() % DAY_S;
        Self::full("bytes_quota", "the bytes of today are used up", until_tomorrow)
            .at("bytes", format!("{max} a day (UTC)"))
    }

    fn full(code: &'static str, detail: &str, seconds: u64) -> Problem {
        let what_to_do = "wait as Retry-After says, then send the same again";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail, what_to_do).retry_after(seconds)
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
