//! Answers that are remembered: the same question of the same tenant is answered again without asking the stores,
//! until something of the tenant is committed. What was asked most is then found again before somebody asks, and after
//! a start, too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use docmill_core::id::{DocumentId, TenantId};
use docmill_core::search::SearchRequest;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{Shared, search};
use crate::desk::Commits;

mod questions;

pub use questions::save;

/// Longest life of an answer, however often it is asked for.
const AGE_MAX: Duration = Duration::from_secs(3_600);
/// Bytes of all that is remembered: answers, what they answer, and what both take beside.
const BYTES_MAX: usize = 64 << 20;
/// Bytes that an entry takes beside its answer and its question, about: itself, its places in maps, another name or two.
const ENTRY_BYTES: usize = 384;
/// Bytes of a search that is remembered: longer ones are lists of documents that nobody sends twice.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Bytes of an answer that is remembered.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Other names of questions that are known for each answer, on average.
const NAMES_EACH: usize = 4;
/// Tenants whose commits are counted one by one.
const TENANTS_MAX: usize = 10_000;
/// Times that a question was asked before it is asked again by itself.
const WARMED_FROM: u64 = 2;
/// Questions that are asked again at a time.
const WARMED_MAX: usize = 32;
/// Time between two such times: while documents are committed all the time, little would be gained.
const WARM_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks for commits where nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// And where they are told, in case that one was not.
const LOOK_SELDOM: Duration = Duration::from_secs(2);
/// Longest look: a ledger that takes longer is as good as away, and nothing is remembered.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// Sleep of which the excess says how late tasks go on.
const TICK: Duration = Duration::from_millis(10);
/// Sleeps after which the metrics follow.
const TICKS_A_FOLLOW: u32 = 50;

/// How much is remembered, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoSettings {
    /// Answers; 0: none is remembered.
    pub entries: usize,
    /// Life of an answer after it was last asked for.
    pub ttl: Duration,
}

impl Default for MemoSettings {
    fn default() -> Self {
        Self { entries: 1_000, ttl: Duration::from_secs(300) }
    }
}

/// What is asked again once the answer is forgotten.
pub enum Again {
    /// A search.
    Search(Box<SearchRequest>),
    /// Nothing, for an answer to a question: a model's time is for those who wait. Its sources are a search.
    Nothing,
}

/// What was remembered so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoStats {
    /// Answers that are remembered now.
    pub entries: usize,
    /// Bytes of them and of what is known of forgotten ones.
    pub bytes: usize,
    /// Answers that were remembered when they were asked for.
    pub hits: u64,
    /// Those that were not.
    pub misses: u64,
    /// Answers that were forgotten as something was committed.
    pub invalidated: u64,
}

/// See the module.
pub struct Memo {
    settings: MemoSettings,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<u128, Entry>,
    /// Their keys by the turn in which they were used last.
    order: BTreeMap<u64, u128>,
    /// Other keys of the same questions.
    names: HashMap<u128, u128>,
    /// How often something of a tenant was committed, and how often of anybody.
    epochs: HashMap<TenantId, u64>,
    of_all: u64,
    /// Numbers the uses.
    turn: u64,
    stats: MemoStats,
}

struct Entry {
    tenant: TenantId,
    /// `None`: forgotten as something was committed.
    body: Option<Bytes>,
    again: Again,
    made: Instant,
    used: Instant,
    turn: u64,
    uses: u64,
}

/// The key of a question: what it is, whose, and all that its answer depends on.
pub fn key(kind: u8, parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    hash.update([kind]);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    u128::from_le_bytes(first)
}

impl Memo {
    /// Nothing is remembered yet.
    pub fn new(settings: MemoSettings) -> Self {
        Self { settings, kept: Mutex::default() }
    }

    /// The answer to a question of this tenant.
    pub fn get(&self, tenant: &TenantId, key: u128) -> Option<Bytes> {
        self.get_at(Instant::now(), tenant, key)
    }

    /// The answer to a question by another name of it. Where there is none, it is to be asked for by its key.
    pub fn named(&self, tenant: &TenantId, name: u128) -> Option<Bytes> {
        let mut kept = self.lock();
        let key = *kept.names.get(&name)?;
        kept.take(Instant::now(), self.settings.ttl, tenant, key)
    }

    /// Another name of a question.
    pub fn name(&self, name: u128, key: u128) {
        let mut kept = self.lock();
        if kept.names.len() >= self.settings.entries.saturating_mul(NAMES_EACH) {
            kept.names.clear();
        }
        kept.names.insert(name, key);
    }

    /// What must not have moved on between a search and its [`Memo::put`].
    pub fn epoch(&self, tenant: &TenantId) -> u64 {
        self.lock().epoch(tenant)
    }

    /// Remembers an answer that somebody asked for, unless something was committed since the epoch.
    pub fn put(&self, tenant: &TenantId, key: u128, epoch: u64, body: Bytes, again: Again) {
        self.put_at(Instant::now(), tenant, key, epoch, body, again);
    }

    /// Puts an answer in the place of one that was forgotten; that nobody asked for it changes nothing of its life.
    pub fn renew(&self, tenant: &TenantId, key: u128, epoch: u64, body: Bytes) {
        let mut kept = self.lock();
        if body.len() > ANSWER_BYTES_MAX || kept.epoch(tenant) != epoch {
            return;
        }
        let Kept { entries, stats, .. } = &mut *kept;
        if let Some(entry) = entries.get_mut(&key).filter(|entry| entry.tenant == *tenant) {
            stats.bytes -= entry.bytes();
            (entry.body, entry.made) = (Some(body), Instant::now());
            stats.bytes += entry.bytes();
        }
        kept.make_room(self.settings.entries, key);
    }

    /// Forgets what may have changed.
    pub fn committed(&self, commits: &Commits) {
        let mut kept = self.lock();
        let Kept { epochs, of_all, .. } = &mut *kept;
        let all = commits.all || epochs.len() + commits.tenants.len() > TENANTS_MAX;
        if all {
            // More than the sum of any tenant's: no epoch comes twice.
            *of_all += 1 + epochs.values().max().copied().unwrap_or(0);
            epochs.clear();
        } else {
            commits.tenants.iter().for_each(|tenant| *epochs.entry(tenant.clone()).or_default() += 1);
        }
        let tenants: HashSet<&TenantId> = commits.tenants.iter().collect();
        let is_old = |entry: &Entry| all || tenants.contains(&entry.tenant);
        let old = kept.entries.iter().filter(|(_, entry)| is_old(entry)).map(|(key, _)| *key);
        for key in old.collect::<Vec<u128>>() {
            kept.forget(key);
        }
    }

    /// What was remembered so far.
    pub fn stats(&self) -> MemoStats {
        let kept = self.lock();
        let entries = kept.entries.values().filter(|entry| entry.body.is_some()).count();
        MemoStats { entries, ..kept.stats }
    }

    /// What was asked most of what is forgotten, to be asked again.
    pub fn hottest(&self, tenant: &TenantId, n: usize) -> Vec<SearchRequest> {
        let kept = self.lock();
        let lacking = kept.worth(Instant::now(), self.settings.ttl);
        let lacking = lacking.filter(|asked| asked.entry.body.is_none() && asked.entry.tenant == *tenant);
        most(lacking, n).into_iter().map(|asked| asked.request.clone()).collect()
    }

    /// What was asked most of all, forgotten or not: whose, what, and how often.
    fn asked_most(&self, n: usize) -> Vec<(TenantId, SearchRequest, u64)> {
        let kept = self.lock();
        let asked = most(kept.worth(Instant::now(), self.settings.ttl), n).into_iter();
        asked.map(|asked| (asked.entry.tenant.clone(), asked.request.clone(), asked.entry.uses)).collect()
    }

    /// A search that was asked so often before this process began. It is found again as if a commit had made it
    /// forgotten; where it or as much as may be is known already, nothing happens.
    fn expect(&self, tenant: &TenantId, key: u128, request: SearchRequest, uses: u64) {
        let mut kept = self.lock();
        let again = Again::Search(Box::new(request));
        let is_full = kept.entries.len() >= self.settings.entries;
        if is_full || again.bytes() > REQUEST_BYTES_MAX || kept.entries.contains_key(&key) {
            return;
        }
        let now = Instant::now();
        kept.insert(
            key,
            Entry { tenant: tenant.clone(), body: None, again, made: now, used: now, turn: 0, uses },
        );
        kept.make_room(self.settings.entries, key);
    }

    /// Tenants that have something to be asked again.
    fn lacking(&self) -> BTreeSet<TenantId> {
        let kept = self.lock();
        let lacking =
            kept.worth(Instant::now(), self.settings.ttl).filter(|asked| asked.entry.body.is_none());
        lacking.map(|asked| asked.entry.tenant.clone()).collect()
    }

    fn get_at(&self, now: Instant, tenant: &TenantId, key: u128) -> Option<Bytes> {
        let mut kept = self.lock();
        let found = kept.take(now, self.settings.ttl, tenant, key);
        kept.stats.misses += u64::from(found.is_none());
        found
    }

    fn put_at(&self, now: Instant, tenant: &TenantId, key: u128, epoch: u64, body: Bytes, again: Again) {
        let mut kept = self.lock();
        let is_large = body.len() > ANSWER_BYTES_MAX || again.bytes() > REQUEST_BYTES_MAX;
        if self.settings.entries == 0 || is_large || kept.epoch(tenant) != epoch {
            return;
        }
        let uses = 1 + kept.remove(key).map_or(0, |entry| entry.uses);
        let (tenant, body) = (tenant.clone(), Some(body));
        kept.insert(key, Entry { tenant, body, again, made: now, used: now, turn: 0, uses });
        kept.make_room(self.settings.entries, key);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn epoch(&self, tenant: &TenantId) -> u64 {
        self.of_all + self.epochs.get(tenant).copied().unwrap_or(0)
    }

    /// A remembered answer, which is used once more.
    fn take(&mut self, now: Instant, ttl: Duration, tenant: &TenantId, key: u128) -> Option<Bytes> {
        let entry = self.entries.get_mut(&key).filter(|entry| entry.tenant == *tenant)?;
        if !entry.lives(now, ttl) {
            self.remove(key);
            return None;
        }
        let body = entry.body.clone()?;
        self.turn += 1;
        self.order.remove(&entry.turn);
        self.order.insert(self.turn, key);
        (entry.used, entry.turn, entry.uses) = (now, self.turn, entry.uses + 1);
        self.stats.hits += 1;
        Some(body)
    }

    /// Lets go what was not used for longest, never this one.
    fn make_room(&mut self, entries_max: usize, but: u128) {
        while self.entries.len() > entries_max || self.stats.bytes > BYTES_MAX {
            let Some(oldest) = self.order.values().copied().find(|key| *key != but) else { return };
            self.remove(oldest);
        }
    }

    fn insert(&mut self, key: u128, entry: Entry) {
        self.turn += 1;
        self.order.insert(self.turn, key);
        self.stats.bytes += entry.bytes();
        self.entries.insert(key, Entry { turn: self.turn, ..entry });
    }

    fn remove(&mut self, key: u128) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.order.remove(&entry.turn);
        self.stats.bytes -= entry.bytes();
        Some(entry)
    }

    /// Forgets an answer; a search may be asked again.
    fn forget(&mut self, key: u128) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let before = entry.bytes();
        self.stats.invalidated += u64::from(entry.body.take().is_some());
        self.stats.bytes = self.stats.bytes + entry.bytes() - before;
        if matches!(entry.again, Again::Nothing) {
            self.remove(key);
        }
    }

    /// Searches that are worth being asked by themselves.
    fn worth(&self, now: Instant, ttl: Duration) -> impl Iterator<Item = Asked<'_>> {
        let living =
            self.entries.values().filter(move |entry| entry.uses >= WARMED_FROM && entry.lives(now, ttl));
        living.filter_map(|entry| match &entry.again {
            Again::Search(request) => Some(Asked { entry, request }),
            Again::Nothing => None,
        })
    }
}

/// A search that was asked.
struct Asked<'a> {
    entry: &'a Entry,
    request: &'a SearchRequest,
}

/// What was asked most of these.
fn most<'a>(asked: impl Iterator<Item = Asked<'a>>, n: usize) -> Vec<Asked<'a>> {
    let mut asked: Vec<Asked<'a>> = asked.collect();
    asked.sort_by_key(|asked| std::cmp::Reverse((asked.entry.uses, asked.entry.turn)));
    asked.truncate(n);
    asked
}

impl Again {
    /// What it takes, about.
    fn bytes(&self) -> usize {
        let Self::Search(request) = self else { return 0 };
        let filter = &request.filter;
        let lists = [&filter.categories, &filter.media_types, &filter.languages];
        let values: usize =
            lists.into_iter().flatten().map(|value| size_of::<String>() + value.len()).sum();
        let prefix = filter.uri_prefix.as_ref().map_or(0, String::len);
        let documents = filter.documents.len() * size_of::<DocumentId>();
        size_of::<SearchRequest>() + request.query.len() + values + prefix + documents
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        ENTRY_BYTES
            + self.tenant.as_str().len()
            + self.body.as_ref().map_or(0, Bytes::len)
            + self.again.bytes()
    }

    fn lives(&self, now: Instant, ttl: Duration) -> bool {
        now.duration_since(self.used) < ttl && now.duration_since(self.made) < AGE_MAX
    }
}

/// Forgets what commits may have changed, and has asked again what is asked most, until it is dropped.
pub async fn follow(api: Shared) {
    tokio::join!(forget(&api), warm(&api), questions::keep(&api));
}

async fn forget(api: &Shared) {
    let mut changes = api.desk.changes();
    let mut last = None;
    loop {
        let looked = tokio::time::timeout(LOOK_MAX, look(api, last)).await;
        last = match looked {
            Ok(Ok(commits)) => {
                if commits.all || !commits.tenants.is_empty() {
                    api.memo.committed(&commits);
                }
                Some(commits.newest)
            }
            // Of what happens while the ledger is away nobody knows.
            _ => {
                api.memo.committed(&Commits { newest: 0, tenants: Vec::new(), all: true });
                None
            }
        };
        changes = told(changes).await;
    }
}

/// What was committed since the last look. The first knows of nothing before it.
async fn look(api: &Shared, last: Option<u64>) -> Result<Commits, crate::desk::Error> {
    match last {
        Some(last) => api.desk.commits_since(last).await,
        None => {
            let (newest, _) = api.desk.commits().await?;
            Ok(Commits { newest, tenants: Vec::new(), all: true })
        }
    }
}

/// Waits until it is worth looking.
async fn told(changes: Option<watch::Receiver<u64>>) -> Option<watch::Receiver<u64>> {
    let Some(mut changes) = changes else {
        tokio::time::sleep(LOOK_EVERY).await;
        return None;
    };
    // Whoever told may be gone.
    let gone = matches!(tokio::time::timeout(LOOK_SELDOM, changes.changed()).await, Ok(Err(_)));
    (!gone).then_some(changes)
}

async fn warm(api: &Shared) {
    questions::expect(api).await;
    loop {
        let tenants = api.memo.lacking();
        let each = (WARMED_MAX / tenants.len().max(1)).max(1);
        for tenant in tenants {
            for request in api.memo.hottest(&tenant, each) {
                search::renew(api, &tenant, &request).await;
            }
        }
        tokio::time::sleep(WARM_EVERY).await;
    }
}

/// Measures how much later than it should a task goes on that only waits, until it is dropped.
pub async fn measure_loop(api: Shared) {
    let mut seen = MemoStats::default();
    let mut tick = 0;
    loop {
        let began = Instant::now();
        tokio::time::sleep(TICK).await;
        let late = began.elapsed().saturating_sub(TICK);
        api.metrics.loop_delay_seconds.observe(late.as_secs_f64());
        tick = (tick + 1) % TICKS_A_FOLLOW;
        if tick == 0 {
            let now = api.memo.stats();
            api.metrics.memo_hits.inc_by(now.hits - seen.hits);
            api.metrics.memo_misses.inc_by(now.misses - seen.misses);
            api.metrics.memo_invalidated.inc_by(now.invalidated - seen.invalidated);
            api.metrics.memo_entries.set(i64::try_from(now.entries).unwrap_or(i64::MAX));
            seen = now;
        }
    }
}

#[cfg(test)]
mod tests;
