//! Makes connections: to one server, to the master that sentinels name, to a cluster. Tries once.

use std::io;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, ScriptInvocation, ServerErrorKind,
    TlsCertificates, TlsMode, Value,
};

use super::link::{PAUSE_MS, TRIALS_MAX};
use super::options::{Credentials, Host, RedisOptions, Topology};

/// An open connection.
#[derive(Clone)]
pub enum Wire {
    /// To one server.
    One(MultiplexedConnection),
    /// To all of a cluster.
    Cluster(ClusterConnection),
}

/// What is sent.
#[derive(Clone, Copy)]
pub enum Call<'a> {
    /// A script; its keys say where to.
    Script(&'a ScriptInvocation<'a>),
    /// A plain command, to the server that has this key.
    Command {
        /// The command.
        command: &'a Cmd,
        /// The key.
        key: &'a str,
    },
}

impl Wire {
    /// Sends it and waits for the answer.
    pub async fn send(mut self, call: Call<'_>) -> RedisResult<Value> {
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

/// Connects, with a limit on all of it: the crate's own limits are for each server that is asked.
pub async fn connect(options: &RedisOptions) -> RedisResult<Wire> {
    let servers = match &options.url.topology {
        Topology::Standalone { .. } | Topology::Socket(_) => 1,
        // The sentinels, and the master.
        Topology::Sentinel { sentinels, .. } => sentinels.len() + 1,
        Topology::Cluster(nodes) => nodes.len() + 1,
    };
    let each = Duration::from_millis(options.connect_timeout_ms);
    let limit = each.saturating_mul(u32::try_from(servers).unwrap_or(u32::MAX));
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"));
    tokio::time::timeout(limit, connect_to(options)).await.map_err(late)?
}

async fn connect_to(options: &RedisOptions) -> RedisResult<Wire> {
    let certificates = certificates(options).await?;
    let limit = Duration::from_millis(options.connect_timeout_ms);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit))
        .set_response_timeout(Some(Duration::from_millis(options.response_timeout_ms)));
    let login = login(&options.credentials);
    let one = |address: ConnectionAddr, database: i64| -> RedisResult<Client> {
        let login = login.clone().set_db(database);
        let info = info(address)?.set_redis_settings(login);
        match &certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
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
async fn certificates(options: &RedisOptions) -> RedisResult<Option<TlsCertificates>> {
    let Some(file) = &options.tls_ca_file else { return Ok(None) };
    if !options.url.tls {
        // Whoever names a CA believes that the connection is encrypted.
        let what = "a CA file is given, but the URL does not ask for TLS: begin it with rediss";
        return Err(RedisError::from((ErrorKind::InvalidClientConfig, what)));
    }
    let pem = tokio::fs::read(file).await.map_err(|error| {
        let why = format!("{}: {error}", file.display());
        RedisError::from((ErrorKind::InvalidClientConfig, "cannot read the CA file", why))
    })?;
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}
