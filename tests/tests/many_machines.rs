//! The page for those who run workers on machines of their own, word by word: its settings, its users, its file and
//! its commands, with nothing changed but addresses and passwords.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use docmill_tests::page;
use docmill_tests::services::neo4j;
use docmill_tests::services::postgres::{client, shared};
use docmill_tests::services::process::{Process, free_port, wait_until};
use docmill_tests::services::redis::{RedisServer, Setup, command};
use docmill_tests::services::s3::{KEY_ID, S3Server, SECRET};
use docmill_tests::services::worker::program;
use docmill_worker::postgres::Options;
use docmill_worker::queue::redis::check::rights;
use docmill_worker::queue::redis::{KeyPrefix, Keys};
use docmill_worker::secret::Secret;

const PAGE: &str = include_str!("../../docs/many-machines.md");
/// As the page says, to be changed.
const PASSWORD: &str = "change-me";
const END_MAX: Duration = Duration::from_secs(30);

/// The one block that is marked so.
fn block(kind: &str) -> &'static str {
    let [block] = page::blocks(PAGE, kind)[..] else { panic!("there is one block {kind}") };
    block
}

/// The lines of the page for Redis' users, with the rules that it names.
fn make_redis_user(server: &RedisServer) {
    let rules = rights::rules(&Keys::new(&KeyPrefix::new("docmill:letters").unwrap()));
    assert!(PAGE.contains(&rules), "the rules are: {rules}");
    let mut admin = server.admin();
    for line in block("acl").lines() {
        command(line).exec(&mut admin).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

/// A role and a database as the page makes them; gives the database's address.
async fn make_ledger() -> String {
    let admin = shared().fresh();
    let client_of_admin = client(&admin).await.unwrap();
    for statement in block("sql").split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        client_of_admin.batch_execute(statement).await.unwrap();
    }
    let server = admin.url.rsplit_once('/').unwrap().0.to_owned();
    let database = Options { url: format!("{server}/docmill"), ..admin };
    client(&database).await.unwrap().batch_execute(block("extension")).await.unwrap();
    database.url
}

/// A command of the page, with its variables and with this file in place of the one that it names.
fn worker(line: &str, file: &Path, variables: &[(&str, String)]) -> Command {
    let mut command = Command::new(program());
    for word in line.split_whitespace().skip(1) {
        match word {
            "/etc/docmill/worker.yaml" => command.arg(file),
            word => command.arg(word),
        };
    }
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    command
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_as_it_says() {
    // The server here keeps its users in a file of its own.
    let (users, config) = block("conf").split_once('\n').unwrap();
    assert!(users.starts_with("aclfile "), "{users}");
    let redis = RedisServer::start(&Setup { tcp: true, config: config.to_owned(), ..Setup::default() });
    make_redis_user(&redis);
    let ledger = make_ledger().await;
    let (graph, _turn) = neo4j::shared().await;
    let bucket = S3Server::start();
    let options = bucket.fresh();
    let home = tempfile::tempdir().unwrap();
    let (port, internal, health) = (free_port(), free_port(), free_port());
    let mut file = block("yaml").to_owned();
    let scratch = home.path().join("scratch").display().to_string();
    for (named, here) in [
        ("redis://queue.example:6379", format!("redis://127.0.0.1:{}", redis.port)),
        ("postgresql://ledger.example:5432/docmill", ledger),
        ("bolt://graph.example:7687", graph.options().url.to_string()),
        // Without TLS, which the server here has not.
        (
            "\"https://objects.example\"",
            format!("\"{}\"\n    allowHttp: true", options.endpoint.as_deref().unwrap()),
        ),
        ("bucket: letters", format!("bucket: {}", options.bucket)),
        // Which servers other than Amazon's take for granted.
        ("eu-west-1", "us-east-1".to_owned()),
        ("/var/lib/docmill", scratch),
        ("8081", health.to_string()),
        ("0.0.0.0:8080", format!("127.0.0.1:{port}")),
        ("127.0.0.1:8082", format!("127.0.0.1:{internal}")),
    ] {
        assert!(file.contains(named), "{named} is in the file");
        file = file.replace(named, &here);
    }
    let path = home.path().join("worker.yaml");
    std::fs::write(&path, file).unwrap();
    let variables = [
        ("REDIS_PASSWORD", PASSWORD.to_owned()),
        ("PG_PASSWORD", PASSWORD.to_owned()),
        ("NEO4J_PASSWORD", graph.options().password.as_ref().map(Secret::expose).unwrap().to_owned()),
        ("S3_KEY_ID", KEY_ID.to_owned()),
        ("S3_SECRET", SECRET.to_owned()),
    ];
    let [check, keys, api, run] = block("worker").lines().collect::<Vec<_>>()[..] else {
        panic!("four commands");
    };
    said(&mut worker(check, &path, &variables));
    let made = said(&mut worker(keys, &path, &variables));
    let key = made.split_whitespace().find(|word| word.starts_with("docmill_")).unwrap();
    let mut ends = [api, run].map(|line| {
        let log = home.path().join(line.split_whitespace().nth(1).unwrap());
        Process::start(&mut worker(line, &path, &variables), &log)
    });
    wait_until("the API", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let documents = home.path().join("Documents");
    std::fs::create_dir(&documents).unwrap();
    std::fs::write(documents.join("a.txt"), "The barometer fell all night, and the harbour lay in fog.")
        .unwrap();
    for line in block("docmill").lines() {
        let mut command = Command::new(docmill_tests::command::locate(None).unwrap());
        // The shell's part.
        let words = line.split_whitespace().skip(1);
        command.args(words.map(|word| word.replace('~', &home.path().display().to_string())));
        command.env("HOME", home.path()).env("DOCMILL_API_KEY", key);
        command.env("DOCMILL_SERVER", format!("http://127.0.0.1:{port}"));
        let text = said(&mut command);
        assert!(!text.is_empty(), "{line}");
    }
    for process in &mut ends {
        process.signal(rustix::process::Signal::TERM);
        assert!(process.wait(END_MAX).success());
    }
}
