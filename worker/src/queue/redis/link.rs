//! The connection: made when needed, shared by all callers, dropped when it broke. Every wait has an end.

use std::io;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, RetryMethod,
    ScriptInvocation, ServerErrorKind, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

use super::options::{Credentials, Host, RedisOptions, Topology};
use crate::queue::Error;

/// Trials of one call. With the pauses between them a server that restarts at once is waited for.
const TRIALS_MAX: u32 = 3;

/// Pause before the second trial, in milliseconds; doubled before each further one.
const PAUSE_MS: u64 = 100;

/// Whether a call may be made again when nobody knows whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// A second time changes nothing, or only what a lease heals.
    Harmless,
    /// A second time would give another answer.
    Never,
}

/// The way to Redis.
pub struct Link {
    options: RedisOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts the connections, so that a caller drops only the one that failed it.
    number: u64,
    wire: Option<Wire>,
    /// The last connection that could not be made.
    failed: Option<(Instant, RedisError)>,
}

/// An open connection.
#[derive(Clone)]
enum Wire {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// What is sent.
#[derive(Clone, Copy)]
enum Call<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command { command: &'a Cmd, key: &'a str },
}

impl Wire {
    async fn send(mut self, call: Call<'_>) -> RedisResult<Value> {
        match (call, &mut self) {
            (Call::Script(script), wire) => script.invoke_async(wire).await,
            (Call::Command { command, .. }, Self::One(connection)) => command.query_async(connection).await,
            (Call::Command { command, key }, Self::Cluster(connection)) => {
                let node = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                connection
                    .route_command(command.clone(), RoutingInfo::SingleNode(node))
                    .await?
                    .extract_error()
            }
        }
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl Link {
    /// A link that connects when it is first used.
    pub fn new(options: RedisOptions) -> Self {
        Self { options, state: Mutex::default() }
    }

    /// What it was made of.
    pub fn options(&self) -> &RedisOptions {
        &self.options
    }

    /// Calls a script.
    pub async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        repeat: Repeat,
    ) -> Result<T, Error> {
        let answer = self.call(Call::Script(script), repeat).await;
        let answer = answer.and_then(|value| Ok(redis::from_redis_value(value)?));
        answer.map_err(|error| self.describe(&error))
    }

    /// Sends a plain command to the server that has this key.
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd, key: &str) -> Result<T, RedisError> {
        let value = self.call(Call::Command { command, key }, Repeat::Harmless).await?;
        Ok(redis::from_redis_value(value)?)
    }

    async fn call(&self, call: Call<'_>, repeat: Repeat) -> RedisResult<Value> {
        let mut trial = 1;
        loop {
            let (error, again) = match self.wire().await {
                Err(error) => {
                    let again = may_connect_later(&error);
                    (error, again)
                }
                Ok((number, wire)) => match wire.send(call).await {
                    Ok(value) => return Ok(value),
                    Err(error) => {
                        let verdict = judge(&error);
                        if verdict != Verdict::Answered {
                            self.drop_wire(number).await;
                        }
                        let again = match verdict {
                            Verdict::Refused => true,
                            Verdict::Lost => repeat == Repeat::Harmless,
                            Verdict::Answered => passes(&error),
                        };
                        (error, again)
                    }
                },
            };
            if !again || trial == TRIALS_MAX {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(PAUSE_MS << (trial - 1))).await;
            trial += 1;
        }
    }

    /// The open connection and its number.
    async fn wire(&self) -> RedisResult<(u64, Wire)> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(wire) = &state.wire {
            return Ok((state.number, wire.clone()));
        }
        // Who waited while somebody else failed to connect has its answer too: a hundred waiters do
        // not try one after the other.
        if let Some((when, error)) = &state.failed
            && *when >= asked
        {
            return Err(error.clone());
        }
        match connect_in_time(&self.options).await {
            Ok(wire) => {
                state.number += 1;
                state.wire = Some(wire.clone());
                state.failed = None;
                Ok((state.number, wire))
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn drop_wire(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.number == number {
            state.wire = None;
        }
    }

    /// What went wrong, in words for people, with the place and without secrets.
    pub fn describe(&self, error: &RedisError) -> Error {
        let place = &self.options.url;
        Error(match error.kind() {
            ErrorKind::AuthenticationFailed => {
                format!("{place} refused the user name or the password ({error})")
            }
            _ if error.code() == Some("NOAUTH") => {
                format!("{place} wants a user name and a password, and none were given ({error})")
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                format!("the user lacks a right at {place} ({error}); see the findings of check-config")
            }
            _ if error.code() == Some("OOM") => {
                format!("{place} has no memory left: raise maxmemory or stop enqueueing ({error})")
            }
            _ => format!("{place}: {error}"),
        })
    }
}

/// What an error says of a call that was sent.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The server answered; the connection is good.
    Answered,
    /// The server refused without an effect, and another connection may lead to a better one.
    Refused,
    /// Nobody knows whether it was carried out.
    Lost,
}

fn judge(error: &RedisError) -> Verdict {
    match error.kind() {
        // After a fail-over: the master that we knew is a replica now.
        ErrorKind::Server(ServerErrorKind::ReadOnly) => Verdict::Refused,
        // A time-out too: behind a half-open connection every later call would wait as long.
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => Verdict::Lost,
        _ => Verdict::Answered,
    }
}

/// Whether what the server said will pass: it reads its file, or a cluster chooses a master.
fn passes(error: &RedisError) -> bool {
    matches!(error.retry_method(), RetryMethod::WaitAndRetry)
}

/// Whether it may be possible to connect in a moment. Wrong passwords and certificates stay wrong.
fn may_connect_later(error: &RedisError) -> bool {
    if passes(error) {
        return true;
    }
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    error.kind() == ErrorKind::Io && io.is_none_or(|io| io.kind() != io::ErrorKind::InvalidData)
}

/// Connects, with a limit on all of it: the crate's own limits are for each server that is asked.
async fn connect_in_time(options: &RedisOptions) -> RedisResult<Wire> {
    let servers = match &options.url.topology {
        Topology::Standalone { .. } | Topology::Socket(_) => 1,
        // The sentinels, and the master.
        Topology::Sentinel { sentinels, .. } => sentinels.len() + 1,
        Topology::Cluster(nodes) => nodes.len() + 1,
    };
    let each = Duration::from_millis(options.connect_timeout_ms);
    let limit = each.saturating_mul(u32::try_from(servers).unwrap_or(u32::MAX));
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"));
    tokio::time::timeout(limit, connect(options)).await.map_err(late)?
}

async fn connect(options: &RedisOptions) -> RedisResult<Wire> {
    let certificates = certificates(options)?;
    let limit = Duration::from_millis(options.connect_timeout_ms);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit))
        .set_response_timeout(Some(Duration::from_millis(options.response_timeout_ms)));
    let login = login(&options.credentials);
    let one = |address: ConnectionAddr, database: i64| -> RedisResult<Client> {
        let login = login.clone().set_db(database);
        let info = info(address)?.set_redis_settings(login);
        match &certificates {
            Some(certificates) if options.url.tls => Client::build_with_tls(info, certificates.clone()),
            _ => Client::open(info),
        }
    };
    let client = match &options.url.topology {
        Topology::Standalone { host, database } => one(address(host, options.url.tls), *database)?,
        Topology::Socket(path) => one(ConnectionAddr::Unix(path.clone()), 0)?,
        Topology::Sentinel { sentinels, master, database } => {
            let mut sentinel = sentinel(options, sentinels, master, *database, certificates)?;
            sentinel.async_get_client().await?
        }
        Topology::Cluster(nodes) => return connect_cluster(options, nodes, certificates).await,
    };
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    // A server that wants a log-in and got none says so only to short commands.
    match redis::cmd("PING").exec_async(&mut connection).await {
        Err(error) if error.kind() != ErrorKind::Server(ServerErrorKind::NoPerm) => Err(error),
        _ => Ok(Wire::One(connection)),
    }
}

fn sentinel(
    options: &RedisOptions,
    sentinels: &[Host],
    master: &str,
    database: i64,
    certificates: Option<TlsCertificates>,
) -> RedisResult<SentinelClient> {
    let addresses: Vec<_> = sentinels.iter().map(|host| address(host, options.url.tls)).collect();
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_db(database)
        .set_client_to_redis_tcp_settings(no_delay());
    if options.url.tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        if let Some(certificates) = certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
    }
    if let Some(username) = &options.credentials.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &options.credentials.password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    if let Some(username) = &options.sentinel_credentials.username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &options.sentinel_credentials.password {
        builder = builder.set_client_to_sentinel_password(password.expose());
    }
    builder.build()
}

async fn connect_cluster(
    options: &RedisOptions,
    nodes: &[Host],
    certificates: Option<TlsCertificates>,
) -> RedisResult<Wire> {
    let login = login(&options.credentials);
    let infos: RedisResult<Vec<ConnectionInfo>> = nodes
        .iter()
        .map(|node| Ok(info(address(node, options.url.tls))?.set_redis_settings(login.clone())))
        .collect();
    let mut builder: ClusterClientBuilder = ClusterClient::builder(infos?)
        // The crate's own retries follow moved slots. An ack among them may answer false although it was
        // carried out, which its caller takes as somebody else's entry: it is gone either way.
        .retries(TRIALS_MAX)
        .max_retry_wait(PAUSE_MS << TRIALS_MAX)
        .connection_timeout(Duration::from_millis(options.connect_timeout_ms))
        .response_timeout(Duration::from_millis(options.response_timeout_ms))
        .overall_response_timeout(Some(Duration::from_millis(options.response_timeout_ms)))
        .tcp_settings(no_delay());
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    Ok(Wire::Cluster(builder.build()?.get_async_connection().await?))
}

fn address(host: &Host, tls: bool) -> ConnectionAddr {
    let Host { name, port } = host.clone();
    if tls {
        ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(name, port)
    }
}

fn info(address: ConnectionAddr) -> RedisResult<ConnectionInfo> {
    Ok(address.into_connection_info()?.set_tcp_settings(no_delay()))
}

/// Calls are small and wait for their answers: holding them back to fill packets costs 40 ms each.
fn no_delay() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn login(credentials: &Credentials) -> RedisConnectionInfo {
    // CLIENT SETINFO is younger than the oldest server we work with, and a right that nobody grants.
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(username) = &credentials.username {
        login = login.set_username(username);
    }
    if let Some(password) = &credentials.password {
        login = login.set_password(password.expose());
    }
    login
}

/// Reads the certificates to trust; none for the system's.
fn certificates(options: &RedisOptions) -> RedisResult<Option<TlsCertificates>> {
    let Some(file) = options.tls_ca_file.as_ref().filter(|_| options.url.tls) else { return Ok(None) };
    let pem = std::fs::read(file).map_err(|error| {
        let why = format!("{}: {error}", file.display());
        RedisError::from((ErrorKind::InvalidClientConfig, "cannot read the CA file", why))
    })?;
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}
