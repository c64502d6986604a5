//! What every place of objects does: whole and durable puts, fetches of one version, pages in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use docmill_core::id::ContentHash;
use docmill_worker::objects::{
    Content, Error, Fetched, Meta, ObjectKey, Objects, ObjectsOptions, PART_BYTES, Scratch, ScratchOptions,
};
use futures::StreamExt;
use sha2::{Digest, Sha256};

use crate::services::s3::S3Server;

/// No case needs more scratch.
const SCRATCH_MIB: u32 = 128;
/// More than what is fetched at once, and no whole number of parts.
const LARGE_BYTES: usize = 60 * 1_000_000 + 17;
/// More than any case puts.
const NO_LIMIT: u64 = 1 << 40;

/// A place of objects of its own, with scratch.
pub struct Place {
    /// The place.
    pub objects: Objects,
    /// The scratch.
    pub scratch: Scratch,
    dir: tempfile::TempDir,
    _server: Option<Arc<S3Server>>,
}

/// An empty volume.
pub async fn volume() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("volume");
    std::fs::create_dir(&root).unwrap();
    place(dir, &ObjectsOptions::Volume(root), None)
}

/// An empty bucket on a server of its own.
pub async fn s3() -> Place {
    let server = S3Server::start();
    let options = server.fresh();
    place(tempfile::tempdir().unwrap(), &ObjectsOptions::S3(options), Some(Arc::new(server)))
}

fn place(dir: tempfile::TempDir, options: &ObjectsOptions, server: Option<Arc<S3Server>>) -> Place {
    let scratch = ScratchOptions { path: dir.path().join("scratch"), limit_mib: SCRATCH_MIB };
    let scratch = Scratch::open(&scratch).unwrap();
    Place { objects: Objects::open(options).unwrap(), scratch, dir, _server: server }
}

/// A name.
pub fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

/// Bytes as an upload brings them.
pub fn content(bytes: &[u8]) -> Content<'static> {
    let chunks: Vec<io::Result<Bytes>> =
        bytes.chunks(100_000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    futures::stream::iter(chunks).boxed()
}

/// The hash of bytes.
pub fn hash(bytes: &[u8]) -> ContentHash {
    ContentHash(Sha256::digest(bytes).into())
}

/// Bytes that repeat at no power of two, so that parts in a wrong order are seen.
pub fn bytes_of(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 ^ (n / 65_521) as u8).collect()
}

impl Place {
    async fn put(&self, name: &str, bytes: &[u8]) -> Meta {
        let stored = self.objects.put(&key(name), content(bytes), NO_LIMIT).await.unwrap();
        assert_eq!((stored.bytes, stored.content), (bytes.len() as u64, hash(bytes)));
        self.objects.head(&key(name)).await.unwrap()
    }

    async fn fetch(&self, meta: &Meta) -> Result<Fetched, Error> {
        self.objects.fetch(meta, &self.scratch, &mut |_| {}).await
    }

    fn scratch_files(&self) -> usize {
        let own = std::fs::read_dir(self.dir.path().join("scratch")).unwrap();
        let own = own.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
        // One is its lock.
        std::fs::read_dir(own).unwrap().count() - 1
    }
}

/// The bytes come back with their hash; a second put takes the place of the first.
pub async fn what_was_put_is_fetched(place: Place) {
    for (name, bytes) in [("a", &b"one"[..]), ("a", b"two and more"), ("deep/er/empty", b"")] {
        let meta = place.put(name, bytes).await;
        assert_eq!((meta.bytes, meta.key.as_str()), (bytes.len() as u64, name));
        assert!(meta.version.is_some() && meta.modified_ms > 1_600_000_000_000);
        let fetched = place.fetch(&meta).await.unwrap();
        assert_eq!((fetched.bytes, fetched.content), (bytes.len() as u64, hash(bytes)));
        assert_eq!(std::fs::read(fetched.file.path()).unwrap(), bytes);
    }
    assert_eq!(place.scratch_files(), 0);
}

/// An object that is not there is missing to a look and to a fetch; removing it is done.
pub async fn what_is_missing_is_told(place: Place) {
    let meta = place.put("folder/here", b"x").await;
    for name in ["none", "folder", "folder/here/below"] {
        assert!(matches!(place.objects.head(&key(name)).await, Err(Error::Missing(_))), "{name}");
        place.objects.delete(&key(name)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    place.objects.delete(&meta.key).await.unwrap();
    place.objects.delete(&meta.key).await.unwrap();
    assert!(matches!(place.fetch(&meta).await, Err(Error::Missing(_))));
    assert_eq!(place.scratch_files(), 0);
}

/// A sender that breaks off, and too many bytes, leave what was there: small or in parts.
pub async fn a_put_that_fails_changes_nothing(place: Place) {
    place.put("a", b"before").await;
    let large = bytes_of(PART_BYTES as usize + 1_000);
    for bytes in [&large[..], &b"short"[..]] {
        let broken =
            content(bytes).chain(futures::stream::iter([Err(io::Error::other("hung up"))])).boxed();
        let failed = place.objects.put(&key("a"), broken, NO_LIMIT).await;
        assert!(matches!(&failed, Err(Error::Sender(why)) if why.contains("hung up")), "{failed:?}");
        let max = bytes.len() as u64 - 1;
        let failed = place.objects.put(&key("a"), content(bytes), max).await;
        assert!(matches!(failed, Err(Error::TooLarge { max: told, .. }) if told == max), "{failed:?}");
    }
    let meta = place.objects.head(&key("a")).await.unwrap();
    assert_eq!(place.fetch(&meta).await.unwrap().content, hash(b"before"));
    assert_eq!(place.objects.list(None, None, 10).await.unwrap(), [meta]);
}

/// A list goes on after the last name of a page, by the order of bytes, within its folder.
pub async fn pages_ascend(place: Place) {
    let names = ["a.txt", "a/b", "a/c/d", "a/e", "a0", "b", "日本/語"];
    for name in names.iter().rev() {
        place.put(name, name.as_bytes()).await;
    }
    let listed = async |folder: Option<&ObjectKey>, size: usize| {
        let mut all: Vec<String> = Vec::new();
        loop {
            let after = all.last().map(|last| key(last));
            let page = place.objects.list(folder, after.as_ref(), size).await.unwrap();
            let ended = page.len() < size;
            all.extend(page.iter().map(|meta| meta.key.to_string()));
            for meta in page {
                assert_eq!(meta.bytes, meta.key.as_str().len() as u64);
            }
            if ended {
                return all;
            }
        }
    };
    for size in [1, 2, 3, 100] {
        assert_eq!(listed(None, size).await, names);
        assert_eq!(listed(Some(&key("a")), size).await, ["a/b", "a/c/d", "a/e"]);
    }
    assert!(listed(Some(&key("none")), 10).await.is_empty());
}

/// Put in parts, fetched in parts, the same by its hash; who waits is told of every byte.
pub async fn a_large_object_comes_in_parts(place: Place) {
    let bytes = bytes_of(LARGE_BYTES);
    let meta = place.put("large", &bytes).await;
    let mut moved = 0;
    let fetched = place.objects.fetch(&meta, &place.scratch, &mut |more| moved += more).await.unwrap();
    assert_eq!((fetched.bytes, moved), (LARGE_BYTES as u64, LARGE_BYTES as u64));
    assert_eq!(fetched.content, hash(&bytes));
    assert_eq!(hash(&std::fs::read(fetched.file.path()).unwrap()), hash(&bytes));
}

/// What was looked at is what is fetched, or the change is told.
pub async fn an_object_replaced_before_its_fetch_is_told(place: Place) {
    let meta = place.put("a", b"one").await;
    place.put("a", b"two").await;
    assert!(matches!(place.fetch(&meta).await, Err(Error::Changed(_))));
    assert_eq!(place.scratch_files(), 0);
}

/// Parts of two versions never meet in one file.
pub async fn an_object_replaced_during_its_fetch_is_one_or_told(place: Place) {
    let bytes = bytes_of(LARGE_BYTES);
    let meta = place.put("a", &bytes).await;
    let other: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
    let mut replaced = false;
    let mut replace = |_| {
        if !std::mem::replace(&mut replaced, true) {
            let put = place.objects.put(&meta.key, content(&other), NO_LIMIT);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put)).unwrap();
        }
    };
    match place.objects.fetch(&meta, &place.scratch, &mut replace).await {
        Ok(fetched) => assert_eq!(fetched.content, hash(&bytes)),
        Err(error) => assert_eq!(error, Error::Changed("a".to_owned())),
    }
    assert!(replaced);
    let now = place.objects.head(&meta.key).await.unwrap();
    assert_eq!(place.fetch(&now).await.unwrap().content, hash(&other));
}

/// What does not fit waits until something goes; what never fits is refused at once.
pub async fn scratch_is_a_budget(place: Place) {
    let small = ScratchOptions { path: place.dir.path().join("small"), limit_mib: 1 };
    let scratch = Scratch::open(&small).unwrap();
    let (most, half) = (bytes_of(700 << 10), bytes_of(500 << 10));
    let most = place.put("most", &most).await;
    let half = place.put("half", &half).await;
    let over = place.put("over", &bytes_of((1 << 20) + 1)).await;
    let first = place.objects.fetch(&most, &scratch, &mut |_| {}).await.unwrap();
    let refused = place.objects.fetch(&over, &scratch, &mut |_| {}).await;
    assert_eq!(refused.unwrap_err(), Error::TooLarge { bytes: over.bytes, max: 1 << 20 });
    let (objects, shared) = (place.objects.clone(), scratch.clone());
    let second = tokio::spawn(async move { objects.fetch(&half, &shared, &mut |_| {}).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!second.is_finished());
    let path = first.file.path().to_owned();
    drop(first);
    let second = second.await.unwrap().unwrap();
    assert!(!path.exists() && second.file.path().exists());
    drop(second);
    assert_eq!(scratch.free_bytes(), 1 << 20);
}
