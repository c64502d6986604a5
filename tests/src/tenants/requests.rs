//! Requests of one tenant that reach for the other's: for every operation of the API's own description, with the
//! other's ids, cursors, names and keys, hostile values, and now and then nothing wrong at all.

use anyhow::{Context, Result};
use docmill_worker::api::openapi;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::hostile::{aimed, neutral};
use super::secrets::Secrets;
use super::side::{Side, shared_text};
use crate::services::http::form;

/// Headers that say who one is, which nobody here believes.
const IMPOSTOR: &[&str] = &[
    "x-tenant",
    "x-docmill-tenant",
    "tenant",
    "x-forwarded-user",
    "x-remote-user",
    "x-scope-orgid",
    "x-original-url",
];
/// Places that are uploaded to: few, so that there is little to work on.
const PLACES: usize = 6;
/// What is asked of searches and of who answers questions, as the description names it.
const QUESTIONS: &[&str] = &["SearchBody", "AskBody", "ChatRequest", "EmbeddingsRequest"];
/// The operation of tenants whose answer has no end.
pub const EVENTS: &str = "/v1/events";
/// What may have no good answer here: nothing was cut off, decided or made that it could show.
pub const NOTHING_TO_SHOW: &[&str] = &[
    "/v1/ask/{run}",
    "/v1/documents/{id}/pages/{page}/image",
    "/v1/concepts/{name}",
    "/v1/concepts/{name}/path",
    "/v1/scaling",
    "/v1/keys/{id}",
];
/// Every how many audits one is of somebody who may: each reads everything.
const AUDITS: u32 = 40;

/// An operation of the description.
#[derive(Debug, Clone)]
pub struct Operation {
    /// In large letters.
    pub method: String,
    /// With parameters in braces.
    pub path: String,
    /// What the caller has to have.
    pub scope: Option<String>,
    /// On the operator's port.
    pub internal: bool,
    /// Its answer may repeat what was asked.
    pub is_question: bool,
    /// Name, and whether it is a header.
    parameters: Vec<(String, bool)>,
    body: Option<String>,
}

/// All of them.
///
/// # Errors
/// The description is not what it was.
pub fn operations() -> Result<Vec<Operation>> {
    let description: Value = serde_json::from_str(&openapi::text())?;
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().context("paths")? {
        for (method, described) in methods.as_object().context("methods")? {
            let empty = Vec::new();
            let parameters = described["parameters"].as_array().unwrap_or(&empty);
            let parameters = parameters.iter().filter(|parameter| parameter["in"] != "path");
            let content = &described["requestBody"]["content"];
            let schema = content["application/json"]["schema"]["$ref"].as_str();
            let schema = schema.and_then(|reference| reference.rsplit('/').next()).map(str::to_owned);
            if path == EVENTS {
                continue;
            }
            let is_search = path == "/v1/search";
            let is_form = content["multipart/form-data"].is_object();
            operations.push(Operation {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                scope: described["x-scope"].as_str().map(str::to_owned),
                internal: path.starts_with("/internal"),
                is_question: is_search || schema.as_deref().is_some_and(|name| QUESTIONS.contains(&name)),
                parameters: parameters
                    .map(|parameter| {
                        (
                            parameter["name"].as_str().unwrap_or_default().to_owned(),
                            parameter["in"] == "header",
                        )
                    })
                    .collect(),
                body: if is_form { Some("form".to_owned()) } else { schema },
            });
        }
    }
    Ok(operations)
}

/// How a caller says who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// By their key.
    Key,
    /// By their token.
    Token,
    /// By their key of the scope admin.
    Admin,
    /// By something that is no credential.
    Nobody,
}

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// In large letters.
    pub method: String,
    /// With the query.
    pub path: String,
    /// All but the caller's own credential.
    pub headers: Vec<(String, String)>,
    /// May be empty.
    pub body: Vec<u8>,
    /// Who asks.
    pub who: Who,
}

/// Makes requests of one tenant.
pub struct Maker<'a> {
    /// Who asks.
    pub own: &'a Side,
    /// Whose things they want.
    pub other: &'a Side,
    /// What is sent where no secret belongs.
    pub secrets: &'a Secrets,
    /// Decides.
    pub random: StdRng,
}

/// What a tenant asks for as anybody would: what it has, with nothing wrong about it. None for what changes
/// something, and for what is not for tenants.
pub fn plain(own: &Side, operation: &Operation) -> Option<Request> {
    if operation.method != "GET" || operation.internal {
        return None;
    }
    let id = match operation.path.split('/').nth(2)? {
        "batches" => own.batches.first(),
        "dead-letters" => own.broken().next(),
        _ => own.documents.first(),
    };
    let who = if operation.scope.as_deref() == Some("admin") { Who::Admin } else { Who::Key };
    let path = operation.path.replace("{id}", id?).replace("{page}", "1").replace("{run}", "0-1");
    let path = path.replace("{name}", &own.marks.name);
    let query = match operation.path.as_str() {
        "/v1/search" => format!("?q={}", own.marks.text),
        "/v1/concepts/{name}/path" => format!("?to={}", own.marks.name),
        _ => String::new(),
    };
    let path = path + &query;
    Some(Request { method: operation.method.clone(), path, headers: Vec::new(), body: Vec::new(), who })
}

impl Maker<'_> {
    /// The next request for an operation.
    pub fn make(&mut self, operation: &Operation) -> Request {
        let who = self.who(operation);
        let path = self.path(operation);
        let mut query: Vec<(String, String)> = Vec::new();
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, is_header) in &operation.parameters {
            if self.random.random_bool(0.5) {
                continue;
            }
            let value = self.value(name, operation);
            match is_header {
                true => headers.push((name.clone(), value)),
                false => query.push((name.clone(), value)),
            }
        }
        if self.random.random_bool(0.1) {
            let name = ["tenant", "tenant_id", "scope", "documents[]", "owner"].choose(&mut self.random);
            query.push((
                name.map(|name| (*name).to_owned()).unwrap_or_default(),
                self.other.marks.tenant.clone(),
            ));
        }
        if self.random.random_bool(0.15) {
            let name = IMPOSTOR.choose(&mut self.random).copied().unwrap_or_default();
            headers.push((name.to_owned(), self.other.marks.tenant.clone()));
        }
        if who == Who::Nobody {
            headers.push(("authorization".to_owned(), self.no_credential()));
        }
        let body = match operation.body.as_deref() {
            Some("form") => self.upload(&mut headers),
            Some(schema) => {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
                self.json(schema)
            }
            None => Vec::new(),
        };
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        // What no client would send: the server has to end the line where it ends.
        let path = if self.random.random_bool(0.01) {
            format!("{path}{}", neutral(&mut self.random))
        } else {
            path
        };
        Request { method: operation.method.clone(), path, headers, body, who }
    }

    fn who(&mut self, operation: &Operation) -> Who {
        if operation.scope.as_deref() == Some("admin") {
            let audit = operation.path.ends_with("/audits");
            let may =
                if audit { self.random.random_ratio(1, AUDITS) } else { self.random.random_bool(0.5) };
            return if may { Who::Admin } else { Who::Key };
        }
        match self.random.random_range(0..20) {
            0 => Who::Nobody,
            1 => Who::Admin,
            2..=7 => Who::Token,
            _ => Who::Key,
        }
    }

    fn no_credential(&mut self) -> String {
        let (tenant, no_key) = (&self.other.marks.tenant, &self.secrets.no_key);
        match self.random.random_range(0..6) {
            0 => format!("Bearer {no_key}"),
            1 => format!("Basic {tenant}:{no_key}"),
            2 => format!("Bearer docmill_{tenant}_{no_key}"),
            // A token of ours whose claims are exchanged: the signature is not theirs.
            3 => {
                let mut parts = self.own.token.split('.');
                let (head, _, sign) = (parts.next(), parts.next(), parts.next());
                let claims = self.other.token.split('.').nth(1);
                format!("Bearer {}.{}.{}", head.unwrap_or(""), claims.unwrap_or(""), sign.unwrap_or(""))
            }
            4 => format!("Bearer {}", self.other.marks.name),
            _ => "Bearer ' OR scopes IS NOT NULL --".to_owned(),
        }
    }

    fn path(&mut self, operation: &Operation) -> String {
        let mut path = String::new();
        for part in operation.path.split('/').skip(1) {
            path.push('/');
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                None => path += part,
                Some(name) => path += &escaped(&self.in_path(name, operation)),
            }
        }
        path
    }

    fn in_path(&mut self, name: &str, operation: &Operation) -> String {
        if self.random.random_bool(0.2) {
            return match self.random.random_bool(0.5) {
                true => neutral(&mut self.random),
                false => aimed(&self.other.marks.tenant, &mut self.random),
            };
        }
        match name {
            "kind" => {
                ["txt", "pdf", "html"].choose(&mut self.random).copied().unwrap_or_default().to_owned()
            }
            "name" if operation.internal => "worker-0".to_owned(),
            "name" if operation.path.contains("/assets/") => "app.js".to_owned(),
            "name" => self.other.marks.name.clone(),
            "page" => "1".to_owned(),
            "run" => format!("{:032x}-1", self.random.random::<u128>()),
            _ if operation.path.contains("/batches/") => {
                let own = if operation.path.ends_with("/cancel") {
                    &self.own.scratch[1]
                } else {
                    &self.own.scratch[0]
                };
                match self.random.random_bool(0.3) {
                    true => own.clone(),
                    false => pick(&mut self.random, &self.other.batches),
                }
            }
            // What is there is only looked at: the end is compared with the begin.
            _ if operation.method == "GET" && self.random.random_bool(0.3) => {
                pick(&mut self.random, &self.own.documents)
            }
            _ if operation.method == "DELETE" && self.random.random_bool(0.2) => {
                self.own.disposable.clone()
            }
            _ => pick(&mut self.random, &self.other.documents),
        }
    }

    fn value(&mut self, name: &str, operation: &Operation) -> String {
        if self.random.random_bool(0.25) {
            return neutral(&mut self.random);
        }
        let uploads = operation.method == "POST";
        match name {
            "limit" => ["1", "2", "1000", "0", "1001", "-1"]
                .choose(&mut self.random)
                .copied()
                .unwrap_or_default()
                .to_owned(),
            "cursor" => {
                let cursors: Vec<String> =
                    self.other.cursors.iter().map(|(_, cursor)| cursor.clone()).collect();
                pick(&mut self.random, &cursors)
            }
            "batch" => pick(&mut self.random, &self.other.batches),
            // A place is one's own to name, so only where nothing is kept the other's are named.
            "uri" if uploads => format!("play/{}.txt", self.random.random_range(0..PLACES)),
            "uri" => pick(&mut self.random, &self.other.uris),
            "state" => ["queued", "committed", "failed"]
                .choose(&mut self.random)
                .copied()
                .unwrap_or_default()
                .to_owned(),
            "code" => "damaged".to_owned(),
            "q" => self.other.marks.text.clone(),
            "to" => self.other.marks.name.clone(),
            "document" => pick(&mut self.random, &self.other.documents),
            "uriPrefix" => pick(&mut self.random, &self.other.uris),
            "explain" => "true".to_owned(),
            "facets" => "language,mediaType".to_owned(),
            "idempotency-key" => pick(&mut self.random, &self.other.idempotency_keys),
            _ => aimed(&self.other.marks.tenant, &mut self.random),
        }
    }

    fn upload(&mut self, headers: &mut Vec<(String, String)>) -> Vec<u8> {
        let number = self.random.random_range(0..PLACES);
        let name = match self.random.random_bool(0.2) {
            // Quotes and ends of lines end the name, as they do in a form.
            true => neutral(&mut self.random).replace(['"', '\r', '\n'], "_"),
            false => format!("letter-{number}.txt"),
        };
        let text = shared_text(number);
        let (kind, body) = form(&[(&name, text.as_bytes())]);
        let wrong = self.random.random_bool(0.1);
        headers.push(("content-type".to_owned(), if wrong { "text/plain".to_owned() } else { kind }));
        body
    }

    /// A URI that the tenant may not name.
    fn foreign_uri(&mut self) -> String {
        let (tenant, bucket) =
            (self.other.marks.tenant.clone(), pick(&mut self.random, &self.other.sources));
        let bucket = bucket.split('/').nth(2).unwrap_or_default().to_owned();
        let secret = &self.secrets.in_uri;
        match self.random.random_range(0..10) {
            0..=3 => pick(&mut self.random, &self.other.sources),
            4 => format!("s3://{bucket}/{}/../{tenant}/x.txt", self.own.marks.tenant),
            5 => format!("s3://{bucket}/uploads/{tenant}/00/11"),
            6 => format!("s3://me:{secret}@{bucket}/x.txt"),
            7 => format!("https://me:{secret}@localhost/x.txt?X-Amz-Signature={secret}"),
            8 => format!("file://me:{secret}@localhost/etc/passwd"),
            _ => {
                let source = pick(&mut self.random, &self.other.sources);
                aimed(&source, &mut self.random)
            }
        }
    }

    fn json(&mut self, schema: &str) -> Vec<u8> {
        if self.random.random_bool(0.08) {
            return self.no_json();
        }
        let mut body = match schema {
            "NewBatch" => {
                let uris: Vec<String> = match self.random.random_bool(0.5) {
                    true => vec![self.foreign_uri()],
                    false => vec![pick(&mut self.random, &self.own.sources)],
                };
                json!({"name": neutral(&mut self.random), "uris": uris})
            }
            "MoreDocuments" => match self.random.random_bool(0.3) {
                true => json!({"uris": [pick(&mut self.random, &self.own.sources)]}),
                false => json!({"uris": [self.foreign_uri()]}),
            },
            "NewPrefix" => {
                let (tenant, uri) =
                    (self.other.marks.tenant.clone(), pick(&mut self.random, &self.other.sources));
                let bucket = uri.split('/').nth(2).unwrap_or_default().to_owned();
                let prefix = match self.random.random_range(0..5) {
                    0 => format!("s3://{bucket}/{tenant}/"),
                    1 => format!("s3://{bucket}"),
                    2 => format!("s3://{bucket}/{}/../{tenant}", self.own.marks.tenant),
                    3 => format!("s3://{bucket}/{}", self.own.marks.tenant),
                    _ => self.foreign_uri(),
                };
                let cursor = self.random.random_bool(0.3).then(|| format!("{tenant}/in-"));
                json!({"prefix": prefix, "cursor": cursor})
            }
            "ReplayRequest" => match self.random.random_range(0..4) {
                0 => {
                    json!({"documents": [pick(&mut self.random, &self.other.documents), pick(&mut self.random, &self.other.documents)]})
                }
                1 => json!({"documents": self.other.documents}),
                2 => json!({"code": neutral(&mut self.random)}),
                // None of its own failed so early.
                _ => json!({"all": true, "untilMs": 1}),
            },
            "NewIndex" => match self.random.random_bool(0.3) {
                true => json!({}),
                false => json!({"embeddings": neutral(&mut self.random)}),
            },
            "NewFill" => {
                let known = ["text", "vectors", "graph"].choose(&mut self.random).copied();
                let store = known.filter(|_| self.random.random_bool(0.6));
                json!({"store": store.map_or_else(|| neutral(&mut self.random), str::to_owned)})
            }
            // The other's words, never its names: an answer with its names would be of its documents.
            "SearchBody" => match self.random.random_bool(0.5) {
                true => json!({"query": self.other.marks.text, "k": 50, "explain": true}),
                false => json!({"query": "barometer", "filter": {"documents": self.other.documents}}),
            },
            "AskBody" => json!({
                "question": format!("What of {}?", self.other.marks.text),
                "stream": self.random.random_bool(0.5),
            }),
            "ChatRequest" => json!({
                "model": "docmill",
                "messages": [{"role": "user", "content": format!("What of {}?", self.other.marks.text)}],
                "stream": self.random.random_bool(0.5),
            }),
            "EmbeddingsRequest" => json!({"model": "docmill-embed", "input": "the harbour"}),
            "NewKeyBody" => match self.random.random_bool(0.5) {
                true => {
                    json!({"label": "of a test", "scopes": ["read"], "tenant": self.other.marks.tenant})
                }
                false => json!({"label": neutral(&mut self.random), "scopes": ["read"], "expiresDays": 1}),
            },
            _ => json!({}),
        };
        if self.random.random_bool(0.1) {
            body["tenant"] = json!(self.other.marks.tenant);
        }
        body.to_string().into_bytes()
    }

    fn no_json(&mut self) -> Vec<u8> {
        match self.random.random_range(0..5) {
            0 => "[".repeat(50_000).into_bytes(),
            1 => vec![0xff, 0xfe, 0x00],
            2 => neutral(&mut self.random).into_bytes(),
            3 => format!("{{\"uris\": [\"{}\"]}}", "x".repeat(2_000_000)).into_bytes(),
            _ => br#"{"uris": null, "uris": [], "name": 5, "__proto__": {}}"#.to_vec(),
        }
    }
}

fn pick(random: &mut StdRng, from: &[String]) -> String {
    from.choose(random).cloned().unwrap_or_default()
}

/// As it stands in a path or a query.
fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
