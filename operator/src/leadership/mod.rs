//! One operator writes; the others stand by: leader election on a Lease.
//!
//! ```text
//! run ──► read ──► evaluate ──► write with the version that was read ──► tenure ──► fence ──► is_leader
//!  IO      IO       pure         IO: of two, one gets a conflict          pure       timer    watch<bool>
//! ```
//!
//! No clock of another machine is ever believed. A holder's tenure counts from before its write was sent and lasts
//! 10 s; who stands by counts 15 s from when it saw that write. So two never lead at once while their clocks run at
//! rates that differ by less than a half, and while nobody deletes the Lease by hand again and again. A process that
//! was stopped in the middle of a write, and goes on with it later, is held off by the version in that write:
//! everything that the leader writes carries one, or may be done twice.

mod lease;
mod run;
#[cfg(test)]
mod tests;

pub use lease::{Candidate, Error, LEASE_MS, Observed, RENEW_DEADLINE_MS, RETRY_MS, Verdict, evaluate};
pub use run::{KubeLeases, Leases, identity, run};
