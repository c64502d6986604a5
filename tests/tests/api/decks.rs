//! Presentations by `/ingest/pptx`, through an API and a worker as pods run them.

use docmill_tests::services::decks;

use super::house::House;

#[test]
fn ten_presentations_come_at_once() {
    let house = House::new("");
    let key = house.key("default", "read,write");
    let (api, _worker) = (house.api(), house.worker());
    decks::ten_at_once(&api.client(Some(&key)));
    api.ends_well();
}
