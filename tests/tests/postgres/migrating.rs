//! Tables are brought up to date while others are at work on them: no table is kept from its users for longer than a
//! moment or its own change, and what was done stays done.

use std::time::{Duration, Instant};

use docmill_tests::services::postgres::{client, count, shared};
use docmill_worker::postgres::tokio_postgres::Client;
use docmill_worker::postgres::{Database, Options, SCHEMA_VERSION};
use tokio::task::JoinHandle;

/// Longest that anybody else waits: far more than a trial of a migration takes, and no end of what is held here.
const OTHERS_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Documents of a large installation.
const MANY: u32 = 1_000_000;

/// Tables as version 5 left them, and somebody who looks at them.
async fn version_5() -> (Options, Client) {
    let options = shared().fresh();
    drop(Database::open(&options).await.unwrap());
    let admin = client(&options).await.unwrap();
    let back = "ALTER TABLE documents DROP COLUMN media_type, DROP COLUMN language, DROP COLUMN category,
                  DROP COLUMN claimed_at_ms;
                DROP INDEX manifests_by_seq;
                DROP TABLE told;
                DELETE FROM versions WHERE version > 5";
    admin.batch_execute(back).await.unwrap();
    (options, admin)
}

fn migrating(options: &Options) -> JoinHandle<()> {
    let options = options.clone();
    tokio::spawn(async move { drop(Database::open(&options).await.unwrap()) })
}

async fn version(admin: &Client) -> i32 {
    admin.query_one("SELECT max(version) FROM versions", &[]).await.unwrap().get(0)
}

/// Somebody who has this lock until he commits.
async fn holding(options: &Options, lock: &str) -> (Client, i32) {
    let holder = client(options).await.unwrap();
    holder.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
    let session = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    (holder, session)
}

async fn wait_for(admin: &Client, rows: &str) {
    let began = Instant::now();
    while count(admin, rows).await == 0 {
        assert!(began.elapsed() < OTHERS_MAX, "no {rows}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Who reads a table for long holds a migration up, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_in_use_is_waited_for_in_moments() {
    let (options, admin) = version_5().await;
    let (reader, session) = holding(&options, "SELECT count(*) FROM documents").await;
    let migrating = migrating(&options);
    wait_for(&admin, &format!("pg_stat_activity WHERE {session} = ANY(pg_blocking_pids(pid))")).await;
    // Behind whoever waits for the table to himself.
    let others = tokio::time::timeout(OTHERS_MAX, count(&admin, "documents"));
    assert_eq!(others.await.expect("others go on"), 0);
    assert_eq!(version(&admin).await, 5);
    reader.batch_execute("COMMIT").await.unwrap();
    migrating.await.unwrap();
    assert_eq!(version(&admin).await, SCHEMA_VERSION);
    assert_eq!(count(&admin, "documents WHERE media_type IS NULL AND claimed_at_ms IS NULL").await, 0);
}

/// A version is there before the next one is begun: what is interrupted goes on, and nothing is locked meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_stays_done() {
    let (options, admin) = version_5().await;
    // As a commit has it; the index of version 7 may not be built meanwhile.
    let (writer, session) = holding(&options, "LOCK TABLE manifests IN ROW EXCLUSIVE MODE").await;
    let interrupted = migrating(&options);
    wait_for(&admin, &format!("pg_stat_activity WHERE {session} = ANY(pg_blocking_pids(pid))")).await;
    assert_eq!(version(&admin).await, 6);
    let others = tokio::time::timeout(OTHERS_MAX, count(&admin, "documents WHERE media_type IS NULL"));
    assert_eq!(others.await.expect("the first table is free"), 0);
    interrupted.abort();
    writer.batch_execute("COMMIT").await.unwrap();
    drop(Database::open(&options).await.unwrap());
    assert_eq!(version(&admin).await, SCHEMA_VERSION);
    assert_eq!(count(&admin, "versions").await, i64::from(SCHEMA_VERSION));
    assert_eq!(count(&admin, "told").await, 0);
}

/// Says how long the tables of a large installation are written anew: the figure of the runbook.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: a million documents"]
async fn how_long_version_6_takes() {
    let (options, admin) = version_5().await;
    let documents = format!(
        "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, content, bytes, summary,
           committed_at_ms, changed_at_ms)
         SELECT gen_random_uuid(), 'default', 'file:///srv/reports/' || n, 'file:///srv/reports/' || n, 1, 'committed',
           sha256(n::text::bytea), 100000,
           '{{\"title\":\"Report ' || n || '\",\"media_type\":\"application/pdf\",\"language\":\"en\",\"pages\":12,' ||
           '\"notes\":[\"' || repeat('a note on a page ', 20) || '\"]}}', 1, 1
         FROM generate_series(1, {MANY}) AS n;
         INSERT INTO manifests(document, index_id, generation, seq, language)
         SELECT document, 1, 1, arrived, 'en' FROM documents"
    );
    admin.batch_execute(&documents).await.unwrap();
    let bytes: i64 =
        admin.query_one("SELECT pg_total_relation_size('documents')", &[]).await.unwrap().get(0);
    let began = Instant::now();
    drop(Database::open(&options).await.unwrap());
    let took = began.elapsed();
    println!("migration: documents={MANY} mib={} took_s={:.1}", bytes >> 20, took.as_secs_f64());
    assert_eq!(count(&admin, "documents WHERE media_type = 'application/pdf'").await, i64::from(MANY));
}
