//! `cargo xtask demo`: builds docmill, ingests the demo documents, searches them, says what to try next.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::{corpus, process};

#[derive(clap::Args)]
pub struct Args {
    /// Data directory; kept, so that a second run shows that unchanged documents are skipped
    #[arg(long, default_value = "out/demo")]
    data_dir: String,
}

/// One question for semantic search in English, and one for full text in each of the other languages.
const QUERIES: &[&str] =
    &["how do I recover a broken package database", "Festplatte partitionieren", "パッケージの依存関係"];

/// Builds, ingests, searches.
pub fn run(args: &Args) -> Result<()> {
    // The dev profile compiles what computes at opt-level 3, and the tests share it: no second build.
    process::run(process::cargo().args(["build", "--locked", "--package", "docmill"]))?;
    let docs = corpus::docs()?;
    let binary = process::target_dir().join("debug/docmill");

    let started = Instant::now();
    process::run(docmill(&binary, &args.data_dir).arg("run").arg(&docs))?;
    println!("\ningested in {:.0} s", started.elapsed().as_secs_f64());
    for query in QUERIES {
        println!("\n$ docmill search '{query}' -k 3");
        process::run(docmill(&binary, &args.data_dir).args(["search", query, "-k", "3"]))?;
    }
    let shown = binary.strip_prefix(process::repository()).unwrap_or(&binary).display();
    println!("\nTry next, with D='{shown} --data-dir {}':", args.data_dir);
    for line in [
        "$D search 'your question'   search what was ingested",
        "$D ask 'your question'      an answer with its sources",
        "$D serve                    dashboard and API at http://127.0.0.1:8080",
        "$D concepts                 the concepts found, and how they relate",
        "$D status                   what was ingested, and what failed and why",
        "$D verify                   check that the stores agree with one another",
        "$D run ~/Documents          ingest documents of your own",
    ] {
        println!("  {line}");
    }
    Ok(())
}

fn docmill(binary: &Path, data_dir: &str) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(process::repository()).arg("--data-dir").arg(data_dir);
    command
}
