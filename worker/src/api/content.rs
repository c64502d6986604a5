//! A document's file, found where its URI leads and opened: surely of the content that was read, or not at all. So what is
//! shown of it is what its owner handed in, wherever the URI leads by now.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::StatusCode;
use docmill_core::id::{ContentHash, TenantId};
use docmill_core::source::FileStat;

use super::problem::Problem;
use super::{Api, Shape};
use crate::desk::DocumentRow;
use crate::objects::{self, ObjectKey, ObjectsOptions, ScratchFile};
use crate::stages::{file_uri, named, upload_uri};

/// Largest file of which something is shown, in bytes: it is hashed, and may have to be fetched, while somebody waits.
pub(super) const FILE_BYTES_MAX: u64 = 256 << 20;
/// Longest that an object may be on its way.
const FETCH_MAX: Duration = Duration::from_secs(20);
/// Seconds after which it is worth asking again for an object that was slow.
const SLOW_RETRY_S: u64 = 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Content {
    /// Open, at its start.
    pub file: File,
    stat: FileStat,
    /// Keeps what was fetched in scratch.
    _scratch: Option<ScratchFile>,
}

impl Content {
    /// Whether the file was left alone since it was opened.
    pub fn is_as_it_was(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| file_uri::stat_of(&metadata) == self.stat)
    }

    /// All of it.
    pub async fn whole(self) -> io::Result<Vec<u8>> {
        let read = move || {
            let mut bytes = Vec::with_capacity(usize::try_from(self.stat.bytes).unwrap_or_default());
            (&self.file).take(self.stat.bytes).read_to_end(&mut bytes)?;
            if self.is_as_it_was() { Ok(bytes) } else { Err(io::ErrorKind::InvalidData.into()) }
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}

/// Where it is.
enum Place {
    File(PathBuf),
    /// A file that has to be below a root.
    Below(PathBuf, PathBuf),
    Object(ObjectKey),
}

/// Opens the newest content of the tenant's document; `None` where that is not there any more, or nobody read it yet.
///
/// # Errors
/// The ledger or the object store does not answer.
pub(super) async fn open(
    api: &Api,
    tenant: &TenantId,
    row: &DocumentRow,
) -> Result<Option<Content>, Problem> {
    let Some(content) = api.desk.content_of(tenant, row.id).await? else { return Ok(None) };
    match place_of(api, tenant, row, content).await? {
        Some(Place::File(path)) => Ok(opened(move || open_file(&path), Some(content), None).await),
        Some(Place::Below(root, path)) => {
            Ok(opened(move || named::open_below(&root, &path), Some(content), None).await)
        }
        Some(Place::Object(key)) => fetched(api, &key, content).await,
        None => Ok(None),
    }
}

async fn place_of(
    api: &Api,
    tenant: &TenantId,
    row: &DocumentRow,
    content: ContentHash,
) -> Result<Option<Place>, Problem> {
    let options = api.objects.as_ref().map(|(_, options)| options);
    let key = if upload_uri::is_upload(&row.uri) {
        // By content, not by name: a later upload to the same place is another object.
        match api.desk.object_of(tenant, content).await? {
            Some(key) => Some(ObjectKey::new(key)?),
            None => return Ok(None),
        }
    } else {
        options.and_then(|options| options.key_of(&row.uri))
    };
    if let Some(key) = key {
        return Ok(Some(match options {
            Some(ObjectsOptions::Volume(root)) => Place::File(root.join(key.as_str())),
            _ => Place::Object(key),
        }));
    }
    let Some(path) = file_uri::to_path(&row.uri) else { return Ok(None) };
    match (api.shape, &api.file_root) {
        // Whoever serves read it before, as the same user.
        (Shape::Embedded, _) => Ok(Some(Place::File(path))),
        (Shape::Cluster, Some(root)) => Ok(Some(Place::Below(root.clone(), path))),
        (Shape::Cluster, None) => Ok(None),
    }
}

async fn fetched(api: &Api, key: &ObjectKey, content: ContentHash) -> Result<Option<Content>, Problem> {
    let (Some((objects, _)), Some(scratch)) = (&api.objects, &api.scratch) else { return Ok(None) };
    let fetching = async {
        let meta = objects.head(key).await?;
        if meta.bytes > FILE_BYTES_MAX {
            return Ok(None);
        }
        objects.fetch(&meta, scratch, &mut |_| {}).await.map(Some)
    };
    match tokio::time::timeout(FETCH_MAX, Box::pin(fetching)).await {
        Ok(Ok(Some(fetched))) if fetched.content == content => {
            let path = fetched.file.path().to_owned();
            Ok(opened(move || open_file(&path), None, Some(fetched.file)).await)
        }
        // Other content, or more than scratch holds.
        Ok(Ok(_)) => Ok(None),
        Ok(Err(
            objects::Error::Missing(_) | objects::Error::Changed(_) | objects::Error::TooLarge { .. },
        )) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            let detail = "the object store is slow";
            let code = "object_store_unavailable";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail, "ask again later");
            Err(problem.retry_after(SLOW_RETRY_S))
        }
    }
}

fn open_file(path: &Path) -> io::Result<Option<File>> {
    file_uri::open(path).map(Some)
}

/// Opens a file, and reads it to see whether it is of this content, where that is not known.
async fn opened(
    open: impl FnOnce() -> io::Result<Option<File>> + Send + 'static,
    content: Option<ContentHash>,
    scratch: Option<ScratchFile>,
) -> Option<Content> {
    let opening = move || {
        let file = open().ok()??;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            return None;
        }
        let stat = match content {
            None => file_uri::stat_of(&metadata),
            Some(content) => {
                // The open one, whatever lies under its name by now, and from a place of its own.
                let own = format!("/proc/self/fd/{}", file.as_raw_fd());
                let (found, stat) = file_uri::hash_file(Path::new(&own)).ok()?;
                if found != content {
                    return None;
                }
                stat
            }
        };
        Some(Content { file, stat, _scratch: scratch })
    };
    tokio::task::spawn_blocking(opening).await.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened_at(path: &Path, content: Option<ContentHash>) -> Option<Content> {
        let path = path.to_owned();
        opened(move || open_file(&path), content, None).await
    }

    #[tokio::test]
    async fn only_what_was_read_is_opened_and_a_change_of_it_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"content").unwrap();
        let other = Some(ContentHash::of(b"other"));
        assert!(opened_at(&path, other).await.is_none());
        assert!(opened_at(dir.path(), other).await.is_none());
        let content = opened_at(&path, Some(ContentHash::of(b"content"))).await.unwrap();
        assert!(content.is_as_it_was());
        std::fs::write(&path, b"longer content").unwrap();
        assert!(!content.is_as_it_was());
        let again = opened_at(&path, Some(ContentHash::of(b"longer content"))).await.unwrap();
        assert_eq!(again.whole().await.unwrap(), b"longer content");
    }
}
