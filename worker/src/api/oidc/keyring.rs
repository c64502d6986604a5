//! The issuer's keys as they were last fetched. One task fetches them, so however many ask for a key that is
//! not there, the issuer is asked once, and not again for some seconds: tokens of nobody cannot cause a storm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use tokio::sync::{Notify, watch};

use super::issuer::Issuer;
use super::keys::{Key, KeySet};
use crate::config::OidcSettings;

/// Least time between two visits at the issuer.
const VISIT_EVERY_MIN: Duration = Duration::from_secs(3);
/// Time after which an issuer that is away is asked again, whoever wants it or not.
const AGAIN: Duration = Duration::from_secs(10);
/// How long keys are used that should have been fetched again and could not be: an outage of the issuer costs
/// nothing for a day, and whoever keeps us from it for ever does not keep its old keys good for ever.
const OUTLIVE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// What a visit may take beyond its own limit until it is told.
const TELLING_MAX: Duration = Duration::from_secs(1);

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The issuer has none of this name for this algorithm.
    Unknown,
    /// The issuer could not be asked.
    Away,
}

#[derive(Clone, Default)]
struct State {
    keys: Arc<KeySet>,
    fetched: Option<Instant>,
    /// The end of the last visit, and whether it brought keys.
    visited: Option<(Instant, bool)>,
}

impl State {
    /// What is known without asking anybody; none: somebody has to be asked.
    fn look(&self, kid: &str, algorithm: Algorithm, kept_max: Duration) -> Option<Result<Key, Missing>> {
        if self.fetched.is_none_or(|fetched| fetched.elapsed() > kept_max) {
            return None;
        }
        match self.keys.find(kid, algorithm) {
            Some(key) => Some(Ok(key.clone())),
            // Its name is taken: no visit would make it good for another algorithm.
            None => self.keys.has(kid).then_some(Err(Missing::Unknown)),
        }
    }

    /// What the last visit says of a key that is not known.
    fn verdict(&self) -> Missing {
        match self.visited {
            Some((_, true)) => Missing::Unknown,
            _ => Missing::Away,
        }
    }
}

/// The keys, for those who ask for one.
pub(super) struct Keyring {
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
    kept_max: Duration,
    patience: Duration,
}

/// What fetches the keys, until it is dropped.
pub struct Keeper {
    issuer: Issuer,
    state: watch::Sender<State>,
    wanted: Arc<Notify>,
    max_age: Duration,
}

impl Keyring {
    /// Without keys until the keeper runs.
    pub(super) fn new(issuer: Issuer, settings: &OidcSettings) -> (Self, Keeper) {
        let (sender, state) = watch::channel(State::default());
        let wanted = Arc::new(Notify::new());
        let max_age = settings.keys_max_age;
        let keeper = Keeper { issuer, state: sender, wanted: wanted.clone(), max_age };
        let (kept_max, patience) = (max_age + OUTLIVE_MAX, settings.timeout + TELLING_MAX);
        (Self { state, wanted, kept_max, patience }, keeper)
    }

    /// The key of this name for this algorithm. Waits for a visit at the issuer where that may help, not longer
    /// than one takes.
    pub(super) async fn key(&self, kid: &str, algorithm: Algorithm) -> Result<Key, Missing> {
        let mut state = self.state.clone();
        let look = |state: &State| state.look(kid, algorithm, self.kept_max);
        let seen = state.borrow_and_update().clone();
        if let Some(known) = look(&seen) {
            return known;
        }
        self.wanted.notify_one();
        if seen.visited.is_some_and(|(at, _)| at.elapsed() < VISIT_EVERY_MIN) {
            return Err(seen.verdict());
        }
        match tokio::time::timeout(self.patience, state.changed()).await {
            Ok(Ok(())) => {
                let seen = state.borrow();
                look(&seen).unwrap_or_else(|| Err(seen.verdict()))
            }
            // No visit came to its end, or the API is about to end itself.
            _ => Err(Missing::Away),
        }
    }
}

impl Keeper {
    /// Fetches the keys now, when they are old, and when somebody wants one that is not there.
    pub async fn run(self) {
        loop {
            let next = self.visit().await;
            tokio::time::sleep(VISIT_EVERY_MIN).await;
            tokio::select! {
                () = tokio::time::sleep(next.saturating_sub(VISIT_EVERY_MIN)) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Gives the time after which to visit again.
    async fn visit(&self) -> Duration {
        let fetched = self.issuer.keys().await;
        let now = Instant::now();
        let before = self.state.borrow().visited.map(|(_, brought)| brought);
        let brought = fetched.is_ok();
        match &fetched {
            // Said when it changes: a visit every few seconds would fill the log.
            Ok(keys) if before != Some(true) => {
                tracing::info!(keys = keys.len(), "the issuer's keys are here")
            }
            Err(error) if before != Some(false) => tracing::warn!(%error, "the issuer's keys are not here"),
            _ => {}
        }
        self.state.send_modify(|state| {
            state.visited = Some((now, brought));
            if let Ok(keys) = fetched {
                state.keys = Arc::new(keys);
                state.fetched = Some(now);
            }
        });
        if brought { self.max_age } else { AGAIN }
    }
}
