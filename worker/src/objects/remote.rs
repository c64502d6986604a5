//! Objects behind an API over a network.

use std::sync::Arc;

use bytes::Bytes;
use docmill_core::id::ContentHash;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart,
};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::incoming::Incoming;
use super::{Content, Cut, Error, Meta, Moved, ObjectKey, PART_BYTES, PARTS_AT_ONCE, Stored};

/// Parts that one process holds in memory at once, whatever number of objects they are of.
const PARTS_IN_MEMORY: usize = 4 * PARTS_AT_ONCE;
/// Parts that an object may have: S3's limit.
const PARTS_MAX: u64 = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    /// Before every name; empty or ending with a slash.
    prefix: String,
    parts: Semaphore,
}

impl Remote {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: Option<&str>) -> Result<Self, Error> {
        let prefix = match prefix.map(|prefix| prefix.trim_end_matches('/')) {
            None | Some("") => String::new(),
            Some(prefix) => format!("{}/", ObjectKey::new(prefix)?),
        };
        Ok(Self { store, prefix, parts: Semaphore::new(PARTS_IN_MEMORY) })
    }

    fn place(&self, key: &ObjectKey) -> Result<Path, Error> {
        // Parsed, not joined: joining would percent-encode, and the name would be another.
        Path::parse(format!("{}{key}", self.prefix)).map_err(|_| Error::Name(key.to_string()))
    }

    fn meta(&self, key: ObjectKey, meta: ObjectMeta) -> Meta {
        let modified_ms = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0);
        Meta { key, bytes: meta.size, version: meta.e_tag, modified_ms }
    }

    /// Small content goes in one request, other content in parts.
    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        mut content: Content<'_>,
        bytes_max: u64,
    ) -> Result<Stored, Error> {
        let failed = |error| Error::remote(key.as_str(), error);
        let max = bytes_max.min(PART_BYTES * PARTS_MAX);
        let place = self.place(key)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0u64);
        let mut first: Vec<Bytes> = Vec::new();
        let mut upload: Option<Upload> = None;
        while let Some(next) = content.next().await {
            let next = next.map_err(|error| Error::Sender(error.to_string()))?;
            bytes += next.len() as u64;
            if bytes > max {
                return Err(Error::TooLarge { bytes, max });
            }
            hash.update(&next);
            match &mut upload {
                Some(upload) => upload.put(next).await.map_err(failed)?,
                None if bytes < PART_BYTES => first.push(next),
                None => {
                    let begun = self.store.put_multipart(&place).await.map_err(failed)?;
                    let mut begun = Upload::new(begun);
                    for part in first.drain(..).chain([next]) {
                        begun.put(part).await.map_err(failed)?;
                    }
                    upload = Some(begun);
                }
            }
        }
        match upload {
            Some(upload) => upload.finish().await,
            None => self.store.put(&place, PutPayload::from_iter(first)).await.map(|_| ()),
        }
        .map_err(failed)?;
        Ok(Stored { bytes, content: ContentHash(hash.finalize().into()) })
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Meta, Error> {
        let meta = self.store.head(&self.place(key)?).await;
        Ok(self.meta(key.clone(), meta.map_err(|error| Error::remote(key.as_str(), error))?))
    }

    pub(super) async fn fetch(
        &self,
        meta: &Meta,
        mut incoming: Incoming,
        cut: Cut,
        moved: Moved<'_>,
    ) -> Result<(u64, ContentHash), Error> {
        let key = meta.key.as_str();
        if meta.bytes <= cut.above {
            let options = GetOptions { if_match: meta.version.clone(), ..GetOptions::default() };
            let got = self.store.get_opts(&self.place(&meta.key)?, options).await;
            let got = got.map_err(|error| Error::remote(key, error))?;
            if got.meta.size != meta.bytes {
                return Err(Error::Changed(key.to_owned()));
            }
            let mut bytes = got.into_stream();
            while let Some(next) = bytes.try_next().await.map_err(|error| Error::remote(key, error))? {
                moved(next.len() as u64);
                incoming.push(next).await?;
            }
        } else {
            // In order, as they are hashed; the ones after wait in memory.
            let starts = (0..meta.bytes.div_ceil(cut.part)).map(|n| n * cut.part);
            let parts = starts.map(|start| self.part(meta, start, meta.bytes.min(start + cut.part)));
            let mut parts = std::pin::pin!(stream::iter(parts).buffered(PARTS_AT_ONCE));
            while let Some((part, _permit)) = parts.try_next().await? {
                moved(part.len() as u64);
                incoming.push(part).await?;
            }
        }
        if incoming.bytes() != meta.bytes {
            return Err(Error::Changed(key.to_owned()));
        }
        incoming.finish(false).await
    }

    /// One part, if the object is still the one that was asked for. The permit is held until the part left
    /// the memory.
    async fn part(
        &self,
        meta: &Meta,
        start: u64,
        end: u64,
    ) -> Result<(Bytes, tokio::sync::SemaphorePermit<'_>), Error> {
        let key = meta.key.as_str();
        let permit = self.parts.acquire().await.map_err(|closed| Error::Failed(closed.to_string()))?;
        let options = GetOptions {
            if_match: meta.version.clone(),
            range: Some(GetRange::Bounded(start..end)),
            ..GetOptions::default()
        };
        let got = self.store.get_opts(&self.place(&meta.key)?, options).await;
        let got = got.map_err(|error| Error::remote(key, error))?;
        // For servers that take no notice of If-Match.
        let other = meta.version.is_some() && got.meta.e_tag != meta.version;
        if other || got.meta.size != meta.bytes {
            return Err(Error::Changed(key.to_owned()));
        }
        let bytes = got.bytes().await.map_err(|error| Error::remote(key, error))?;
        if bytes.len() as u64 != end - start {
            return Err(Error::Unreachable(format!("{key}: a part came short")));
        }
        Ok((bytes, permit))
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        match self.store.delete(&self.place(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::remote(key.as_str(), error)),
        }
    }

    pub(super) async fn list(
        &self,
        folder: Option<&ObjectKey>,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Meta>, Error> {
        let below = match folder {
            Some(folder) => Some(self.place(folder)?),
            None => Path::parse(&self.prefix).ok().filter(|path| !path.as_ref().is_empty()),
        };
        let listed = match after {
            Some(after) => self.store.list_with_offset(below.as_ref(), &self.place(after)?),
            None => self.store.list(below.as_ref()),
        };
        let shown = folder.map_or("", ObjectKey::as_str);
        let mut listed = listed.map_err(|error| Error::remote(shown, error));
        let mut page = Vec::new();
        while page.len() < limit
            && let Some(meta) = listed.try_next().await?
        {
            // What has a name that we would never give is not ours.
            let name = meta.location.as_ref().strip_prefix(&self.prefix).map(ObjectKey::new);
            if let Some(Ok(key)) = name {
                page.push(self.meta(key, meta));
            }
        }
        Ok(page)
    }
}

/// An upload in parts that is taken back when it is dropped: the parts would be paid for unseen.
struct Upload(Option<WriteMultipart>);

impl Upload {
    fn new(begun: Box<dyn object_store::MultipartUpload>) -> Self {
        Self(Some(WriteMultipart::new_with_chunk_size(begun, PART_BYTES as usize)))
    }

    async fn put(&mut self, bytes: Bytes) -> object_store::Result<()> {
        if let Some(upload) = &mut self.0 {
            upload.wait_for_capacity(PARTS_AT_ONCE).await?;
            upload.put(bytes);
        }
        Ok(())
    }

    async fn finish(mut self) -> object_store::Result<()> {
        match self.0.take() {
            Some(upload) => upload.finish().await.map(|_| ()),
            None => Ok(()),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "an upload in parts was not taken back");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
