//! The text of a page beside its image, as people see and use it: in a real browser, on a real `docmill serve`.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used)]

#[path = "dashboard/look.rs"]
#[allow(dead_code, reason = "tests of all views need more of it")]
mod look;

use docmill_tests::browser::Page;
use docmill_tests::corpus::{Writer, dense_pages, pdf};
use docmill_tests::services::http::form;
use docmill_tests::services::process::wait_until;
use docmill_tests::services::served::Served;
use look::Look;
use serde_json::json;

/// Images that are not there, in the words of the server.
const TORN: &str = "window.fetch = ((real) => (path, options) => String(path).endsWith('/image') \
    ? Promise.resolve(new Response(JSON.stringify({status: 404, code: 'no_page_image', \
      detail: 'there is no picture of this page: it is torn', whatToDo: 'show its text'}), {status: 404})) \
    : real(path, options))(window.fetch.bind(window)), true";

/// Where the image and the text begin: from the left, from the top.
fn places(page: &Page) -> [f64; 4] {
    let at = "['.page-image', '.page-text'].map((one) => document.querySelector(one).getBoundingClientRect())\
              .flatMap((one) => [one.left, one.top])";
    serde_json::from_value(page.eval(at).unwrap()).unwrap()
}

#[test]
fn the_text_of_a_page_stands_beside_its_image() {
    let served = Served::start();
    let client = served.client();
    let file = pdf(&dense_pages(&mut Writer::new(5), 3, Some("The first page of the report"), None));
    let (kind, body) = form(&[("report.pdf", &file)]);
    let answer = client.send("POST", "/v1/documents", &[("content-type", &kind)], &body).unwrap();
    let document = answer.json()["documents"][0]["id"].as_str().unwrap().to_owned();
    wait_until("a commit", || {
        client.get(&format!("/v1/documents/{document}")).json()["state"] == "committed"
    });

    let look = Look::at_view(&served.base, &format!("#/document/{document}"));
    let page = &look.page;
    let drawn = |number: u32| {
        let alt = json!(format!("Page {number} of "));
        page.wait(&format!(
            "(() => {{ const image = document.querySelector('.page-image img'); \
             return image?.alt.startsWith({alt}) && image.complete && image.naturalHeight === 1200; }})()"
        ))
        .unwrap();
        // Loaded is not yet to be seen: it is decoded beside.
        let shown = "(() => { const image = document.querySelector('.page-image img'); image.decode().then(() => \
                     requestAnimationFrame(() => { image.dataset.shown = 'yes'; })); return 0; })()";
        page.eval(shown).unwrap();
        page.wait("document.querySelector('.page-image img')?.dataset.shown === 'yes'").unwrap();
    };
    drawn(1);
    let [left, top, text_left, text_top] = places(page);
    assert!(left < text_left && (top - text_top).abs() < 2.0, "side by side: {:?}", places(page));
    let link = "(({ href, target, rel }) => [href.startsWith('blob:'), target, rel])(document.querySelector('.page-image a'))";
    assert_eq!(page.eval(link).unwrap(), json!([true, "_blank", "noopener"]));
    look.judge("page-and-image");

    // Arrows leaf through the pages, and each has its own image.
    page.key("ArrowRight").unwrap();
    drawn(2);
    page.key("ArrowRight").unwrap();
    drawn(3);
    page.key("ArrowLeft").unwrap();
    drawn(2);

    // On a phone one stands below the other, the text first.
    page.size(390, 844).unwrap();
    page.eval("document.querySelector('.page-image').scrollIntoView()").unwrap();
    drawn(2);
    let [left, top, text_left, text_top] = places(page);
    assert!((left - text_left).abs() < 2.0 && text_top < top, "stacked: {:?}", places(page));
    look.judge("page-and-image-phone");
    page.size(1280, 800).unwrap();

    // What is not there says why, and the text stays.
    page.eval(TORN).unwrap();
    page.key("ArrowLeft").unwrap();
    page.wait("document.querySelector('.no-image')?.textContent.includes('it is torn')").unwrap();
    page.wait("document.querySelector('.page-text').textContent.includes('The first page of the report')")
        .unwrap();
    look.judge("page-without-image");
}
