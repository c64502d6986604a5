//! Why a command of the one-machine shape did not do what it was asked. Codes are part of the contract.

use std::path::PathBuf;

use crate::{delivery, ledger, sqlite};

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] sqlite::Error),
    /// The ledger, while working.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A delivery that could not be settled.
    #[error(transparent)]
    Delivery(#[from] delivery::Error),
    /// The data directory's index was made with other models.
    #[error("the data directory's index was made with {has}; asked for {asked}")]
    IndexMismatch {
        /// The models of the index.
        has: String,
        /// The models asked for.
        asked: String,
    },
    /// A model that is needed cannot be had.
    #[error("the embedding model cannot be loaded: {0}")]
    Model(String),
    /// Nothing at the path.
    #[error("there is nothing at {}", .0.display())]
    NoSuchPath(PathBuf),
    /// Vanished documents were not removed; everything else was done.
    #[error("nothing was removed: {reason}")]
    SyncRefused {
        /// Why.
        reason: String,
        /// What the run did.
        report: Box<super::Report>,
    },
    /// Too little disk is free to begin more documents.
    #[error("{free_mib} MiB are free under {}, {wanted_mib} MiB are wanted", .dir.display())]
    DiskLow {
        /// The data directory.
        dir: PathBuf,
        /// Free there, in MiB.
        free_mib: u64,
        /// What must be, in MiB.
        wanted_mib: u64,
    },
    /// Too little memory is free to begin more documents, and was for long.
    #[error("{free_mib} MiB of memory are free, {wanted_mib} MiB are wanted")]
    MemoryLow {
        /// Free, in MiB.
        free_mib: u64,
        /// What must be, in MiB.
        wanted_mib: u64,
    },
    /// The file for metrics cannot be written.
    #[error("metrics cannot be written to {}: {detail}", .path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Extractors are not held as is asked.
    #[error("{lacks}")]
    Sandbox {
        /// What lacks.
        lacks: String,
        /// What may bring it back.
        what_to_do: String,
    },
    /// The extractor cannot be run.
    #[error("the extractor cannot be started: {0}")]
    Extractor(String),
    /// A directory that cannot be watched.
    #[error("{} {why}", .path.display())]
    Watch {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Others were to be answered, and there is no key that would tell who they are.
    #[error("{0} is reached by others, and there are no keys")]
    KeysNeeded(std::net::SocketAddr),
    /// The address cannot be listened on.
    #[error("{address} cannot be used: {detail}")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
        /// What the system said.
        detail: String,
    },
    /// The API cannot begin.
    #[error("the API cannot begin: {0}")]
    Api(String),
}

impl Error {
    /// The code that reports and exit messages use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DataDir(error) => error.code(),
            Self::DiskLow { .. }
            | Self::Ledger(ledger::Error::DiskFull)
            | Self::Delivery(delivery::Error::Ledger(ledger::Error::DiskFull)) => "disk_full",
            Self::Ledger(_) | Self::Delivery(_) => "internal",
            Self::IndexMismatch { .. } => "index_mismatch",
            Self::Model(_) => "model_missing",
            Self::NoSuchPath(_) => "no_such_path",
            Self::SyncRefused { .. } => "sync_refused",
            Self::MemoryLow { .. } => "memory_low",
            Self::Metrics { .. } => "metrics_unwritable",
            Self::Sandbox { .. } => "sandbox_missing",
            Self::Extractor(_) => "extractor_missing",
            Self::Watch { .. } => "watch_refused",
            Self::KeysNeeded(_) => "keys_needed",
            Self::Listen { .. } => "listen_unusable",
            Self::Api(_) => "api_unusable",
        }
    }

    /// What the user can do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::DataDir(error) => error.advice(),
            Self::DiskLow { .. } => {
                "free space there, or lower --min-free-disk-mib, then run again: it goes on where it stopped"
            }
            Self::MemoryLow { .. } => {
                "end other programs, or lower --min-free-memory-mib, then run again: it goes on where it stopped"
            }
            _ if self.code() == "disk_full" => {
                "free space under the data directory, then run again: it goes on where it stopped"
            }
            Self::Ledger(_) | Self::Delivery(_) => {
                "run again: it goes on where it stopped; if it repeats, report it with the log"
            }
            Self::IndexMismatch { .. } => {
                "leave the flags out, use docmill reindex to change the models, or another --data-dir"
            }
            Self::Model(_) => "run make setup, or use --embeddings none for full text only",
            Self::NoSuchPath(_) => "check the path",
            Self::SyncRefused { .. } => "look at the paths; --sync=force removes even more than half",
            Self::Metrics { .. } => "check the path of --metrics, its permissions and the free space",
            Self::Sandbox { .. } => "use --sandbox best-effort to do without it, or bring it back",
            Self::Extractor(_) => "check the installation of docmill",
            Self::Watch { .. } => "watch a directory that does not hold the data directory",
            Self::KeysNeeded(_) => {
                "make a key first (docmill serve on 127.0.0.1, then POST /v1/keys), or listen on 127.0.0.1"
            }
            Self::Listen { .. } => "end what listens there, or use another --listen",
            Self::Api(_) => "check the settings that it names, and the permissions of the data directory",
        }
    }
}
