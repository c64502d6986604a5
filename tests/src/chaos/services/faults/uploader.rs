//! Uploads all the time, whatever is away, and notes each answer. What was acknowledged is in its list.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::inventory::{Content, Inventory};
use super::super::look::Look;
use crate::services::http::{Answer, Client, form};

/// Unsettled documents below which the next comes at once.
const BACKLOG: i64 = 8;
/// Unsettled documents from which on only contents are sent that are there already.
const BACKLOG_MAX: i64 = 32;
/// Between two uploads while work waits, or after one that was refused: what is refused is asked again far
/// sooner than its answer says, so that there are many answers.
const EVERY: Duration = Duration::from_millis(200);
/// Documents from which on only those that are there change.
const DOCUMENTS_MAX: usize = 300;
/// Longest wait for an upload that is on its way.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// Answers that are told one by one.
const EXAMPLES: usize = 5;

/// What the API answered.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    /// 202: it is durable.
    pub accepted: usize,
    /// 429 or 503 with a time to come back.
    pub later: usize,
    /// 500 and more, but for 503.
    pub api_500: usize,
    /// Anything else: another status, or 429 or 503 without a time.
    pub api_other: usize,
    /// No answer at all.
    pub api_silent: usize,
    /// Longest wait for an answer, in seconds.
    pub slowest_s: f64,
    /// The last code of a refusal.
    pub code: String,
}

/// See the module.
pub struct Uploader {
    client: Client,
    look: Arc<Look>,
    inventory: Mutex<Inventory>,
    /// Hash of what was acknowledged last, by the document's name.
    acknowledged: Mutex<BTreeMap<String, String>>,
    noted: Mutex<Noted>,
    going: AtomicBool,
    resting: AtomicBool,
}

impl Uploader {
    /// Rests until it is told to go.
    pub fn new(client: Client, look: Arc<Look>, seed: u64) -> Self {
        Self {
            client,
            look,
            inventory: Mutex::new(Inventory::new(seed)),
            acknowledged: Mutex::default(),
            noted: Mutex::default(),
            going: AtomicBool::new(false),
            resting: AtomicBool::new(true),
        }
    }

    /// What was acknowledged, for the judge.
    pub fn inventory(&self) -> MutexGuard<'_, Inventory> {
        lock(&self.inventory)
    }

    /// The same in another form: hash by name.
    pub fn acknowledged(&self) -> BTreeMap<String, String> {
        lock(&self.acknowledged).clone()
    }

    /// The answers so far.
    pub fn noted(&self) -> Noted {
        lock(&self.noted).clone()
    }

    /// Uploads from now on.
    pub fn go(&self) {
        self.going.store(true, Ordering::Relaxed);
    }

    /// Returns once nothing is on its way.
    ///
    /// # Errors
    /// An upload is not accepted for long.
    pub async fn rest(&self) -> Result<()> {
        self.going.store(false, Ordering::Relaxed);
        let began = Instant::now();
        while !self.resting.load(Ordering::Relaxed) {
            ensure!(began.elapsed() < PAUSE_MAX, "an upload was not accepted: {:?}", self.noted());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Uploads until it is dropped.
    pub async fn run(self: Arc<Self>, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed ^ 0x0b10);
        let mut sent = 0usize;
        loop {
            if !self.going.load(Ordering::Relaxed) {
                self.resting.store(true, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            self.resting.store(false, Ordering::Relaxed);
            let unsettled = self.look.unsettled().await.ok();
            let (number, name, content) = self.next(unsettled, &mut random);
            sent += 1;
            // The same request until it is accepted.
            while !self.bring(&name, &content, sent).await {
                tokio::time::sleep(EVERY).await;
            }
            let hash: String = content.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            lock(&self.acknowledged).insert(name.clone(), hash);
            let same = self.inventory().entries.get(number).is_some_and(|entry| entry.current == content);
            if !same {
                self.inventory().acknowledged(number, name, content);
            }
            if unsettled.is_none_or(|unsettled| unsettled >= BACKLOG) {
                tokio::time::sleep(EVERY).await;
            }
        }
    }

    /// A new document, another content of one that is there, or the content that it has.
    fn next(&self, unsettled: Option<i64>, random: &mut StdRng) -> (usize, String, Content) {
        let mut inventory = self.inventory();
        let there = inventory.entries.len();
        if there < DOCUMENTS_MAX && (there < 10 || random.random_bool(0.6)) {
            let (name, content) = inventory.fresh();
            return (there, name, content);
        }
        let number = random.random_range(0..there);
        let entry = &inventory.entries[number];
        let (name, current) = (entry.key.clone(), entry.current.clone());
        if unsettled.is_some_and(|unsettled| unsettled >= BACKLOG_MAX) {
            return (number, name, current);
        }
        let earlier = inventory.earlier(number).filter(|_| random.random_bool(0.3));
        let content = earlier.unwrap_or_else(|| inventory.edited(number));
        (number, name, content)
    }

    /// Whether it was accepted.
    async fn bring(&self, name: &str, content: &Content, sent: usize) -> bool {
        let file = name.rsplit('/').next().unwrap_or(name);
        let (kind, body) = form(&[(file, &content.bytes)]);
        let (path, key) = (format!("/v1/documents?uri={name}"), format!("faults-{sent}"));
        let client = self.client.clone();
        let began = Instant::now();
        let answer = tokio::task::spawn_blocking(move || {
            let headers = [("content-type", kind.as_str()), ("idempotency-key", key.as_str())];
            client.send("POST", &path, &headers, &body)
        });
        let answer = answer.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let mut noted = lock(&self.noted);
        noted.slowest_s = noted.slowest_s.max(began.elapsed().as_secs_f64());
        match answer {
            Ok(answer) => note(&mut noted, name, &answer),
            Err(error) => {
                noted.api_silent += 1;
                if noted.api_silent <= EXAMPLES {
                    eprintln!("no answer to {name}: {error}");
                }
                false
            }
        }
    }
}

fn note(noted: &mut Noted, name: &str, answer: &Answer) -> bool {
    let comes_back = answer.header("retry-after").is_some();
    let wrong = match answer.status {
        202 => {
            noted.accepted += 1;
            return true;
        }
        429 | 503 if comes_back => {
            noted.later += 1;
            noted.code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            return false;
        }
        503 | ..500 => &mut noted.api_other,
        _ => &mut noted.api_500,
    };
    *wrong += 1;
    if *wrong <= EXAMPLES {
        eprintln!("{name} was answered {}: {}", answer.status, answer.text());
    }
    false
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while holding it")
}
