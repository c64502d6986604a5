//! Where a worker's documents come from: objects, by way of scratch, and files below one root.

use std::path::PathBuf;

use async_trait::async_trait;
use docmill_core::failure::{Failure, FailureCode};

use crate::delivery::Tracker;
use crate::ledger::Grant;
use crate::objects::{ObjectKey, Objects, ObjectsOptions, Scratch};
use crate::postgres::Database;
use crate::stages::fetch::{Fetch, Fetched};
use crate::stages::{file_uri, named, upload_uri};

/// See the module.
pub(super) struct Sources {
    /// Objects with where they are and where they are fetched to.
    pub objects: Option<(Objects, ObjectsOptions)>,
    /// Where objects are fetched to.
    pub scratch: Scratch,
    /// Below which documents may be files. Without a root none may: a URI is anybody's word, and the pod's
    /// own secrets are files too.
    pub file_root: Option<PathBuf>,
    /// Largest object that is fetched, in bytes.
    pub bytes_max: u64,
    /// Knows which object has what was uploaded.
    pub uploads: Database,
}

impl Sources {
    /// The object that the document's URI leads to, if it leads to one.
    async fn key_of(&self, grant: &Grant, options: &ObjectsOptions) -> Result<Option<ObjectKey>, Failure> {
        if !upload_uri::is_upload(&grant.uri) {
            return Ok(options.key_of(&grant.uri));
        }
        // By content, not by name: a later upload to the same place is another object.
        let Some(content) = grant.content else { return Ok(None) };
        let found = self.uploads.object_of(&grant.tenant, content).await;
        let found = found.map_err(|error| Failure::new(FailureCode::StoreFailed, error.to_string()))?;
        let gone = || Failure::new(FailureCode::Vanished, format!("the upload {} is gone", grant.uri));
        Ok(Some(ObjectKey::new(found.ok_or_else(gone)?)?))
    }
}

#[async_trait]
impl Fetch for Sources {
    async fn fetch(&self, grant: &Grant, tracker: &Tracker<'_>) -> Result<Fetched, Failure> {
        if let Some((objects, options)) = &self.objects
            && let Some(key) = self.key_of(grant, options).await?
        {
            let meta = objects.head(&key).await?;
            if meta.bytes > self.bytes_max {
                return Err(too_large(meta.bytes, self.bytes_max));
            }
            // The wait for scratch has no bound of its own and is not this document's fault.
            tracker.touch();
            let fetched = objects.fetch(&meta, &self.scratch, &mut |_| tracker.touch()).await?;
            let path = fetched.file.path().to_owned();
            let (content, bytes) = (fetched.content, fetched.bytes);
            return Ok(Fetched { path, content, bytes, keep: Box::new(fetched.file) });
        }
        let not_ours = || {
            let detail = format!("{} is neither an object nor a file that this worker may read", grant.uri);
            Failure::new(FailureCode::Unreadable, detail)
        };
        let (Some(root), Some(path)) = (&self.file_root, file_uri::to_path(&grant.uri)) else {
            return Err(not_ours());
        };
        named::fetch_below(root, path).await?.ok_or_else(not_ours)
    }
}

fn too_large(bytes: u64, max: u64) -> Failure {
    Failure::new(
        FailureCode::LimitFileSize,
        format!("{bytes} bytes are more than the {max} that are allowed"),
    )
}
