//! The dashboard as people see and use it: in a real browser, with the page's policy on, here on a real `docmill serve`
//! and in `dashboard/pods.rs` on an API with its servers and workers. Pictures of each state are left in
//! `out/dashboard`; `UPDATE_SCREENSHOTS=1` also writes the README's.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

#[path = "api/house.rs"]
#[allow(dead_code, reason = "tests of the API need more of it")]
mod house;
#[path = "dashboard/look.rs"]
mod look;
#[path = "dashboard/pods.rs"]
mod pods;

use docmill_tests::services::http::{Client, form};
use docmill_tests::services::process::wait_until;
use docmill_tests::services::served::Served;
use look::{Look, SIZES, root};
use serde_json::{Value, json};

/// What the pure modules answer, told by the page itself.
const PURE: &str = include_str!("dashboard/pure.js");
/// Views with what is there once they are.
const VIEWS: [(&str, &str); 10] = [
    ("overview", ".tiles"),
    ("documents", ".row"),
    ("batches", ".row"),
    ("letters", ".row"),
    ("workers", ".workers, .blank"),
    ("scaling", ".blank"),
    ("search?q=barometer&explain=true", ".hit"),
    ("ask", ".blank, .turn"),
    ("concepts", ".graph, .blank"),
    ("nowhere", "h1"),
];
/// Views whose content is fetched.
const FETCHED: [&str; 6] = ["documents", "batches", "letters", "workers", "search?q=barometer", "concepts"];
/// Rows of a list that are in the document at most.
const ROWS_MAX: u64 = 60;
/// A name that would do something if it were read as anything but a name, with a character that
/// nobody sees. (Those that turn the direction of writing are refused at upload.)
const HOSTILE: &str = "<img src=x onerror=window.done=1>\u{200b}png.txt";
/// Begins as a PDF does, and is none.
const BROKEN: &[u8] = b"%PDF-1.7\nthis is where a document would be\n%%EOF\n";

/// A server with documents, and a page on it.
struct House {
    served: Served,
    client: Client,
    look: Look,
}

impl std::ops::Deref for House {
    type Target = Look;

    fn deref(&self) -> &Look {
        &self.look
    }
}

impl House {
    fn new() -> Self {
        let served = Served::start_with(&[], &[("USE_MOCK_EMBEDDINGS", "1")]);
        let look = Look::at(&served.base);
        look.wait_live();
        Self { client: served.client(), served, look }
    }

    /// With documents, one that cannot be read, and a batch.
    fn with_documents() -> Self {
        let house = Self::new();
        let batch = house.client.post("/v1/batches", &json!({"name": "Letters of the harbour"}));
        assert_eq!(batch.status, 202, "{}", batch.text());
        let batch = batch.json()["id"].as_str().unwrap().to_owned();
        let letters: Vec<(String, String)> =
            (1..=12).map(|n| (format!("letter-{n}.md"), letter(n))).collect();
        let mut files: Vec<(&str, &[u8])> =
            letters.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
        files.push((HOSTILE, b"A name may say anything: the barometer of Port Ellen does not mind."));
        files.push(("broken.pdf", BROKEN));
        let (kind, body) = form(&files);
        let path = format!("/v1/documents?batch={batch}");
        let answer = house.client.send("POST", &path, &[("content-type", &kind)], &body).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        wait_until("all documents settle", || {
            let batch = house.client.get(&format!("/v1/batches/{batch}")).json();
            batch["state"] == "done" && batch["documents"]["failed"] == 1
        });
        // The overview counts anew each few seconds.
        house
            .page
            .wait("document.querySelector('#nav [data-view=letters] .badge').textContent.startsWith('1')")
            .unwrap();
        house
    }
}

fn letter(n: usize) -> String {
    format!(
        "# Letter {n} from the harbour\n\nDear Eilidh Macleod, the barometer at Port Ellen fell all night, and in the \
         morning the lighthouse keeper wrote letter {n} about it. The barometer stands in the harbour office. The \
         harbour office of Port Ellen keeps the log of the lighthouse.\n"
    )
}

fn file_name(view: &str) -> &str {
    view.split('?').next().unwrap()
}

#[test]
fn every_view_is_for_everybody() {
    let house = House::with_documents();
    house.in_every_look(|look| {
        for (view, there) in VIEWS {
            house.open(view, there);
            house.page.wait("!document.querySelector('main .skeleton')").unwrap();
            house.judge(&format!("{}-{look}", file_name(view)));
        }
        // Rare states once in each size and once in each theme.
        if look != "1280-light" && look != "390-dark" {
            return;
        }
        house.pretend("thousand");
        for list in ["documents", "batches", "letters"] {
            house.open(list, ".row");
            house.judge(&format!("{list}-thousand-{look}"));
        }
        for how in ["loading", "problem"] {
            house.pretend(how);
            for view in FETCHED {
                house.open(view, if how == "loading" { ".skeleton" } else { ".trouble" });
                house.judge(&format!("{}-{how}-{look}", file_name(view)));
            }
        }
        house.pretend("real");
    });
    if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
        let (width, height) = SIZES[0];
        house.page.size(width, height).unwrap();
        house.page.dark(false).unwrap();
        house.open("overview", ".tiles");
        house.page.wait("document.querySelector('main .late')").unwrap();
        house.page.screenshot(&root().join("docs/dashboard.png")).unwrap();
    }
}

#[test]
fn nothing_is_there_at_first() {
    let house = House::new();
    for (width, height) in SIZES {
        house.page.size(width, height).unwrap();
        for view in ["overview", "documents", "batches", "letters", "concepts", "search", "ask"] {
            house.open(view, ".blank");
            house.judge(&format!("{view}-empty-{width}"));
        }
    }
    assert_eq!(house.page.eval(PURE).unwrap(), json!([]), "the pure modules");
    let foreign = |url: &String| !url.starts_with(&house.served.base) && !url.starts_with("about:");
    assert!(!house.page.requests().iter().any(foreign), "the page asks nobody else");
}

#[test]
fn documents_are_handed_in_and_looked_at() {
    let house = House::with_documents();
    let (page, dir) = (&house.page, tempfile::tempdir().unwrap());
    let file = dir.path().join("tide table.md");
    std::fs::write(&file, "# Tides\n\nThe spring tide at Bowmore comes with the full moon of March.\n")
        .unwrap();

    page.choose("#files", &[&file]).unwrap();
    page.wait("document.querySelector('#tray .upload.good')").unwrap();
    house.judge("uploaded");
    house.wait_text("#tray .upload.good", "Searchable after");
    page.click("#tray .upload a").unwrap();
    house.wait_text("main .page-text", "spring tide at Bowmore");
    house.judge("document");
    page.click("#tray button").unwrap();

    let newest = house.client.get("/v1/documents?limit=1").json()["documents"][0]["id"].clone();
    house.open("search?q=spring%20tide", ".hit");
    page.click(&format!("main .hit[data-document={newest}] a")).unwrap();
    house.wait_text("main .page-text mark", "spring tide");

    house.open("documents", ".row");
    let shown = house.text("main .rows");
    assert!(shown.contains("tide table.md") && shown.contains("<img src=x onerror"), "{shown}");
    assert!(shown.contains("⟦U+200B⟧"), "what cannot be seen is shown: {shown}");
    let did = page.eval("[window.done ?? 0, document.querySelectorAll('main img').length]").unwrap();
    assert_eq!(did, json!([0, 0]), "names are names");
}

#[test]
fn answers_lead_to_their_pages() {
    let house = House::with_documents();
    let page = &house.page;
    house.open("ask", ".blank");
    page.click("#question").unwrap();
    page.write("Where does the barometer stand?").unwrap();
    page.key("Enter").unwrap();
    page.wait("document.querySelector('.turn[data-state=done]')").unwrap();
    house.judge("answered");
    assert!(house.text(".answer").contains("no model wrote it"), "{}", house.text(".answer"));
    page.click(".answer-text .cite").unwrap();
    house.wait_text("main .page-text", "barometer");
    page.wait("document.querySelector('main .page-text mark')").unwrap();
    house.judge("cited");
    page.eval("history.back()").unwrap();
    page.wait("document.querySelector('.turn[data-state=done] .cite')").unwrap();
}

#[test]
fn work_is_cancelled_and_done_again() {
    let house = House::with_documents();
    let page = &house.page;
    house.pretend("running");
    house.open("batches", ".row");
    page.click("main .row a").unwrap();
    page.click("main .detail .danger").unwrap();
    house.wait_text("main .detail .danger", "Cancel");
    let asked = "sent.filter(one => one.method === 'POST' && one.path.endsWith('/cancel'))";
    assert_eq!(page.eval(&format!("{asked}.length")).unwrap(), json!(0), "it is asked for twice");
    page.click("main .detail .danger").unwrap();
    page.wait(&format!("{asked}.length === 1")).unwrap();
    house.wait_text("#said", "cancelled");
    house.pretend("real");

    house.open("letters", ".row");
    page.click("main .row a").unwrap();
    house.wait_text("main .detail", "What to do");
    house.judge("letter");
    page.click("main .detail .strong").unwrap();
    house.wait_text("#said", "queued again");
    // It cannot be read this time either.
    let count =
        || house.client.get("/v1/dead-letters").json()["deadLetters"].as_array().map_or(0, Vec::len);
    wait_until("the dead letter is there again", || count() == 1);
}

#[test]
fn keys_are_enough() {
    let house = House::with_documents();
    let page = &house.page;
    for (first, second, view) in
        [("g", "d", "documents"), ("g", "b", "batches"), ("g", "o", "overview"), ("g", "d", "documents")]
    {
        page.key(first).unwrap();
        page.key(second).unwrap();
        page.wait(&format!("document.querySelector('main').dataset.view === '{view}'")).unwrap();
        page.wait("document.activeElement.tagName === 'H1'").unwrap();
    }
    house.pretend("thousand");
    house.open("documents", ".row");
    page.eval("document.querySelector('.row a').focus()").unwrap();
    for _ in 0..3 {
        page.key("ArrowDown").unwrap();
    }
    let at = "Number(document.activeElement.closest('li')?.dataset.at ?? -1)";
    page.wait(&format!("{at} === 3")).unwrap();
    // To the end of a list that is fetched as one comes near it.
    page.wait(
        "(() => { scrollTo(0, document.documentElement.scrollHeight); \
               return document.querySelector('.foot').textContent === '1,000 documents'; })()",
    )
    .unwrap();
    page.key("End").unwrap();
    page.wait(&format!("{at} === 999")).unwrap();
    let rows = page.eval("document.querySelectorAll('.row').length").unwrap();
    assert!(rows.as_u64().is_some_and(|rows| (1..=ROWS_MAX).contains(&rows)), "{rows}");
    house.judge("documents-end");
    page.key("?").unwrap();
    page.wait("document.querySelector('dialog[open]')").unwrap();
    house.judge("keys");
    page.key("Escape").unwrap();
    page.wait("!document.querySelector('dialog')").unwrap();

    house.pretend("real");
    house.open("concepts", ".graph");
    let name = house.text("main .stage h2");
    page.eval("document.querySelector('.graph-box').focus()").unwrap();
    page.key("ArrowDown").unwrap();
    house.judge("concepts-chosen");
    page.key("Enter").unwrap();
    page.wait(&format!(
        "(document.querySelector('main .stage h2')?.textContent ?? {0}) !== {0}",
        json!(name)
    ))
    .unwrap();
}

#[test]
fn what_is_away_is_said() {
    let house = House::with_documents();
    let page = &house.page;
    house.open("overview", ".tiles");
    house.served.kill();
    house.wait_text("#line", "No word since");
    house.picture("overview-lost");
    house.served.start_again();
    page.wait("document.querySelector('#line').dataset.state === 'live'").unwrap();

    house.pretend("keyless");
    house.open_key_form();
    // The browser tells of each connection that it did not get.
    let _ = page.complaints();
    house.judge("key");
    page.write("docmill_a_key").unwrap();
    page.key("Enter").unwrap();
    page.wait("document.querySelector('main').dataset.view === 'documents'").unwrap();
    let shown = page.eval("sent.at(-1).headers.authorization").unwrap();
    assert_eq!(shown, Value::from("Bearer docmill_a_key"));
}

impl House {
    /// Goes to a view while no key is known.
    fn open_key_form(&self) {
        self.page.eval("location.hash = '#/documents'").unwrap();
        self.page.wait("document.querySelector('main').dataset.view === 'key'").unwrap();
        self.page.wait("document.activeElement.id === 'key'").unwrap();
    }
}

#[test]
fn the_page_has_its_head() {
    let served = Served::start();
    let nobody = served.client_with(None);
    let page = nobody.get("/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.text().contains(&served.token()), "the page of this machine may make changes");
    for foreign in
        [("host", "evil.example"), ("origin", "https://evil.example"), ("sec-fetch-dest", "iframe")]
    {
        let answer = nobody.send("GET", "/", &[foreign], b"").unwrap();
        assert!(!answer.text().contains(&served.token()), "{foreign:?}");
    }
    let text = page.text();
    let script =
        text.split("src=\"/assets/app.js?v=").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let kept = nobody.get(&format!("/assets/app.js?v={script}"));
    assert_eq!(kept.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(nobody.get("/assets/app.js?v=old").header("cache-control"), Some("no-store"));
    for missing in ["/assets/index.html", "/assets/..", "/assets/%2e%2e%2fapp.js"] {
        assert_eq!(nobody.get(missing).status, 404, "{missing}");
    }
}
