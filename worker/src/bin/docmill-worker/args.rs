//! What may be said on the command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, Parser, Subcommand};
use docmill_worker::extract::SandboxMode;

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
    /// Answer users and the operator until SIGTERM
    Api(Run),
    /// Keys of the API
    Keys(Keys),
    /// Build the approximate index over the vectors (HNSW), best after a first load; work goes on meanwhile
    VectorIndex(VectorIndex),
    /// Check a configuration and the back ends that it names
    CheckConfig(CheckConfig),
    /// Check what holds extractors here: kernel, container, user
    CheckSandbox(CheckSandbox),
}

#[derive(Debug, ClapArgs)]
pub struct VectorIndex {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Links a row; more find better and take more room
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub m: u32,
    /// Candidates looked at for each row; at least twice as many as links
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=1_000))]
    pub ef_construction: u32,
    /// Memory of the server that the build may use; beyond it a build becomes many times slower
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    pub memory_mib: u32,
    /// Machine-readable output on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct Keys {
    #[command(subcommand)]
    pub action: KeysAction,
}

#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Make a key; it is printed once and kept nowhere
    Create {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Whose documents it leads to
        #[arg(long, default_value = "default")]
        tenant: String,
        /// What it may do; admin includes the others
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', required = true,
              value_parser = ["read", "write", "admin"])]
        scopes: Vec<String>,
        /// What people call it
        #[arg(long, default_value = "")]
        label: String,
        /// How long it lasts; without it, until it is revoked
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
        expires_days: Option<u64>,
    },
    /// List keys; none is shown
    List {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Machine-readable output on standard output
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key
    Revoke {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Its id, as `list` shows it
        id: String,
    },
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

#[derive(Debug, ClapArgs)]
pub struct CheckSandbox {
    /// What may lack
    #[arg(long, value_name = "MODE", default_value = "required", env = "DOCMILL_SANDBOX",
          value_parser = PossibleValuesParser::new(SandboxMode::NAMES.iter().copied()))]
    pub sandbox: String,
    /// Machine-readable output on standard output
    #[arg(long)]
    pub json: bool,
    /// Have extractors try to get out, and look whether they do
    #[cfg(feature = "testing")]
    #[arg(long)]
    pub attempts: bool,
}

impl CheckSandbox {
    /// What may lack.
    pub fn mode(&self) -> SandboxMode {
        SandboxMode::parse(&self.sandbox).unwrap_or_default()
    }
}
