//! Documents that are named, not sent: objects of our store, files below the root. They are looked at here and
//! read by workers, once.

use std::path::PathBuf;

use axum::http::StatusCode;
use docmill_core::id::{ContentHash, TenantId};
use futures::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::plain::is_plain;
use super::problem::Problem;
use super::upload::FOLDER;
use super::{Shape, Shared};
use crate::desk::{Admission, Content};
use crate::objects::{self, Meta, ObjectKey, ObjectsOptions, PAGE_MAX};
use crate::stages::{file_uri, named};

/// Looks at once.
const LOOKS_AT_ONCE: usize = 16;
/// Longest URI, in bytes.
const URI_BYTES_MAX: usize = 4_096;

/// What a URI leads to.
enum Source {
    Object(ObjectKey),
    File(PathBuf),
}

/// Looks at what the URIs lead to, in their order.
///
/// # Errors
/// The first that leads nowhere, or where the tenant may not look; what is away.
pub async fn look(
    api: &Shared,
    tenant: &TenantId,
    batch: Uuid,
    uris: &[String],
) -> Result<Vec<Admission>, Problem> {
    let judged = uris.iter().enumerate().map(|(at, uri)| {
        let source = judge(api, tenant, uri).map_err(|problem| problem.at_uri(at, uri))?;
        Ok((at, uri, source))
    });
    let judged: Vec<(usize, &String, Source)> = judged.collect::<Result<_, Problem>>()?;
    let look = |(at, uri, source): (usize, &String, Source)| {
        let uri = uri.clone();
        async move {
            let (version, bytes) =
                look_at(api, source).await.map_err(|problem| problem.at_uri(at, &uri))?;
            let content = Content::Seen { version };
            Ok(Admission { tenant: tenant.clone(), uri, content, bytes, batch: Some(batch) })
        }
    };
    stream::iter(judged).map(look).buffered(LOOKS_AT_ONCE).try_collect().await
}

/// The next objects below a folder of our store, and where to go on.
///
/// # Errors
/// There is nothing, or the tenant may not look there; what is away.
pub async fn list(
    api: &Shared,
    tenant: &TenantId,
    batch: Uuid,
    prefix: &str,
    after: Option<&str>,
) -> Result<(Vec<Admission>, Option<String>), Problem> {
    let allowed = "a folder or an object of the configured store";
    let wrong = |problem: Problem| match problem.status() {
        500.. => problem,
        _ => problem.at("prefix", allowed).given_uri(prefix),
    };
    let Some((objects, options)) = &api.objects else {
        return Err(wrong(refused("there is no object store")));
    };
    let folder = options.folder_of(prefix).filter(|_| prefix.len() <= URI_BYTES_MAX);
    let folder = folder.ok_or_else(|| wrong(refused("the prefix does not lead to objects of ours")))?;
    let first = folder.as_ref().and_then(|folder| folder.as_str().split('/').next());
    if first == Some(FOLDER) {
        return Err(wrong(refused("uploaded objects are not named by URIs")));
    }
    own_folder(api, tenant, first).map_err(wrong)?;
    let unknown =
        || Problem::invalid("cursor", "is none that an answer gave", "`next` of the answer before");
    let after = after.map(ObjectKey::new).transpose().map_err(|_| unknown())?;
    let listed = objects.list(folder.as_ref(), after.as_ref(), PAGE_MAX).await?;
    let next = listed.last().filter(|_| listed.len() == PAGE_MAX).map(|meta| meta.key.to_string());
    if listed.is_empty() && after.is_none() {
        // Not a folder; then it is an object, or nothing.
        let Some(key) = folder else { return Ok((Vec::new(), None)) };
        let meta = objects.head(&key).await.map_err(|error| wrong(error.into()))?;
        return Ok((vec![admission(tenant, batch, options, &meta)], None));
    }
    let ours = listed.iter().filter(|meta| meta.key.as_str().split('/').next() != Some(FOLDER));
    Ok((ours.map(|meta| admission(tenant, batch, options, meta)).collect(), next))
}

fn admission(tenant: &TenantId, batch: Uuid, options: &ObjectsOptions, meta: &Meta) -> Admission {
    Admission {
        tenant: tenant.clone(),
        uri: options.uri_of(&meta.key),
        content: Content::Seen { version: version_of(meta) },
        bytes: meta.bytes,
        batch: Some(batch),
    }
}

impl Problem {
    fn at_uri(self, at: usize, uri: &str) -> Self {
        // An outage is none of the URI's fault.
        if self.status() >= 500 {
            return self;
        }
        self.at(format!("uris[{at}]"), "an object of the configured store, or a file below fileRoot")
            .given_uri(uri)
    }
}

fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "source_refused", detail, "correct or remove the URI")
}

fn judge(api: &Shared, tenant: &TenantId, uri: &str) -> Result<Source, Problem> {
    if uri.len() > URI_BYTES_MAX || !is_plain(uri) {
        return Err(refused("the URI is too long, or has characters that control text"));
    }
    if let Some(key) = api.objects.as_ref().and_then(|(_, options)| options.key_of(uri)) {
        let first = key.as_str().split('/').next();
        if first == Some(FOLDER) {
            return Err(refused("uploaded objects are not named by URIs"));
        }
        own_folder(api, tenant, first)?;
        return Ok(Source::Object(key));
    }
    let (Some(root), Some(path)) = (&api.file_root, file_uri::to_path(uri)) else {
        return Err(refused("the URI leads neither to an object of ours nor below the root of files"));
    };
    let Ok(inside) = path.strip_prefix(root) else {
        return Err(refused("the file is not below the root of files"));
    };
    if inside.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        return Err(refused("the path has parts that lead elsewhere"));
    }
    own_folder(api, tenant, inside.iter().next().and_then(|first| first.to_str()))?;
    Ok(Source::File(path))
}

/// A tenant sees what is in its own folder; the tenant `default` is the one of those who have no tenants.
fn own_folder(api: &Shared, tenant: &TenantId, first: Option<&str>) -> Result<(), Problem> {
    if !api.settings.tenant_folders || *tenant == TenantId::default() || first == Some(tenant.as_str()) {
        return Ok(());
    }
    Err(refused("a tenant names only what is in the folder of its name"))
}

async fn look_at(api: &Shared, source: Source) -> Result<(ContentHash, u64), Problem> {
    match (source, &api.objects) {
        (Source::Object(key), Some((objects, _))) => {
            let meta = objects.head(&key).await?;
            Ok((version_of(&meta), meta.bytes))
        }
        (Source::File(path), _) => {
            let root = api.file_root.clone().unwrap_or_default();
            let looked = tokio::task::spawn_blocking(move || named::look_below(&root, &path));
            let looked = looked.await.map_err(|_| Problem::ledger_away())?;
            match looked {
                Ok(Some(found)) => {
                    file_fits(api, found.len())?;
                    Ok((named::version_of(&found), found.len()))
                }
                Ok(None) => Err(refused("the file is no regular file, or leads out of the root")),
                Err(_) => Err(refused("the file cannot be looked at")),
            }
        }
        (Source::Object(_), None) => Err(objects::Error::Unreachable(String::new()).into()),
    }
}

/// On one machine a file is read as it is taken in, so one that no extractor would take is refused first. Workers of a
/// cluster have limits of their own.
fn file_fits(api: &Shared, bytes: u64) -> Result<(), Problem> {
    let max = api.settings.max_upload_bytes;
    if api.shape == Shape::Embedded && bytes > max {
        let what_to_do = format!("name files of up to {max} bytes");
        let detail = format!("the file has {bytes} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail, &what_to_do));
    }
    Ok(())
}

fn version_of(meta: &Meta) -> ContentHash {
    let mut hash = Sha256::new();
    hash.update(meta.bytes.to_le_bytes());
    match &meta.version {
        Some(version) => hash.update(version.as_bytes()),
        None => hash.update(meta.modified_ms.to_le_bytes()),
    }
    ContentHash(hash.finalize().into())
}
