//! Submits documents while others are killed: new ones, edits, and the way back to an earlier content.
//!
//! Some it uploads to the API. The others it submits as the API does: the object first, then the ledger until
//! it has it, then the queue once. An entry that the queue did not take is the reconciliation's to add.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use docmill_core::id::{ContentHash, TenantId};
use docmill_worker::ledger::{Ledger, Registered, Registration};
use docmill_worker::objects::{Objects, ObjectsOptions};
use docmill_worker::postgres::PostgresLedger;
use docmill_worker::queue::Queue;
use docmill_worker::queue::redis::RedisQueue;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::inventory::{self, Content, Inventory};
use super::look::Look;
use super::uploads::Uploads;
use crate::contract::objects::{content, key};

/// Unsettled documents below which another is submitted: enough that every worker has work, few enough that
/// nobody waits long behind others.
const BACKLOG: i64 = 16;
/// Unsettled documents from which nothing more is submitted, whatever is away.
const BACKLOG_MAX: i64 = 24;
/// Below that, something is submitted at least this often, as documents that are tried again later count too.
const SUBMIT_EVERY: Duration = Duration::from_millis(250);
/// Documents from which on only those that are there change.
const DOCUMENTS_MAX: usize = 600;
/// Documents of which half of the changes are taken: those that may be in work.
const RECENT: usize = 12;
/// Documents that kill their extractor.
pub const POISON: usize = 20;
/// Every how many submissions one of them comes.
const POISON_EVERY: usize = 12;
/// Longest wait for the ledger to take a document.
const REGISTER_MAX: Duration = Duration::from_secs(120);
/// Wait before it is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// Wait before the next look at the backlog.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Largest document.
const BYTES_MAX: u64 = 1 << 20;

/// See the module.
pub struct Feeder {
    /// Where objects go.
    pub objects: ObjectsOptions,
    /// Where documents are registered.
    pub ledger: PostgresLedger,
    /// Where entries go.
    pub queue: RedisQueue,
    /// Where uploads go.
    pub uploads: Arc<Uploads>,
    /// The backlog.
    pub look: Arc<Look>,
    /// Nothing more is to be submitted, but for poison that is left.
    pub stop: Arc<AtomicBool>,
}

impl Feeder {
    /// Submits until it is to stop. Gives the list of what was acknowledged.
    ///
    /// # Errors
    /// Something did not take a document for long.
    pub async fn run(self, seed: u64) -> Result<Inventory> {
        let mut random = StdRng::seed_from_u64(seed ^ 0xfeed);
        let mut inventory = Inventory::new(seed);
        let objects = Objects::open(&self.objects)?;
        let (mut submissions, mut last) = (0usize, Instant::now());
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(unsettled) = self.look.unsettled().await else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let late = unsettled < BACKLOG_MAX && last.elapsed() >= SUBMIT_EVERY;
            if unsettled >= BACKLOG && !late {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            self.act(&objects, &mut inventory, &mut random).await?;
            submissions += 1;
            last = Instant::now();
            if submissions.is_multiple_of(POISON_EVERY) && inventory.poison.len() < POISON {
                self.poison(&objects, &mut inventory).await?;
            }
        }
        while inventory.poison.len() < POISON {
            self.poison(&objects, &mut inventory).await?;
        }
        Ok(inventory)
    }

    async fn act(&self, objects: &Objects, inventory: &mut Inventory, random: &mut StdRng) -> Result<()> {
        let there = inventory.entries.len();
        let new = there < DOCUMENTS_MAX && (there < RECENT || random.random_bool(0.45));
        if new {
            let (name, fresh) = inventory.fresh();
            return self.submit(objects, inventory, there, name, fresh).await;
        }
        let number = match random.random_bool(0.5) {
            true => random.random_range(there - RECENT..there),
            false => random.random_range(0..there),
        };
        let name = inventory.entries[number].key.clone();
        let swings = random.random_bool(0.3);
        let next = match inventory.earlier(number).filter(|_| random.random_bool(0.3)) {
            Some(earlier) => earlier,
            None => inventory.edited(number),
        };
        self.submit(objects, inventory, number, name.clone(), next).await?;
        if swings && let Some(back) = inventory.earlier(number) {
            // A, B, A, the second while the first may be in work.
            self.submit(objects, inventory, number, name, back).await?;
        }
        Ok(())
    }

    async fn poison(&self, objects: &Objects, inventory: &mut Inventory) -> Result<()> {
        let (name, fresh) = inventory.fresh_poison();
        self.bring(objects, &name, &fresh).await?;
        inventory.poison.insert(name);
        Ok(())
    }

    async fn submit(
        &self,
        objects: &Objects,
        inventory: &mut Inventory,
        number: usize,
        name: String,
        next: Content,
    ) -> Result<()> {
        self.bring(objects, &name, &next).await?;
        inventory.acknowledged(number, name, next);
        Ok(())
    }

    /// Returns once the ledger has it.
    async fn bring(&self, objects: &Objects, name: &str, next: &Content) -> Result<()> {
        if inventory::is_uploaded(name) {
            return self.uploads.bring(name, next).await;
        }
        let stored = objects.put(&key(name), content(&next.bytes), BYTES_MAX).await?;
        ensure!(stored.content == ContentHash(next.sha256), "{name} was stored as something else");
        let began = Instant::now();
        let message = loop {
            let registration = Registration {
                tenant: TenantId::default(),
                uri: uri(&self.objects, name)?,
                content: ContentHash(next.sha256),
                bytes: next.bytes.len() as u64,
                stat: None,
                scanned_at_ns: 0,
                root: None,
            };
            match self.ledger.register(vec![registration]).await.as_deref() {
                Ok([Registered::New(message) | Registered::Changed(message)]) => break Some(*message),
                // A lost answer, or a worker that met the object first.
                Ok(_) => break None,
                Err(error) => {
                    ensure!(began.elapsed() < REGISTER_MAX, "{name} was not registered: {error}");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        if let Some(message) = message {
            let _ = self.queue.enqueue(&[message]).await;
        }
        Ok(())
    }
}

/// The document of an object on the volume.
///
/// # Errors
/// The objects are elsewhere.
pub fn uri(objects: &ObjectsOptions, name: &str) -> Result<String> {
    let ObjectsOptions::Volume(root) = objects else { anyhow::bail!("objects are on a volume") };
    let root = root.to_str().context("a path that is text")?;
    Ok(format!("file://{root}/{name}"))
}
