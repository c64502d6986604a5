//! What may be said of measurements.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

/// Requests of a level where nothing is said.
const REQUESTS: u32 = 50;

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Questions: rate and time to the first word, by how many ask at once
    Ask(Box<BenchAsk>),
    /// Searches: rate and latency, of answers that are remembered or are not
    Search(Box<BenchSearch>),
}

/// A server that is measured: `URL`, or `CONFIG=URL` where each configuration has a server of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub config: Option<Config>,
    pub url: String,
}

/// What of a server is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Config {
    /// Real embeddings; sentences of documents, or a real model
    Baseline,
    /// Vectors without meaning
    MockEmbeddings,
    /// Twenty words in place of a model's
    MockLlm,
    /// Both
    MockBoth,
}

impl Config {
    pub const ALL: [Self; 4] = [Self::Baseline, Self::MockEmbeddings, Self::MockLlm, Self::MockBoth];

    /// Of what is a mock.
    pub fn of(embeddings: bool, llm: bool) -> Self {
        match (embeddings, llm) {
            (false, false) => Self::Baseline,
            (true, false) => Self::MockEmbeddings,
            (false, true) => Self::MockLlm,
            (true, true) => Self::MockBoth,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::MockEmbeddings => "mock-embeddings",
            Self::MockLlm => "mock-llm",
            Self::MockBoth => "mock-both",
        }
    }
}

/// How many ask at once.
pub type Level = u16;

#[derive(Debug, ClapArgs)]
pub struct BenchAsk {
    /// The server, as URL, or CONFIG=URL for each configuration
    #[arg(long, env = "LOCAL_BASE_URL", value_name = "URL", required = true, value_delimiter = ',',
          hide_env_values = true, value_parser = server)]
    pub base_url: Vec<Server>,
    /// Another to compare it with, such as the same on Kubernetes
    #[arg(long, env = "K8S_BASE_URL", value_name = "URL", value_delimiter = ',', hide_env_values = true,
          value_parser = server)]
    pub compare_url: Vec<Server>,
    /// How many ask at once, a level after the other
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "1,5,10,20,50",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: Vec<Level>,
    /// Levels above this are left out
    #[arg(long, env = "MAX_CONCURRENT", value_name = "N", hide_env_values = true)]
    pub max_concurrent: Option<Level>,
    /// Requests of each level; a tenth of them, up to 100, come before that and are not counted
    #[arg(long, env = "TOTAL_REQUESTS", value_name = "N", default_value_t = REQUESTS, hide_env_values = true,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub requests: u32,
    /// What a server remembers of earlier answers will do
    #[arg(long)]
    pub remembered: bool,
    /// What the servers are started as [default: what they say of themselves]
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    pub configs: Vec<Config>,
    /// Where the figures are written, as JSON
    #[arg(long, value_name = "FILE", default_value = "ask-benchmark.json")]
    pub output: PathBuf,
    #[command(flatten)]
    pub questions: WhatIsAsked,
}

#[derive(Debug, ClapArgs)]
pub struct BenchSearch {
    /// The server
    #[arg(long, env = "LOCAL_BASE_URL", value_name = "URL", hide_env_values = true)]
    pub base_url: String,
    /// How many search at once, a level after the other
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "1,10,50",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: Vec<Level>,
    /// Requests of each level; a tenth of them, up to 100, come before that and are not counted
    #[arg(long, env = "TOTAL_REQUESTS", value_name = "N", default_value_t = 1000, hide_env_values = true,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub requests: u32,
    /// Have every search done anew
    #[arg(long)]
    pub no_cache: bool,
    #[command(flatten)]
    pub questions: WhatIsAsked,
}

/// What is asked.
#[derive(Debug, ClapArgs)]
pub struct WhatIsAsked {
    /// Questions, one a line [default: some of everyday]
    #[arg(long = "questions", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// So many different questions, drawn as people ask: a few again and again, most hardly ever
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub zipf: Option<u32>,
}

#[derive(Debug, ClapArgs)]
pub struct Profile {
    /// How long; a command that still runs then is asked to end [default: as long as the command]
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub duration: Option<f64>,
    /// Time between two looks
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    pub interval: f64,
    /// Processes to follow, with what they start
    #[arg(long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// Names of processes to follow, with what they start
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// A command line for the shell, in place of COMMAND
    #[arg(long = "command", value_name = "LINE", conflicts_with = "command")]
    pub line: Option<String>,
    /// Where the timeline is written, as JSON
    #[arg(long, value_name = "FILE", default_value = "profile.json")]
    pub output: PathBuf,
    /// Where a plot of it is written, as SVG [default: beside the timeline]
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// A command to start and follow
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

fn server(given: &str) -> Result<Server, String> {
    let (config, url) = match given.split_once('=') {
        Some((name, url)) if !name.contains("://") => {
            let known = Config::ALL.into_iter().find(|config| config.as_str() == name);
            let names = Config::ALL.map(Config::as_str).join(", ");
            (Some(known.ok_or_else(|| format!("{name} is no configuration: there are {names}"))?), url)
        }
        _ => (None, given),
    };
    Ok(Server { config, url: url.to_owned() })
}

fn seconds(given: &str) -> Result<f64, String> {
    let seconds = given.parse().ok().filter(|seconds| (0.05..=1_000_000.0).contains(seconds));
    seconds.ok_or_else(|| "use 0.05 to 1000000 seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Ask {
        #[command(flatten)]
        ask: BenchAsk,
    }

    /// The variables that people already set for the scripts that this takes the place of.
    #[test]
    fn variables_of_other_benchmarks_are_read() {
        use clap::CommandFactory;
        let command = Ask::command();
        let variable = |option: &str| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == option);
            argument.and_then(|argument| argument.get_env()?.to_str()).map(str::to_owned)
        };
        for (option, name) in [
            ("base_url", "LOCAL_BASE_URL"),
            ("compare_url", "K8S_BASE_URL"),
            ("max_concurrent", "MAX_CONCURRENT"),
            ("requests", "TOTAL_REQUESTS"),
        ] {
            assert_eq!(variable(option).as_deref(), Some(name));
        }
        assert_eq!(variable("remembered"), None);
    }

    #[test]
    fn a_command_line_says_what_is_measured() {
        let line = "ask --base-url http://a,mock-llm=http://b --compare-url http://c --concurrency 1,10 \
                    --max-concurrent 20 --requests 7 --configs baseline,mock-llm --remembered";
        let Ask { ask } = Ask::try_parse_from(line.split_whitespace()).unwrap();
        assert_eq!((ask.base_url.len(), ask.compare_url.len(), ask.requests), (2, 1, 7));
        assert_eq!(ask.base_url[1].config, Some(Config::MockLlm));
        assert_eq!((ask.concurrency, ask.max_concurrent), (vec![1, 10], Some(20)));
        assert_eq!(ask.configs, [Config::Baseline, Config::MockLlm]);
        assert!(ask.remembered);
        for wrong in ["--concurrency 0", "--requests 0", "--configs mock"] {
            let line = format!("ask --base-url http://a {wrong}");
            assert!(Ask::try_parse_from(line.split_whitespace()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn servers_may_be_named_by_what_they_are() {
        let plain = Server { config: None, url: "http://h:1/?a=b".into() };
        assert_eq!(server("http://h:1/?a=b"), Ok(plain));
        let mock = Server { config: Some(Config::MockBoth), url: "http://h:1".into() };
        assert_eq!(server("mock-both=http://h:1"), Ok(mock));
        assert!(server("mock=http://h:1").unwrap_err().contains("mock-llm"));
    }

    #[test]
    fn times_have_bounds() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "nan", "inf", "x"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
