//! Reading connections: each look sees one state of the file, and waits for no writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::slow::{Slow, SlowStatement};
use super::{DATABASE, Error, FORMAT, format_of, keep_statements, term_score};

/// What a reading connection keeps of the file in memory.
const READER_CACHE_KIB: u32 = 16 * 1024;
/// Idle reading connections kept, and at least as many as there are cores: each has its statements ready and knows the file.
const READERS_KEPT_MIN: usize = 8;

/// Reading connections to a data directory, shared by clones.
#[derive(Clone)]
pub struct Readers {
    path: Arc<PathBuf>,
    cache_kib: u32,
    /// Idle connections kept.
    kept_max: usize,
    idle: Arc<Mutex<Vec<Connection>>>,
    slow: Slow,
}

impl Readers {
    /// Opens the directory for reading; works while another process writes.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::Newer`], [`Error::Older`], [`Error::Unusable`], [`Error::Damaged`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::noting(dir, Slow::default())
    }

    /// The same, that notes slow statements there.
    pub(super) fn noting(dir: &Path, slow: Slow) -> Result<Self, Error> {
        let path = dir.join(DATABASE);
        if !path.exists() {
            return Err(Error::Absent { dir: dir.to_owned() });
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let readers = Self {
            path: Arc::new(path),
            cache_kib: READER_CACHE_KIB,
            kept_max: cores.max(READERS_KEPT_MIN),
            idle: Arc::default(),
            slow,
        };
        match readers.read(|connection| format_of(connection, dir))?? {
            FORMAT => Ok(readers),
            found => Err(Error::Older { dir: dir.to_owned(), found }),
        }
    }

    /// The same file by connections that keep so much of it in memory each.
    pub fn with_cache_kib(&self, cache_kib: u32) -> Self {
        Self { cache_kib, idle: Arc::default(), ..self.clone() }
    }

    /// Statements that took at least so long once, of all connections that this process has to the file; the longest
    /// first.
    pub fn slow_statements(&self, least: Duration) -> Vec<SlowStatement> {
        self.slow.above(least)
    }

    /// Runs the look in one read transaction: it sees one state of everything.
    ///
    /// # Errors
    /// What the look answers, or that no connection could be had.
    pub fn read<T>(&self, look: impl FnOnce(&Connection) -> T) -> Result<T, Error> {
        let idle = self.idle.lock().expect("no code panics while holding it").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.prepare_cached("BEGIN")?.execute([])?;
        let seen = look(&connection);
        connection.prepare_cached("COMMIT")?.execute([])?;
        let mut idle = self.idle.lock().expect("no code panics while holding it");
        if idle.len() < self.kept_max {
            idle.push(connection);
        }
        Ok(seen)
    }

    fn connect(&self) -> Result<Connection, Error> {
        // Not SQLITE_OPEN_READ_ONLY: the first reader after a crash has to recover the log.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(self.path.as_path(), flags)?;
        keep_statements(&connection)?;
        self.slow.watch(&mut connection)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        let cache_kib = self.cache_kib;
        connection.execute_batch(&format!(
            "PRAGMA query_only=1; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-{cache_kib};"
        ))?;
        term_score::register(&connection)?;
        Ok(connection)
    }
}
