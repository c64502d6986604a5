//! What nobody needs any more: objects of contents that no document has, answers and usage of days gone by,
//! workers that died long ago; and what a process left half done that died while it cancelled a batch.

use std::time::Duration;

use super::upload::FOLDER;
use crate::clock::{Clock, SystemClock};
use crate::desk::{Desk, Error};
use crate::objects::{ObjectKey, Objects, PAGE_MAX};
use crate::postgres::Database;

/// Time between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(30);
/// How long an upload stays that no document needs, in milliseconds.
const UNUSED_MS: u64 = 3_600_000;
/// Objects of one round.
const OBJECTS: i64 = 500;
/// How long an object stays that no row names, in milliseconds: longer than from its end to its row.
const UNNAMED_MS: u64 = 86_400_000;
/// The name of the lock.
const LOCK: &str = "api-sweep";

/// Sweeps until it is dropped; of several processes one does it at a time.
pub async fn run(database: Database, objects: Option<Objects>) {
    // A page a round: what a killed process left is no hurry.
    let mut after = None;
    loop {
        match database.alone(LOCK, Box::pin(round(&database, objects.as_ref(), &mut after))).await {
            Ok(Some(Err(error))) => tracing::warn!(%error, "sweeping is behind"),
            Err(error) => tracing::warn!(%error, "sweeping is behind"),
            Ok(_) => {}
        }
        tokio::time::sleep(ROUND_EVERY).await;
    }
}

/// One round. `after` is where the look at objects that nobody names goes on.
///
/// # Errors
/// The ledger failed; the next round does what this one did not.
pub(crate) async fn round(
    desk: &dyn Desk,
    objects: Option<&Objects>,
    after: &mut Option<ObjectKey>,
) -> Result<(), Error> {
    desk.finish_cancels().await?;
    desk.forget_answers().await?;
    desk.forget_dead_workers().await?;
    let Some(objects) = objects else { return Ok(()) };
    let doomed = desk.doomed_objects(UNUSED_MS, OBJECTS).await?;
    let mut gone = Vec::with_capacity(doomed.len());
    for name in doomed {
        let Ok(key) = ObjectKey::new(&name) else { continue };
        match objects.delete(&key).await {
            Ok(()) => gone.push(name),
            Err(error) => tracing::info!(%error, "an object stays for the next round"),
        }
    }
    desk.forget_objects(&gone).await?;
    *after = unnamed(desk, objects, after.take()).await?;
    Ok(())
}

/// Removes what a process left that was killed between an object and its row, on the next page of the list.
/// Returns where to go on; none: from the start.
async fn unnamed(
    desk: &dyn Desk,
    objects: &Objects,
    after: Option<ObjectKey>,
) -> Result<Option<ObjectKey>, Error> {
    let Ok(folder) = ObjectKey::new(FOLDER) else { return Ok(None) };
    let page = match objects.list(Some(&folder), after.as_ref(), PAGE_MAX).await {
        Ok(page) => page,
        Err(error) => {
            tracing::debug!(%error, "uploads are not listed");
            return Ok(None);
        }
    };
    let now_ms = SystemClock.now_ms();
    let old = page.iter().filter(|meta| meta.modified_ms.saturating_add(UNNAMED_MS) < now_ms);
    let old: Vec<String> = old.map(|meta| meta.key.to_string()).collect();
    for name in desk.unknown_objects(&old).await? {
        if let Ok(key) = ObjectKey::new(name)
            && let Err(error) = objects.delete(&key).await
        {
            tracing::info!(%error, "an object stays for another round");
        }
    }
    let last = page.last().map(|meta| meta.key.clone());
    Ok(last.filter(|_| page.len() == PAGE_MAX))
}
