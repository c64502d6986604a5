//! The dashboard: a page at `/` and what it is made of below `/assets`. All of it is in this program, nothing of it is
//! built, and its policy lets it load and ask nothing but this server.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::auth::Scope;
use super::problem::Problem;
use super::{Shape, Shared, keys, peer};

/// No script, style or picture from elsewhere or out of the page itself; nothing frames it, and no form leaves it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// An asset whose address names its version never changes.
const A_YEAR: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Bytes of the hash that name a version.
const VERSION_BYTES: usize = 6;
/// What browsers say a request is for, where they say it.
const FETCH_DEST: &str = "sec-fetch-dest";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the folder `dashboard`.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($kind:ident: $($name:literal)+;)+) => {
        &[$($(File { name: $name, kind: $kind, text: include_str!(concat!("../../dashboard/", $name)) }),+),+]
    };
}

const PAGE: &str = include_str!("../../dashboard/index.html");
const FILES: &[File] = files! {
    CSS: "app.css";
    SVG: "icon.svg";
    JS: "api.js" "app.js" "dom.js" "format.js" "list.js" "live.js" "parts.js" "plot.js" "radial.js" "shortcuts.js"
        "sse.js" "theme.js" "upload.js" "view-ask.js" "view-batches.js" "view-concepts.js" "view-document.js"
        "view-documents.js" "view-letters.js" "view-overview.js" "view-scaling.js" "view-search.js" "view-workers.js";
};

/// What is sent, made once of [`FILES`].
struct Assets {
    /// Of all files together: one that changes is loaded anew with all that import it.
    version: String,
    /// The page but for what is said of the server.
    page: String,
    by_name: BTreeMap<&'static str, (&'static str, String)>,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(Assets::new);

impl Assets {
    fn new() -> Self {
        let mut hash = Sha256::new();
        for text in FILES.iter().map(|file| file.text).chain([PAGE]) {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let version = keys::hex(&hash[..VERSION_BYTES]);
        let versioned = |file: &File| match file.kind {
            // As imports name it, or each module would be asked for again at each visit.
            JS => file.text.replace(".js\";", &format!(".js?v={version}\";")),
            _ => file.text.to_owned(),
        };
        let by_name = FILES.iter().map(|file| (file.name, (file.kind, versioned(file)))).collect();
        // All at once: else a browser learns of each module by the one that imports it.
        let modules =
            FILES.iter().filter(|file| file.kind == JS && !["app.js", "theme.js"].contains(&file.name));
        let preload = |file: &File| {
            format!("<link rel=\"modulepreload\" href=\"/assets/{}?v={version}\">", file.name)
        };
        let preloads: Vec<String> = modules.map(preload).collect();
        let page = PAGE.replace("{{preloads}}", &preloads.join("\n")).replace("{{version}}", &version);
        Self { version, page, by_name }
    }
}

/// `GET /`. With the token for changes where a browser of the user that this process runs as asks for the page itself:
/// a proxy is mostly somebody else's program, and so are those of other users of this machine.
pub async fn page(State(api): State<Shared>, parts: Parts) -> Response {
    let token = match &api.token {
        Some(token)
            if is_page(&parts.headers)
                && api.authenticator.authenticate(&parts, Scope::Read).await.is_ok()
                && peer::is_own_user(parts.extensions.get()).await =>
        {
            Some(token.expose())
        }
        _ => None,
    };
    let shape = match api.shape {
        Shape::Embedded => "embedded",
        Shape::Cluster => "cluster",
    };
    let text = filled(token, shape);
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(HTML)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, NO_REFERRER),
        (HeaderName::from_static("cross-origin-opener-policy"), SAME_ORIGIN),
        (HeaderName::from_static("cross-origin-resource-policy"), SAME_ORIGIN),
        (header::CACHE_CONTROL, NO_STORE),
    ];
    (head, text).into_response()
}

/// `GET /assets/{name}`.
pub async fn asset(uri: Uri) -> Result<Response, Problem> {
    let name = uri.path().strip_prefix("/assets/").unwrap_or_default();
    let Some((kind, text)) = ASSETS.by_name.get(name) else {
        let detail = "the dashboard has no such file";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_path", detail, "load the page again"));
    };
    let is_of_this_version =
        uri.query().and_then(|query| query.strip_prefix("v=")) == Some(ASSETS.version.as_str());
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-resource-policy"), SAME_ORIGIN),
        (header::CACHE_CONTROL, if is_of_this_version { A_YEAR } else { NO_STORE }),
    ];
    Ok((head, text.as_str()).into_response())
}

/// Whether it is to be shown, and not to be read by another page's script or put into it. Other origins cannot read
/// the page anyway; this is one lock more before the token. Who comes through a proxy is not the user of this machine.
fn is_page(headers: &HeaderMap) -> bool {
    const PASSED_ON: [&str; 5] = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];
    !PASSED_ON.iter().any(|name| headers.contains_key(*name))
        && headers.get(FETCH_DEST).is_none_or(|wanted| wanted == "document")
}

fn filled(token: Option<&str>, shape: &str) -> String {
    let told = json!({"token": token, "shape": shape, "version": env!("CARGO_PKG_VERSION")}).to_string();
    ASSETS.page.replace("{{told}}", &in_attribute(&told))
}

/// A text as the value of an attribute in quotation marks.
fn in_attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of files in the house.
    const LINES_MAX: usize = 500;

    #[test]
    fn every_file_of_the_folder_is_sent() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
        let found = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut found: Vec<String> = found.filter(|name| name != "index.html").collect();
        let mut known: Vec<&str> = FILES.iter().map(|file| file.name).collect();
        found.sort();
        known.sort_unstable();
        assert_eq!(found, known);
    }

    #[test]
    fn modules_import_what_is_there_in_this_version() {
        let mut imported = std::collections::BTreeSet::from(["app.js", "theme.js"]);
        for (name, (kind, text)) in &ASSETS.by_name {
            for rest in text.split("from \"./").skip(1).filter(|_| *kind == JS) {
                let (module, query) = rest.split_once('"').unwrap().0.split_once("?v=").unwrap();
                assert_eq!(query, ASSETS.version, "{name}");
                let (module, _) =
                    ASSETS.by_name.get_key_value(module).unwrap_or_else(|| panic!("{name}: {module}"));
                imported.insert(*module);
            }
        }
        let modules: std::collections::BTreeSet<&str> =
            FILES.iter().filter(|file| file.kind == JS).map(|file| file.name).collect();
        assert_eq!(imported, modules, "some are imported by none");
    }

    #[test]
    fn no_text_is_ever_read_as_html_or_code() {
        let sinks = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "srcdoc",
            "eval(",
            "Function(",
            "setAttribute(\"style\"",
            "setAttribute(\"on",
            "createContextualFragment",
            "javascript:",
        ];
        for File { name, text, .. } in FILES {
            for sink in sinks {
                assert!(!text.contains(sink), "{name} has {sink}");
            }
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !foreign.contains("http://") && !foreign.contains("https://"),
                "{name} names a foreign place"
            );
            assert!(text.lines().count() <= LINES_MAX, "{name} is long");
        }
    }

    #[test]
    fn the_page_keeps_to_its_policy() {
        let page = filled(Some("t"), "embedded");
        assert!(!page.contains("{{"), "{page}");
        assert!(!page.contains(" style=") && !page.contains("<style"), "styles are in the sheet");
        let is_inline =
            |script: &str| !script.starts_with(" src=") && !script.starts_with(" type=\"module\" src=");
        assert!(!page.split("<script").skip(1).any(is_inline), "scripts are in files");
        let policy = POLICY;
        let policy = policy.to_str().unwrap();
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }

    #[test]
    fn what_is_told_stays_in_its_attribute() {
        let page = filled(Some("\"><script>&"), "embedded");
        assert!(page.contains("&quot;token&quot;:&quot;\\&quot;&gt;&lt;script&gt;&amp;&quot;"), "{page}");
        assert!(filled(None, "cluster").contains("&quot;token&quot;:null"));
    }

    #[test]
    fn the_token_is_for_the_page_alone() {
        let headers = |wanted: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(wanted) = wanted {
                headers.insert(FETCH_DEST, HeaderValue::from_static(wanted));
            }
            headers
        };
        assert!(is_page(&headers(None)) && is_page(&headers(Some("document"))));
        assert!(
            !["empty", "script", "iframe", "embed"]
                .into_iter()
                .any(|wanted| is_page(&headers(Some(wanted))))
        );
    }
}
