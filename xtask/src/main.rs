//! All automation of the repository: one sub-command a file, each safe to run again.

mod bench_ask;
mod cache;
mod check;
mod cluster;
mod cluster_operator;
mod corpora;
mod corpus;
mod demo;
mod fuzz;
mod images;
mod process;
mod proof;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Automation of the docmill repository")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing: system packages, pdfium, the embedding model, test tools
    Setup(setup::Args),
    /// Fetch and assemble the demo documents (five languages, PDF, HTML, scans)
    Corpus,
    /// Ingest the demo documents and search them
    Demo(demo::Args),
    /// Run all tests and print the time of each phase
    Test(test::Args),
    /// Start Redis, PostgreSQL, S3, Neo4j, an API and two workers on this machine, until Ctrl-C
    Services(proof::PassedOn),
    /// Formatting, lints, licences and crate boundaries
    Check,
    /// Build the container images: operator, worker, and the servers of the cluster tests
    Images(images::Args),
    /// Simulate delivery and commit by seed
    Sim(proof::PassedOn),
    /// Kill at random moments and count what is lost
    #[command(subcommand)]
    Chaos(proof::Chaos),
    /// Have two tenants reach for what is the other's, and look for secrets where none belong
    Tenants(proof::PassedOn),
    /// Have extractors try to get out of their sandbox, and measure what it costs
    Sandbox(proof::PassedOn),
    /// Hostile files through real extractors, a healthy document after each; `--pin` prints what is to be pinned
    Hostile(proof::PassedOn),
    /// Fuzz the passes that take documents apart, each for ten minutes
    Fuzz(fuzz::Args),
    /// Workers in network namespaces: scale, fairness, one that is cut off
    Namespaces(proof::PassedOn),
    /// Servers that restart, are emptied, full, away or wiped while documents come in
    #[command(subcommand)]
    Faults(proof::Faults),
    /// docmill on a real cluster of this machine: prove it, or try it
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Measure a Celery pipeline with the documents of our own benchmark (bench/peers)
    Peers(proof::PassedOn),
    /// Measure, as ratios where machines differ
    #[command(subcommand)]
    Bench(proof::Bench),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The cause in one line and last: a backtrace of the automation would push it off
            // the end of what a log keeps.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Corpus => corpus::run(),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Check => check::run(),
        Command::Images(args) => images::run(&args),
        Command::Services(passed) => proof::services(&passed),
        Command::Sim(passed) => proof::sim(&passed),
        Command::Chaos(chaos) => proof::chaos(&chaos),
        Command::Tenants(passed) => proof::tenants(&passed),
        Command::Sandbox(passed) => proof::sandbox(&passed),
        Command::Hostile(passed) => proof::hostile(&passed),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Namespaces(passed) => proof::namespaces(&passed),
        Command::Faults(faults) => proof::faults(&faults),
        Command::Cluster(cluster) => cluster::run(&cluster),
        Command::Peers(passed) => proof::peers(&passed),
        Command::Bench(bench) => proof::bench(&bench),
    }
}
