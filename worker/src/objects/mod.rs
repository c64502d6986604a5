//! Where uploaded documents lie in a cluster: S3 and what is compatible with it, GCS, Azure, or a volume.
//!
//! A put is whole and durable when it returns, or nothing of it is seen. A fetch brings one version whole
//! into [`Scratch`], hashed on its way, or says that the object changed. Retries of single requests are in
//! the client library; whoever calls decides about the rest.

use std::sync::Arc;

use bytes::Bytes;
use docmill_core::id::ContentHash;
use futures::stream::BoxStream;

pub mod check;
mod error;
mod incoming;
mod key;
mod options;
mod own_dir;
mod remote;
mod scratch;
mod volume;

pub use error::Error;
pub use key::ObjectKey;
pub use options::{AzureOptions, GcsOptions, ObjectsOptions, S3Options};
pub use scratch::{Scratch, ScratchFile, ScratchOptions};

use remote::Remote;
use volume::Volume;

/// Objects of more bytes are fetched in parts.
pub const IN_PARTS_BYTES: u64 = 50 << 20;
/// Bytes of a part, of fetches and of puts.
pub const PART_BYTES: u64 = 10 << 20;
/// Parts of one object on their way at once.
pub const PARTS_AT_ONCE: usize = 4;
/// Objects that one page of a list has at most.
pub const PAGE_MAX: usize = 1_000;

/// The bytes of an upload as they come.
pub type Content<'a> = BoxStream<'a, std::io::Result<Bytes>>;

/// What is told while bytes come in: how many more came.
pub type Moved<'a> = &'a mut (dyn FnMut(u64) + Send);

/// An object as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its name.
    pub key: ObjectKey,
    /// Its size.
    pub bytes: u64,
    /// Names this very content (the ETag); none where the server has none.
    pub version: Option<String>,
    /// When it was written, in milliseconds since the Unix epoch.
    pub modified_ms: u64,
}

/// What a put wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub content: ContentHash,
}

/// An object in scratch.
#[derive(Debug)]
pub struct Fetched {
    /// Its file, gone when this is dropped.
    pub file: ScratchFile,
    /// Bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub content: ContentHash,
}

/// How a fetch is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Objects of more bytes come in parts.
    above: u64,
    /// Bytes of a part.
    part: u64,
}

const CUT: Cut = Cut { above: IN_PARTS_BYTES, part: PART_BYTES };

/// A place of objects. Clones share it.
#[derive(Debug, Clone)]
pub struct Objects {
    back_end: Arc<BackEnd>,
}

#[derive(Debug)]
enum BackEnd {
    Remote(Remote),
    Volume(Volume),
}

impl Objects {
    /// Makes the client; asks nobody.
    ///
    /// # Errors
    /// The options contradict each other, or a certificate cannot be read.
    pub fn open(options: &ObjectsOptions) -> Result<Self, Error> {
        let back_end = match options {
            ObjectsOptions::S3(s3) => BackEnd::Remote(Remote::new(options::s3(s3)?, s3.prefix.as_deref())?),
            ObjectsOptions::Gcs(gcs) => {
                BackEnd::Remote(Remote::new(options::gcs(gcs)?, gcs.prefix.as_deref())?)
            }
            ObjectsOptions::Azure(azure) => {
                BackEnd::Remote(Remote::new(options::azure(azure)?, azure.prefix.as_deref())?)
            }
            ObjectsOptions::Volume(path) => BackEnd::Volume(Volume::new(path.clone())),
        };
        Ok(Self { back_end: Arc::new(back_end) })
    }

    /// Writes an object of at most `bytes_max` bytes, in place of one of that name. When it returns, the
    /// object survives a power cut; when it does not, the name leads to what it led to before.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Sender`] where the content itself ends in an error.
    pub async fn put(
        &self,
        key: &ObjectKey,
        content: Content<'_>,
        bytes_max: u64,
    ) -> Result<Stored, Error> {
        match &*self.back_end {
            BackEnd::Remote(remote) => remote.put(key, content, bytes_max).await,
            BackEnd::Volume(volume) => volume.put(key, content, bytes_max).await,
        }
    }

    /// Looks at an object.
    ///
    /// # Errors
    /// [`Error::Missing`] and others.
    pub async fn head(&self, key: &ObjectKey) -> Result<Meta, Error> {
        match &*self.back_end {
            BackEnd::Remote(remote) => remote.head(key).await,
            BackEnd::Volume(volume) => volume.head(key).await,
        }
    }

    /// Brings the object into scratch, once scratch has room for it. More than [`IN_PARTS_BYTES`] come in
    /// parts, [`PARTS_AT_ONCE`] at once. `moved` is told as bytes come.
    ///
    /// # Errors
    /// [`Error::Changed`] where it is no longer what `meta` says, and others. Nothing stays in scratch.
    pub async fn fetch(&self, meta: &Meta, scratch: &Scratch, moved: Moved<'_>) -> Result<Fetched, Error> {
        self.fetch_cut(meta, scratch, CUT, moved).await
    }

    async fn fetch_cut(
        &self,
        meta: &Meta,
        scratch: &Scratch,
        cut: Cut,
        moved: Moved<'_>,
    ) -> Result<Fetched, Error> {
        let file = scratch.file(meta.bytes).await?;
        let incoming = incoming::Incoming::create(file.path())?;
        let (bytes, content) = match &*self.back_end {
            BackEnd::Remote(remote) => remote.fetch(meta, incoming, cut, moved).await?,
            BackEnd::Volume(volume) => volume.fetch(meta, incoming, moved).await?,
        };
        Ok(Fetched { file, bytes, content })
    }

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        match &*self.back_end {
            BackEnd::Remote(remote) => remote.delete(key).await,
            BackEnd::Volume(volume) => volume.delete(key).await,
        }
    }

    /// The next `limit` objects (at most [`PAGE_MAX`]) below `folder`, in the order of their names, after
    /// the one named. Fewer than `limit` are the last.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(
        &self,
        folder: Option<&ObjectKey>,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Meta>, Error> {
        let limit = limit.min(PAGE_MAX);
        match &*self.back_end {
            BackEnd::Remote(remote) => remote.list(folder, after, limit).await,
            BackEnd::Volume(volume) => volume.list(folder, after, limit).await,
        }
    }
}
