//! `services [--port N]`: the shape of many processes on this machine, to try it: Redis, PostgreSQL, an S3 server,
//! Neo4j, an API and two workers, from the servers that the tests use. Ctrl-C ends all of it, and what it had is gone.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use docmill_tests::services::api::ApiServer;
use docmill_tests::services::neo4j::{self, Neo4jServer};
use docmill_tests::services::postgres::Server;
use docmill_tests::services::process::free_port;
use docmill_tests::services::redis::{PASSWORD, RedisServer, Setup};
use docmill_tests::services::s3::{self, KEY_ID, S3Server, SECRET};
use docmill_tests::services::worker::{Worker, WorkerSetup};
use rustix::process::Signal;

/// Where the API is reached where nothing is said and it is free.
const PORT: u16 = 8_080;
/// How long a process may take to end.
const END_MAX: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let port = port()?;
    // Before anything is started, so that nothing is left behind.
    let mut asked = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let home = tempfile::tempdir()?;
    println!("starting Redis, PostgreSQL, an S3 server and Neo4j …");
    let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
    let postgres = Server::start()?;
    let objects = S3Server::start();
    let bucket = objects.fresh();
    let graph = Neo4jServer::start(false);
    println!("starting an API and two workers …");
    let setup = WorkerSetup {
        neo4j: Some(graph.options()),
        objects: s3::section(&bucket, "S3_SECRET"),
        variables: vec![
            ("S3_KEY_ID".to_owned(), KEY_ID.to_owned()),
            ("S3_SECRET".to_owned(), SECRET.to_owned()),
        ],
        ..WorkerSetup::new(redis.port, postgres.fresh())
    };
    let api = ApiServer::at(port, setup.clone(), &home.path().join("api"));
    let key = home.path().join("key");
    keep_secret(&api.key_with("default", "read,write,admin"), &key)?;
    api.start();
    let workers = ["one", "two"].map(|name| setup.start(&home.path().join(name), name));
    workers.iter().for_each(Worker::wait_ready);
    tell(port, &key, &setup);
    tokio::select! {
        _ = asked.recv() => {}
        _ = ended.recv() => {}
    }
    println!("ending …");
    api.end(END_MAX);
    for mut worker in workers {
        if !worker.ended() {
            worker.signal(Signal::TERM);
            worker.wait(END_MAX);
        }
    }
    Ok(())
}

fn port() -> Result<u16> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(if TcpListener::bind(("127.0.0.1", PORT)).is_ok() { PORT } else { free_port() }),
        (Some("--port"), Some(port)) => port.parse().context("--port is no port"),
        (Some(other), _) => bail!("unknown argument {other}; there is --port N"),
    }
}

/// Writes what only the file's owner may read.
fn keep_secret(secret: &str, file: &Path) -> Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(writeln!(file, "{secret}")?)
}

fn tell(port: u16, key: &Path, setup: &WorkerSetup) {
    let ledger = &setup.postgres;
    let password = ledger.password.as_ref().map_or("", |password| password.expose());
    println!(
        "\nThe API is at http://127.0.0.1:{port}. Try, in another terminal:\n\n\
         export DOCMILL_SERVER=http://127.0.0.1:{port} DOCMILL_API_KEY_FILE={}\n\
         target/debug/docmill submit docs --wait\n\
         target/debug/docmill status\n\n\
         PostgreSQL: {} (user {}, password {password}, schema {})\n\
         Neo4j:      {} (user {}, password {})\n\
         Redis:      {} (user {}, password {PASSWORD})\n\n\
         Ctrl-C ends all of it; what it had is gone then.",
        key.display(),
        ledger.url,
        ledger.user,
        ledger.schema.as_str(),
        setup.neo4j.as_ref().map_or("", |graph| graph.url.as_str()),
        neo4j::USER,
        neo4j::PASSWORD,
        setup.redis_url,
        docmill_tests::services::redis::USER,
    );
}
