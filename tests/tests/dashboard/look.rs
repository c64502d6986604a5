//! A page in a real browser, and what is asked of all that is seen there.

use std::path::{Path, PathBuf};

use docmill_tests::browser::{Browser, Page, Violation};
use serde_json::json;

/// A laptop and a phone.
pub const SIZES: [(u32, u32); 2] = [(1280, 800), (390, 844)];
/// Answers for states that are hard to come by.
const PRETEND: &str = include_str!("pretend.js");

/// A page on a server.
pub struct Look {
    pub page: Page,
    /// Where the server answers, without a slash at the end.
    base: String,
    _browser: Browser,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn pictures() -> PathBuf {
    root().join("out/dashboard")
}

impl Look {
    /// At the dashboard of this server, in light colours on a laptop.
    pub fn at(base: &str) -> Self {
        Self::at_view(base, "")
    }

    /// The same, come to this view by its address.
    pub fn at_view(base: &str, view: &str) -> Self {
        let browser = Browser::start().unwrap();
        let page = browser.page().unwrap();
        page.size(1280, 800).unwrap();
        page.dark(false).unwrap();
        let look = Self { page, base: base.to_owned(), _browser: browser };
        look.begin(view);
        look
    }

    fn begin(&self, view: &str) {
        self.page.goto(&format!("{}/{view}", self.base)).unwrap();
        self.page.eval(PRETEND).unwrap();
    }

    pub fn wait_live(&self) {
        self.page.wait("document.querySelector('#line').dataset.state === 'live'").unwrap();
    }

    /// Loads the page again as somebody who gave this key in this tab.
    pub fn sign_in(&self, key: &str) {
        // A page that is still being refused forgets the key that it has.
        let settled = "document.querySelector('main').dataset.view === 'key' \
            || document.querySelector('#line').dataset.state === 'live'";
        self.page.wait(settled).unwrap();
        self.page.eval(&format!("sessionStorage.setItem('docmill-key', {})", json!(key))).unwrap();
        self.begin("");
        self.wait_live();
        // Whoever was there before may have had none.
        let _ = self.page.complaints();
    }

    pub fn pretend(&self, how: &str) {
        self.page.eval(&format!("pretend({})", json!(how))).unwrap();
    }

    /// Opens a view, even the one that is open, and waits for what is there then.
    pub fn open(&self, view: &str, there: &str) {
        let name = view.split(['?', '/']).next().unwrap();
        let wanted = if name == "nowhere" { "none" } else { name };
        self.page.eval("location.hash = '#/nothing'").unwrap();
        self.page.wait("document.querySelector('main').dataset.view === 'none'").unwrap();
        self.page.eval(&format!("location.hash = {}", json!(format!("#/{view}")))).unwrap();
        self.page
            .wait(&format!("document.querySelector('main').dataset.view === {}", json!(wanted)))
            .unwrap();
        self.page
            .wait(&format!("document.querySelector({})", json!(format!("main :is({there})"))))
            .unwrap();
    }

    /// Calls this with a word for each size in each theme.
    pub fn in_every_look(&self, mut see: impl FnMut(&str)) {
        for (width, height) in SIZES {
            self.page.size(width, height).unwrap();
            for dark in [false, true] {
                self.page.dark(dark).unwrap();
                see(&format!("{width}-{}", if dark { "dark" } else { "light" }));
            }
        }
    }

    pub fn picture(&self, name: &str) {
        self.page.screenshot(&pictures().join(format!("{name}.png"))).unwrap();
    }

    /// Asserts that everybody can use what is seen, that nothing is wider than the window, and that nothing complains;
    /// and takes its picture.
    pub fn judge(&self, name: &str) {
        self.judge_refused(name, None);
    }

    /// The same where the server refused something with this status, of which the browser itself tells.
    pub fn judge_refused(&self, name: &str, status: Option<u16>) {
        self.picture(name);
        let serious: Vec<Violation> =
            self.page.axe().unwrap().into_iter().filter(Violation::is_serious).collect();
        assert!(serious.is_empty(), "{name}: {serious:#?}");
        let wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(self.page.eval(wide).unwrap(), json!(0), "{name} is wider than the window");
        let told = status.map(|status| format!("status of {status}"));
        let mut complaints = self.page.complaints();
        complaints.retain(|said| told.as_ref().is_none_or(|told| !said.contains(told)));
        assert_eq!(complaints, Vec::<String>::new(), "{name}");
    }

    pub fn text(&self, selector: &str) -> String {
        let text = format!("document.querySelector({})?.textContent ?? ''", json!(selector));
        self.page.eval(&text).unwrap().as_str().unwrap().to_owned()
    }

    pub fn wait_text(&self, selector: &str, part: &str) {
        let has =
            format!("document.querySelector({})?.textContent.includes({})", json!(selector), json!(part));
        self.page.wait(&has).unwrap();
    }
}
