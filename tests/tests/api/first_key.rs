//! A key that is there from the start, as whoever makes a pipeline gives it to the API.

use docmill_tests::services::process::wait_until;
use docmill_worker::api::keys::generate;

use super::house::House;
use super::{first_id, prose, upload};

#[test]
fn the_first_key_is_known_from_the_start_and_stays_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let [key, next] = [generate().unwrap(), generate().unwrap()].map(|made| made.key.expose().to_owned());
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let house = House::new(&format!("  firstKeyFile: {}\n", file.display()));
    // Two that start at once.
    let both = [house.begin("api"), house.begin("api")];
    for api in &both {
        api.wait_status("/readyz", 200);
        let client = api.client(Some(&key));
        // It reads, writes, and sees what is all tenants'; and it is not this machine's alone.
        let from_afar = client.send("GET", "/v1/documents", &[("host", "docs.example")], b"").unwrap();
        assert_eq!((from_afar.status, client.get("/v1/queues").status), (200, 200));
        first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[]));
        assert_eq!(api.client(None).get("/v1/documents").status, 401);
    }
    assert_eq!((house.count("api_keys"), house.token_file().exists()), (1, false));
    for api in both {
        api.ends_well();
    }
    let api = house.api();
    assert_eq!((api.client(Some(&key)).get("/v1/documents").status, house.count("api_keys")), (200, 1));
    house.revoke(&key);
    wait_until("the revocation", || api.client(Some(&key)).get("/v1/documents").status == 401);
    api.ends_well();
    let api = house.api();
    assert_eq!((api.client(Some(&key)).get("/v1/documents").status, house.count("api_keys")), (401, 1));
    api.ends_well();
    // Another in its place is known beside it.
    std::fs::write(&file, &next).unwrap();
    let api = house.api();
    assert_eq!((api.client(Some(&next)).get("/v1/documents").status, house.count("api_keys")), (200, 2));
    api.ends_well();
    house.nothing_leaked(&[&key, &next]);
}

#[test]
fn what_is_no_key_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "docmill_Ab_hunter2").unwrap();
    let house = House::new(&format!("  firstKeyFile: {}\n", file.display()));
    let api = house.begin("api");
    wait_until("it says why", || api.log().contains("api.firstKeyFile"));
    assert!(api.log().contains("64 digits"), "{}", api.log());
    house.nothing_leaked(&["hunter2"]);
}
