//! What a server does to us: it dies, it is newer, it refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use docmill_tests::contract::{registration, rows, spec, tenant, worker};
use docmill_tests::services::postgres::{Server, client, count, shared};
use docmill_worker::ledger::{Claim, Commit, Ledger, Registered, Summary};
use docmill_worker::postgres::{Database, Error, Needs, Options, PostgresLedger, SCHEMA_VERSION, Severity};
use docmill_worker::secret::Secret;

pub(super) const NEEDS: Needs = Needs { vectors: true, processes: 1 };
const TEXTS: [&str; 3] = ["x", "y", "z"];
/// Writers that are at work when the server is killed.
const WRITERS: usize = 4;

/// Registers and commits documents until the server is gone; gives the numbers that were answered.
async fn commit_until_it_dies(
    ledger: Arc<PostgresLedger>,
    name: String,
    enough: Arc<AtomicBool>,
) -> Vec<u64> {
    let mut answered = Vec::new();
    for n in 0.. {
        let one = async {
            let told = ledger.register(vec![registration(&format!("{name}/{n}"), "A")]).await?;
            let Registered::New(message) = told[0] else { panic!("new") };
            let Claim::Granted(grant) = ledger.claim(&message, &worker("a")).await? else {
                panic!("granted")
            };
            let manifest = rows(&grant, spec(1).id(), &TEXTS).1;
            ledger.commit(&grant, vec![manifest], Summary::default(), 0).await
        };
        match one.await {
            Ok(Commit::Committed { seq }) => answered.push(seq.0),
            Ok(Commit::Fenced) => panic!("nobody else has it"),
            Err(_) => break,
        }
        if answered.len() == 10 {
            enough.store(true, Ordering::Relaxed);
        }
    }
    answered
}

/// Killed in the middle of commits, three times: what was answered is there, numbers have no gap, and no
/// manifest is there in part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_commits_survive_a_kill() {
    let server = Arc::new(Server::start().unwrap());
    let options = server.fresh();
    for round in 0..3 {
        let ledger = Arc::new(PostgresLedger::new(Database::open(&options).await.unwrap(), 0));
        ledger.begin_index(&tenant(), &spec(1)).await.unwrap();
        ledger.heartbeat(&worker("a"), 600_000).await.unwrap();
        let enough = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (ledger, enough) = (ledger.clone(), enough.clone());
                tokio::spawn(commit_until_it_dies(ledger, format!("{round}/{n}"), enough))
            })
            .collect();
        while !enough.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill().unwrap();
        let mut answered = Vec::new();
        for writer in writers {
            answered.extend(writer.await.unwrap());
        }
        let restarted = server.clone();
        tokio::task::spawn_blocking(move || restarted.restart().unwrap()).await.unwrap();
        // The pool that lost its connections makes new ones.
        assert!(!ledger.manifests(None, 1).await.unwrap().is_empty());
        let admin = client(&options).await.unwrap();
        let kept: Vec<i64> = admin
            .query("SELECT seq FROM manifests ORDER BY seq", &[])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(kept, (1..=kept.len() as i64).collect::<Vec<_>>(), "numbers have no gap");
        let counter: i64 = admin.query_one("SELECT value FROM counters", &[]).await.unwrap().get(0);
        assert_eq!(counter, kept.len() as i64);
        let missing: Vec<_> = answered.iter().filter(|seq| !kept.contains(&(**seq as i64))).collect();
        assert!(missing.is_empty(), "answered and lost: {missing:?}");
        assert_eq!(count(&admin, "documents WHERE state = 'committed'").await, counter);
        assert_eq!(count(&admin, "manifest_entries").await, counter * TEXTS.len() as i64);
    }
}

/// Eight processes that start at once make the tables once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_made_once() {
    let options = shared().fresh();
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move { Database::open(&options).await.map(drop) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let admin = client(&options).await.unwrap();
    assert_eq!(count(&admin, "versions").await, i64::from(SCHEMA_VERSION));
}

/// Tables of a newer version are refused and left as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let options = shared().fresh();
    drop(Database::open(&options).await.unwrap());
    let admin = client(&options).await.unwrap();
    let newer = "INSERT INTO versions(version, name) VALUES(999, 'from the future')";
    admin.execute(newer, &[]).await.unwrap();
    let Err(error) = Database::open(&options).await else { panic!("refused") };
    assert!(matches!(error, Error::Newer { found: 999, known: SCHEMA_VERSION, .. }), "{error}");
    assert!(error.to_string().contains("999"));
    let found = Database::connect(&options).await.unwrap().check(&NEEDS).await.unwrap();
    assert!(found.iter().any(|finding| finding.what.contains("999")), "{found:?}");
}

/// A server as the tests start it has nothing wrong, and neither has a fresh schema there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_server_has_no_findings() {
    let options = shared().fresh();
    let database = Database::connect(&options).await.unwrap();
    assert_eq!(database.check(&NEEDS).await.unwrap(), []);
    database.migrate().await.unwrap();
    assert_eq!(database.check(&NEEDS).await.unwrap(), []);
}

/// A role that may do nothing is told what it lacks, step by step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_rights_is_told() {
    let admin_options = shared().fresh();
    let admin = client(&admin_options).await.unwrap();
    let schema = admin_options.schema.as_str();
    let role = format!("role_of_{schema}");
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'")).await.unwrap();
    let options = shared().options(schema, &role, "pw");
    let database = Database::connect(&options).await.unwrap();
    let told = |part: &'static str| {
        let database = database.clone();
        async move {
            let found = database.check(&NEEDS).await.unwrap();
            let of_part = |finding: &&docmill_worker::postgres::Finding| finding.what.contains(part);
            assert!(
                found.iter().any(|f| of_part(&f) && f.severity == Severity::Error),
                "{part}: {found:?}"
            );
        }
    };
    told("may not make one").await;
    assert!(matches!(database.migrate().await, Err(Error::Refused { .. })));
    drop(Database::open(&admin_options).await.unwrap());
    told("may not use schema").await;
    admin.batch_execute(&format!("GRANT USAGE ON SCHEMA {schema} TO {role}")).await.unwrap();
    told("may not make tables").await;
    told("may not read and write").await;
    admin
        .batch_execute(&format!(
            "GRANT CREATE ON SCHEMA {schema} TO {role};
             GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
        ))
        .await
        .unwrap();
    assert_eq!(database.check(&NEEDS).await.unwrap(), []);
    // With these rights it works, and needs none to make what is there.
    database.migrate().await.unwrap();
    let ledger = PostgresLedger::new(database.clone(), 0);
    ledger.begin_index(&tenant(), &spec(1)).await.unwrap();
    assert!(matches!(ledger.register(vec![registration("u", "A")]).await.unwrap()[0], Registered::New(_)));
}

/// A database without pgvector, and a session that does not wait for the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_database_has_findings() {
    let admin = client(&shared().fresh()).await.unwrap();
    admin.batch_execute("CREATE DATABASE bare TEMPLATE template0").await.unwrap();
    admin.batch_execute("ALTER DATABASE bare SET synchronous_commit = off").await.unwrap();
    let mut options = shared().fresh();
    options.url = options.url.replace("/postgres", "/bare");
    assert!(options.url.ends_with("/bare"));
    let found = Database::connect(&options).await.unwrap().check(&NEEDS).await.unwrap();
    let whats: Vec<_> = found.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(whats.len(), 2, "{whats:?}");
    assert!(whats[0].contains("synchronous_commit") && whats[1].contains("pgvector"), "{whats:?}");
}

pub(super) async fn refusal(options: &Options) -> (Error, Duration) {
    let began = Instant::now();
    match Database::connect(options).await {
        Ok(_) => panic!("refused"),
        Err(error) => (error, began.elapsed()),
    }
}

/// A wrong password, nobody at the port, a server without TLS: said at once, and the password is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_said_at_once() {
    let good = shared().fresh();
    let wrong = Options { password: Some(Secret::new("hunter2")), ..good.clone() };
    let (error, took) = refusal(&wrong).await;
    assert!(matches!(error, Error::Login(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let nobody = Options { url: "postgresql://127.0.0.1:1/postgres".to_owned(), ..good.clone() };
    let (error, took) = refusal(&nobody).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    // The server of the tests has no TLS: that is no reason to go on without.
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/authority.pem");
    let (error, _) = refusal(&Options { tls_ca_file: Some(authority.into()), ..good.clone() }).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgresql://{}/postgres", silent.local_addr().unwrap());
    let (error, took) = refusal(&Options { url, connect_timeout_ms: 300, ..good.clone() }).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// A full disk is told as such; what met another transaction is run again, and not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_told_apart() {
    let options = shared().fresh();
    let database = Database::open(&options).await.unwrap();
    let ledger = PostgresLedger::new(database.clone(), 0);
    let admin = client(&options).await.unwrap();
    admin.batch_execute("CREATE SEQUENCE tries").await.unwrap();
    let fails = async |state: &str, times: u32| {
        let raise = format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'planted' USING ERRCODE = '{state}'; END IF;
               RETURN NEW; END $$;
             CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON workers EXECUTE FUNCTION fail();
             ALTER SEQUENCE tries RESTART"
        );
        admin.batch_execute(&raise).await.unwrap();
        let done = ledger.heartbeat(&worker("a"), 1_000).await;
        let tries: i64 = admin.query_one("SELECT last_value FROM tries", &[]).await.unwrap().get(0);
        (done, tries)
    };
    for state in ["40001", "40P01", "23503"] {
        let (done, tries) = fails(state, 3).await;
        assert!(done.is_ok(), "{state}: {done:?}");
        assert_eq!(tries, 4);
    }
    let (done, tries) = fails("40P01", u32::MAX).await;
    assert!(matches!(done, Err(docmill_worker::ledger::Error::Failed(_))), "{done:?}");
    assert_eq!(tries, 12);
    let (done, tries) = fails("53100", u32::MAX).await;
    assert!(matches!(done, Err(docmill_worker::ledger::Error::DiskFull)), "{done:?}");
    assert_eq!(tries, 1);
}
