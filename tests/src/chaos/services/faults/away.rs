//! Servers that are away for a time.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::block_in_place;

use super::{House, Store};

/// Away for `long`; only that server is started again.
pub async fn away(house: &House, store: Store, long: Duration) -> Result<()> {
    let hidden = house.volume().with_extension("away");
    let before = house.uploader.noted();
    match store {
        Store::Redis => block_in_place(|| house.redis.kill()),
        Store::Postgres => block_in_place(|| house.postgres.kill())?,
        Store::Neo4j => block_in_place(|| house.neo4j.kill()),
        Store::Objects => std::fs::rename(house.volume(), &hidden)?,
    }
    tokio::time::sleep(long).await;
    let meanwhile = house.uploader.noted();
    match store {
        Store::Redis => block_in_place(|| house.redis.start_again()),
        Store::Postgres => block_in_place(|| house.postgres.restart())?,
        Store::Neo4j => block_in_place(|| house.neo4j.start_again()),
        Store::Objects => std::fs::rename(&hidden, house.volume())?,
    }
    match store {
        // Documents are durable without them.
        Store::Redis | Store::Neo4j => {
            ensure!(meanwhile.accepted > before.accepted, "nothing was accepted while {store:?} was away");
        }
        Store::Postgres | Store::Objects => {
            ensure!(
                meanwhile.later > before.later,
                "nobody was asked to come later while {store:?} was away"
            );
        }
    }
    Ok(())
}
