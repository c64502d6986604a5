//! Uploads: `POST /v1/documents` and `POST /ingest/{kind}`. Files stream to the object store one after the other;
//! accepted is what is durable there and in the ledger, all files of a request or none.

use std::time::Duration;

use axum::extract::{FromRequest, Multipart, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use docmill_core::id::{ContentHash, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Caller;
use super::form;
use super::idempotency::{self, Fingerprint};
use super::plain::is_plain;
use super::problem::Problem;
use super::request::Params;
use super::{Shared, keys};
use crate::desk::{Admission, Admitted, Change, Content};
use crate::objects::{self, ObjectKey, Objects};
use crate::stages::upload_uri;

/// First part of the names of uploaded objects. What lies below is nobody's to name by a URI.
pub const FOLDER: &str = "uploads";
/// Files of one request.
const FILES_MAX: usize = 100;
/// Parts of one request: each file may be told its place.
const PARTS_MAX: usize = 2 * FILES_MAX;
/// Longest name of a place, in bytes.
const PLACE_BYTES_MAX: usize = 1_024;
/// Longest file name, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Time for which a refused upload is still read, so that its sender gets to see why.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// What `/ingest/{kind}` takes.
pub const KINDS: &[&str] = &[
    "csv", "docx", "htm", "html", "json", "jsonl", "md", "ods", "pdf", "pptx", "text", "tsv", "txt", "xls",
    "xlsb", "xlsx",
];

/// Where uploaded files belong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadParams {
    batch: Option<Uuid>,
    uri: Option<String>,
}

/// A document that was accepted.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedDocument {
    /// The document.
    pub id: String,
    /// Where it is: `sha256:…` or `upload:…` for uploads.
    pub uri: String,
    /// The generation of this content.
    pub generation: u64,
    /// Where that is: queued, processing, committed, failed.
    pub state: String,
    /// `new`, `changed` or `unchanged`.
    pub change: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content; absent where a worker will read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What was accepted: it is durable, and will be worked on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The batch that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// The documents, in the order of the request.
    pub documents: Vec<AcceptedDocument>,
}

/// A file in the object store that nothing refers to yet.
struct Received {
    place: Option<String>,
    name: Option<String>,
    bytes: u64,
    content: ContentHash,
    object: ObjectKey,
}

/// Objects that go again when this is dropped.
struct Unclaimed {
    objects: Objects,
    keys: Vec<ObjectKey>,
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        let (objects, keys) = (self.objects.clone(), std::mem::take(&mut self.keys));
        if !keys.is_empty() {
            tokio::spawn(async move { remove(&objects, &keys).await });
        }
    }
}

/// `POST /v1/documents`.
pub async fn documents(
    State(api): State<Shared>,
    caller: Caller,
    Params(params): Params<UploadParams>,
    request: Request,
) -> Result<Response, Problem> {
    take(api, caller, params, None, request).await
}

/// `POST /ingest/{kind}`.
pub async fn ingest(
    State(api): State<Shared>,
    caller: Caller,
    Path(kind): Path<String>,
    Params(params): Params<UploadParams>,
    request: Request,
) -> Result<Response, Problem> {
    let Some(kind) = KINDS.iter().find(|known| **known == kind) else {
        let detail = "no documents of this kind are read";
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "kind_unknown",
            detail,
            "use /v1/documents, or another kind",
        )
        .at("kind", KINDS.join(", "))
        .given(&kind));
    };
    take(api, caller, params, Some(kind), request).await
}

async fn take(
    api: Shared,
    caller: Caller,
    params: UploadParams,
    kind: Option<&str>,
    request: Request,
) -> Result<Response, Problem> {
    let Some((objects, _)) = &api.objects else {
        let detail = "there is no object store for uploads";
        let what_to_do = "configure `objects`, or hand in URIs by /v1/batches";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "no_object_store", detail, what_to_do));
    };
    let key = idempotency::key_of(request.headers())?;
    is_multipart(request.headers())?;
    api.load.admit(&caller.tenant, 1).await?;
    let mut unclaimed = Unclaimed { objects: objects.clone(), keys: Vec::new() };
    // Each holds a part in memory.
    let place = api.uploads.acquire().await.map_err(|_| Problem::ledger_away())?;
    let mut multipart = Multipart::from_request(request, &()).await.map_err(|_| {
        Problem::invalid(
            "content-type",
            "is not that of a form with files",
            "multipart/form-data; boundary=…",
        )
    })?;
    let received = receive(&api, &caller.tenant, &params, &mut multipart, &mut unclaimed).await;
    drop(place);
    let received = match received {
        Ok(received) => received,
        Err(problem) => {
            let rest = async { while let Ok(Some(_)) = multipart.next_field().await {} };
            let _ = tokio::time::timeout(DRAIN_MAX, rest).await;
            return Err(problem);
        }
    };
    let mut fingerprint = Fingerprint::default();
    fingerprint.add(kind.unwrap_or_default());
    fingerprint.add(params.batch.map(|batch| batch.to_string()).unwrap_or_default());
    for file in &received {
        fingerprint.add(file.place.as_deref().unwrap_or_default());
        fingerprint.add(file.name.as_deref().unwrap_or_default());
        fingerprint.add(file.content.0);
    }
    let fingerprint = fingerprint.done();
    if let Some(answer) =
        idempotency::first_answer(api.desk.as_ref(), &caller.tenant, key, fingerprint).await?
    {
        return Ok(answer);
    }
    let kind = kind.map(str::to_owned);
    // A task of its own: it goes on when the client goes away, as the ledger may rely on the objects by then.
    let settled = tokio::spawn(async move {
        let accepted =
            accept(&api, &caller.tenant, params.batch, kind.as_deref(), received, unclaimed).await?;
        idempotency::answer(api.desk.as_ref(), &caller.tenant, key, fingerprint, &accepted).await
    });
    settled.await.unwrap_or_else(|_| Err(Problem::ledger_away()))
}

fn is_multipart(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(axum::http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data")) {
        return Ok(());
    }
    let detail = "an upload is a form with files";
    let what_to_do = "send it as curl does with -F file=@NAME";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form", detail, what_to_do)
        .at("content-type", "multipart/form-data"))
}

/// Reads the form; each file is in the object store when the next one is begun.
async fn receive(
    api: &Shared,
    tenant: &TenantId,
    params: &UploadParams,
    multipart: &mut Multipart,
    unclaimed: &mut Unclaimed,
) -> Result<Vec<Received>, Problem> {
    let mut left = api.load.bytes_left(tenant).await?;
    let mut place = params.uri.clone();
    let mut received: Vec<Received> = Vec::new();
    let mut parts = 0;
    while let Some(field) = form::next(multipart).await? {
        parts += 1;
        if parts > PARTS_MAX {
            return Err(Problem::invalid("form", "has too many parts", format!("up to {PARTS_MAX}")));
        }
        if field.file_name().is_none() && field.name() == Some("uri") {
            place = Some(form::text(field, PLACE_BYTES_MAX).await?);
            continue;
        }
        if field.file_name().is_none() && field.name() != Some("file") {
            let given = field.name().unwrap_or_default().to_owned();
            return Err(Problem::invalid("form", "has an unknown field", "uri, and files").given(&given));
        }
        if received.len() == FILES_MAX {
            return Err(Problem::invalid(
                "form",
                "has too many files",
                format!("up to {FILES_MAX} at once"),
            ));
        }
        if !received.is_empty() {
            api.load.admit(tenant, 1).await?;
        }
        let place = place.take().map(judged).transpose()?;
        let name = field.file_name().map(file_name).transpose()?.flatten();
        let object = new_object(tenant)?;
        let max = left.unwrap_or(u64::MAX).min(api.settings.max_upload_bytes);
        unclaimed.keys.push(object.clone());
        let stored = unclaimed.objects.put(&object, form::content(field), max).await;
        let stored = stored.map_err(|error| match error {
            objects::Error::TooLarge { .. } if max < api.settings.max_upload_bytes => {
                api.load.bytes_exceeded()
            }
            error => error.into(),
        })?;
        left = left.map(|left| left.saturating_sub(stored.bytes));
        let (bytes, content) = (stored.bytes, stored.content);
        received.push(Received { place, name, bytes, content, object });
    }
    if received.is_empty() {
        return Err(Problem::invalid("file", "is missing", "at least one file"));
    }
    Ok(received)
}

fn judged(place: String) -> Result<String, Problem> {
    // A place is shown to everybody who may list documents, and stands in logs.
    if place.contains("://") && place.contains('@') {
        let allowed = "a name, or a URI without a user or a password";
        return Err(Problem::invalid("uri", "may hold a user or a password", allowed).given_uri(&place));
    }
    if place.is_empty() || place.len() > PLACE_BYTES_MAX || !is_plain(&place) {
        let allowed =
            format!("1 to {PLACE_BYTES_MAX} bytes, none that controls or turns the direction of the text");
        return Err(Problem::invalid("uri", "cannot be the place of an upload", allowed).given(&place));
    }
    Ok(place)
}

/// The name without folders, which some clients send; none where nothing is left.
fn file_name(given: &str) -> Result<Option<String>, Problem> {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    if !is_plain(name) {
        let allowed = "a name without characters that control or turn the direction of the text";
        return Err(Problem::invalid("filename", "cannot be a name", allowed).given(name));
    }
    let name = name[..name.floor_char_boundary(NAME_BYTES_MAX)].trim();
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn new_object(tenant: &TenantId) -> Result<ObjectKey, Problem> {
    let random = keys::random_hex(16).map_err(|_| Problem::ledger_away())?;
    let (folder, rest) = random.split_at(2);
    Ok(ObjectKey::new(format!("{FOLDER}/{tenant}/{folder}/{rest}"))?)
}

/// Takes what was received into the ledger. What it then does not rely on is removed.
async fn accept(
    api: &Shared,
    tenant: &TenantId,
    batch: Option<Uuid>,
    kind: Option<&str>,
    received: Vec<Received>,
    mut unclaimed: Unclaimed,
) -> Result<Accepted, Problem> {
    let admission = |file: &Received| Admission {
        tenant: tenant.clone(),
        uri: uri_of(file, kind),
        content: Content::Uploaded { hash: file.content, object: file.object.to_string() },
        bytes: file.bytes,
        batch,
    };
    let admissions: Vec<Admission> = received.iter().map(admission).collect();
    // From here on an error does not say that nothing was done: the objects stay until it is known.
    let keys = std::mem::take(&mut unclaimed.keys);
    let admitted = api.door.admit(admissions.clone()).await?;
    if admitted.contains(&Admitted::NoBatch) {
        unclaimed.keys = keys;
        return Err(Problem::missing(
            "open batch",
            &batch.map(|batch| batch.to_string()).unwrap_or_default(),
        ));
    }
    for (file, admitted) in received.iter().zip(&admitted) {
        if let Admitted::Document { object: Some(relied_on), .. } = admitted
            && *relied_on != file.object.as_str()
            && !replaced(api, &unclaimed.objects, tenant, file, relied_on).await
        {
            unclaimed.keys.push(file.object.clone());
        }
    }
    let bytes = received.iter().map(|file| file.bytes).sum();
    api.load.used(tenant, bytes).await?;
    api.metrics.upload_bytes.inc_by(bytes);
    api.metrics.documents.inc_by(received.len() as u64);
    Ok(Accepted { batch: batch.map(|batch| batch.to_string()), documents: told(&admissions, &admitted) })
}

/// Whether our object took the place of the one that the ledger relies on, as that is gone.
async fn replaced(
    api: &Shared,
    objects: &Objects,
    tenant: &TenantId,
    file: &Received,
    relied_on: &str,
) -> bool {
    let Ok(key) = ObjectKey::new(relied_on) else { return false };
    if !matches!(objects.head(&key).await, Err(objects::Error::Missing(_))) {
        return false;
    }
    let replaced = api.desk.replace_object(tenant, file.content, relied_on, file.object.as_str()).await;
    // Not known is as good as yes: an object too many is swept, one too few is lost.
    replaced.unwrap_or(true)
}

fn uri_of(file: &Received, kind: Option<&str>) -> String {
    let name = match (file.name.as_deref(), kind) {
        (Some(name), Some(kind)) if !name.contains('.') => Some(format!("{name}.{kind}")),
        (Some(name), _) => Some(name.to_owned()),
        (None, kind) => kind.map(|kind| format!("document.{kind}")),
    };
    match &file.place {
        Some(place) => upload_uri::named(place),
        None => upload_uri::by_content(&file.content, name.as_deref()),
    }
}

/// What is answered for documents that were admitted.
pub fn told(admissions: &[Admission], admitted: &[Admitted]) -> Vec<AcceptedDocument> {
    let one = |(admission, admitted): (&Admission, &Admitted)| match admitted {
        Admitted::Document { document, generation, state, change, .. } => Some(AcceptedDocument {
            id: document.to_string(),
            uri: admission.uri.clone(),
            generation: generation.0,
            state: state.as_str().to_owned(),
            change: match change {
                Change::New => "new",
                Change::Changed => "changed",
                Change::Unchanged => "unchanged",
            }
            .to_owned(),
            bytes: admission.bytes,
            sha256: match &admission.content {
                Content::Uploaded { hash, .. } => Some(keys::hex(&hash.0)),
                Content::Seen { .. } => None,
            },
        }),
        Admitted::NoBatch => None,
    };
    admissions.iter().zip(admitted).filter_map(one).collect()
}

async fn remove(objects: &Objects, keys: &[ObjectKey]) {
    for key in keys {
        if let Err(error) = objects.delete(key).await {
            tracing::info!(%error, "an object that nobody needs stays until it is swept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_have_no_folders() {
        let cases = [
            ("a.txt", Some("a.txt")),
            ("C:\\docs\\a b.txt", Some("a b.txt")),
            ("../../etc/passwd", Some("passwd")),
            ("x/", None),
        ];
        for (given, expected) in cases {
            assert_eq!(file_name(given).unwrap().as_deref(), expected, "{given:?}");
        }
        assert_eq!(file_name(&"ä".repeat(200)).unwrap().unwrap().len(), 254);
        for bad in ["\u{7}", "a\u{202e}fdp.exe"] {
            assert!(file_name(bad).is_err(), "{bad:?}");
        }
    }
}
