//! The operator under faults: killed at every write, lied to by watches, edited behind its back, one of two, without
//! its API server, gone. On a real API server with its controllers; the operator is a process of this machine behind a
//! proxy, and of pods nothing runs.

mod alone;
mod calm;
mod proxy;
mod recorder;
mod stale;
pub(super) mod state;
mod subject;
mod sweep;
mod watching;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use sweep::{Sweep, Swept};

use super::host::{self, Stub};
use super::{Cluster, Options as ClusterOptions};
use subject::World;

/// Longest time that a change by hand lasts, in seconds.
const DRIFT_MAX_S: f64 = 10.0;
/// Longest time until another operator leads when the leader is killed, in seconds.
const TAKE_OVER_MAX_S: f64 = 20.0;

/// A part of the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Killed at every write.
    Sweep,
    /// Watches that say what is no longer so.
    Stale,
    /// Objects that somebody edits or deletes.
    Drift,
    /// Objects that are no longer declared.
    Prune,
    /// A pause, and its end.
    Pause,
    /// Looks at a pipeline that is as it should be.
    Resync,
    /// Two operators.
    Two,
    /// The API server ends and starts again.
    Restart,
    /// No operator for a while.
    Away,
}

impl Part {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 9] = [
        Self::Resync,
        Self::Drift,
        Self::Prune,
        Self::Pause,
        Self::Two,
        Self::Away,
        Self::Stale,
        Self::Sweep,
        // Last: what others are at would be disturbed.
        Self::Restart,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Stale => "stale",
            Self::Drift => "drift",
            Self::Prune => "prune",
            Self::Pause => "pause",
            Self::Resync => "resync",
            Self::Two => "two",
            Self::Restart => "restart",
            Self::Away => "away",
        }
    }

    /// The part of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The operator's program.
    pub program: PathBuf,
    /// Which parts.
    pub parts: Vec<Part>,
    /// Which lives.
    pub sweep: Sweep,
    /// How long no operator runs.
    pub away: Duration,
}

/// What the parts found, all together. Times are the longest ones.
#[derive(Debug, Default)]
pub struct Found {
    /// Objects deleted that were declared.
    pub wrong_deletes: usize,
    /// Times that fewer workers were asked for without a cause.
    pub wrong_lowerings: usize,
    /// Writes by looks at what is as it should be.
    pub resync_writes: usize,
    /// Writes of an operator that does not lead.
    pub follower_writes: usize,
    /// Times that a pipeline that was Ready was not.
    pub flips: usize,
    /// How long a change by hand lasted, in seconds.
    pub drift_s: f64,
    /// How long it took until another operator led, in seconds.
    pub take_over_s: f64,
}

impl Found {
    fn add(&mut self, other: &Self) {
        self.wrong_deletes += other.wrong_deletes;
        self.wrong_lowerings += other.wrong_lowerings;
        self.resync_writes += other.resync_writes;
        self.follower_writes += other.follower_writes;
        self.flips += other.flips;
        self.drift_s = self.drift_s.max(other.drift_s);
        self.take_over_s = self.take_over_s.max(other.take_over_s);
    }
}

/// All that came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the sweep found.
    pub swept: Swept,
    /// What all other parts found.
    pub found: Found,
    /// Parts that did not come to an end, and why.
    pub failed: Vec<String>,
    seconds: f64,
}

impl Outcome {
    /// The closing line.
    pub fn line(&self) -> String {
        let Self { swept, found, failed, seconds } = self;
        let mut line = format!(
            "cluster_faults: writes={} killed={} diverged={} wrong_deletes={} wrong_lowerings={}",
            swept.writes,
            swept.killed,
            swept.diverged,
            swept.wrong_deletes + found.wrong_deletes,
            swept.wrong_lowerings + found.wrong_lowerings,
        );
        let _ = write!(
            line,
            " resync_writes={} follower_writes={} flips={} drift_s={:.1} take_over_s={:.1} failed={} seconds={:.0}",
            found.resync_writes,
            found.follower_writes,
            found.flips,
            found.drift_s,
            found.take_over_s,
            failed.len(),
            seconds,
        );
        line
    }

    /// Where it falls short.
    pub fn short(&self) -> Vec<String> {
        let Self { swept, found, failed, .. } = self;
        let mut short = failed.clone();
        for (name, count) in [
            ("diverged", swept.diverged),
            ("wrong_deletes", swept.wrong_deletes + found.wrong_deletes),
            ("wrong_lowerings", swept.wrong_lowerings + found.wrong_lowerings),
            ("resync_writes", found.resync_writes),
            ("follower_writes", found.follower_writes),
            ("flips", found.flips),
        ] {
            if count > 0 {
                short.push(format!("{name} {count}, not 0"));
            }
        }
        if swept.writes > 0 && swept.killed == 0 {
            short.push("nobody was killed".to_owned());
        }
        for (name, s, max_s) in
            [("drift_s", found.drift_s, DRIFT_MAX_S), ("take_over_s", found.take_over_s, TAKE_OVER_MAX_S)]
        {
            if s > max_s {
                short.push(format!("{name} {s:.1}, more than {max_s:.0}"));
            }
        }
        short
    }
}

/// Runs the parts on a cluster of their own. A part that fails does not keep the next ones from running.
///
/// # Errors
/// There is no cluster.
pub async fn run(options: &Options) -> Result<Outcome> {
    let began = Instant::now();
    let cluster = Cluster::start("faults", &ClusterOptions { node: false, ..ClusterOptions::default() })?;
    host::install_kind(&cluster)?;
    let client = host::client(cluster.kubeconfig()).await?;
    let stub = Stub::start().await?;
    let world = World { cluster, client, stub, program: options.program.clone(), next: AtomicU32::new(1) };
    let mut outcome = Outcome::default();
    for part in Part::ALL.into_iter().filter(|part| options.parts.contains(part)) {
        let began = Instant::now();
        let done = Box::pin(run_part(&world, options, part, &mut outcome)).await;
        let s = began.elapsed().as_secs_f64();
        match done.with_context(|| part.name()) {
            Ok(()) => eprintln!("faults: {} in {s:.0} s", part.name()),
            Err(error) => {
                eprintln!("faults: {} failed in {s:.0} s: {error:?}", part.name());
                outcome.failed.push(format!("{error:#}").lines().next().unwrap_or_default().to_owned());
            }
        }
    }
    outcome.seconds = began.elapsed().as_secs_f64();
    Ok(outcome)
}

async fn run_part(world: &World, options: &Options, part: Part, outcome: &mut Outcome) -> Result<()> {
    let found = match part {
        Part::Sweep => {
            outcome.swept = sweep::run(world, options.sweep).await?;
            return Ok(());
        }
        Part::Stale => stale::run(world).await?,
        Part::Drift => calm::drift(world).await?,
        Part::Prune => calm::prune(world).await?,
        Part::Pause => calm::pause(world).await?,
        Part::Resync => calm::resync(world).await?,
        Part::Two => alone::two(world).await?,
        Part::Restart => alone::restart(world).await?,
        Part::Away => alone::away(world, options.away).await?,
    };
    outcome.found.add(&found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_short_is_said() {
        let mut outcome = Outcome::default();
        assert!(outcome.short().is_empty());
        outcome.swept = Swept { writes: 40, killed: 80, diverged: 1, ..Swept::default() };
        outcome.found = Found { take_over_s: 21.0, ..Found::default() };
        assert_eq!(outcome.short(), ["diverged 1, not 0", "take_over_s 21.0, more than 20"]);
        let line = "cluster_faults: writes=40 killed=80 diverged=1 wrong_deletes=0 wrong_lowerings=0 ";
        assert!(outcome.line().starts_with(line));
    }

    #[test]
    fn every_part_has_its_name() {
        for part in Part::ALL {
            assert_eq!(Part::parse(part.name()), Some(part));
        }
        assert_eq!(Part::parse("other"), None);
    }
}
