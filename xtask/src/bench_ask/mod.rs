//! `cargo xtask bench ask`: `docmill serve` measured by `docmill bench`, both built for release, on the demo documents;
//! beside it a server of other parts (`bench/peers/ask`) with the same mock text. Part by part, each with servers of its
//! own; ends with one line, and fails where a figure falls short.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::{corpus, process, proof};

mod answers;
mod beside;
mod first_hit;
mod http;
mod line;
mod metrics;
mod on_cluster;
mod report;
mod searches;
mod server;
mod texts;

use line::Line;

/// Data directories of the demo documents: with the built-in model's vectors, and with a mock's.
const REAL: &str = "real";
const MOCK: &str = "mock";

#[derive(clap::Args)]
pub struct Args {
    /// Also a cluster's API, with the mocks of `mock-both`, beside `docmill serve`, and beside the cluster's servers on
    /// this machine: where `kubectl port-forward` leads to it. Its key is in the file that DOCMILL_API_KEY_FILE names
    #[arg(long, value_name = "URL")]
    k8s: Option<String>,
    /// Figures that were not taken are no failure
    #[arg(long)]
    allow_skipped: bool,
    /// Only these parts
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Questions with both mocks: what stands around the models
    MockBoth,
    /// Questions with a mock for the language model
    MockLlm,
    /// Questions with mock embeddings
    MockEmbeddings,
    /// Questions with the real embeddings, answered by sentences
    Baseline,
    /// Searches that are remembered, and how many are
    Searches,
    /// Searches while documents come in
    Busy,
    /// How soon the first upload is found
    FirstHit,
    /// How late the server's tasks are under all of it at once
    Loop,
    /// Searches beside 200 slow clients
    Slow,
    /// Beside a FastAPI server
    Peer,
    /// Beside a cluster: --k8s
    #[value(name = "k8s")]
    K8s,
}

impl Part {
    /// In the order in which they are measured, as `--only` names them.
    const ALL: [(Self, &'static str); 11] = [
        (Self::MockBoth, "mock-both"),
        (Self::MockLlm, "mock-llm"),
        (Self::MockEmbeddings, "mock-embeddings"),
        (Self::Baseline, "baseline"),
        (Self::Searches, "searches"),
        (Self::Busy, "busy"),
        (Self::FirstHit, "first-hit"),
        (Self::Loop, "loop"),
        (Self::Slow, "slow"),
        (Self::Peer, "peer"),
        (Self::K8s, "k8s"),
    ];

    /// The data directory that has to be there.
    fn data(self) -> Option<&'static str> {
        match self {
            Self::MockBoth | Self::MockEmbeddings | Self::Peer | Self::K8s => Some(MOCK),
            Self::MockLlm | Self::Baseline | Self::Searches | Self::Loop | Self::Slow => Some(REAL),
            Self::Busy | Self::FirstHit => None,
        }
    }
}

/// Where everything is.
struct Context {
    place: PathBuf,
}

impl Context {
    /// An empty folder.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.place.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// Measures.
///
/// # Errors
/// Something cannot be started, or a figure falls short.
pub fn run(args: &Args) -> Result<()> {
    let is_wanted = |part: Part| args.only.is_empty() || args.only.contains(&part);
    ensure!(
        args.k8s.is_some() || !args.only.contains(&Part::K8s),
        "k8s: give --k8s URL, where `kubectl port-forward` leads to the cluster's API"
    );
    // As the other measurements build: a package selected alone has other features, and all would be compiled again.
    proof::build(&["--workspace", "--bins"], true)?;
    let context = Context { place: process::repository().join("out/bench-ask") };
    fs::create_dir_all(&context.place)?;
    let began = Instant::now();
    ingest(&context, is_wanted)?;
    let mut line = Line::default();
    for (part, name) in Part::ALL {
        if !is_wanted(part) {
            line.leave_out(name);
            continue;
        }
        eprintln!("bench ask: {name}");
        if let Err(error) = measure(part, name, &context, args, &mut line) {
            eprintln!("bench ask: {name}: {error:#}");
            line.fail(name, &error);
        }
    }
    println!("bench ask:{} seconds={:.0}", line.text(), began.elapsed().as_secs_f64());
    line.verdict(args.allow_skipped)
}

fn measure(part: Part, name: &'static str, context: &Context, args: &Args, line: &mut Line) -> Result<()> {
    match part {
        Part::MockBoth => answers::mock_both(context, line),
        Part::MockLlm => answers::one_mock(context, true, line),
        Part::MockEmbeddings => answers::one_mock(context, false, line),
        Part::Baseline => answers::baseline(context, line),
        Part::Searches => searches::remembered(context, line),
        Part::Busy => searches::beside_ingestion(context, line),
        Part::FirstHit => first_hit::measure(context, line),
        Part::Loop => beside::loop_delay(context, line),
        Part::Slow => beside::slow_clients(context, line),
        Part::Peer => answers::peer(context, line),
        Part::K8s => match &args.k8s {
            Some(url) => on_cluster::measure(context, url, line),
            None => {
                line.lack(name);
                Ok(())
            }
        },
    }
}

/// The demo documents, in the data directories that the parts want. A second measurement finds nothing to do here.
fn ingest(context: &Context, is_wanted: impl Fn(Part) -> bool) -> Result<()> {
    for (data, embeddings) in [(REAL, "builtin"), (MOCK, "mock")] {
        if !Part::ALL.iter().any(|(part, _)| is_wanted(*part) && part.data() == Some(data)) {
            continue;
        }
        let mut command = server::docmill(&context.place.join(data));
        command.arg("run").arg(corpus::docs()?).args(["--embeddings", embeddings]);
        process::run_quiet(&mut command).with_context(|| format!("the documents of {data}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn every_part_can_be_named_and_is_measured_once() {
        let names = Part::ALL.map(|(_, name)| name).join(",");
        let line = Line::try_parse_from(["ask", "--only", names.as_str()]).unwrap();
        assert_eq!(line.args.only, Part::ALL.map(|(part, _)| part));
        assert_eq!(Part::value_variants().len(), Part::ALL.len());
        assert!(Line::try_parse_from(["ask", "--only", "everything"]).is_err());
    }
}
