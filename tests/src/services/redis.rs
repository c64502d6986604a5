//! A real Redis: append-only file always on disk, users by ACL, and TLS, cluster or sentinel where asked for.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docmill_worker::queue::redis::check::rights;
use docmill_worker::queue::redis::{Credentials, KeyPrefix, Keys, RedisOptions, RedisQueue};
use docmill_worker::secret::Secret;
use redis::{Connection, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, free_port, wait_until};
use crate::contract::{Backend, LEASE_MS, Time, memory};

/// The user with the least rights that the queue needs.
pub const USER: &str = "docmill";
/// Its password.
pub const PASSWORD: &str = "test-only-user";
/// The user with all rights, for what only tests do.
pub const ADMIN: &str = "admin";
/// Its password.
pub const ADMIN_PASSWORD: &str = "test-only-admin";

/// What documentation recommends: off, but not without rights.
pub const DEFAULT_USER: &str = "user default off resetpass ~* &* +@all";
/// Off and without rights: what is replayed from the file at a start runs as this user.
pub const DEFAULT_USER_TRAP: &str = "user default reset off";
/// Longest time for an end that is asked for.
const END_MAX: Duration = Duration::from_secs(30);

/// How a server is to be.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Listens on TCP, not only on its socket file.
    pub tcp: bool,
    /// Listens with TLS.
    pub tls: bool,
    /// Is a cluster of one node that has every slot.
    pub cluster: bool,
    /// The ACL's line of the user `default`.
    pub default_user: String,
    /// Rights taken from [`USER`], or given to it besides, as ACL rules.
    pub rights: String,
    /// Further lines of the configuration.
    pub config: String,
    /// Where its directory is made; without it, where temporary files are.
    pub home: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            tcp: false,
            tls: false,
            cluster: false,
            default_user: DEFAULT_USER.to_owned(),
            rights: String::new(),
            config: String::new(),
            home: None,
        }
    }
}

/// A running server.
pub struct RedisServer {
    dir: TempDir,
    /// TCP port; 0 without one.
    pub port: u16,
    /// TLS port; 0 without one.
    pub tls_port: u16,
    process: Mutex<Option<Process>>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub fn start(setup: &Setup) -> Self {
        let home = setup.home.clone().unwrap_or_else(std::env::temp_dir);
        let dir = tempfile::Builder::new().prefix("redis-").tempdir_in(home).unwrap();
        let port = if setup.tcp || setup.cluster { free_port() } else { 0 };
        let tls_port = if setup.tls { free_port() } else { 0 };
        let home = dir.path().display();
        let mut config = format!(
            "bind 127.0.0.1\nport {port}\nunixsocket {home}/redis.sock\nunixsocketperm 700\ndir {home}\n\
             aclfile {home}/users.acl\nappendonly yes\nappendfsync always\nsave \"\"\nmaxmemory 256mb\n\
             maxmemory-policy noeviction\ndaemonize no\n"
        );
        if setup.tls {
            super::certificates::write(dir.path());
            config += &format!(
                "tls-port {tls_port}\ntls-cert-file {home}/server.pem\ntls-key-file {home}/server.key\n\
                 tls-ca-cert-file {home}/ca.pem\ntls-auth-clients no\n"
            );
        }
        if setup.cluster {
            config += &format!("cluster-enabled yes\ncluster-port {}\n", free_port());
        }
        config += &setup.config;
        let users = users(&setup.default_user, &setup.rights);
        std::fs::write(dir.path().join("redis.conf"), config).unwrap();
        std::fs::write(dir.path().join("users.acl"), users).unwrap();
        let server = Self { dir, port, tls_port, process: Mutex::default() };
        server.start_again();
        if setup.cluster {
            let mut admin = server.admin();
            redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383).exec(&mut admin).unwrap();
            wait_until("the cluster", || {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut admin).unwrap();
                info.contains("cluster_state:ok")
            });
        }
        server
    }

    /// Kills it as a machine dies: no farewell, nothing written any more.
    pub fn kill(&self) {
        *self.process.lock().unwrap() = None;
    }

    /// Stops it in the middle of what it does, as a partition looks from outside.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        self.process.lock().unwrap().as_ref().expect("the server runs").signal(signal);
    }

    /// Asks it to end and waits until it did, as a planned restart does.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
        let mut process = self.process.lock().unwrap();
        process.as_mut().expect("the server runs").wait(END_MAX);
        *process = None;
    }

    /// Whether it ended by itself, or was killed.
    pub fn ended(&self) -> bool {
        self.process.lock().unwrap().as_mut().is_none_or(Process::ended)
    }

    /// Starts it on the files that it has, and waits until it answers.
    pub fn start_again(&self) {
        self.try_start_again().unwrap_or_else(|said| panic!("it ended: {said}"));
    }

    /// As [`RedisServer::start_again`], for files that it may refuse.
    ///
    /// # Errors
    /// It ended instead of answering; gives what it said.
    pub fn try_start_again(&self) -> Result<(), String> {
        let log = self.dir.path().join("redis.log");
        let mut command = Command::new("redis-server");
        command.arg(self.dir.path().join("redis.conf"));
        let mut process = Process::start(&mut command, &log);
        let mut ended = false;
        wait_until("redis-server", || {
            ended = process.ended();
            ended || self.try_admin().is_ok_and(|mut admin| redis::cmd("PING").exec(&mut admin).is_ok())
        });
        if ended {
            return Err(std::fs::read_to_string(&log).unwrap_or_default());
        }
        *self.process.lock().unwrap() = Some(process);
        Ok(())
    }

    /// The file that it adds to with every change.
    pub fn append_only_file(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.dir.path().join("appendonlydir")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "aof"));
        files.retain(|path| path.to_string_lossy().contains(".incr."));
        files.sort();
        files.pop().expect("it appends to a file")
    }

    /// Changes the user `default` while it runs, and in the file that it starts with.
    pub fn set_default_user(&self, line: &str) {
        std::fs::write(self.dir.path().join("users.acl"), users(line, "")).unwrap();
        redis::cmd("ACL").arg("LOAD").exec(&mut self.admin()).unwrap();
    }

    /// Empties it, scripts included, as a new volume would.
    pub fn empty(&self) {
        let mut admin = self.admin();
        redis::cmd("FLUSHALL").exec(&mut admin).unwrap();
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut admin).unwrap();
    }

    /// A connection that may do everything.
    pub fn admin(&self) -> Connection {
        self.try_admin().unwrap()
    }

    fn try_admin(&self) -> redis::RedisResult<Connection> {
        let login = RedisConnectionInfo::default().set_username(ADMIN).set_password(ADMIN_PASSWORD);
        let address = ConnectionAddr::Unix(self.dir.path().join("redis.sock"));
        let info = address.into_connection_info()?.set_redis_settings(login.set_skip_set_lib_name());
        redis::Client::open(info)?.get_connection()
    }

    /// The certificate of the CA that its own is signed with.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A path beside its files.
    pub fn dir_file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What [`USER`] needs to use it by its socket file.
    pub fn options(&self) -> RedisOptions {
        options(&format!("unix://{}/redis.sock", self.dir.path().display()))
    }

    /// A queue in it.
    pub fn queue(&self) -> RedisQueue {
        RedisQueue::new(self.options())
    }
}

/// A sentinel that watches one master, `main`.
pub struct Sentinel {
    /// It rewrites its configuration there.
    _dir: TempDir,
    /// TCP port.
    pub port: u16,
    _process: Process,
}

impl Sentinel {
    /// Starts one that decides alone, and waits until it knows the master and this many replicas.
    pub fn start(master: &RedisServer, replicas: usize) -> Self {
        Self::of(master, replicas, 1)
    }

    /// Starts one of several, of which `quorum` must agree that the master is gone.
    pub fn of(master: &RedisServer, replicas: usize, quorum: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            "bind 127.0.0.1\nport {port}\nprotected-mode no\ndir {}\nsentinel monitor main 127.0.0.1 {} {quorum}\n\
             sentinel auth-user main {ADMIN}\nsentinel auth-pass main {ADMIN_PASSWORD}\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n",
            dir.path().display(),
            master.port
        );
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, config).unwrap();
        let log = dir.path().join("sentinel.log");
        let mut process = Process::start(Command::new("redis-server").arg(&file).arg("--sentinel"), &log);
        let mut sentinel = None;
        wait_until("the sentinel", || {
            assert!(!process.ended(), "it ended: {}", std::fs::read_to_string(&log).unwrap_or_default());
            sentinel = Self::connect(port).ok();
            let Some(connection) = &mut sentinel else { return false };
            let known =
                redis::cmd("SENTINEL").arg("REPLICAS").arg("main").query::<Vec<redis::Value>>(connection);
            known.is_ok_and(|known| known.len() == replicas)
        });
        Self { _dir: dir, port, _process: process }
    }

    fn connect(port: u16) -> redis::RedisResult<Connection> {
        redis::Client::open(("127.0.0.1", port))?.get_connection()
    }

    /// How many other sentinels it knows.
    pub fn others(&self) -> usize {
        let mut connection = Self::connect(self.port).unwrap();
        let known =
            redis::cmd("SENTINEL").arg("SENTINELS").arg("main").query::<Vec<redis::Value>>(&mut connection);
        known.map_or(0, |known| known.len())
    }

    /// Makes the replica the master.
    pub fn fail_over(&self) {
        let mut connection = Self::connect(self.port).unwrap();
        wait_until("a fail-over", || {
            // Refused until the sentinel has seen that the replica is in good health.
            redis::cmd("SENTINEL").arg("FAILOVER").arg("main").exec(&mut connection).is_ok()
        });
    }

    /// The port of the master that it names.
    pub fn master_port(&self) -> u16 {
        let mut connection = Self::connect(self.port).unwrap();
        let address: Vec<String> = redis::cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg("main")
            .query(&mut connection)
            .unwrap();
        address[1].parse().unwrap()
    }
}

/// The file of users.
fn users(default_user: &str, without: &str) -> String {
    format!(
        "{default_user}\nuser {ADMIN} on >{ADMIN_PASSWORD} ~* &* +@all\nuser {USER} on >{PASSWORD} {} {without}\n",
        rights::rules(&Keys::new(&prefix())),
    )
}

/// The prefix of every test's keys.
pub fn prefix() -> KeyPrefix {
    KeyPrefix::new("docmill:test").unwrap()
}

/// What [`USER`] needs at this place.
pub fn options(url: &str) -> RedisOptions {
    let mut options = RedisOptions::new(url.parse().unwrap());
    options.credentials = credentials(USER, PASSWORD);
    options.key_prefix = prefix();
    options.lease_ms = LEASE_MS;
    options
}

/// A command as it is typed: words with spaces between.
///
/// # Panics
/// The line is empty.
pub fn command(line: &str) -> redis::Cmd {
    let mut words = line.split_whitespace();
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command
}

/// A user and its password.
pub fn credentials(username: &str, password: &str) -> Credentials {
    Credentials { username: Some(username.to_owned()), password: Some(Secret::new(password)) }
}

/// The memory twins, with the queue in a server of its own.
pub async fn backend() -> Backend {
    let server = RedisServer::start(&Setup::default());
    let queue = Arc::new(server.queue());
    Backend { queue, time: Time::Real, keep: Box::new(server), ..memory().await }
}
