//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use docmill_core::sizing::{Node, Resources};
use docmill_operator::resource::Quantity;

/// Pipelines of docmill: how they are, why they scale as they do, and checks before they are applied.
#[derive(Debug, Parser)]
#[command(name = "kubectl-docmill", bin_name = "kubectl docmill", version, max_term_width = 100)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Global {
    /// Namespace of the pipelines [default: the context's]
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The kubeconfig [default: as kubectl]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Machine-readable output on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One pipeline in full, or all of them at a glance
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// Documents to do by state, workers and rate
    Top {
        #[command(flatten)]
        which: Which,
        /// Show changes until interrupted
        #[arg(short, long)]
        watch: bool,
    },
    /// Let workers finish what they have and go; uploads are taken and wait
    Pause(Switch),
    /// Let workers come again
    Resume(Switch),
    /// Why there are as many workers as there are, and what would change it
    ExplainScaling {
        /// The pipeline
        pipeline: String,
    },
    /// Events of a pipeline, the newest last
    Events {
        /// The pipeline
        pipeline: String,
        /// Show more as they come, until interrupted
        #[arg(short, long)]
        watch: bool,
    },
    /// Check files before they are applied; without a cluster unless `--server` is given
    Validate(Validate),
    /// Documents that were given up: list, show, replay; by the program docmill
    DeadLetters {
        #[command(subcommand)]
        action: DeadLetters,
    },
}

/// Pipelines that are meant.
#[derive(Debug, ClapArgs)]
pub struct Which {
    /// The pipeline [default: all of the namespace]
    pub pipeline: Option<String>,
    /// Those of all namespaces
    #[arg(short = 'A', long, conflicts_with = "pipeline")]
    pub all_namespaces: bool,
}

/// A pipeline that is paused or resumed.
#[derive(Debug, ClapArgs)]
pub struct Switch {
    /// The pipeline
    pub pipeline: String,
    /// Wait until it is so
    #[arg(long)]
    pub wait: bool,
    /// Longest wait [default: 900]
    #[arg(long, value_name = "S", requires = "wait")]
    pub timeout: Option<u64>,
}

/// Files that are checked.
#[derive(Debug, ClapArgs)]
pub struct Validate {
    /// YAML or JSON, of one or more documents; `-` is standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The smallest node of the cluster, such as `16,32Gi`: for pipelines that name none
    #[arg(long, value_name = "CPU,MEMORY", value_parser = node)]
    pub node: Option<Node>,
    /// Also ask the cluster, which changes nothing
    #[arg(long)]
    pub server: bool,
}

/// What to do with documents that were given up.
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List them
    List {
        /// The pipeline
        pipeline: String,
    },
    /// Show one with all that is known of its failure
    Show {
        /// The pipeline
        pipeline: String,
        /// Id or URI
        document: String,
    },
    /// Try them again
    Replay {
        /// The pipeline
        pipeline: String,
        #[command(flatten)]
        which: Letters,
    },
}

/// Dead letters that are meant.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct Letters {
    /// Ids or URIs
    pub documents: Vec<String>,
    /// All that failed with this code
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// All of them
    #[arg(long)]
    pub all: bool,
}

/// Reads `CPU,MEMORY`.
fn node(text: &str) -> Result<Node, String> {
    let amounts = text.split_once(',').and_then(|(cpu, memory)| {
        let cpu_milli = Quantity(cpu.trim().to_owned()).cpu_milli().filter(|milli| *milli > 0)?;
        let memory_mib = Quantity(memory.trim().to_owned()).mib().filter(|mib| *mib > 0)?;
        Some(Resources { cpu_milli, memory_mib })
    });
    amounts
        .map(Node::of_capacity)
        .ok_or_else(|| "give cores and memory of a node, such as 16,32Gi".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn it_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_node_is_cores_and_memory() {
        let read = node("16,32Gi").unwrap();
        assert_eq!((read.capacity.cpu_milli, read.capacity.memory_mib), (16_000, 32_768));
        for wrong in ["", "16", "16,", ",32Gi", "0,32Gi", "16;32Gi", "16,much"] {
            assert!(node(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_stand_anywhere() {
        let args = Args::try_parse_from(["x", "-n", "docs", "status", "knowbase", "--json"]).unwrap();
        assert!(args.global.json && args.global.namespace.as_deref() == Some("docs"));
        assert!(Args::try_parse_from(["x", "status", "knowbase", "-A"]).is_err());
        assert!(Args::try_parse_from(["x", "dead-letters", "replay", "knowbase"]).is_err());
        assert!(Args::try_parse_from(["x", "dead-letters", "replay", "knowbase", "--all"]).is_ok());
    }
}
