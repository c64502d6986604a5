//! Where documents of a data directory come from: what was uploaded lies below it, everything else is a file where it
//! is.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::failure::{Failure, FailureCode};

use crate::delivery::Tracker;
use crate::desk::Desk;
use crate::ledger::Grant;
use crate::objects::ObjectKey;
use crate::stages::fetch::{Fetch, Fetched, hashed};
use crate::stages::{LocalFiles, upload_uri};

/// Where uploads are, below the data directory.
pub(super) const OBJECTS: &str = "objects";

/// See the module.
pub(super) struct ServedFiles {
    /// Knows which object has what was uploaded.
    pub desk: Arc<dyn Desk>,
    /// The volume of objects. They are read where they are: none is changed, and none is removed that a document needs.
    pub objects: PathBuf,
    /// Largest document, in bytes.
    pub bytes_max: u64,
}

#[async_trait]
impl Fetch for ServedFiles {
    async fn fetch(&self, grant: &Grant, tracker: &Tracker<'_>) -> Result<Fetched, Failure> {
        if grant.bytes > self.bytes_max {
            let detail = format!("{} bytes, at most {} are allowed", grant.bytes, self.bytes_max);
            return Err(Failure::new(FailureCode::LimitFileSize, detail));
        }
        if !upload_uri::is_upload(&grant.uri) {
            return LocalFiles.fetch(grant, tracker).await;
        }
        let gone = || Failure::new(FailureCode::Vanished, format!("the upload {} is gone", grant.uri));
        // By content, not by name: a later upload to the same place is another object.
        let content = grant.content.ok_or_else(gone)?;
        let found = self.desk.object_of(&grant.tenant, content).await;
        let found = found.map_err(|error| Failure::new(FailureCode::StoreFailed, error.to_string()))?;
        let key = ObjectKey::new(found.ok_or_else(gone)?)?;
        hashed(self.objects.join(key.as_str())).await
    }
}
