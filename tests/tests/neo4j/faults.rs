//! A server that is killed, loses everything, or holds a lock for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use docmill_core::id::Epoch;
use docmill_tests::services::neo4j::{Neo4jServer, count, shared, told};
use docmill_worker::neo4j::bolt::{Access, Connection, Login, map};
use docmill_worker::neo4j::{Database, Error, GraphSink, Options};
use docmill_worker::sink::{ChunkRow, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::chunk;

/// Kills of the server in the middle of writes.
const KILLS: u64 = 3;

fn some(round: u64, n: usize) -> Vec<Arc<ChunkRow>> {
    let text = |m: usize| format!("round {round} write {n} text {m}");
    (0..10).map(|m| chunk("t", &text(m), &["shared", &format!("own {n}")])).collect()
}

/// Killed in the middle of writes, which are then made again: what was answered is there, nothing twice. And
/// a store that lost everything says so, and is filled by the same writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_and_an_emptied_one_is_filled() {
    let server = Neo4jServer::start(false);
    let database = Database::open(&server.options()).await.unwrap();
    let sink = Arc::new(GraphSink::new(database.clone()));
    let mut all: Vec<Arc<ChunkRow>> = Vec::new();
    for round in 0..KILLS {
        let dead = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4usize)
            .map(|writer| {
                let (sink, dead) = (sink.clone(), dead.clone());
                tokio::spawn(async move {
                    let (mut answered, mut unanswered) = (Vec::new(), Vec::new());
                    let mut n = writer;
                    while !dead.load(Ordering::Relaxed) {
                        let rows = some(round, n);
                        match sink.write(&rows, Epoch(round + 1)).await {
                            Ok(held) => {
                                assert_eq!(held, rows.len());
                                answered.extend(rows);
                            }
                            Err(_) => {
                                unanswered.push(rows);
                                break;
                            }
                        }
                        n += 4;
                    }
                    (answered, unanswered)
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(50)).await;
        dead.store(true, Ordering::Relaxed);
        let mut unanswered = Vec::new();
        for writer in writers {
            let (answered, failed) = writer.await.unwrap();
            all.extend(answered);
            unanswered.extend(failed);
        }
        assert!(!unanswered.is_empty(), "the kill came into the middle of writes");
        server.start_again();
        let held = sink.look_up(&all.iter().map(|row| row.chunk).collect::<Vec<_>>()).await.unwrap();
        assert!(held.iter().all(Option::is_some), "what was answered is there");
        for rows in unanswered {
            sink.write(&rows, Epoch(round + 1)).await.unwrap();
            all.extend(rows);
        }
        as_written(&database, &sink, &all).await;
    }
    assert!(all.len() > 100, "{} chunks", all.len());
    server.empty().await;
    let chunks: Vec<_> = all.iter().map(|row| row.chunk).collect();
    assert!(sink.look_up(&chunks).await.unwrap().iter().all(Option::is_none));
    // Nobody makes the constraints but those who write, all at once.
    let writes = all.chunks(all.len().div_ceil(4)).map(|some| sink.write(some, Epoch(9)));
    for written in futures::future::join_all(writes).await {
        written.unwrap();
    }
    as_written(&database, &sink, &all).await;
    let ours = "SHOW CONSTRAINTS YIELD name WHERE name STARTS WITH 'docmill' RETURN name";
    assert_eq!(told(&database, ours).await.len(), 3);
}

async fn as_written(database: &Database, sink: &GraphSink, all: &[Arc<ChunkRow>]) {
    assert_eq!(count(database, "(:Chunk)").await, all.len() as i64);
    assert_eq!(count(database, "()-[:MENTIONS]->()").await, 2 * all.len() as i64);
    let doubled = "(k:CanonicalConcept) WITH k.tenant_id AS t, k.canonical_name AS n, count(*) AS times WHERE times > 1";
    assert_eq!(count(database, doubled).await, 0);
    assert_eq!(sink.loose_ends().await.unwrap(), 0);
}

/// A worker that stands still in the middle of a write holds nobody up, and what it had sent is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_stands_still_holds_no_locks() {
    let (server, _turn) = shared().await;
    let way = StoppingWay::to(&server.options()).await;
    let stopping = Database::open(&Options { url: way.url.clone(), ..server.options() }).await.unwrap();
    let stopping = Arc::new(GraphSink::new(stopping));
    // Its connection is made.
    stopping.write(&[chunk("t", "before", &["common"])], Epoch(1)).await.unwrap();
    // It hears that its transaction was begun, and then nothing any more.
    way.answers_left.store(1, Ordering::SeqCst);
    let stands =
        tokio::spawn(async move { stopping.write(&[chunk("t", "still", &["common"])], Epoch(1)).await });
    way.stopped.notified().await;
    let database = Database::open(&server.options()).await.unwrap();
    let other = GraphSink::new(database.clone());
    let began = Instant::now();
    assert_eq!(other.write(&[chunk("t", "other", &["common"])], Epoch(1)).await.unwrap(), 1);
    assert!(began.elapsed() < Duration::from_millis(server.options().transaction_timeout_ms) / 2);
    assert_eq!(count(&database, "(:Chunk)-[:MENTIONS]->(:CanonicalConcept)").await, 3);
    assert!(!stands.is_finished(), "it heard no answer");
    stands.abort();
}

/// A way to a server that lets only so many answers through.
struct StoppingWay {
    url: String,
    answers_left: Arc<AtomicUsize>,
    stopped: Arc<Notify>,
}

impl StoppingWay {
    async fn to(options: &Options) -> Self {
        let server = options.url.strip_prefix("bolt://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("bolt://{}", listener.local_addr().unwrap());
        let (answers_left, stopped) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(Notify::new()));
        let (left, notify) = (answers_left.clone(), stopped.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (mut from_client, to_client) = client.into_split();
                let there = TcpStream::connect(&server).await.unwrap();
                let (from_server, mut to_server) = there.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                tokio::spawn(pass_answers(from_server, to_client, left.clone(), notify.clone()));
            }
        });
        Self { url, answers_left, stopped }
    }
}

async fn pass_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    left: Arc<AtomicUsize>,
    stopped: Arc<Notify>,
) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        let may_pass = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            usize::MAX => Some(left),
            left => left.checked_sub(1),
        });
        match may_pass {
            Ok(_) => to.write_all(&bytes[..count]).await.unwrap(),
            Err(_) => stopped.notify_one(),
        }
    }
}

/// A lock that is held ends a writer's transaction in its time; a writer that is dropped holds nobody up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_waited_for_and_left_in_time() {
    let (server, _turn) = shared().await;
    let options = Options { transaction_timeout_ms: 5_000, ..server.options() };
    let database = Database::open(&options).await.unwrap();
    let sink = Arc::new(GraphSink::new(database.clone()));
    let rows = [chunk("t", "x", &["held"])];
    sink.write(&[chunk("t", "y", &["held"])], Epoch(1)).await.unwrap();
    let mut holder = holder(&options).await;
    holder.begin(None, Access::Write, Duration::from_secs(60)).await.unwrap();
    holder.run("MATCH (k:CanonicalConcept) SET k._lock = true", map([])).await.unwrap();
    let began = Instant::now();
    let refused = sink.write(&rows, Epoch(1)).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(refused.to_string().contains("graph"), "{refused}");
    // This one waits with a lock on its chunk, and is dropped.
    let waiting = tokio::time::timeout(Duration::from_millis(300), sink.write(&rows, Epoch(1))).await;
    assert!(waiting.is_err(), "the lock is held");
    holder.commit().await.unwrap();
    let began = Instant::now();
    assert_eq!(sink.write(&rows, Epoch(1)).await.unwrap(), 1);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(count(&database, "(:Chunk)-[:MENTIONS]->(:CanonicalConcept)").await, 2);
    no_connection_is_free(&options).await;
}

/// More callers than connections wait, and not for ever.
async fn no_connection_is_free(options: &Options) {
    let one = Database::connect(&Options { pool_size: 1, ..options.clone() }).await.unwrap();
    let slow = "UNWIND range(1, 20000000) AS n WITH n WHERE n % 7 = 8 RETURN count(n)";
    let other = one.clone();
    let busy = tokio::spawn(async move { other.run(slow, map([])).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    match one.run("RETURN 1", map([])).await {
        Ok(_) => assert!(busy.await.is_ok()),
        Err(error) => assert!(matches!(error, Error::Unreachable(_)), "{error}"),
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}

async fn holder(options: &Options) -> Connection {
    let address = options.url.strip_prefix("bolt://").unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let password = options.password.as_ref().unwrap().expose();
    let login = Login { username: &options.username, password: Some(password) };
    Connection::open(Box::new(stream), &login).await.unwrap()
}
