//! The embedded shape's store: ledger and sinks in one SQLite file, one writer, many readers.
//!
//! Owns the data directory: its lock, its format, its connections. What is in the tables is said in
//! `schema.sql`; each concern has its own file beside this one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "services")]
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::{ledger, sink};

#[cfg(feature = "services")]
mod admissions;
#[cfg(feature = "services")]
mod answers;
#[cfg(feature = "services")]
mod api_keys;
mod audit;
#[cfg(feature = "services")]
mod batches;
mod chunk_table;
mod claims;
mod classified;
mod deleted;
mod derived;
#[cfg(feature = "services")]
mod desk;
#[cfg(feature = "services")]
mod exported;
mod graph;
mod indexes;
mod kept;
mod ledger_impl;
#[cfg(feature = "services")]
mod listing;
#[cfg(feature = "services")]
mod looks;
mod manifests;
#[cfg(feature = "services")]
mod objects;
pub mod read;
mod readers;
mod slow;
mod sources;
pub(crate) mod term_score;
mod text;
mod vectors;
mod writer;

pub use rusqlite;
#[cfg(feature = "services")]
pub use uuid;

pub use chunk_table::{ChunkTable, TableSink};
pub use graph::GraphSink;
pub use manifests::entries as manifest_entries;
pub use readers::Readers;
pub use slow::SlowStatement;
pub use sources::{KnownSource, known_sources};
pub use text::TextSink;
pub use vectors::VectorSink;
pub use writer::{Answer, Writer};

/// Format of the tables; a file with a higher one is refused, one with a lower one brought up by its writer.
const FORMAT: i64 = 4;
/// What brings a file from each format to the next.
const UPGRADES: [&str; FORMAT as usize - 1] = [
    "ALTER TABLE vector_values ADD COLUMN passages BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE indexes ADD COLUMN begun INTEGER NOT NULL DEFAULT 0",
    concat!(include_str!("upgrade_4.sql"), include_str!("api.sql")),
];
/// The tables of an empty file.
const TABLES: &str = concat!(include_str!("schema.sql"), include_str!("api.sql"));
/// File that holds everything.
const DATABASE: &str = "docmill.db";
/// File whose lock makes a process the one writer.
const LOCK: &str = "writer.lock";
/// Prepared statements kept by a connection.
const STATEMENTS: usize = 256;
/// Pages of the log, 16 MiB, from which on it is moved into the file while others ask.
#[cfg(feature = "services")]
const SERVING_LOG_PAGES: u32 = 4_096;

/// A data directory that cannot be used, or a call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process writes.
    #[error("data directory {dir} is in use by process {pid} since {since}")]
    Busy {
        /// The directory.
        dir: PathBuf,
        /// The other process.
        pid: String,
        /// When it took the lock.
        since: String,
    },
    /// Written by a newer docmill.
    #[error("data directory {dir} has format {found}; this docmill reads up to {FORMAT}")]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// Its format.
        found: i64,
    },
    /// Written by an older docmill, and not brought up to date yet.
    #[error("data directory {dir} has format {found}; this docmill reads {FORMAT}")]
    Older {
        /// The directory.
        dir: PathBuf,
        /// Its format.
        found: i64,
    },
    /// Nothing was ingested into it yet.
    #[error("there is no data in {dir}")]
    Absent {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory cannot be made or opened.
    #[error("data directory {dir} cannot be used: {detail}")]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The file is not one of ours, or is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// A call failed; nothing of it took effect.
    #[error("the database failed: {0}")]
    Failed(String),
    /// An earlier commit failed; the process must start again.
    #[error("the database stopped: {0}")]
    Stopped(String),
}

impl Error {
    /// The code that reports and exit messages use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "data_dir_busy",
            Self::Newer { .. } => "data_dir_newer",
            Self::Older { .. } => "data_dir_older",
            Self::Absent { .. } => "data_dir_empty",
            Self::Unusable { .. } => "data_dir_unusable",
            Self::Damaged(_) => "data_dir_damaged",
            Self::DiskFull => "disk_full",
            Self::Failed(_) | Self::Stopped(_) => "internal",
        }
    }

    /// What the user can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Busy { .. } => {
                "wait for it, or stop it; reading commands work meanwhile, and `docmill serve` takes files by --server"
            }
            Self::Newer { .. } => "use the newer docmill, or another --data-dir",
            Self::Older { .. } => {
                "`docmill verify --repair` brings it up to date, as does any `docmill run`"
            }
            Self::Absent { .. } => "ingest something first: docmill run PATH",
            Self::Unusable { .. } => "check the path and its permissions, or use another --data-dir",
            Self::Damaged(_) => "restore it from a backup, or ingest again into another --data-dir",
            Self::DiskFull => "free space under the data directory, then run again",
            Self::Failed(_) | Self::Stopped(_) => "run again; if it repeats, please report it with the log",
        }
    }

    /// The same error for another waiter of the same transaction.
    fn duplicate(&self) -> Self {
        match self {
            Self::DiskFull => Self::DiskFull,
            other => Self::Stopped(other.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<Error> for ledger::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::DiskFull => Self::DiskFull,
            Error::Stopped(detail) => Self::Stopped(detail),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Gives a store's error its store.
fn sink_error(store: docmill_core::manifest::Store) -> impl Fn(Error) -> sink::Error {
    move |error| match error {
        Error::DiskFull => sink::Error::DiskFull { store },
        other => sink::Error::Failed { store, detail: other.to_string() },
    }
}

/// Prepared statements are used again as they are. Once the file has statistics, SQLite would otherwise
/// plan each look-up anew for every value bound to it, at several times the cost of the look-up.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// A data directory opened for writing: the one writer there is.
pub struct Database {
    writer: Option<Writer>,
    thread: Option<std::thread::JoinHandle<()>>,
    readers: Readers,
    clock: Arc<dyn Clock>,
    /// The number of the last commit that this process made; told at changes of the active index, too.
    changes: watch::Sender<u64>,
    /// The active indexes when somebody asked for changes last.
    #[cfg(feature = "services")]
    active_then: Mutex<Option<u64>>,
    _lock: File,
}

impl Database {
    /// Tells who waits for changes that there is one: a commit of this number, or one without a number.
    fn changed(&self, commit: u64) {
        self.changes.send_modify(|newest| *newest = commit.max(*newest));
    }

    /// Takes the directory's lock and opens it, making what lacks.
    ///
    /// # Errors
    /// [`Error::Busy`] when another process writes, [`Error::Newer`], [`Error::Unusable`], [`Error::Damaged`].
    pub fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let unusable = |error: &dyn std::fmt::Display| Error::Unusable {
            dir: dir.to_owned(),
            detail: error.to_string(),
        };
        std::fs::create_dir_all(dir).map_err(|error| unusable(&error))?;
        let lock = lock(dir, clock.as_ref())?;
        let mut connection = Connection::open(dir.join(DATABASE)).map_err(|error| unusable(&error))?;
        keep_statements(&connection)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        // FULL: an answered commit survives a power cut. The log is checkpointed at 64 MiB.
        connection.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;
             PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=16384;
             PRAGMA journal_size_limit=134217728;",
        )?;
        if is_empty(&connection)? {
            connection.execute_batch(&format!("BEGIN; {TABLES} COMMIT;"))?;
        }
        upgrade(&connection, dir)?;
        let slow = slow::Slow::default();
        slow.watch(&mut connection)?;
        let (writer, thread) = Writer::start(connection)?;
        let readers = Readers::noting(dir, slow)?;
        Ok(Self {
            writer: Some(writer),
            thread: Some(thread),
            readers,
            clock,
            changes: watch::Sender::new(0),
            #[cfg(feature = "services")]
            active_then: Mutex::default(),
            _lock: lock,
        })
    }

    /// Moves the log into the file in smaller pieces from now on: who hands something in waits for one of them at most, and
    /// who reads has little of the file to look up in the log. Readers wait for neither the writer nor this.
    ///
    /// # Errors
    /// The writer ended.
    #[cfg(feature = "services")]
    pub(crate) async fn checkpoint_often(&self) -> Result<(), Error> {
        let job = |connection: &Connection| {
            connection.pragma_update(None, "wal_autocheckpoint", SERVING_LOG_PAGES)
        };
        self.writer().run(Answer::Applied, job).await
    }

    /// Reading connections.
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    pub(crate) fn writer(&self) -> &Writer {
        self.writer.as_ref().expect("the writer goes only when the database is dropped")
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_ms()).unwrap_or(i64::MAX)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.writer.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn is_empty(connection: &Connection) -> Result<bool, Error> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(tables == 0)
}

/// Brings the file to this docmill's format, one format a transaction.
fn upgrade(connection: &Connection, dir: &Path) -> Result<(), Error> {
    let found = format_of(connection, dir)?;
    for (upgrade, to) in UPGRADES.iter().zip(2..).filter(|(_, to)| *to > found) {
        let sql = format!("BEGIN; {upgrade}\n; UPDATE meta SET value = {to} WHERE key = 'format'; COMMIT;");
        connection.execute_batch(&sql)?;
    }
    Ok(())
}

/// The file's format, which is not newer than ours.
fn format_of(connection: &Connection, dir: &Path) -> Result<i64, Error> {
    let found: i64 = connection
        .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
        .map_err(|error| Error::Damaged(error.to_string()))?;
    if found > FORMAT {
        return Err(Error::Newer { dir: dir.to_owned(), found });
    }
    Ok(found)
}

/// Takes the writer's lock, or says who has it. The kernel frees it when the process dies.
fn lock(dir: &Path, clock: &dyn Clock) -> Result<File, Error> {
    let unusable =
        |error: std::io::Error| Error::Unusable { dir: dir.to_owned(), detail: error.to_string() };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(LOCK))
        .map_err(unusable)?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder).map_err(unusable)?;
        let mut words = holder.split_whitespace();
        let pid = words.next().unwrap_or("unknown").to_owned();
        let since = words.next().unwrap_or("unknown").to_owned();
        return Err(Error::Busy { dir: dir.to_owned(), pid, since });
    }
    file.set_len(0).map_err(unusable)?;
    file.rewind().map_err(unusable)?;
    let since = crate::time_text::rfc3339_of_ms(clock.now_ms());
    write!(file, "{} {}", std::process::id(), since).map_err(unusable)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::clock::SystemClock;
    use crate::ledger::{Ledger, WorkerId};

    /// How often a look-up was planned again while it looked for different values.
    fn planned_again(connection: &Connection) -> i32 {
        let mut look =
            connection.prepare_cached("SELECT count(*) FROM chunks WHERE text_hash = ?").unwrap();
        for hash in [b"7", b"8", b"9"] {
            let found: i64 = look.query_row([hash], |row| row.get(0)).unwrap();
            assert_eq!(found, 1);
        }
        look.get_status(StatementStatus::RePrepare)
    }

    /// What the tables and indexes of a file are, with the columns of each.
    fn layout(connection: &Connection) -> Vec<(String, String)> {
        let mut statement = connection
            .prepare(
                "SELECT m.name, group_concat(c.name || ' ' || c.type || ' ' || c.hidden, ', ')
                 FROM sqlite_master m LEFT JOIN pragma_table_xinfo(m.name) c
                 WHERE m.name NOT LIKE 'sqlite_%' GROUP BY m.name ORDER BY m.name",
            )
            .unwrap();
        let rows = statement.query_map([], |row| {
            let columns: Option<String> = row.get(1)?;
            let mut columns: Vec<String> =
                columns.unwrap_or_default().split(", ").map(str::to_owned).collect();
            columns.sort();
            Ok((row.get(0)?, columns.join(", ")))
        });
        rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn a_file_of_the_format_before_becomes_one_of_this() {
        let fresh = tempfile::tempdir().unwrap();
        drop(Database::open(fresh.path(), Arc::new(SystemClock)).unwrap());
        let older = tempfile::tempdir().unwrap();
        let tables = include_str!("schema.sql")
            .replace("VALUES('format', 4)", "VALUES('format', 3)")
            .replace(", started_at_ms INTEGER NOT NULL DEFAULT 0", "");
        // The columns since, and the comma before the first of them.
        let begin = tables.find(",\n  claimed_at_ms").unwrap();
        let end = begin + tables[begin..].find("\n);").unwrap();
        let tables = [&tables[..begin], &tables[end..]].concat();
        let document =
            "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, bytes, summary,
              changed_at_ms) VALUES(x'00', 'default', 'u', 'u', 1, 'committed', 1,
              '{\"media_type\":\"text/plain\",\"language\":\"en\"}', 1),
              (x'01', 'default', 'v', 'v', 1, 'committed', 1, 'no JSON', 1);";
        let before = Connection::open(older.path().join(DATABASE)).unwrap();
        before.execute_batch(&format!("{tables}{document}")).unwrap();
        drop(before);
        let upgraded = Database::open(older.path(), Arc::new(SystemClock)).unwrap();
        let sql = "SELECT media_type, language, category FROM documents ORDER BY uri";
        type Kind = [Option<String>; 3];
        let kinds: Vec<Kind> = upgraded
            .readers()
            .read(|connection| {
                let mut statement = connection.prepare(sql)?;
                let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
                rows.collect::<rusqlite::Result<_>>()
            })
            .unwrap()
            .unwrap();
        let plain = [Some("text/plain".to_owned()), Some("en".to_owned()), None];
        assert_eq!(kinds, [plain, [None, None, None]], "a summary that is no JSON breaks nothing");
        drop(upgraded);
        let [fresh, older] =
            [fresh, older].map(|dir| layout(&Connection::open(dir.path().join(DATABASE)).unwrap()));
        assert_eq!(older, fresh);
    }

    #[tokio::test]
    async fn who_left_rows_is_counted_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path(), Arc::new(SystemClock)).unwrap();
        let worker = |name: &str| WorkerId(name.to_owned());
        let others = async |name: &str| database.take_over(&worker(name), 60_000).await.unwrap();
        assert_eq!(others("a").await, 0);
        assert_eq!(others("b").await, 1, "a died");
        assert_eq!(others("c").await, 1, "b died before it did anything");
        database.retire_worker(&worker("c")).await.unwrap();
        assert_eq!(others("d").await, 0);
        database.leave(&worker("d")).await.unwrap();
        let living = "SELECT count(*) FROM workers WHERE lease_until_ms > 0";
        let living = database.readers().read(|file| file.query_row(living, [], |row| row.get::<_, u32>(0)));
        assert_eq!(living.unwrap().unwrap(), 0);
        assert_eq!(others("e").await, 1, "d left rows");
    }

    #[cfg(feature = "services")]
    #[tokio::test]
    async fn readers_wait_for_neither_the_writer_nor_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path(), Arc::new(SystemClock)).unwrap();
        database.checkpoint_often().await.unwrap();
        let (begun, open) = (tokio::sync::oneshot::channel(), std::sync::mpsc::channel::<()>());
        let writing = database.writer().run(Answer::Durable, move |connection| {
            connection.execute("INSERT INTO meta VALUES('k', 1)", [])?;
            let _ = begun.0.send(());
            // Until the other end is gone.
            let _ = open.1.recv();
            connection.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get::<_, u32>(0))
        });
        let reading = async {
            begun.1.await.unwrap();
            let sql = "SELECT count(*) FROM meta WHERE key = 'k'";
            let seen = database.readers().read(|file| file.query_row(sql, [], |row| row.get::<_, u32>(0)));
            drop(open.0);
            seen.unwrap().unwrap()
        };
        let (written, seen) = tokio::join!(writing, reading);
        assert_eq!((written.unwrap(), seen), (SERVING_LOG_PAGES, 0));
    }

    #[test]
    fn look_ups_are_planned_once_even_with_statistics() {
        let dir = tempfile::tempdir().unwrap();
        let database = || Database::open(dir.path(), Arc::new(SystemClock)).unwrap();
        let plain = || Connection::open(dir.path().join(DATABASE)).unwrap();
        drop(database());
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO chunks SELECT i, CAST(i AS BLOB), x'00', 1, CAST(i AS BLOB), 1, 'text' FROM n; ANALYZE;";
        plain().execute_batch(rows).unwrap();
        assert!(planned_again(&plain()) > 0, "SQLite no longer does what we prevent");
        assert_eq!(database().readers().read(planned_again).unwrap(), 0);
    }
}
