//! Who cannot get in is told so, quickly and once; who gets in is told what is wrong with the server.

use std::time::{Duration, Instant};

use docmill_tests::services::neo4j::{Neo4jServer, count, shared};
use docmill_worker::finding::Severity;
use docmill_worker::neo4j::bolt::map;
use docmill_worker::neo4j::{Database, Error, Options, SCHEMA_VERSION};
use docmill_worker::secret::Secret;

async fn refusal(options: &Options) -> (Error, Duration) {
    let began = Instant::now();
    match Database::connect(options).await {
        Ok(_) => panic!("refused"),
        Err(error) => (error, began.elapsed()),
    }
}

/// A wrong password, nobody at the port, somebody who says nothing, TLS where there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_said_at_once() {
    let (server, _turn) = shared().await;
    let good = server.options();
    let wrong = Options { password: Some(Secret::new("hunter2")), ..good.clone() };
    let (error, took) = refusal(&wrong).await;
    assert!(matches!(error, Error::Login(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Told once: the server has not shut us out for trying again and again.
    Database::connect(&good).await.unwrap();
    let (error, _) = refusal(&Options { password: None, ..good.clone() }).await;
    assert!(matches!(error, Error::Login(_)), "{error}");
    let (error, _) = refusal(&Options { database: Some("nowhere".to_owned()), ..good.clone() }).await;
    assert!(error.to_string().contains("nowhere"), "{error}");
    let nobody = Options { url: "bolt://127.0.0.1:1".to_owned(), ..good.clone() };
    let (error, took) = refusal(&nobody).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("bolt://{}", silent.local_addr().unwrap());
    let (error, took) = refusal(&Options { url, connect_timeout_ms: 300, ..good.clone() }).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let encrypted = Options { url: good.url.replace("bolt://", "bolt+s://"), ..good.clone() };
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/authority.pem");
    let (error, took) = refusal(&Options { tls_ca_file: Some(authority.into()), ..encrypted }).await;
    assert!(matches!(error, Error::Unreachable(_)) && error.to_string().contains("TLS"), "{error}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    the_schema_is_made_once(server).await;
}

/// Eight processes that start at once make it once; a newer one is refused and left as it is; the check of a
/// good server finds nothing, before and after.
async fn the_schema_is_made_once(server: &Neo4jServer) {
    let options = server.options();
    let database = Database::connect(&options).await.unwrap();
    assert_eq!(database.check().await.unwrap(), []);
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move { Database::open(&options).await.map(drop) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    assert_eq!(count(&database, "(:DocmillSchema {store: 'graph', version: 1})").await, 1);
    assert_eq!(database.check().await.unwrap(), []);
    // The check leaves nothing behind.
    assert_eq!(count(&database, "(n) WHERE NOT n:DocmillSchema").await, 0);
    database.run("MATCH (s:DocmillSchema) SET s.version = 999", map([])).await.unwrap();
    let Err(error) = Database::open(&options).await else { panic!("refused") };
    assert!(matches!(error, Error::Newer { found: 999, known: SCHEMA_VERSION }), "{error}");
    let found = database.check().await.unwrap();
    assert!(found.iter().any(|finding| finding.what.contains("999")), "{found:?}");
    let system = Options { database: Some("system".to_owned()), ..options };
    let told = Database::connect(&system).await.unwrap().check().await;
    let told = told.map_or_else(|error| error.to_string(), |found| format!("{found:?}"));
    assert!(told.contains("system"), "{told}");
}

/// With TLS: the server's certificate is checked against the authority that is named, and only that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_checks_the_certificate() {
    let server = Neo4jServer::start(true);
    let good = server.options();
    for url in [good.url.clone(), good.url.replace("bolt+s", "neo4j+s").replace("127.0.0.1", "localhost")] {
        let database = Database::open(&Options { url, ..good.clone() }).await.unwrap();
        assert_eq!(count(&database, "(:DocmillSchema)").await, 1);
        let found = database.check().await.unwrap();
        assert!(!found.iter().any(|finding| finding.severity == Severity::Error), "{found:?}");
    }
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/authority.pem");
    for tls_ca_file in [Some(authority.into()), None] {
        let (error, _) = refusal(&Options { tls_ca_file, ..good.clone() }).await;
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let plain = Options { url: good.url.replace("+s", ""), tls_ca_file: None, ..good };
    let (error, took) = refusal(&plain).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}
