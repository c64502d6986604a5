//! How long it takes until work goes on after a kill.
//!
//! Of a document: from its worker's kill to the next mark that the ledger has of it elsewhere, which is the
//! start of another trial, or its commit. Of a service: from the moment at which it answers again to the first
//! commit of a document that was claimed after that moment. While a service is away no clock runs: who waits
//! for it begins to count when it answers again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::look::Look;
use super::servers::Service;

/// Between two looks: what a time may be too long by.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A wait worth a line of its own.
const LONG: Duration = Duration::from_secs(5);

/// See the module.
pub struct Recovery {
    look: Arc<Look>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Workers that were killed and whose documents are not known yet.
    unasked: Vec<(String, Instant)>,
    documents: BTreeMap<String, Waiting>,
    /// Services that answer again, and the last claim before, once it is known.
    services: BTreeMap<Service, (Instant, Option<i64>)>,
    back: Option<Instant>,
    measured: Measured,
}

struct Waiting {
    epoch: i64,
    since: Instant,
}

/// What was measured, in seconds.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Of documents.
    pub documents: Vec<f64>,
    /// Of services.
    pub services: Vec<(Service, f64)>,
    /// Worker kills that took a document out of somebody's hands.
    pub effective: usize,
    /// Recoveries that were not seen to end.
    pub open: usize,
}

impl Measured {
    /// The share of all recoveries that took no longer, in seconds; 0 where there is none.
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut all: Vec<f64> = self
            .documents
            .iter()
            .chain(self.services.iter().map(|(_, seconds)| seconds))
            .copied()
            .collect();
        all.sort_by(f64::total_cmp);
        let at = (percent / 100.0 * all.len() as f64).ceil() as usize;
        all.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

impl Recovery {
    /// Nothing to wait for yet.
    pub fn new(look: Arc<Look>) -> Self {
        Self { look, state: Mutex::default() }
    }

    /// This worker was killed just now.
    pub fn worker_killed(&self, name: String) {
        self.lock().unasked.push((name, Instant::now()));
    }

    /// This service is killed now.
    pub fn service_away(&self, service: Service) {
        self.lock().services.remove(&service);
    }

    /// It answers again.
    pub fn service_back(&self, service: Service) {
        let mut state = self.lock();
        let now = Instant::now();
        // Nobody who has a document waits for the API.
        if service != Service::Api {
            state.back = Some(now);
        }
        state.services.insert(service, (now, None));
    }

    /// Looks until it is dropped.
    pub async fn watch(&self) {
        loop {
            // The server may be away: the next look says it.
            let _ = self.round().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether nothing is waited for.
    pub fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.unasked.is_empty() && state.documents.is_empty() && state.services.is_empty()
    }

    /// What was measured until now.
    pub fn measured(&self) -> Measured {
        let state = self.lock();
        let open = state.documents.len() + state.services.len() + state.unasked.len();
        Measured { open, ..state.measured.clone() }
    }

    async fn round(&self) -> Result<()> {
        self.ask_for_documents().await?;
        self.look_at_documents().await?;
        self.look_at_services().await
    }

    async fn ask_for_documents(&self) -> Result<()> {
        loop {
            let Some((name, since)) = self.lock().unasked.first().cloned() else { return Ok(()) };
            let sql =
                "SELECT document::text, epoch FROM documents WHERE state = 'processing' AND owner LIKE $1";
            let held = self.look.rows(sql, &[&format!("{name}-%")]).await?;
            let mut state = self.lock();
            state.unasked.remove(0);
            state.measured.effective += usize::from(!held.is_empty());
            for row in held {
                // One that waited already has a new worker, which is dead as well: its clock begins again.
                state.documents.insert(row.try_get(0)?, Waiting { epoch: row.try_get(1)?, since });
            }
        }
    }

    async fn look_at_documents(&self) -> Result<()> {
        let waiting: Vec<String> = self.lock().documents.keys().cloned().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let sql =
            "SELECT document::text, epoch, state, started FROM documents WHERE document::text = ANY($1)";
        let rows = self.look.rows(sql, &[&waiting]).await?;
        let now = Instant::now();
        let mut state = self.lock();
        for row in rows {
            let (document, epoch): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let (reached, started): (String, bool) = (row.try_get(2)?, row.try_get(3)?);
            let is_final = reached == "committed" || reached == "failed";
            let Some(waiting) = state.documents.get(&document) else { continue };
            if epoch == waiting.epoch && is_final {
                // The dead worker's own commit was on its way.
                state.documents.remove(&document);
            } else if epoch > waiting.epoch && (started || is_final) {
                let since = state.back.map_or(waiting.since, |back| back.max(waiting.since));
                state.documents.remove(&document);
                let took = now.duration_since(since);
                if took >= LONG {
                    eprintln!("{document} waited {:.2} s for another worker", took.as_secs_f64());
                }
                state.measured.documents.push(took.as_secs_f64());
            }
        }
        Ok(())
    }

    async fn look_at_services(&self) -> Result<()> {
        let waiting = self.lock().services.clone();
        for (service, (since, claimed)) in waiting {
            let Some(claimed) = claimed else {
                let last = self.look.number("SELECT last_value FROM epochs").await?;
                if let Some(known) = self.lock().services.get_mut(&service) {
                    known.1 = Some(last);
                }
                continue;
            };
            // What needed it: every commit needs the stores, an uploaded document needs the API.
            let places = if service == Service::Api { "upload:%" } else { "%" };
            let sql =
                "SELECT 1 FROM documents WHERE state = 'committed' AND epoch > $1 AND uri LIKE $2 LIMIT 1";
            if !self.look.rows(sql, &[&claimed, &places]).await?.is_empty() {
                let mut state = self.lock();
                let since = state.back.map_or(since, |back| back.max(since));
                if state.services.remove(&service).is_some() {
                    let took = since.elapsed();
                    if took >= LONG {
                        eprintln!(
                            "{} answered {:.2} s before the next commit",
                            service.name(),
                            took.as_secs_f64()
                        );
                    }
                    state.measured.services.push((service, took.as_secs_f64()));
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_recoveries() {
        let mut measured = Measured { documents: (1..=99).map(f64::from).collect(), ..Measured::default() };
        measured.services.push((Service::Redis, 100.0));
        assert_eq!([50.0, 99.0, 100.0].map(|percent| measured.percentile(percent)), [50.0, 99.0, 100.0]);
        assert_eq!(Measured::default().percentile(99.0), 0.0);
    }
}
