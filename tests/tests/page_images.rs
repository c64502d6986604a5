//! Pages as people look at them: drawn by a sandboxed extractor, for who may see the document alone, on both shapes.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used)]

#[path = "api/house.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod house;

use std::io::Cursor;
use std::time::{Duration, Instant};

use docmill_tests::corpus::{Writer, dense_pages, pdf};
use docmill_tests::services::http::{Answer, Client, form};
use docmill_tests::services::made_key::made_key;
use docmill_tests::services::process::wait_until;
use docmill_tests::services::s3::S3Server;
use docmill_tests::services::served::Served;
use house::House;

/// What a page that has no end is given, and what else a busy machine needs.
const GIVEN_UP: Duration = Duration::from_secs(25);
/// More than may wait at once.
const MANY: usize = 12;

fn upload(client: &Client, name: &str, bytes: &[u8]) -> String {
    let (kind, body) = form(&[(name, bytes)]);
    let accepted = client.send("POST", "/v1/documents", &[("content-type", &kind)], &body).unwrap();
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let document = accepted.json()["documents"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/documents/{document}");
    wait_until(&format!("{name} is committed"), || client.get(&path).json()["state"] == "committed");
    document
}

/// Two pages full of text.
fn two_pages() -> Vec<u8> {
    pdf(&dense_pages(&mut Writer::new(11), 2, Some("The first page of the report"), None))
}

/// A page with text that is read at once, under a pattern that is laid a million million times.
fn endless() -> Vec<u8> {
    let words = "(These words are read in no time at all) Tj T* ".repeat(4);
    let page = format!("BT /F 14 Tf 18 TL 60 780 Td {words}ET /Pattern cs /P scn 0 0 595 400 re f");
    let pattern = "/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 2 2]/XStep 0.0005/YStep 0.0005\
                   /Resources<<>>";
    let stream =
        |entries: &str, data: &str| format!("<<{entries}/Length {}>>stream\n{data}\nendstream", data.len());
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Count 1/Kids[4 0 R]>>".to_owned(),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R\
         /Resources<</Font<</F 3 0 R>>/Pattern<</P 6 0 R>>>>>>"
            .to_owned(),
        stream("", &page),
        stream(pattern, "0 0 1 1 re f"),
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(&objects) {
        offsets.push(file.len());
        file += &format!("{number} 0 obj\n{object}\nendobj\n");
    }
    let table = file.len();
    file += &format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        file += &format!("{offset:010} 00000 n \n");
    }
    file += &format!("trailer<</Size {}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    file.into_bytes()
}

/// Width and height of a picture, and how much of it is dark, in percent.
fn looked_at(png: &[u8]) -> (u32, u32, usize) {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
    let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut buffer).unwrap();
    let pixels = buffer.chunks_exact(frame.color_type.samples());
    let count = pixels.len();
    let dark = pixels.filter(|pixel| pixel.iter().all(|&sample| sample < 128)).count();
    (frame.width, frame.height, dark * 100 / count)
}

fn image(client: &Client, document: &str, page: u32, headers: &[(&str, &str)]) -> Answer {
    client.send("GET", &format!("/v1/documents/{document}/pages/{page}/image"), headers, b"").unwrap()
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

/// What holds on every shape, for the tenant's client and somebody else's.
fn judge(client: &Client, stranger: &Client) {
    let report = upload(client, "report.pdf", &two_pages());
    let shown = client.get(&format!("/v1/documents/{report}/pages/1")).json();
    assert_eq!((&shown["hasImage"], shown.get("noImage")), (&true.into(), None), "{shown}");
    let first = image(client, &report, 1, &[]);
    assert_eq!((first.status, first.header("content-type")), (200, Some("image/png")), "{}", first.text());
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    assert_eq!(first.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    let (width, height, dark) = looked_at(first.body());
    assert_eq!((width, height), (848, 1_200));
    assert!((2..50).contains(&dark), "{dark} % of a page of text is dark");
    let second = image(client, &report, 2, &[]);
    assert!(second.status == 200 && second.body() != first.body());
    let tag = first.header("etag").unwrap();
    assert_ne!(second.header("etag"), Some(tag));
    let known = image(client, &report, 1, &[("if-none-match", tag)]);
    assert_eq!((known.status, known.body().len(), known.header("etag")), (304, 0, Some(tag)));
    assert_eq!(code(&image(client, &report, 3, &[])), (404, "not_found".to_owned()));

    // To somebody else it is as if it were nowhere, whatever they know of it.
    let nobodys = "00000000-0000-5000-8000-000000000000";
    for headers in [&[][..], &[("if-none-match", tag)], &[("if-none-match", "*")]] {
        let theirs = image(stranger, &report, 1, headers);
        let none = image(stranger, nobodys, 1, headers);
        assert_eq!(theirs.status, 404);
        assert_eq!(theirs.text().replace(&report, nobodys), none.text());
    }

    let letter = upload(client, "letter.txt", b"A letter has words and no pages that could be drawn.");
    let text = client.get(&format!("/v1/documents/{letter}/pages/1")).json();
    assert_eq!(text["hasImage"], false);
    assert!(text["noImage"].as_str().unwrap().contains("archive or a mail"), "{text}");
    assert_eq!(code(&image(client, &letter, 1, &[])), (404, "no_page_image".to_owned()));

    // One page that has no end: it is given up, those who wait for it are told so, and more than may are sent away.
    let endless = upload(client, "endless.pdf", &endless());
    let begun = Instant::now();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..MANY).map(|_| scope.spawn(|| image(client, &endless, 1, &[]))).collect();
        asking.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    assert!(begun.elapsed() < GIVEN_UP, "{:?}", begun.elapsed());
    let (busy, given_up): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == 503);
    assert!(!busy.is_empty() && !given_up.is_empty(), "{} {}", busy.len(), given_up.len());
    for answer in busy {
        assert_eq!((code(answer).1.as_str(), answer.header("retry-after")), ("drawing_busy", Some("2")));
    }
    for answer in given_up {
        assert_eq!(code(answer), (404, "no_page_image".to_owned()));
        assert!(answer.text().contains("within 5000 ms"), "{}", answer.text());
    }
    // The next one is drawn, from a file of its own.
    let other = upload(client, "other.pdf", &pdf(&[vec!["Another page of another document".to_owned()]]));
    assert_eq!(image(client, &other, 1, &[]).status, 200);

    let deleted = client.send("DELETE", &format!("/v1/documents/{report}"), &[], b"").unwrap();
    assert_eq!(deleted.status, 202);
    wait_until("the deletion", || image(client, &report, 1, &[("if-none-match", tag)]).status == 404);
}

#[test]
fn pages_are_drawn_on_one_machine() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let [one, two] = ["one", "two"].map(|tenant| made_key(&data, tenant, &["read", "write"], None));
    let served = Served::on(&data, &[], &[("USE_MOCK_EMBEDDINGS", "1")]);
    judge(&served.client_with(Some(one)), &served.client_with(Some(two)));
    served.end();
}

#[test]
fn pages_are_drawn_by_the_api_of_a_cluster() {
    let server = S3Server::start();
    let house = House::new("").with_bucket(&server.fresh());
    let [one, two] = ["one", "two"].map(|tenant| house.key(tenant, "read,write"));
    let api = house.api();
    let _worker = house.worker();
    judge(&api.client(Some(&one)), &api.client(Some(&two)));
}

/// A file that was taken in where it lies is shown as it was read, or not at all; and a picture is shown as it is.
#[test]
fn a_file_that_changed_is_not_shown_for_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let docs = dir.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    let report = docs.join("report.pdf");
    std::fs::write(&report, two_pages()).unwrap();
    let watched = docs.to_str().unwrap();
    let served =
        Served::on(&dir.path().join("data"), &["--watch", watched], &[("USE_MOCK_EMBEDDINGS", "1")]);
    let client = served.client();
    let only = || client.get("/v1/documents?state=committed").json()["documents"][0]["id"].clone();
    wait_until("what is watched is committed", || only().is_string());
    let document = only().as_str().unwrap().to_owned();
    let first = image(&client, &document, 1, &[]);
    assert_eq!(first.status, 200, "{}", first.text());

    // Handed in, the picture of a page is a document: it is read, and shown byte by byte.
    let picture = upload(&client, "page.png", first.body());
    let shown = image(&client, &picture, 1, &[]);
    assert_eq!((shown.status, shown.header("content-type")), (200, Some("image/png")), "{}", shown.text());
    assert!(shown.body() == first.body());

    // Another content takes the place of the first; until it is read there is no image that is not of the text.
    let before = first.header("etag").unwrap().to_owned();
    std::fs::write(&report, pdf(&[vec!["A shorter report took its place".to_owned()]])).unwrap();
    wait_until("the newer content is shown", || {
        let page = client.get(&format!("/v1/documents/{document}/pages/1")).json();
        let now = image(&client, &document, 1, &[]);
        assert!(now.status == 404 || looked_at(now.body()).2 < 50, "{}", now.status);
        page["pages"] == 1 && now.status == 200 && now.header("etag") != Some(before.as_str())
    });
    std::fs::remove_file(&report).unwrap();
    served.end();
}
