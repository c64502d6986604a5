//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

/// Works through a queue of documents.
#[derive(Debug, Parser)]
#[command(name = "docmill-worker", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work through the queue until SIGTERM
    Run(Run),
    /// Check a configuration and the back ends that it names
    CheckConfig(CheckConfig),
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct CheckConfig {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Machine-readable output on standard output
    #[arg(long)]
    pub json: bool,
    /// Longest wait for each back end
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub limit_seconds: u64,
}
