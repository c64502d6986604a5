//! Entries that wait for their time where no worker runs: the operator sees which are due, and the API alone makes
//! them wait for a worker when their time has come.

use docmill_tests::services::process::wait_until;
use docmill_tests::services::redis::prefix;
use docmill_worker::queue::redis::Keys;
use docmill_worker::queue::{DUE_WITHIN_MS, Queue};
use serde_json::{Value, json};

use super::house::{CANARY, House};
use super::{first_id, prose, upload};

/// Within the minute, and longer than the test looks before it makes the time come.
const SOON_MS: u64 = DUE_WITHIN_MS - 5_000;
/// Far beyond the minute.
const LATER_MS: u64 = 60 * DUE_WITHIN_MS;

#[test]
fn without_workers_what_is_due_is_told_and_promoted() {
    let house = House::new("");
    let key = house.key("default", "read,write,admin");
    let api = house.api();
    let (client, internal) = (api.client(Some(&key)), api.internal(Some(CANARY)));
    for n in 0..3 {
        first_id(&upload(&client, "/v1/documents", "a.txt", &prose(n), &[]));
    }
    let counts = |lane: &Value| {
        ["waiting", "inFlight", "delayed", "due"].map(|name| lane[name].as_u64().unwrap_or(u64::MAX))
    };
    let observed = || {
        let line = internal.first_line("/internal/v1/observations?intervalMs=100").unwrap();
        let observed: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(observed["workers"], json!([]));
        counts(&observed["lanes"][0])
    };
    wait_until("all wait", || observed() == [3, 0, 0, 0]);
    // As a worker gives entries back whose failure may pass by itself; it is gone after that.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = house.redis.queue();
        let deliveries = queue.receive("who is gone", 0, 3).await.unwrap();
        for (delivery, after_ms) in deliveries.iter().zip([0, SOON_MS, LATER_MS]) {
            assert!(queue.release(delivery, after_ms).await.unwrap());
        }
    });
    assert_eq!(observed(), [1, 0, 2, 1]);
    assert_eq!(counts(&client.get("/v1/queues").json()["lanes"][0]), [1, 0, 2, 1]);
    // Nobody wants to wait for a minute: the time of the next one is made to come.
    let keys = Keys::new(&prefix());
    let delayed = keys.of_scripts().iter().find(|key| key.ends_with(":small:delayed")).unwrap();
    let mut admin = house.redis.admin();
    let next: Vec<String> = redis::cmd("ZRANGE").arg(delayed).arg(0).arg(0).query(&mut admin).unwrap();
    let earlier = -i64::try_from(SOON_MS).unwrap();
    redis::cmd("ZINCRBY").arg(delayed).arg(earlier).arg(&next[0]).exec(&mut admin).unwrap();
    wait_until("it was promoted", || observed() == [2, 0, 1, 0]);
    api.ends_well();
}
