//! Two who want to lead: in simulated time with clocks of their own, and in the loop with a Lease in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use proptest::prelude::*;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// An API server that holds one Lease.
#[derive(Debug, Default, Clone)]
struct Server {
    lease: Option<Lease>,
    version: u64,
}

impl Server {
    fn write(&mut self, lease: &Lease) -> Result<Lease, Error> {
        let (read, there) = (&lease.metadata.resource_version, &self.lease);
        if read.as_ref() != there.as_ref().and_then(|there| there.metadata.resource_version.as_ref()) {
            return Err(Error::Conflict);
        }
        self.version += 1;
        let mut lease = lease.clone();
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        Ok(lease)
    }
}

/// What is on its way between a contender and the server, and when it arrives by true time.
enum Flight {
    Idle { wake_at: u64 },
    Read { arrives_at: u64, asked_at_ms: u64 },
    ReadBack { arrives_at: u64, asked_at_ms: u64, lease: Option<Lease> },
    Write { arrives_at: u64, sent_at_ms: u64, lease: Lease },
    WriteBack { arrives_at: u64, sent_at_ms: u64, answer: Result<Lease, Error>, lost: bool },
}

struct Contender {
    candidate: Candidate,
    flight: Flight,
    /// Its clock: ahead by so much, and so many thousandths faster.
    ahead_ms: u64,
    rate: u64,
    cut_off_until: u64,
    has_seen: bool,
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

impl Contender {
    fn clock(&self, true_ms: u64) -> u64 {
        self.ahead_ms + true_ms * self.rate / 1_000
    }

    fn leads(&self, true_ms: u64) -> bool {
        self.candidate.leads(self.clock(true_ms))
    }

    /// Does all that is due at that moment.
    fn go_on(&mut self, now: u64, server: &mut Server, chance: &mut Chance, delay_max: u64) {
        if now < self.cut_off_until {
            return;
        }
        let clock = self.clock(now);
        let flight = std::mem::replace(&mut self.flight, Flight::Idle { wake_at: now });
        self.flight = match flight {
            Flight::Idle { wake_at } if now >= wake_at => {
                Flight::Read { arrives_at: now + chance.below(delay_max), asked_at_ms: clock }
            }
            Flight::Read { arrives_at, asked_at_ms } if now >= arrives_at => {
                let lease = server.lease.clone();
                Flight::ReadBack { arrives_at: now + chance.below(delay_max), asked_at_ms, lease }
            }
            // Nobody waits so long for an answer.
            Flight::ReadBack { asked_at_ms, .. } if clock > asked_at_ms + 4_000 => {
                Flight::Idle { wake_at: now + RETRY_MS }
            }
            Flight::ReadBack { arrives_at, lease, .. } if now >= arrives_at => {
                self.has_seen |= lease.is_some();
                match self.candidate.look(lease.as_ref(), clock) {
                    Verdict::Acquire | Verdict::Renew => {
                        let wall_us = clock as i64 * 1_000;
                        let lease = self.candidate.claim("l", lease.as_ref(), wall_us);
                        Flight::Write {
                            arrives_at: now + chance.below(delay_max),
                            sent_at_ms: clock,
                            lease,
                        }
                    }
                    _ => Flight::Idle { wake_at: now + RETRY_MS },
                }
            }
            Flight::Write { arrives_at, sent_at_ms, lease } if now >= arrives_at => Flight::WriteBack {
                arrives_at: now + chance.below(delay_max),
                sent_at_ms,
                answer: server.write(&lease),
                lost: chance.below(10) == 0,
            },
            Flight::WriteBack { arrives_at, sent_at_ms, answer, lost } if now >= arrives_at => {
                if let (Ok(lease), false) = (answer, lost) {
                    self.candidate.wrote(&lease, sent_at_ms, clock);
                }
                Flight::Idle { wake_at: now + RETRY_MS }
            }
            other => other,
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Assumed: clocks run at rates between 0.85 and 1.15 of the true one, however far apart they are; and nobody
    /// deletes the Lease twice within a minute.
    #[test]
    fn two_never_lead_at_once(
        seed in any::<u64>(), rates in (850u64..1_150, 850u64..1_150), ahead in (0u64..1_000_000, 0u64..1_000_000),
        delay_max in 1u64..4_000, trouble in 0u64..40,
    ) {
        let mut chance = Chance(seed);
        let mut server = Server::default();
        let contender = |me: &str, ahead_ms, rate| Contender {
            candidate: Candidate::new(me.to_owned()),
            flight: Flight::Idle { wake_at: 0 },
            ahead_ms,
            rate,
            cut_off_until: 0,
            has_seen: false,
        };
        let mut both = [contender("a", ahead.0, rates.0), contender("b", ahead.1, rates.1)];
        let (mut led, mut deletable_at) = (0u32, 0);
        for now in (0..240_000).step_by(20) {
            for contender in &mut both {
                contender.go_on(now, &mut server, &mut chance, delay_max);
                // Cut off for a while: what is on its way arrives late, and nobody hears from it.
                if now > contender.cut_off_until && chance.below(20_000) < trouble {
                    contender.cut_off_until = now + chance.below(60_000);
                }
            }
            // Somebody deletes it. One that never saw it could not know.
            let may = now >= deletable_at && both.iter().all(|contender| contender.has_seen);
            if may && chance.below(50_000) < trouble {
                (server.lease, deletable_at) = (None, now + 60_000);
            }
            let leaders = both.iter().filter(|contender| contender.leads(now)).count();
            led += u32::from(leaders == 1);
            prop_assert!(leaders < 2, "both lead at {now} ms");
        }
        prop_assert!(delay_max > 500 || trouble > 0 || led > 1_000, "somebody leads where nothing is in the way");
    }
}

/// A Lease in memory that can be away.
#[derive(Clone, Default)]
struct Shared {
    server: Arc<Mutex<Server>>,
    away: Arc<std::sync::atomic::AtomicBool>,
}

impl Shared {
    async fn there(&self) {
        sleep(Duration::from_millis(5)).await;
        if self.away.load(std::sync::atomic::Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

impl Leases for Shared {
    async fn get(&self) -> Result<Option<Lease>, Error> {
        self.there().await;
        Ok(self.server.lock().unwrap().lease.clone())
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.there().await;
        self.server.lock().unwrap().write(lease)
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, Error> {
        self.there().await;
        self.server.lock().unwrap().write(lease)
    }
}

struct Operator {
    leads: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    api: Shared,
}

fn start(server: &Arc<Mutex<Server>>, me: &str) -> Operator {
    let api = Shared { server: server.clone(), ..Shared::default() };
    let (is_leader, leads) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let (leases, me) = (api.clone(), me.to_owned());
    tokio::spawn(async move { run(leases, "docmill", me, &is_leader, stopped).await });
    Operator { leads, stop, api }
}

async fn until(leads: &mut watch::Receiver<bool>, wanted: bool, max: Duration) -> Duration {
    let began = Instant::now();
    timeout(max, leads.wait_for(|leads| *leads == wanted)).await.unwrap().unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_next_need_not_wait_when_it_stops() {
    let server = Arc::default();
    let mut first = start(&server, "a");
    until(&mut first.leads, true, Duration::from_secs(1)).await;
    let mut second = start(&server, "b");
    sleep(Duration::from_secs(60)).await;
    assert!(*first.leads.borrow() && !*second.leads.borrow());
    first.stop.send(true).unwrap();
    until(&mut first.leads, false, Duration::from_secs(1)).await;
    until(&mut second.leads, true, Duration::from_secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_renew_steps_down_before_the_next_leads() {
    let server = Arc::default();
    let mut first = start(&server, "a");
    until(&mut first.leads, true, Duration::from_secs(1)).await;
    let mut second = start(&server, "b");
    sleep(Duration::from_secs(30)).await;
    first.api.away.store(true, std::sync::atomic::Ordering::Relaxed);
    let down = until(&mut first.leads, false, Duration::from_secs(11)).await;
    assert!(!*second.leads.borrow());
    let taken = until(&mut second.leads, true, Duration::from_secs(20)).await;
    assert!(down + taken < Duration::from_secs(20), "{down:?} and {taken:?}");
    // It comes back and stands by.
    first.api.away.store(false, std::sync::atomic::Ordering::Relaxed);
    sleep(Duration::from_secs(60)).await;
    assert!(!*first.leads.borrow() && *second.leads.borrow());
}
