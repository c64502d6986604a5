//! Whose turn it is, from a Lease and from when it was last seen to change. Nothing here asks or waits.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

/// How long a Lease that does not change is respected, in milliseconds.
pub const LEASE_MS: u64 = 15_000;
/// How long a write of the holder lets it lead, in milliseconds.
pub const RENEW_DEADLINE_MS: u64 = 10_000;
/// Time between two looks, in milliseconds.
pub const RETRY_MS: u64 = 2_000;
/// Longest that another holder's own duration is respected, in milliseconds: it is a number that anybody may write.
const FOREIGN_LEASE_MS_MAX: u64 = 60_000;

/// What went wrong with a read or a write of the Lease.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody wrote in between, or made it first.
    #[error("somebody else wrote the lease")]
    Conflict,
    /// No answer in time.
    #[error("the API server does not answer")]
    Slow,
    /// Any other answer.
    #[error("the API server refuses the lease")]
    Refused(#[from] Box<kube::Error>),
}

/// What to do about a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody has it, or who had it is gone: take it.
    Acquire,
    /// It is ours and wants a new sign of life.
    Renew,
    /// It is ours and young.
    Hold {
        /// When it is to be renewed, by the own clock.
        until_ms: u64,
    },
    /// Somebody else leads.
    Follow {
        /// Who.
        holder: String,
        /// When it may be taken if it does not change, by the own clock.
        until_ms: u64,
    },
}

/// What was last seen of a Lease, and when it was first seen so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// What it said; absent while none was ever seen.
    pub spec: Option<LeaseSpec>,
    /// It is gone since: somebody deleted it.
    pub is_gone: bool,
    /// When that was first seen, by the own clock.
    pub changed_at_ms: u64,
    /// When it was last looked at, by the own clock.
    pub looked_at_ms: u64,
}

impl Observed {
    /// Takes note of a look.
    pub fn see(&mut self, lease: Option<&Lease>, now_ms: u64) {
        let pause_ms = now_ms.saturating_sub(self.looked_at_ms);
        self.looked_at_ms = now_ms;
        let Some(lease) = lease else {
            // Nothing tells one absence from the next: who did not look for long may have missed a Lease in between.
            if self.spec.is_some() && (!self.is_gone || pause_ms > RENEW_DEADLINE_MS) {
                (self.is_gone, self.changed_at_ms) = (true, now_ms);
            }
            return;
        };
        let spec = lease.spec.as_ref();
        if self.is_gone || self.spec.is_none() || self.spec.as_ref() != spec {
            *self = Self {
                spec: Some(spec.cloned().unwrap_or_default()),
                is_gone: false,
                changed_at_ms: now_ms,
                looked_at_ms: now_ms,
            };
        }
    }
}

/// Whose turn it is at `now_ms`, `observed` being up to date with `lease`.
///
/// The times in a Lease are compared with nothing: only that they change counts, and when that was seen.
pub fn evaluate(lease: Option<&Lease>, me: &str, observed: &Observed, now_ms: u64) -> Verdict {
    // One that was deleted has a holder that does not know yet, and it need not be the last one that we saw. One that
    // never was has none.
    let Some(spec) = lease.map_or(observed.spec.as_ref(), |lease| lease.spec.as_ref()) else {
        return Verdict::Acquire;
    };
    if lease.is_none() {
        let until_ms = observed.changed_at_ms.saturating_add(respected_ms(spec));
        let holder = holder(spec).to_owned();
        return if now_ms < until_ms { Verdict::Follow { holder, until_ms } } else { Verdict::Acquire };
    }
    let holder = holder(spec);
    if holder.is_empty() {
        return Verdict::Acquire;
    }
    if holder == me {
        let until_ms = observed.changed_at_ms.saturating_add(RETRY_MS);
        return if now_ms < until_ms { Verdict::Hold { until_ms } } else { Verdict::Renew };
    }
    let until_ms = observed.changed_at_ms.saturating_add(respected_ms(spec));
    if now_ms < until_ms {
        Verdict::Follow { holder: holder.to_owned(), until_ms }
    } else {
        Verdict::Acquire
    }
}

fn holder(spec: &LeaseSpec) -> &str {
    spec.holder_identity.as_deref().unwrap_or_default()
}

/// Ours, or what its holder asks for where that is more.
fn respected_ms(spec: &LeaseSpec) -> u64 {
    let asked_ms =
        spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0) * 1_000;
    asked_ms.clamp(LEASE_MS, FOREIGN_LEASE_MS_MAX)
}

/// One that wants to lead: what it saw, and how long its last write lets it lead.
#[derive(Debug, Clone)]
pub struct Candidate {
    me: String,
    observed: Observed,
    /// When the last write that took effect was sent.
    renewed_at_ms: Option<u64>,
}

impl Candidate {
    /// One that knows nothing yet. The identity must be of this process alone.
    pub fn new(me: String) -> Self {
        Self { me, observed: Observed::default(), renewed_at_ms: None }
    }

    /// Its identity.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// What to do about what was just read.
    pub fn look(&mut self, lease: Option<&Lease>, now_ms: u64) -> Verdict {
        self.observed.see(lease, now_ms);
        match evaluate(lease, &self.me, &self.observed, now_ms) {
            // A write of ours took effect, and we know not when it was sent, or our tenure is over: as with anybody's.
            Verdict::Hold { .. } | Verdict::Renew if !self.leads(now_ms) => {
                let until_ms = self.observed.changed_at_ms.saturating_add(LEASE_MS);
                if now_ms < until_ms {
                    Verdict::Follow { holder: self.me.clone(), until_ms }
                } else {
                    Verdict::Renew
                }
            }
            // It was ours a moment ago, and nobody else may have it before our tenure ends.
            Verdict::Follow { .. } if lease.is_none() && self.leads(now_ms) => Verdict::Acquire,
            // Another's name is on it: nothing is left of the tenure.
            verdict @ (Verdict::Follow { .. } | Verdict::Acquire) if lease.is_some() => {
                self.renewed_at_ms = None;
                verdict
            }
            verdict => verdict,
        }
    }

    /// A write that was sent at that time took effect; this is the answer to it.
    pub fn wrote(&mut self, lease: &Lease, sent_at_ms: u64, now_ms: u64) {
        self.observed.see(Some(lease), now_ms);
        self.renewed_at_ms = Some(sent_at_ms);
    }

    /// It leads no more, of its own will.
    pub fn resign(&mut self) {
        self.renewed_at_ms = None;
    }

    /// Until when it leads, by the own clock.
    pub fn leads_until_ms(&self) -> Option<u64> {
        self.renewed_at_ms.map(|at_ms| at_ms.saturating_add(RENEW_DEADLINE_MS))
    }

    /// Whether it leads.
    pub fn leads(&self, now_ms: u64) -> bool {
        self.leads_until_ms().is_some_and(|until_ms| now_ms < until_ms)
    }

    /// The Lease with our name on it, to be written over what was read. `wall_us` is for people who read it.
    pub fn claim(&self, name: &str, read: Option<&Lease>, wall_us: i64) -> Lease {
        let now = wall(wall_us);
        let before = read.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let is_ours = holder(&before) == self.me;
        let transitions = before.lease_transitions.unwrap_or(0);
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: Some((LEASE_MS / 1_000) as i32),
            renew_time: now.clone(),
            acquire_time: if is_ours { before.acquire_time } else { now },
            lease_transitions: Some(match read {
                Some(_) if !is_ours => transitions.saturating_add(1),
                _ => transitions,
            }),
            ..LeaseSpec::default()
        };
        let metadata = read.map_or_else(
            || ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            |lease| lease.metadata.clone(),
        );
        Lease { metadata, spec: Some(spec) }
    }
}

/// The Lease with nobody's name on it, so that the next one need not wait.
pub(super) fn released(lease: &Lease, wall_us: i64) -> Lease {
    let before = lease.spec.clone().unwrap_or_default();
    let spec = LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        renew_time: wall(wall_us),
        ..before
    };
    Lease { metadata: lease.metadata.clone(), spec: Some(spec) }
}

fn wall(wall_us: i64) -> Option<MicroTime> {
    k8s_openapi::jiff::Timestamp::from_microsecond(wall_us).ok().map(MicroTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed_us: i64) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: wall(renewed_us),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    #[test]
    fn whose_turn_it_is() {
        let seen = |lease: &Lease| Observed {
            spec: lease.spec.clone(),
            is_gone: false,
            changed_at_ms: 100_000,
            looked_at_ms: 0,
        };
        let follow = || Verdict::Follow { holder: "b".into(), until_ms: 115_000 };
        let theirs = lease("b", 0);
        let ours = lease("a", 0);
        let none = Observed::default();
        assert_eq!(evaluate(None, "a", &none, 5), Verdict::Acquire);
        assert_eq!(evaluate(Some(&lease("", 0)), "a", &none, 5), Verdict::Acquire);
        assert_eq!(evaluate(Some(&Lease::default()), "a", &none, 5), Verdict::Acquire);
        assert_eq!(evaluate(Some(&theirs), "a", &seen(&theirs), 114_999), follow());
        assert_eq!(evaluate(Some(&theirs), "a", &seen(&theirs), 115_000), Verdict::Acquire);
        assert_eq!(evaluate(Some(&ours), "a", &seen(&ours), 101_999), Verdict::Hold { until_ms: 102_000 });
        assert_eq!(evaluate(Some(&ours), "a", &seen(&ours), 102_000), Verdict::Renew);
        // Deleted: whoever had it does not know yet.
        let gone = Observed { is_gone: true, ..seen(&theirs) };
        assert_eq!(evaluate(None, "a", &gone, 114_999), follow());
        assert_eq!(evaluate(None, "a", &gone, 115_000), Verdict::Acquire);
    }

    #[test]
    fn only_a_change_counts_and_when_it_was_seen() {
        let mut observed = Observed::default();
        // Its clock is years off, which does not matter.
        observed.see(Some(&lease("b", -1_000_000_000)), 50_000);
        observed.see(Some(&lease("b", -1_000_000_000)), 60_000);
        assert_eq!(observed.changed_at_ms, 50_000);
        observed.see(None, 61_000);
        observed.see(None, 61_500);
        assert_eq!((observed.is_gone, observed.changed_at_ms), (true, 61_000));
        observed.see(Some(&lease("b", -2_000_000_000)), 62_000);
        assert_eq!(observed.changed_at_ms, 62_000, "back is a change, too");
    }

    #[test]
    fn a_holder_that_asks_for_more_time_gets_it_within_reason() {
        for (asked, waits_ms) in
            [(None, 15_000), (Some(-1), 15_000), (Some(30), 30_000), (Some(i32::MAX), 60_000)]
        {
            let mut theirs = lease("b", 0);
            theirs.spec = theirs.spec.map(|spec| LeaseSpec { lease_duration_seconds: asked, ..spec });
            let observed =
                Observed { spec: theirs.spec.clone(), is_gone: false, changed_at_ms: 0, looked_at_ms: 0 };
            assert_eq!(evaluate(Some(&theirs), "a", &observed, waits_ms), Verdict::Acquire);
            let before = evaluate(Some(&theirs), "a", &observed, waits_ms - 1);
            assert!(matches!(before, Verdict::Follow { .. }), "{asked:?}");
        }
    }

    #[test]
    fn a_tenure_counts_from_before_its_write() {
        let mut candidate = Candidate::new("a".into());
        assert_eq!(candidate.look(None, 1_000), Verdict::Acquire);
        let written = candidate.claim("docmill", None, 7);
        candidate.wrote(&written, 1_000, 4_000);
        assert!(candidate.leads(10_999) && !candidate.leads(11_000));
        assert_eq!(candidate.look(Some(&written), 5_000), Verdict::Hold { until_ms: 6_000 });
        assert_eq!(candidate.look(Some(&written), 6_000), Verdict::Renew);
        assert_eq!(candidate.look(None, 6_500), Verdict::Acquire, "somebody deleted it, and we still lead");
        // Somebody wrote another name over it: it ends at once.
        let theirs = lease("b", 9);
        assert!(matches!(candidate.look(Some(&theirs), 7_000), Verdict::Follow { .. }));
        assert!(!candidate.leads(7_000));
    }

    #[test]
    fn a_write_that_nobody_told_us_of_lets_nobody_lead() {
        let mut candidate = Candidate::new("a".into());
        let written = candidate.claim("docmill", None, 7);
        let wait = Verdict::Follow { holder: "a".into(), until_ms: 16_000 };
        assert_eq!(candidate.look(Some(&written), 1_000), wait);
        assert_eq!(candidate.look(Some(&written), 15_999), wait);
        assert_eq!(candidate.look(Some(&written), 16_000), Verdict::Renew);
        assert!(!candidate.leads(16_000), "before it is written");
    }

    #[test]
    fn a_claim_keeps_what_is_not_its_own_and_counts_changes_of_hands() {
        let candidate = Candidate::new("a".into());
        let mut theirs = lease("b", 5);
        theirs.metadata.resource_version = Some("17".into());
        let taken = candidate.claim("docmill", Some(&theirs), 9);
        assert_eq!(taken.metadata.resource_version.as_deref(), Some("17"));
        let spec = taken.spec.clone().unwrap();
        assert_eq!((spec.lease_transitions, spec.acquire_time), (Some(1), wall(9)));
        let renewed = candidate.claim("docmill", Some(&taken), 11).spec.unwrap();
        assert_eq!((renewed.lease_transitions, renewed.acquire_time), (Some(1), wall(9)));
        assert_eq!(renewed.renew_time, wall(11));
        let free = released(&taken, 13);
        assert_eq!(evaluate(Some(&free), "b", &Observed::default(), 0), Verdict::Acquire);
    }
}
