//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use docmill_core::failure::FailureCode;
use docmill_core::id::TenantId;
use docmill_core::limits::Limits;

use crate::place::Needs;

mod asking;
mod measuring;
mod reading;

pub use asking::{Ask, Concept, Search};
pub use measuring::{Bench, BenchAsk, BenchSearch, Config, Level, Profile, Server, WhatIsAsked};
pub use reading::{Categories, Concepts, Embeddings, Extraction, Ocr, Reading, Run, Sandbox, Serve, Sync};

/// Turns documents into a searchable knowledge base, on this machine or at a server.
#[derive(Debug, Parser)]
#[command(name = "docmill", version, max_term_width = 100)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, ClapArgs)]
pub struct Global {
    /// Where everything is kept [default: $XDG_DATA_HOME/docmill or ~/.local/share/docmill]
    #[arg(long, global = true, env = "DOCMILL_DATA_DIR", value_name = "DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// Whose documents
    #[arg(long, global = true, default_value = "default")]
    pub tenant: String,
    /// Machine-readable output on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// What is logged to standard error, such as `info` or `docmill_worker=debug`
    #[arg(long, global = true, env = "DOCMILL_LOG", value_name = "FILTER", hide_env_values = true)]
    pub log: Option<String>,
    /// How the log is written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "pretty",
        env = "DOCMILL_LOG_FORMAT",
        value_name = "FORMAT",
        hide_env_values = true
    )]
    pub log_format: LogFormat,
    /// A server to ask, in place of a data directory; its key is in DOCMILL_API_KEY or a file
    #[arg(
        long,
        global = true,
        env = "DOCMILL_SERVER",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub server: Option<String>,
    /// A file with the key, which is never given on the command line itself
    #[arg(
        long,
        global = true,
        env = "DOCMILL_API_KEY_FILE",
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub api_key_file: Option<PathBuf>,
    /// How long a request is sent again while the server is full or away
    #[arg(long, global = true, value_name = "S", default_value_t = RETRY_S, help_heading = "Server")]
    pub retry_seconds: u64,
}

/// How long a request is sent again where nothing is said, in seconds.
const RETRY_S: u64 = 300;
/// Uploads at once where nothing is said.
const UPLOADS: u16 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Pretty,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ingest files and directories
    Run(Box<Run>),
    /// Serve API and dashboard on the data directory, and take in what is uploaded or watched
    Serve(Box<Serve>),
    /// Search by words and by meaning
    Search(Box<Search>),
    /// Ask a question: an answer that cites documents and pages
    Ask(Box<Ask>),
    /// The concepts that most documents mention
    Concepts {
        /// How many
        #[arg(long, default_value_t = 20, value_name = "N")]
        top: usize,
    },
    /// One concept: mentions, neighbours, documents; or how it leads to another
    Concept(Concept),
    /// List, show or delete documents
    Documents(Documents),
    /// The state of the data directory, or a server's batches, queues and workers
    Status {
        /// One batch: its documents by state, rate, ETA
        batch: Option<String>,
    },
    /// Hand files, directories and folders of its object store in to a server
    Submit(Box<Submit>),
    /// Wait until a server is done with batches; exit code 3 when documents failed or were cancelled
    Wait {
        /// Ids, as `submit` and `status` show them
        #[arg(required = true, value_name = "BATCH")]
        batches: Vec<String>,
        /// Longest wait [default: as long as it takes]
        #[arg(long, value_name = "S")]
        timeout: Option<u64>,
    },
    /// Stop batches of a server: what waits is not begun, what is in work stops
    Cancel {
        /// Ids, as `submit` and `status` show them
        #[arg(required = true, value_name = "BATCH")]
        batches: Vec<String>,
    },
    /// What became of the documents of a server's batch
    Results {
        /// Id, as `submit` and `status` show it
        batch: String,
        /// Only in this state
        #[arg(long, value_parser = ["queued", "processing", "committed", "failed", "cancelled"])]
        state: Option<String>,
    },
    /// Write everything out, one JSON line a document
    Export {
        /// How documents are written
        #[arg(long, value_enum, default_value = "jsonl")]
        format: Format,
        /// A file instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Documents that were given up: list, show, replay
    DeadLetters {
        #[command(subcommand)]
        action: Option<DeadLetters>,
    },
    /// Audit the ledger against every store; exit code 4 when something is wrong
    Verify {
        /// Do again exactly what is wrong
        #[arg(long)]
        repair: bool,
        /// Of a server: until nothing is wrong and no removal is due
        #[arg(long)]
        wait: bool,
        /// Longest wait [default: 300]
        #[arg(long, value_name = "S", requires = "wait")]
        timeout: Option<u64>,
        #[command(flatten)]
        extraction: Extraction,
    },
    /// At a server: build another index beside the active one, or fill a store that lost rows
    Rebuild(Rebuild),
    /// Build another index beside the active one and switch to it
    Reindex {
        /// [default: as the active index]
        #[arg(long, value_enum)]
        embeddings: Option<Embeddings>,
        /// [default: as the active index]
        #[arg(long, value_enum)]
        concepts: Option<Concepts>,
        #[command(flatten)]
        extraction: Extraction,
    },
    /// Measure servers: rates, times, as ratios where two are named
    #[command(subcommand)]
    Bench(Bench),
    /// Record what the machine and processes use while a command runs or for a time
    Profile(Profile),
}

impl Command {
    /// Where it can work.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Run(_) | Self::Serve(_) | Self::Reindex { .. } | Self::Bench(_) | Self::Profile(_) => {
                Needs::Here
            }
            Self::Documents(documents) if documents.pages_by_place() => Needs::Here,
            Self::Submit(_)
            | Self::Wait { .. }
            | Self::Cancel { .. }
            | Self::Results { .. }
            | Self::Rebuild(_)
            | Self::Status { batch: Some(_) }
            | Self::Verify { wait: true, .. } => Needs::Server,
            Self::Search(_)
            | Self::Ask(_)
            | Self::Concepts { .. }
            | Self::Concept(_)
            | Self::Documents(_)
            | Self::Status { batch: None }
            | Self::Export { .. }
            | Self::DeadLetters { .. }
            | Self::Verify { .. } => Needs::Either,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    Jsonl,
}

#[derive(Debug, ClapArgs)]
pub struct Documents {
    #[command(subcommand)]
    pub action: Option<DocumentAction>,
    #[command(flatten)]
    pub list: DocumentList,
}

impl Documents {
    /// Whether it asks in ways that a server's list does not know.
    fn pages_by_place(&self) -> bool {
        let list = match &self.action {
            Some(DocumentAction::List(list)) => list,
            Some(_) => return false,
            None => &self.list,
        };
        list.prefix.is_some() || list.offset > 0
    }
}

#[derive(Debug, Clone, ClapArgs)]
pub struct DocumentList {
    /// Only in this state: queued, processing, committed or failed
    #[arg(long, value_parser = state)]
    pub state: Option<docmill_core::delivery::State>,
    /// Only where the URI begins so; on this machine alone
    #[arg(long, value_name = "URI")]
    pub prefix: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub limit: usize,
    /// Without the first so many; on this machine alone
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub offset: usize,
}

#[derive(Debug, Subcommand)]
pub enum DocumentAction {
    /// List documents
    List(DocumentList),
    /// Show one document with its chunks
    Show {
        /// Id, URI or absolute path
        document: String,
    },
    /// Delete documents with everything made of them
    Delete {
        /// Ids, URIs or absolute paths
        #[arg(required = true)]
        documents: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List them
    List,
    /// Show one with all that is known of its failure
    Show {
        /// Id, URI or absolute path
        document: String,
    },
    /// Try them again
    Replay {
        #[command(flatten)]
        which: Letters,
        #[command(flatten)]
        extraction: Extraction,
    },
}

/// Dead letters that are meant.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct Letters {
    /// Ids, URIs or absolute paths
    pub documents: Vec<String>,
    /// All that failed with this code
    #[arg(long, value_name = "CODE", value_parser = failure_code)]
    pub code: Option<FailureCode>,
    /// All of them
    #[arg(long, display_order = 1)]
    pub all: bool,
}

fn failure_code(name: &str) -> Result<FailureCode, String> {
    FailureCode::parse(name).ok_or_else(|| format!("there are {}", FailureCode::names()))
}

#[derive(Debug, ClapArgs)]
pub struct Rebuild {
    /// [default: as the active index]
    #[arg(long, value_parser = ["builtin", "none"])]
    pub embeddings: Option<String>,
    /// [default: as the active index]
    #[arg(long, value_parser = ["builtin", "none"])]
    pub concepts: Option<String>,
    /// In place of another index, write again what this store lost
    #[arg(long, value_name = "STORE", value_parser = ["text", "vectors", "graph"],
          conflicts_with_all = ["embeddings", "concepts"])]
    pub store: Option<String>,
    /// Wait until searches read it, or the store has all rows
    #[arg(long)]
    pub wait: bool,
    /// Longest wait [default: as long as it takes]
    #[arg(long, value_name = "S", requires = "wait")]
    pub timeout: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub struct Submit {
    /// Files and directories; or folders of the server's object store: s3://BUCKET/FOLDER
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What people call the batch
    #[arg(long)]
    pub name: Option<String>,
    /// Wait until the server is done with it, as `docmill wait` does
    #[arg(long)]
    pub wait: bool,
    /// Longest wait [default: as long as it takes]
    #[arg(long, value_name = "S", requires = "wait")]
    pub timeout: Option<u64>,
    /// Uploads at once
    #[arg(long, value_name = "N", default_value_t = UPLOADS,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
    /// What the places of files begin with at the server [default: the name of this machine]
    #[arg(long, env = "DOCMILL_ORIGIN", value_name = "NAME", hide_env_values = true)]
    pub origin: Option<String>,
    /// Largest file
    #[arg(long, env = "MAX_FILE_SIZE_MB", value_name = "MIB", default_value_t = Limits::default().file_mib)]
    pub max_file_mib: u64,
}

fn state(name: &str) -> Result<docmill_core::delivery::State, String> {
    docmill_core::delivery::State::parse(name)
        .ok_or_else(|| "use queued, processing, committed or failed".to_owned())
}

impl Global {
    pub fn tenant(&self) -> Result<TenantId, crate::failure::Failure> {
        TenantId::new(self.tenant.clone()).map_err(|error| {
            crate::failure::Failure::new("bad_tenant", error.to_string(), "choose another --tenant")
        })
    }

    pub fn data_dir(&self) -> Result<PathBuf, crate::failure::Failure> {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        self.data_dir
            .clone()
            .or_else(|| absolute("XDG_DATA_HOME").map(|dir| dir.join("docmill")))
            .or_else(|| absolute("HOME").map(|dir| dir.join(".local/share/docmill")))
            .ok_or_else(|| {
                crate::failure::Failure::new(
                    "data_dir_unusable",
                    "there is no home directory",
                    "use --data-dir",
                )
            })
    }
}
