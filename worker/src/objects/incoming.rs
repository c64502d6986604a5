//! A file that is written as bytes come, and hashed on the way. Works off the async threads.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use docmill_core::id::ContentHash;
use sha2::{Digest, Sha256};

use super::Error;

/// Bytes that are collected before a thread is asked to write them.
const BATCH_BYTES: usize = 1 << 20;

/// See the module.
pub(super) struct Incoming {
    path: PathBuf,
    state: Option<State>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    bytes: u64,
}

struct State {
    file: File,
    hash: Sha256,
}

impl Incoming {
    /// Makes the file.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create_new(path).map_err(|error| Error::io(&shown(path), &error))?;
        let state = Some(State { file, hash: Sha256::new() });
        Ok(Self { path: path.to_owned(), state, batch: Vec::new(), batch_bytes: 0, bytes: 0 })
    }

    /// Bytes that came.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        self.batch_bytes += bytes.len();
        self.batch.push(bytes);
        if self.batch_bytes >= BATCH_BYTES { self.write().await } else { Ok(()) }
    }

    /// Ends the file; `durable`: it survives a power cut, apart from its name.
    pub(super) async fn finish(mut self, durable: bool) -> Result<(u64, ContentHash), Error> {
        self.write().await?;
        let Some(State { file, hash }) = self.state.take() else { return Err(self.lost()) };
        if durable {
            let synced = tokio::task::spawn_blocking(move || file.sync_all()).await;
            synced.map_err(|_| self.lost())?.map_err(|error| Error::io(&shown(&self.path), &error))?;
        }
        Ok((self.bytes, ContentHash(hash.finalize().into())))
    }

    async fn write(&mut self) -> Result<(), Error> {
        let Some(mut state) = self.state.take() else { return Err(self.lost()) };
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let written = tokio::task::spawn_blocking(move || {
            for bytes in batch {
                state.file.write_all(&bytes)?;
                state.hash.update(&bytes);
            }
            Ok(state)
        });
        let written: std::io::Result<State> = written.await.map_err(|_| self.lost())?;
        self.state = Some(written.map_err(|error| Error::io(&shown(&self.path), &error))?);
        Ok(())
    }

    fn lost(&self) -> Error {
        Error::Failed(format!("the writing of {} was given up", shown(&self.path)))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
