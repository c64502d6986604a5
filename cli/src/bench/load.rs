//! So many at once ask a server, each its next question as soon as the last is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use docmill_worker::secret::Secret;
use reqwest::Url;
use serde_json::{Value, json};

use super::Questions;
use super::connection::Connection;
use super::figures::{Figures, Spent};
use crate::failure::Failure;
use crate::server::{address, events};

/// Longest time of a request.
const REQUEST_MAX: Duration = Duration::from_secs(120);
/// Longest list of indexes, in bytes.
const INDEXES_BYTES_MAX: usize = 1 << 20;
/// How much of an answer that is no success is told, in bytes.
const TOLD_BYTES: usize = 200;
/// Requests of one of those who ask that there is room for before the clock runs.
const SHOTS_AT_FIRST: u32 = 1 << 14;
/// Of so many requests one is sent before the clock runs, …
const WARM_UP_SHARE: u32 = 10;
/// … and no more than this: what they are for is opened, loaded and remembered by then.
const WARM_UP_MAX: u32 = 100;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An answer, as events.
    Ask,
    /// Hits.
    Search,
}

/// A server that is measured.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its address, for people.
    pub url: String,
    /// Where to connect.
    address: String,
    /// What its name is in requests.
    host: String,
    /// What all its paths begin with.
    prefix: String,
    key: Option<Secret>,
}

/// What is sent.
#[derive(Clone)]
pub struct Load {
    pub kind: Kind,
    /// How many ask at once.
    pub concurrency: u16,
    /// How often in all.
    pub requests: u32,
    /// Answers that the server remembers will do.
    pub remembered: bool,
    pub questions: Arc<Questions>,
}

/// A request that was sent.
#[derive(Debug, Clone)]
pub struct Shot {
    /// How long it took, or why there is no answer.
    pub answered: Result<Times, String>,
}

/// How long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Until the first word.
    pub first: Duration,
    /// Until the end.
    pub total: Duration,
}

impl Target {
    /// Reads an address. Without TLS: what is measured is the server, not its encryption.
    pub fn new(given: &str, key: Option<Secret>) -> Result<Self, Failure> {
        let url = address::url(given)?;
        let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme())
        else {
            let message = format!("{given}: only http can be measured");
            return Err(Failure::new(
                "bad_server",
                message,
                "measure behind what ends TLS, or forward a port",
            ));
        };
        Ok(Self {
            url: url.as_str().to_owned(),
            address: format!("{host}:{port}"),
            host: host_of(&url, host),
            prefix: url.path().trim_end_matches('/').to_owned(),
            key,
        })
    }

    /// The same, with the token of a data directory where there is no key and the server is on this machine.
    pub fn or_token(mut self, token: Option<Secret>) -> Self {
        let is_local = address::url(&self.url).is_ok_and(|url| address::is_local(&url));
        self.key = self.key.or(token.filter(|_| is_local));
        self
    }

    /// A whole request.
    fn request(&self, kind: Kind, question: &str, remembered: bool) -> Vec<u8> {
        match kind {
            Kind::Ask => {
                let body = json!({"question": question}).to_string();
                let head = self.head("POST", "/v1/ask/stream", remembered);
                let body_head = format!(
                    "content-type: application/json\r\naccept: text/event-stream\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                [head, body_head, body].concat().into_bytes()
            }
            Kind::Search => {
                let mut query = Url::parse("http://q/").ok();
                let query = query.as_mut().map(|url| {
                    url.query_pairs_mut().append_pair("q", question);
                    url.query().unwrap_or_default()
                });
                let path = format!("/v1/search?{}", query.unwrap_or_default());
                (self.head("GET", &path, remembered) + "\r\n").into_bytes()
            }
        }
    }

    fn head(&self, method: &str, path: &str, remembered: bool) -> String {
        let mut head = format!("{method} {}{path} HTTP/1.1\r\nhost: {}\r\n", self.prefix, self.host);
        if let Some(key) = &self.key {
            head += &format!("authorization: Bearer {}\r\n", key.expose());
        }
        if !remembered {
            head += "cache-control: no-cache\r\n";
        }
        head
    }
}

fn host_of(url: &Url, host: &str) -> String {
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Sends a load; each of those who ask has a connection of its own, which is open before the clock runs, and what comes
/// first is not counted.
///
/// All of it is done by one thread with a runtime of its own: one wait of it sees all answers that are there, where
/// threads that share the work wake each other for every one, on the cores that the server is measured on.
pub async fn run(target: &Target, load: &Load) -> Result<Figures, Failure> {
    let (target, load) = (target.clone(), load.clone());
    let generator = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::internal(error.to_string()))?;
        runtime.block_on(send(&target, &load))
    });
    generator.await.map_err(|error| Failure::internal(error.to_string()))?
}

async fn send(target: &Target, load: &Load) -> Result<Figures, Failure> {
    let requests: Arc<[Vec<u8>]> = load
        .questions
        .each()
        .map(|question| target.request(load.kind, question, load.remembered))
        .collect();
    let next = Arc::new(AtomicU32::new(0));
    let concurrency = u32::from(load.concurrency).min(load.requests).max(1);
    let mut askers = Vec::new();
    for _ in 0..concurrency {
        let connection = Connection::open(&target.address).await;
        askers.push(Asker {
            address: target.address.clone(),
            connection: Some(connection.map_err(|error| unreachable(target, &error))?),
            kind: load.kind,
            requests: requests.clone(),
            questions: load.questions.clone(),
            next: next.clone(),
            shots: Vec::with_capacity((load.requests / concurrency).min(SHOTS_AT_FIRST) as usize),
        });
    }
    let warm_up = (load.requests / WARM_UP_SHARE).min(WARM_UP_MAX);
    let mut askers = all(askers, warm_up).await?;
    askers.iter_mut().for_each(|asker| asker.shots.clear());
    next.store(warm_up, Ordering::Relaxed);
    let (began, cpu_before) = (Instant::now(), own_cpu());
    let askers = all(askers, warm_up + load.requests).await?;
    let spent = Spent { time: began.elapsed(), cpu: own_cpu().saturating_sub(cpu_before), warm_up };
    let shots: Vec<Shot> = askers.into_iter().flat_map(|asker| asker.shots).collect();
    Ok(Figures::of(&shots, spent))
}

/// Has them ask until so many requests were sent.
async fn all(askers: Vec<Asker>, until: u32) -> Result<Vec<Asker>, Failure> {
    let asking: Vec<_> = askers.into_iter().map(|asker| tokio::spawn(asker.ask_until(until))).collect();
    let mut askers = Vec::with_capacity(asking.len());
    for asker in asking {
        askers.push(asker.await.map_err(|error| Failure::internal(error.to_string()))?);
    }
    Ok(askers)
}

/// This thread's time on a core.
fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// The events of one question, with the last one read as JSON: what a server is.
pub async fn first_answer(target: &Target, question: &str) -> Result<Value, Failure> {
    let failed = |what: String| {
        let message = format!("{} does not answer a question: {what}", target.url);
        Failure::new(
            "bench_failed",
            message,
            "check the address, the key, and that documents were ingested",
        )
    };
    let mut connection =
        Connection::open(&target.address).await.map_err(|error| unreachable(target, &error))?;
    let request = target.request(Kind::Ask, question, false);
    let mut last = None;
    let mut keep = |event: events::Event| last = Some(event.data);
    let asked = shoot(&mut connection, Kind::Ask, &request, &mut keep);
    match tokio::time::timeout(REQUEST_MAX, asked).await {
        Ok(Ok(_)) => {}
        Ok(Err(what)) => return Err(failed(what)),
        Err(_) => return Err(failed("it took too long".to_owned())),
    }
    serde_json::from_str(&last.unwrap_or_default()).map_err(|error| failed(error.to_string()))
}

/// What a server says of its indexes; nothing where it knows none.
pub async fn indexes(target: &Target) -> Result<Value, Failure> {
    let request = target.head("GET", "/v1/indexes", false) + "\r\n";
    let mut connection =
        Connection::open(&target.address).await.map_err(|error| unreachable(target, &error))?;
    let asking = async {
        connection.send(request.as_bytes()).await?;
        let mut head = connection.head().await?;
        let (mut body, mut piece) = (Vec::new(), Vec::new());
        while body.len() < INDEXES_BYTES_MAX && connection.piece(&mut head, &mut piece).await? {
            body.extend_from_slice(&piece);
        }
        Ok::<_, std::io::Error>(if head.status == 200 { body } else { Vec::new() })
    };
    let asked = tokio::time::timeout(REQUEST_MAX, asking).await;
    let body = asked.unwrap_or_else(|_| Ok(Vec::new())).map_err(|error| unreachable(target, &error))?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

fn unreachable(target: &Target, error: &std::io::Error) -> Failure {
    let message = format!("{} cannot be reached: {error}", target.url);
    Failure::new("server_unreachable", message, "check the address and that the server runs")
}

/// One of those who ask.
struct Asker {
    address: String,
    connection: Option<Connection>,
    kind: Kind,
    /// One a question.
    requests: Arc<[Vec<u8>]>,
    questions: Arc<Questions>,
    next: Arc<AtomicU32>,
    shots: Vec<Shot>,
}

impl Asker {
    async fn ask_until(mut self, until: u32) -> Self {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= until {
                return self;
            }
            let answered = match tokio::time::timeout(REQUEST_MAX, self.ask(number)).await {
                Ok(answered) => answered,
                Err(_) => Err("it took too long".to_owned()),
            };
            if answered.is_err() {
                // What is left of the answer belongs to no other.
                self.connection = None;
            }
            self.shots.push(Shot { answered });
        }
    }

    async fn ask(&mut self, number: u32) -> Result<Times, String> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let opened = Connection::open(&self.address).await.map_err(|error| error.to_string())?;
                none.insert(opened)
            }
        };
        let request = self.requests.get(self.questions.number_of(number));
        let request = request.ok_or_else(|| "there is no question".to_owned())?;
        let (times, kept) = shoot(connection, self.kind, request, &mut |_| ()).await?;
        if !kept {
            self.connection = None;
        }
        Ok(times)
    }
}

/// Sends one request and reads its answer; how long it took, and whether the connection may be used again.
async fn shoot(
    connection: &mut Connection,
    kind: Kind,
    request: &[u8],
    each: &mut (dyn FnMut(events::Event) + Send),
) -> Result<(Times, bool), String> {
    let began = Instant::now();
    connection.send(request).await.map_err(|error| error.to_string())?;
    let mut head = connection.head().await.map_err(|error| error.to_string())?;
    let (mut parser, mut piece, mut told) = (events::Parser::default(), Vec::new(), Vec::new());
    let (mut first, mut error) = (None, None);
    if head.status == 200 && kind == Kind::Search {
        connection.pass(&mut head, &mut piece).await.map_err(|error| error.to_string())?;
        let total = began.elapsed();
        return Ok((Times { first: total, total }, head.kept));
    }
    loop {
        if !connection.piece(&mut head, &mut piece).await.map_err(|error| error.to_string())? {
            break;
        }
        if head.status != 200 {
            told.extend_from_slice(&piece[..piece.len().min(TOLD_BYTES.saturating_sub(told.len()))]);
        } else {
            let mut see = |event: events::Event| {
                match event.name.as_str() {
                    "message" if event.data != "[DONE]" => {
                        first.get_or_insert_with(|| began.elapsed());
                    }
                    "error" => error = Some(event.data.clone()),
                    _ => {}
                }
                each(event);
            };
            parser.push(&piece, &mut see).map_err(|_| "an event is too long".to_owned())?;
        }
    }
    let total = began.elapsed();
    if head.status != 200 {
        return Err(format!("{} {}", head.status, String::from_utf8_lossy(&told)));
    }
    if let Some(error) = error {
        return Err(error);
    }
    let first = first.ok_or_else(|| "the answer has no words".to_owned())?;
    Ok((Times { first, total }, head.kept))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const EVENTS: &str = "event: search_results\ndata: {}\n\nevent: message\ndata: {\"delta\":\"a\"}\n\n\
                          event: final_answer\ndata: {\"model\":\"mock\"}\n\n";

    /// Answers each request so, again and again.
    async fn serve(listener: TcpListener, status: &'static str, body: &'static str) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, status, body));
        }
    }

    async fn answer(mut stream: TcpStream, status: &'static str, body: &'static str) {
        let mut seen = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            seen.extend_from_slice(&piece[..read]);
            // A question's body is the only thing here that ends so.
            if seen.ends_with(b"}") || seen.starts_with(b"GET") && seen.ends_with(b"\r\n\r\n") {
                seen.clear();
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    async fn target(status: &'static str, body: &'static str) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, status, body));
        Target::new(&url, None).unwrap()
    }

    fn load(kind: Kind, concurrency: u16, requests: u32) -> Load {
        let questions = Arc::new(Questions::some());
        Load { kind, concurrency, requests, remembered: false, questions }
    }

    #[tokio::test]
    async fn every_request_is_counted_once() {
        let target = target("200 OK", EVENTS).await;
        for (concurrency, requests) in [(1, 5), (7, 50), (9, 3)] {
            let figures = run(&target, &load(Kind::Ask, concurrency, requests)).await.unwrap();
            assert_eq!((figures.requests, figures.failed), (requests as usize, 0), "{figures:?}");
            assert!(figures.ttft_ms.p50 > 0.0 && figures.ttft_ms.p50 <= figures.total_ms.p50);
            assert_eq!(figures.warm_up, requests / 10);
            assert!(figures.generator_us > 0.0 && figures.seconds > 0.0);
        }
        assert_eq!(first_answer(&target, "who?").await.unwrap()["model"], "mock");
        let found = run(&target, &load(Kind::Search, 3, 10)).await.unwrap();
        assert_eq!((found.requests, found.ttft_ms), (10, found.total_ms));
    }

    #[tokio::test]
    async fn what_warms_up_is_sent_and_not_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let asked = counted.clone();
                tokio::spawn(async move {
                    let mut piece = [0; 4096];
                    // A request comes in one piece: it is small, and the next waits for its answer.
                    while stream.read(&mut piece).await.unwrap_or(0) > 0 {
                        // The very first are bad, as those of a server that is not warm.
                        let status = if asked.fetch_add(1, Ordering::Relaxed) < 4 {
                            "503 Not Yet"
                        } else {
                            "200 OK"
                        };
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        let target = Target::new(&url, None).unwrap();
        let figures = run(&target, &load(Kind::Search, 2, 40)).await.unwrap();
        assert_eq!((figures.requests, figures.failed, figures.warm_up), (40, 0, 4), "{figures:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 44);
    }

    #[tokio::test]
    async fn what_is_no_answer_is_a_failure() {
        let cut = "event: message\ndata: {}\n\nevent: error\ndata: {\"code\":\"answer_incomplete\"}\n\n";
        for (status, body, said) in [
            ("503 Service Unavailable", "full", "503 full"),
            ("200 OK", cut, "answer_incomplete"),
            ("200 OK", "event: final_answer\ndata: {}\n\n", "no words"),
        ] {
            let target = target(status, body).await;
            let figures = run(&target, &load(Kind::Ask, 2, 4)).await.unwrap();
            assert_eq!((figures.requests, figures.failed), (0, 4));
            assert!(figures.failure.unwrap().contains(said), "{said}");
        }
    }

    #[test]
    fn requests_say_what_is_wanted() {
        let target = Target::new("http://127.0.0.1:80/mill/", Some(Secret::new("k"))).unwrap();
        let text = |kind, remembered| String::from_utf8(target.request(kind, "a b&c", remembered)).unwrap();
        let search = text(Kind::Search, true);
        assert_eq!(
            search,
            "GET /mill/v1/search?q=a+b%26c HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer k\r\n\r\n"
        );
        let ask = text(Kind::Ask, false);
        assert!(
            ask.contains("cache-control: no-cache\r\n")
                && ask.ends_with("\r\n\r\n{\"question\":\"a b&c\"}")
        );
        assert!(Target::new("https://docs.example", None).is_err());
    }
}
