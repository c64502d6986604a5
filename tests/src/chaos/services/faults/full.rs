//! Disks that are full for a time.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::block_in_place;

use super::{Disk, House};

/// Between two looks for bytes that were freed.
const FILL_EVERY: Duration = Duration::from_millis(50);

/// Full until it is felt and for `long` from then on; then there is room again, and what ended is started as
/// the runbook says.
pub async fn full(house: &House, disk: Disk, long: Duration) -> Result<()> {
    let disks = &house.disks;
    let filled = match disk {
        Disk::Redis => &disks.redis,
        Disk::Postgres => &disks.postgres,
        Disk::Objects => &disks.objects,
        Disk::Scratch => &disks.scratch,
    };
    let later = house.uploader.noted().later;
    let felt = async || match disk {
        Disk::Redis => house.redis.ended(),
        Disk::Postgres | Disk::Objects => house.uploader.noted().later > later,
        Disk::Scratch => {
            let waits = "SELECT count(*) FROM documents WHERE state = 'queued' AND transient_failures > 0";
            house.look.number(waits).await.is_ok_and(|waiting| waiting > 0)
        }
    };
    house
        .until("a full disk that is felt", async || {
            let _ = block_in_place(|| filled.fill());
            felt().await
        })
        .await?;
    let began = Instant::now();
    while began.elapsed() < long {
        block_in_place(|| filled.fill())?;
        tokio::time::sleep(FILL_EVERY).await;
    }
    filled.free()?;
    match disk {
        Disk::Redis => block_in_place(|| house.redis.start_again()),
        Disk::Postgres => {
            // It may still be about to end over what it could not write.
            house
                .until("the ledger's server", async || {
                    if house.postgres.ended().unwrap_or(false) {
                        let _ = block_in_place(|| house.postgres.restart());
                    }
                    house.look.number("SELECT 1::bigint").await.is_ok()
                })
                .await?;
        }
        Disk::Objects | Disk::Scratch => {}
    }
    Ok(())
}
