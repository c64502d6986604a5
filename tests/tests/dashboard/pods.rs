//! The dashboard on `docmill-worker api`, with real servers: keys and tenants, two workers of which one drains, what an
//! operator told, and more concepts than a list shows at once.

use docmill_tests::services::http::{Client, form};
use docmill_tests::services::process::wait_until;
use serde_json::{Value, json};

use super::house::{CANARY, House, Running};
use super::letter;
use super::look::Look;

/// Letters of the first tenant that are read before anything is looked at.
const LETTERS: usize = 6;
/// Concepts beside those of the letters.
const CONCEPTS: u64 = 1_000;
/// A key as they are made, and nobody's.
const NOBODYS: &str = "docmill_0123456789ab_0123456789abcdef0123456789abcdef";
/// Presses the list's button as long as there is more, and says how much is listed then.
const LIST_ALL: &str = "(async () => {
  for (;;) {
    const more = document.querySelector('.concept-list .wide-button');
    if (!more || more.hidden) return document.querySelectorAll('.concepts li').length;
    more.click();
    await new Promise((done) => setTimeout(done, 20));
  }
})()";

fn look_at(api: &Running) -> Look {
    Look::at(&format!("http://127.0.0.1:{}", api.client(None).port))
}

fn upload(client: &Client, n: usize) {
    let (kind, body) = form(&[(&format!("letter-{n}.md"), letter(n).as_bytes())]);
    let answer = client.send("POST", "/v1/documents", &[("content-type", &kind)], &body).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn wait_committed(client: &Client, count: usize) {
    wait_until(&format!("{count} documents are read"), || {
        let found = client.get("/v1/documents?state=committed").json();
        found["documents"].as_array().is_some_and(|all| all.len() == count)
    });
}

/// Types a key into the form that asks for one.
fn give(look: &Look, key: &str) {
    look.page.wait("document.activeElement.id === 'key'").unwrap();
    look.page.write(key).unwrap();
    look.page.key("Enter").unwrap();
}

#[test]
fn a_key_is_asked_for_and_judged() {
    let house = House::new("");
    let [key, other] = ["default", "two"].map(|tenant| house.key(tenant, "read,write"));
    let api = house.api();
    upload(&api.client(Some(&key)), 1);
    let look = look_at(&api);
    let page = &look.page;

    page.wait("document.activeElement.id === 'key'").unwrap();
    look.in_every_look(|how| look.judge_refused(&format!("key-asked-{how}"), Some(401)));
    assert_eq!(look.text("main [role=alert]"), "", "nobody gave a wrong one");
    give(&look, NOBODYS);
    look.wait_text("main [role=alert]", "does not know this key");
    look.in_every_look(|how| look.judge_refused(&format!("key-wrong-{how}"), Some(401)));

    give(&look, &key);
    look.wait_live();
    look.open("documents", ".row");
    assert!(look.text("main .rows").contains("letter-1.md"));
    look.open("workers", ".blank");
    look.wait_text("main .blank", "scope admin");
    look.judge_refused("workers-no-admin", Some(403));

    // A view that asks nothing by itself, so that the next thing that is asked is asked below.
    look.open("search", ".blank");
    let _ = page.complaints();
    let id = key.split('_').nth(1).unwrap();
    house.sql(&format!("UPDATE api_keys SET expires_at_ms = now_ms() - 1 WHERE id = '{id}'"));
    wait_until("the key is over", || api.client(Some(&key)).get("/v1/documents").status == 401);
    page.eval("location.hash = '#/documents'").unwrap();
    look.wait_text("main [role=alert]", "expired");
    look.in_every_look(|how| look.judge_refused(&format!("key-over-{how}"), Some(401)));

    give(&look, &other);
    look.wait_live();
    look.open("documents", ".blank");
    let _ = page.complaints();
    look.judge("documents-of-another-tenant");
    page.size(1280, 800).unwrap();
    page.click(".nav-foot button").unwrap();
    page.wait("document.activeElement.id === 'key'").unwrap();
    assert_eq!(look.text("main [role=alert]"), "", "the key was good");
    assert_eq!(page.eval("sessionStorage.getItem('docmill-key')").unwrap(), Value::Null);
}

#[test]
fn workers_scaling_and_a_thousand_concepts_are_shown() {
    let house = House::new("");
    let admin = house.key("default", "read,write,admin");
    let other = house.key("two", "read,write");
    let api = house.api();
    let _workers = [house.worker(), house.worker()];
    let [client, guest] = [&admin, &other].map(|key| api.client(Some(key)));
    (1..=LETTERS).for_each(|n| upload(&client, n));
    wait_committed(&client, LETTERS);
    let look = look_at(&api);
    look.sign_in(&admin);

    look_at_workers(&house, &api, [&client, &guest], &look);
    look_at_scaling(&api, &look);
    look_at_concepts(&house, &client, &look);
    look.in_every_look(|how| {
        look.open("overview", ".tiles");
        look.page.wait("document.querySelector('main .late')").unwrap();
        look.judge(&format!("overview-pods-{how}"));
    });

    look.sign_in(&other);
    look.open("documents", ".row");
    assert_eq!(look.page.eval("document.querySelectorAll('.row').length").unwrap(), json!(2));
    look.judge("documents-of-two");
}

/// Two workers with documents of two tenants that cannot be committed for now, one of them ordered to take no more.
fn look_at_workers(house: &House, api: &Running, [client, guest]: [&Client; 2], look: &Look) {
    let both = || client.get("/v1/workers").json()["workers"].as_array().map_or(0, Vec::len) == 2;
    wait_until("two workers live", both);
    let held = house.hold("LOCK TABLE manifests IN EXCLUSIVE MODE");
    for n in [1, 2] {
        upload(guest, n);
        upload(client, LETTERS + n);
    }
    let work = || client.get("/v1/work").json()["items"].as_array().cloned().unwrap_or_default();
    wait_until("documents of both tenants are in work", || {
        let items = work();
        let is_there = |own: bool| items.iter().any(|item| item["document"].is_string() == own);
        is_there(true) && is_there(false)
    });
    let worker = work()[0]["worker"].as_str().unwrap().to_owned();
    let order = format!("/internal/v1/workers/{worker}/drain");
    assert_eq!(api.internal(Some(CANARY)).post(&order, &json!({})).status, 204);

    look.open("workers", ".workers");
    let pill =
        "[...document.querySelectorAll('.workers .pill')].some((one) => one.textContent === 'Draining')";
    look.page.wait(pill).unwrap();
    look.wait_text("main .workers", "another tenant's document");
    look.wait_text("main .statements", "manifests");
    look.in_every_look(|how| look.judge(&format!("workers-pods-{how}")));
    drop(held);
    wait_committed(client, LETTERS + 2);
    wait_committed(guest, 2);
}

fn look_at_scaling(api: &Running, look: &Look) {
    look.open("scaling", ".blank");
    // Nobody told anything yet, which the API says with this status.
    look.judge_refused("scaling-not-told", Some(404));
    let reasons = json!([
        {"code": "Backlog", "message": "24 documents wait, 8 for each worker: 3 workers"},
        {"code": "BudgetOfModel", "message": "500 requests a minute of OpenAI allow 4 workers"},
        {"code": "ScaleUpLimited", "message": "one worker more in 30 s at most"},
    ]);
    let told = json!({"desired": 3, "replicas": 2, "metric": 24, "reasons": reasons});
    assert_eq!(api.internal(Some(CANARY)).post("/internal/v1/scaling", &told).status, 204);
    look.wait_text("main .reasons", "24 documents wait");
    assert!(look.text("main .tiles").contains("1 worker to come"), "{}", look.text("main .tiles"));
    // What was refused before was asked before.
    let _ = look.page.complaints();
    look.in_every_look(|how| look.judge(&format!("scaling-told-{how}")));
}

fn look_at_concepts(house: &House, client: &Client, look: &Look) {
    house.sql(&format!(
        "WITH made AS (
           INSERT INTO concepts(tenant, canonical_name, display, kind)
           SELECT 'default', 'harbour of island ' || n, 'Harbour of Island ' || n, 'name'
           FROM generate_series(1, {CONCEPTS}) AS n RETURNING concept)
         INSERT INTO mentions(chunk, concept, count)
         SELECT (SELECT min(chunk::text)::uuid FROM evidence WHERE tenant = 'default'), concept, 1 FROM made"
    ));
    let total = client.get("/v1/concepts?limit=1").json()["total"].as_u64();
    assert!(total.is_some_and(|total| total > CONCEPTS), "{total:?}");
    look.in_every_look(|how| {
        look.open("concepts", ".graph");
        look.wait_text("main .concept-list", "Harbour of Island");
        // All of them once in each size and in each theme: the checker looks at every one.
        if how == "1280-light" || how == "390-dark" {
            assert_eq!(look.page.eval(LIST_ALL).unwrap().as_u64(), total);
            look.wait_text("#said", "concepts are listed");
        }
        look.judge(&format!("concepts-thousand-{how}"));
    });
}
