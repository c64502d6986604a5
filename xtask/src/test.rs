//! `cargo xtask test`: every test of the workspace by nextest, with the time of each phase.
//!
//! nextest comes last, and after it what failed, with its last lines: the end of a log says why.

use std::ffi::OsString;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::cluster::{self, Cluster};
use crate::proof::{self, Bench, Chaos, Faults, PassedOn};
use crate::{cache, check, process};

/// Seeds of the simulation in a test run.
const SIMULATION_SEEDS: &str = "20000";
/// How long a server is away in a test run, in seconds.
const AWAY_S: &str = "3";
/// Kills of each shape in a test run.
const CHAOS_KILLS: &str = "100";
/// Documents for each worker in each measurement of namespaces in a test run.
const NAMESPACE_DOCUMENTS: &str = "12";
/// Of the operator's writes, each so-many-th is one at which it is killed in a test run.
const WRITES_EVERY: &str = "7";
/// The operator's faults in a test run: all but watches that lie, which take two minutes.
const FAULTS: &str = "resync,drift,pause,prune,two,away,restart,sweep";
/// How long an operator is gone in a test run, in seconds.
const OPERATOR_AWAY_S: &str = "10";
/// Trials of scaling on the cluster in a test run.
const CLUSTER_TRIALS: &str = "5";
/// Recognised pages of each language whose text is judged in a test run.
const OCR_PAGES: &str = "2";
/// Files of others that are read in a test run, beside those that are made.
const HOSTILE_FILES: &str = "200";
/// Requests of tenants that reach for each other's documents in a test run.
const TENANT_QUERIES: &str = "2000";

#[derive(clap::Args)]
pub struct Args {
    /// Passed on to `cargo nextest run`, for example a name filter; with any, only nextest runs
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    nextest: Vec<OsString>,
}

/// Builds and runs all tests. A phase that fails does not keep the next ones from running: one
/// run tells all that is wrong.
///
/// # Errors
///
/// Names the phases that failed.
pub fn run(args: &Args) -> Result<()> {
    phase("boundaries", || {
        check::core_is_pure()?;
        check::licences()
    })?;
    phase("build", || process::run(nextest()?.args(["--no-run", "--cargo-quiet"])))?;
    let mut failed = Vec::new();
    let mut proof = |name, work: &dyn Fn() -> Result<()>| {
        if let Err(error) = phase(name, work) {
            failed.push(format!("{name}: {error:#}"));
        }
    };
    if args.nextest.is_empty() {
        proof("simulation", &|| proof::sim(&PassedOn::of(&["--seeds", SIMULATION_SEEDS, "--counts-only"])));
        let kills = || PassedOn::of(&["--kills", CHAOS_KILLS]);
        proof("chaos machine", &|| proof::chaos(&Chaos::Machine(kills())));
        let counts = || PassedOn::of(&["--kills", CHAOS_KILLS, "--counts-only"]);
        proof("chaos services", &|| proof::chaos(&Chaos::Services(counts())));
        proof("tenants", &|| proof::tenants(&PassedOn::of(&["--queries", TENANT_QUERIES])));
        proof("sandbox", &|| proof::sandbox(&PassedOn::of(&["--counts-only"])));
        proof("hostile", &|| proof::hostile(&PassedOn::of(&["--sample", HOSTILE_FILES])));
        let few = || PassedOn::of(&["--documents", NAMESPACE_DOCUMENTS, "--counts-only", "--if-possible"]);
        let share = || PassedOn::of(&["--counts-only", "--pages-per-language", OCR_PAGES]);
        proof("extraction", &|| proof::bench(&Bench::Extract(share())));
        proof("namespaces", &|| proof::namespaces(&few()));
        let away = || PassedOn::of(&["--away-s", AWAY_S]);
        proof("faults services", &|| proof::faults(&Faults::Services(away())));
        on_the_cluster(&mut proof);
    }
    proof("tests", &|| {
        process::run(nextest()?.args(["--cargo-quiet", "--no-fail-fast"]).args(&args.nextest))
    });
    ensure!(failed.is_empty(), "{} phases failed\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

/// Runs a proof under a name, and goes on whatever comes of it.
type Prove<'a> = dyn FnMut(&'static str, &dyn Fn() -> Result<()>) + 'a;

/// What is proven on a real cluster: minutes, and root.
fn on_the_cluster(proof: &mut Prove<'_>) {
    proof("cluster e2e", &|| cluster::run(&Cluster::E2e(PassedOn::of(&[]))));
    let few = || PassedOn::of(&["--trials", CLUSTER_TRIALS, "--counts-only"]);
    proof("cluster latency", &|| cluster::run(&Cluster::Latency(few())));
    let some = ["--only", FAULTS, "--every", WRITES_EVERY, "--away-s", OPERATOR_AWAY_S];
    let every = || PassedOn::of(&some);
    proof("cluster faults", &|| cluster::run(&Cluster::Faults(every())));
}

fn nextest() -> Result<std::process::Command> {
    // nextest is a binary of its own; called directly it needs no PATH entry.
    let mut command = std::process::Command::new(cache::root()?.join("bin/cargo-nextest"));
    command.current_dir(process::repository());
    command.args(["nextest", "run", "--workspace", "--locked"]);
    Ok(command)
}

/// Runs one phase and prints how long it took.
pub fn phase(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let started = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    println!("== {name}: {verdict} in {:.1} s", started.elapsed().as_secs_f64());
    result
}
