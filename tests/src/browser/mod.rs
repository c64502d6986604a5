//! A real browser without a screen, for tests of the dashboard: pages as people see and use them.
//!
//! Nothing is loosened for it: the page's own security policy holds, and what it reports counts as a finding.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::services::cache;

mod pipe;

use pipe::{ANSWER_MAX, Pipe};

/// Where setup puts the accessibility checker, under the cache's root.
const AXE: &str = "axe/axe.min.js";
/// Names under which distributions have the browser.
const PROGRAMS: [&str; 2] = ["chromium", "chromium-browser"];
/// Time between two looks whether something came true.
const POLL: Duration = Duration::from_millis(25);
/// What the browser is to leave alone: sandboxes that need rights a container lacks, and everything that asks others.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--mute-audio",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    // Names lead nowhere but to this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
];

/// A browser that runs.
pub struct Browser {
    pipe: Arc<Pipe>,
}

/// One of its pages, with a session of its own: nothing is shared with another page.
pub struct Page {
    pipe: Arc<Pipe>,
    session: String,
}

/// What the checker found against people with other means than eyes and a mouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The checker's rule.
    pub rule: String,
    /// `minor`, `moderate`, `serious` or `critical`.
    pub impact: String,
    /// The elements, as selectors.
    pub nodes: Vec<String>,
}

impl Violation {
    /// Whether it shuts somebody out.
    pub fn is_serious(&self) -> bool {
        matches!(self.impact.as_str(), "serious" | "critical")
    }
}

/// The browser, where it is installed.
fn program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("DOCMILL_BROWSER") {
        return Ok(program.into());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&paths).flat_map(|dir| PROGRAMS.map(|name| dir.join(name)));
    found.find(|path| path.is_file()).context("no browser: `cargo xtask setup` installs one")
}

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    /// There is none, or it does not answer.
    pub fn start() -> Result<Self> {
        let flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        let pipe = Arc::new(Pipe::start(&program()?, &flags)?);
        pipe.ask(None, "Browser.getVersion", json!({}))?;
        Ok(Self { pipe })
    }

    /// Opens an empty page.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn page(&self) -> Result<Page> {
        let context = self.pipe.ask(None, "Target.createBrowserContext", json!({}))?;
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = self.pipe.ask(None, "Target.createTarget", target)?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.pipe.ask(None, "Target.attachToTarget", attach)?;
        let session = attached["sessionId"].as_str().context("a page without a session")?.to_owned();
        let page = Page { pipe: self.pipe.clone(), session };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.ask(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(page)
    }
}

impl Page {
    fn ask(&self, method: &str, parameters: Value) -> Result<Value> {
        self.pipe.ask(Some(&self.session), method, parameters)
    }

    /// Goes to an address and waits until the page is loaded.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn goto(&self, url: &str) -> Result<()> {
        self.pipe.events(&self.session, &["Page.loadEventFired"]);
        let gone = self.ask("Page.navigate", json!({ "url": url }))?;
        if let Some(error) = gone["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        // Within a page, no document is loaded.
        if gone.get("loaderId").is_some() {
            self.pipe.wait_event(&self.session, "Page.loadEventFired")?;
        }
        Ok(())
    }

    /// What an expression comes to, a promise's value included.
    ///
    /// # Errors
    /// It throws.
    pub fn eval(&self, expression: &str) -> Result<Value> {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let done = self.ask("Runtime.evaluate", asked)?;
        if let Some(thrown) = done.get("exceptionDetails") {
            let said = thrown["exception"]["description"].as_str().or(thrown["text"].as_str());
            bail!("{}: {expression}", said.unwrap_or_default());
        }
        Ok(done["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// It does not become so.
    pub fn wait(&self, expression: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            // While a page is being left, nothing can be asked of it.
            let last = self.eval(&format!("Boolean({expression})"));
            match last {
                Ok(Value::Bool(true)) => return Ok(()),
                last if began.elapsed() > ANSWER_MAX => {
                    let text = self.eval("document.body.innerText").unwrap_or_default();
                    bail!("not within {ANSWER_MAX:?}: {expression} ({last:?}); the page says: {text}");
                }
                _ => std::thread::sleep(POLL),
            }
        }
    }

    /// Clicks the middle of the first element of a selector, by the mouse, once it is there.
    ///
    /// # Errors
    /// There is none that can be seen.
    pub fn click(&self, selector: &str) -> Result<()> {
        let selected = format!("document.querySelector({})", json!(selector));
        self.wait(&selected)?;
        let place = self.eval(&format!(
            "(() => {{ const it = {selected}; it.scrollIntoView({{block: 'center', behavior: 'instant'}});
               const box = it.getBoundingClientRect();
               return {{x: box.x + box.width / 2, y: box.y + box.height / 2, seen: box.width > 0 && box.height > 0}}; }})()"
        ))?;
        ensure!(place["seen"] == true, "{selector} cannot be seen");
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place["x"], "y": place["y"], "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Presses a key: a letter, or a name as `Enter`, `Tab`, `Escape`, `ArrowDown`.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn key(&self, key: &str) -> Result<()> {
        let code = match key {
            "Backspace" => 8,
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            " " => 32,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { key };
        let is_text = key.chars().count() == 1 || key == "Enter";
        let mut down = json!({"type": "rawKeyDown", "key": key, "windowsVirtualKeyCode": code});
        if is_text {
            down["type"] = "keyDown".into();
            down["text"] = text.into();
        }
        self.ask("Input.dispatchKeyEvent", down)?;
        self.ask(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
        )?;
        Ok(())
    }

    /// Types a text where the focus is.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn write(&self, text: &str) -> Result<()> {
        self.ask("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// Puts files into a file input.
    ///
    /// # Errors
    /// There is no such input.
    pub fn choose(&self, selector: &str, files: &[&Path]) -> Result<()> {
        let document = self.ask("DOM.getDocument", json!({}))?;
        let query = json!({"nodeId": document["root"]["nodeId"], "selector": selector});
        let node = self.ask("DOM.querySelector", query)?;
        ensure!(node["nodeId"] != 0, "there is no {selector}");
        let chosen = json!({"nodeId": node["nodeId"], "files": files});
        self.ask("DOM.setFileInputFiles", chosen).map(drop)
    }

    /// Makes the window this large, in its own pixels; below 600 it is a phone.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn size(&self, width: u32, height: u32) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask("Emulation.setDeviceMetricsOverride", size).map(drop)
    }

    /// Lets the user prefer dark colours, or light ones; and nothing that moves, so that pictures are the same.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn dark(&self, dark: bool) -> Result<()> {
        let scheme = if dark { "dark" } else { "light" };
        let wishes = json!({"features": [{"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.ask("Emulation.setEmulatedMedia", wishes).map(drop)
    }

    /// A picture of what is seen, as PNG.
    ///
    /// # Errors
    /// The browser does not answer, or the file cannot be written.
    pub fn screenshot(&self, to: &Path) -> Result<()> {
        let picture = self.ask("Page.captureScreenshot", json!({"format": "png"}))?;
        let picture = STANDARD.decode(picture["data"].as_str().context("no picture")?)?;
        if let Some(dir) = to.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(to, picture).with_context(|| format!("cannot write {}", to.display()))
    }

    /// What the checker finds on the page, all rules of it.
    ///
    /// # Errors
    /// The checker is not there, or fails.
    pub fn axe(&self) -> Result<Vec<Violation>> {
        if self.eval("typeof window.axe")? != "object" {
            let file = cache()?.join(AXE);
            let program = std::fs::read_to_string(&file)
                .with_context(|| format!("no {}: `cargo xtask setup` fetches it", file.display()))?;
            // By the browser and not by the page, so that the page's policy stays as it is.
            self.eval(&format!("{program}; undefined"))?;
        }
        let found = self.eval(
            "axe.run(document, {resultTypes: ['violations']}).then(done => done.violations.map(found => ({
               rule: found.id, impact: found.impact || 'minor', nodes: found.nodes.map(node => node.target.join(' '))})))",
        )?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |found: &Value| Violation {
            rule: text(&found["rule"]),
            impact: text(&found["impact"]),
            nodes: found["nodes"].as_array().into_iter().flatten().map(text).collect(),
        };
        Ok(found.as_array().context("the checker says nothing")?.iter().map(one).collect())
    }

    /// What went wrong in the page since it was asked last: errors of the console, exceptions that nobody caught, and
    /// what its policy kept out.
    pub fn complaints(&self) -> Vec<String> {
        let names = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        let told = |event: Value| {
            let said = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => {
                    let details = &said["exceptionDetails"];
                    let text = details["exception"]["description"].as_str().or(details["text"].as_str());
                    Some(format!("exception: {}", text.unwrap_or_default()))
                }
                "Log.entryAdded" if said["entry"]["level"] == "error" => {
                    let text = said["entry"]["text"].as_str().unwrap_or_default();
                    Some(format!("log: {text} {}", said["entry"]["url"].as_str().unwrap_or_default()))
                }
                "Runtime.consoleAPICalled" if said["type"] == "error" || said["type"] == "assert" => {
                    Some(format!("console: {}", said["args"]))
                }
                _ => None,
            }
        };
        self.pipe.events(&self.session, &names).into_iter().filter_map(told).collect()
    }

    /// Addresses that the page asked for since it was asked last.
    pub fn requests(&self) -> Vec<String> {
        let events = self.pipe.events(&self.session, &["Network.requestWillBeSent"]);
        let url = |event: &Value| event["params"]["request"]["url"].as_str().map(str::to_owned);
        events.iter().filter_map(url).collect()
    }
}
