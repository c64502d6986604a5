//! `services [--port N]`: the shape of many processes on this machine, to try it: Redis, PostgreSQL, an API and two
//! workers, from the servers that the tests use. Ctrl-C ends all of it, and what it had is gone.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use docmill_core::id::TenantId;
use docmill_tests::services::postgres::Server;
use docmill_tests::services::process::{Process, free_port, wait_until};
use docmill_tests::services::redis::{PASSWORD, RedisServer, Setup};
use docmill_tests::services::worker::{WorkerSetup, program};
use docmill_worker::api::keys::{generate, hash_of};
use docmill_worker::postgres::{Database, NewKey, Options};
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
    println!("starting Redis, PostgreSQL, an API and two workers …");
    let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
    let postgres = Server::start()?;
    let options = postgres.fresh();
    let volume = home.path().join("objects");
    std::fs::create_dir(&volume)?;
    let setup = WorkerSetup {
        objects: format!("objects:\n  volume: {{path: {}}}\n", volume.display()),
        ..WorkerSetup::new(redis.port, options.clone())
    };
    let key = home.path().join("key");
    make_key(&options, &key).await?;
    let mut api = start_api(&setup, home.path(), port)?;
    let workers = ["one", "two"].map(|name| setup.start(&home.path().join(name), name));
    workers.iter().for_each(docmill_tests::services::worker::Worker::wait_ready);
    wait_until("the API", || TcpListener::bind(("127.0.0.1", port)).is_err() && !api.ended());
    tell(port, &key, &home.path().join("api/worker.yaml"), &options);
    tokio::select! {
        _ = asked.recv() => {}
        _ = ended.recv() => {}
    }
    println!("ending …");
    if !api.ended() {
        api.signal(Signal::TERM);
        api.wait(END_MAX);
    }
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

/// A key that may do all, in a file that only its owner reads.
async fn make_key(options: &Options, file: &Path) -> Result<()> {
    let made = generate()?;
    let tenant = TenantId::default();
    let new = NewKey {
        id: &made.id,
        secret_hash: hash_of(made.key.expose()),
        label: "to try it",
        tenant: &tenant,
        scopes: &["read", "write", "admin"],
        lasts_ms: None,
    };
    Box::pin(Database::open(options)).await?.create_key(&new).await?;
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(writeln!(file, "{}", made.key.expose())?)
}

fn start_api(setup: &WorkerSetup, home: &Path, port: u16) -> Result<Process> {
    let home = home.join("api");
    std::fs::create_dir(&home)?;
    let file = home.join("worker.yaml");
    let api = format!("api:\n  listen: 127.0.0.1:{port}\n  internalListen: 127.0.0.1:{}\n", free_port());
    std::fs::write(&file, setup.config(free_port(), &home.join("scratch")) + &api)?;
    let mut command = Command::new(program());
    command.args(["api", "--config"]).arg(&file).env("REDIS_PASSWORD", PASSWORD);
    if let Some(password) = &setup.postgres.password {
        command.env("PG_PASSWORD", password.expose());
    }
    Ok(Process::start(&mut command, &home.join("log")))
}

fn tell(port: u16, key: &Path, config: &Path, options: &Options) {
    let password = options.password.as_ref().map_or("", |password| password.expose());
    println!(
        "\nThe API is at http://127.0.0.1:{port}. Try, in another terminal:\n\n\
         export DOCMILL_SERVER=http://127.0.0.1:{port} DOCMILL_API_KEY_FILE={}\n\
         target/debug/docmill submit docs --wait\n\
         target/debug/docmill status\n\n\
         Another key is made by:\n\n\
         REDIS_PASSWORD={PASSWORD} PG_PASSWORD={password} {} keys create --config {} --scope read,write\n\n\
         Ctrl-C ends all of it; what it had is gone then.",
        key.display(),
        program().display(),
        config.display()
    );
}
