//! Reads and writes the Lease, and says whether this process leads. Decides nothing.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::lease::{Candidate, Error, RETRY_MS, Verdict, released};

/// Longest wait for an answer: two of them fit into a tenure.
const ANSWER_MAX: Duration = Duration::from_secs(4);
const RETRY: Duration = Duration::from_millis(RETRY_MS);

/// Where the Lease is kept.
pub trait Leases: Send + Sync {
    /// The Lease as it is; none where there is none.
    fn get(&self) -> impl Future<Output = Result<Option<Lease>, Error>> + Send;

    /// Makes it. [`Error::Conflict`] where it is there already.
    fn create(&self, lease: &Lease) -> impl Future<Output = Result<Lease, Error>> + Send;

    /// Writes it over the version in its metadata. [`Error::Conflict`] where that is not the newest, or it is gone.
    fn replace(&self, lease: &Lease) -> impl Future<Output = Result<Lease, Error>> + Send;
}

/// A Lease in Kubernetes.
#[derive(Clone)]
pub struct KubeLeases {
    api: Api<Lease>,
    name: String,
}

impl KubeLeases {
    /// The Lease of that name, in the namespace of the client's interface.
    pub fn new(api: Api<Lease>, name: String) -> Self {
        Self { api, name }
    }
}

impl Leases for KubeLeases {
    async fn get(&self) -> Result<Option<Lease>, Error> {
        self.api.get_opt(&self.name).await.map_err(failed)
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.api.create(&PostParams::default(), lease).await.map_err(failed)
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, Error> {
        self.api.replace(&self.name, &PostParams::default(), lease).await.map_err(failed)
    }
}

fn failed(error: kube::Error) -> Error {
    match &error {
        kube::Error::Api(status)
            if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
        {
            Error::Conflict
        }
        _ => Error::Refused(Box::new(error)),
    }
}

/// An identity that no other process has: the pod's name, and what tells its starts apart.
///
/// # Errors
/// The system gives no random numbers.
pub fn identity(pod: &str) -> Result<String, getrandom::Error> {
    let random = getrandom::u64()?;
    Ok(format!("{pod}_{random:016x}"))
}

/// Takes part until `stop` turns true or its sender is gone; then gives the Lease back. `is_leader` says whether this
/// process leads: true only within a tenure, false at once when it ends, renewed or not.
///
/// The process may go on as one that stands by, and lead again later.
pub async fn run(
    leases: impl Leases,
    name: &str,
    me: String,
    is_leader: &watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let (tenure, ends) = watch::channel(None);
    let mut election = Election {
        leases,
        name,
        candidate: Candidate::new(me),
        written: None,
        start: Instant::now(),
        tenure,
    };
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        () = fence(ends, is_leader) => {}
        () = election.rounds() => {}
    }
    // Nobody may lead any more before somebody else is let in.
    say(is_leader, false);
    election.release().await;
}

struct Election<'a, L> {
    leases: L,
    name: &'a str,
    candidate: Candidate,
    /// Our last write as the server answered it: a leader need not read before it renews.
    written: Option<Lease>,
    start: Instant,
    tenure: watch::Sender<Option<Instant>>,
}

impl<L: Leases> Election<'_, L> {
    async fn rounds(&mut self) {
        loop {
            match timeout(ANSWER_MAX, self.round()).await.unwrap_or(Err(Error::Slow)) {
                Ok(()) => {}
                // Whatever was written or not: only a look tells.
                Err(error) => {
                    self.written = None;
                    tracing::debug!(error = &error as &dyn std::error::Error, "no turn at the lease");
                }
            }
            self.tell();
            sleep(RETRY).await;
        }
    }

    async fn round(&mut self) -> Result<(), Error> {
        let read = match self.written.take() {
            Some(written) => Some(written),
            None => self.leases.get().await?,
        };
        let now_ms = self.now_ms();
        let verdict = self.candidate.look(read.as_ref(), now_ms);
        self.tell();
        match verdict {
            Verdict::Follow { holder, until_ms } => {
                tracing::trace!(holder, wait_ms = until_ms.saturating_sub(now_ms), "somebody else leads");
                Ok(())
            }
            Verdict::Hold { .. } => {
                self.written = read;
                Ok(())
            }
            Verdict::Acquire | Verdict::Renew => self.write(read.as_ref()).await,
        }
    }

    async fn write(&mut self, read: Option<&Lease>) -> Result<(), Error> {
        let claim = self.candidate.claim(self.name, read, wall_us());
        let sent_at_ms = self.now_ms();
        let written = match read {
            Some(_) => self.leases.replace(&claim).await?,
            None => self.leases.create(&claim).await?,
        };
        self.candidate.wrote(&written, sent_at_ms, self.now_ms());
        self.written = Some(written);
        Ok(())
    }

    /// Gives it back, so that the next one need not wait. Where that fails, the next one waits.
    async fn release(&mut self) {
        let leads = self.candidate.leads(self.now_ms());
        self.candidate.resign();
        if !leads {
            return;
        }
        let releasing = async {
            // Another of our writes may be on its way: what is there now counts.
            match self.leases.get().await? {
                Some(lease) if is_of(&lease, self.candidate.me()) => {
                    self.leases.replace(&released(&lease, wall_us())).await.map(drop)
                }
                _ => Ok(()),
            }
        };
        match timeout(ANSWER_MAX, releasing).await.unwrap_or(Err(Error::Slow)) {
            Ok(()) => tracing::info!("the lease is given back"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the lease is not given back");
            }
        }
    }

    fn tell(&self) {
        let until =
            self.candidate.leads_until_ms().map(|until_ms| self.start + Duration::from_millis(until_ms));
        self.tenure.send_if_modified(|tenure| {
            let changed = *tenure != until;
            *tenure = until;
            changed
        });
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Says true within a tenure, and false the moment it ends: whatever else waits for an answer does not hold it up.
async fn fence(mut ends: watch::Receiver<Option<Instant>>, is_leader: &watch::Sender<bool>) {
    loop {
        let tenure = *ends.borrow_and_update();
        let until = tenure.filter(|until| Instant::now() < *until);
        say(is_leader, until.is_some());
        let changed = match until {
            Some(until) => tokio::select! {
                changed = ends.changed() => changed,
                () = sleep_until(until) => continue,
            },
            None => ends.changed().await,
        };
        if changed.is_err() {
            return;
        }
    }
}

fn say(is_leader: &watch::Sender<bool>, leads: bool) {
    let changed = is_leader.send_if_modified(|said| std::mem::replace(said, leads) != leads);
    if changed {
        tracing::info!(leads, "leadership changed");
    }
}

fn is_of(lease: &Lease, me: &str) -> bool {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(me)
}

/// Microseconds since the Unix epoch, for people who read the Lease.
fn wall_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
