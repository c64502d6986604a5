//! What nobody needs any more: objects of contents that no document has, answers and usage of days gone by,
//! workers that died long ago; and what a process left half done that died while it cancelled a batch.

use std::time::Duration;

use crate::objects::{ObjectKey, Objects};
use crate::postgres::{Database, Error};

/// Time between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(30);
/// How long an upload stays that no document needs, in milliseconds.
const UNUSED_MS: u64 = 3_600_000;
/// Objects of one round.
const OBJECTS: i64 = 500;
/// The name of the lock.
const LOCK: &str = "api-sweep";

/// Sweeps until it is dropped; of several processes one does it at a time.
pub async fn run(database: Database, objects: Option<Objects>) {
    loop {
        match database.alone(LOCK, Box::pin(round(&database, objects.as_ref()))).await {
            Ok(Some(Err(error))) | Err(error) => tracing::warn!(%error, "sweeping is behind"),
            Ok(_) => {}
        }
        tokio::time::sleep(ROUND_EVERY).await;
    }
}

async fn round(database: &Database, objects: Option<&Objects>) -> Result<(), Error> {
    database.finish_cancels().await?;
    database.forget_answers().await?;
    database.forget_dead_workers().await?;
    let Some(objects) = objects else { return Ok(()) };
    let doomed = database.doomed_objects(UNUSED_MS, OBJECTS).await?;
    let mut gone = Vec::with_capacity(doomed.len());
    for name in doomed {
        let Ok(key) = ObjectKey::new(&name) else { continue };
        match objects.delete(&key).await {
            Ok(()) => gone.push(name),
            Err(error) => tracing::info!(%error, "an object stays for the next round"),
        }
    }
    database.forget_objects(&gone).await.map(drop)
}
