//! How fetches are cut into requests, as a store sees it that keeps account of them.

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::future::join_all;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetResult, ListResult, MultipartUpload, PutMultipartOptions, PutOptions, PutResult,
};

use super::*;
use crate::objects::{BackEnd, CUT, IN_PARTS_BYTES, Objects, Scratch, ScratchOptions};

/// Turns that a request takes: long enough that all that may be on their way at once are.
const TURNS: usize = 3;
/// More than any test fetches at once.
const SCRATCH_MIB: u32 = 64;

type Told<T> = object_store::Result<T>;

/// A store in memory, and what it was asked for.
#[derive(Debug, Default)]
struct Account {
    inner: InMemory,
    /// The part that each request wanted; none: all of it.
    asked: Mutex<Vec<Option<Range<u64>>>>,
    on_their_way: AtomicUsize,
    /// Most of them at once.
    most: AtomicUsize,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that keeps account")
    }
}

#[async_trait]
impl ObjectStore for Account {
    async fn put_opts(&self, place: &Path, payload: PutPayload, options: PutOptions) -> Told<PutResult> {
        self.inner.put_opts(place, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        place: &Path,
        options: PutMultipartOptions,
    ) -> Told<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(place, options).await
    }

    async fn get_opts(&self, place: &Path, options: GetOptions) -> Told<GetResult> {
        if options.head {
            return self.inner.get_opts(place, options).await;
        }
        let part = match &options.range {
            Some(GetRange::Bounded(part)) => Some(part.clone()),
            _ => None,
        };
        self.asked.lock().unwrap().push(part);
        let now = self.on_their_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        let got = self.inner.get_opts(place, options).await;
        self.on_their_way.fetch_sub(1, Ordering::Relaxed);
        got
    }

    fn delete_stream(&self, places: BoxStream<'static, Told<Path>>) -> BoxStream<'static, Told<Path>> {
        self.inner.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Told<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Told<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Told<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Objects in such a store, with scratch.
struct Place {
    store: Arc<Account>,
    objects: Objects,
    scratch: Scratch,
    _dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let (store, dir) = (Arc::new(Account::default()), tempfile::tempdir().unwrap());
        let remote = Remote::new(store.clone(), None).unwrap();
        let scratch = ScratchOptions { path: dir.path().join("scratch"), limit_mib: SCRATCH_MIB };
        Self {
            store,
            objects: Objects { back_end: Arc::new(BackEnd::Remote(remote)) },
            scratch: Scratch::open(&scratch).unwrap(),
            _dir: dir,
        }
    }

    async fn put(&self, name: &str, bytes: Vec<u8>) -> Meta {
        let key = ObjectKey::new(name).unwrap();
        let content: Vec<std::io::Result<Bytes>> = vec![Ok(Bytes::from(bytes))];
        self.objects.put(&key, stream::iter(content).boxed(), u64::MAX).await.unwrap();
        self.objects.head(&key).await.unwrap()
    }

    fn most(&self) -> usize {
        self.store.most.load(Ordering::Relaxed)
    }
}

/// The parts that a fetch of so many bytes asks for, in their order, and how many of them at once.
async fn fetched(bytes: u64) -> (Vec<Option<Range<u64>>>, usize) {
    let place = Place::new();
    let content: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
    let hash = ContentHash(Sha256::digest(&content).into());
    let meta = place.put("large", content).await;
    let fetched = place.objects.fetch_cut(&meta, &place.scratch, CUT, &mut |_| {}).await.unwrap();
    assert_eq!((fetched.bytes, fetched.content), (bytes, hash));
    let mut asked = place.store.asked.lock().unwrap().clone();
    asked.sort_by_key(|part| part.as_ref().map(|part| part.start));
    (asked, place.most())
}

#[tokio::test]
async fn above_fifty_mib_parts_of_ten_come_four_at_once() {
    assert_eq!((IN_PARTS_BYTES, PART_BYTES, PARTS_AT_ONCE), (50 << 20, 10 << 20, 4));
    let bytes = IN_PARTS_BYTES + 1;
    let part = |n: u64| Some(n * PART_BYTES..bytes.min((n + 1) * PART_BYTES));
    let (asked, most) = fetched(bytes).await;
    assert_eq!(asked, [0, 1, 2, 3, 4, 5].map(part));
    assert_eq!(most, PARTS_AT_ONCE);
}

#[tokio::test]
async fn up_to_fifty_mib_come_in_one_request() {
    let (asked, most) = fetched(IN_PARTS_BYTES).await;
    assert_eq!((asked.as_slice(), most), ([None].as_slice(), 1));
}

#[tokio::test]
async fn parts_of_all_objects_together_are_bounded() {
    let place = Place::new();
    let cut = Cut { above: 10, part: 10 };
    let mut metas = Vec::new();
    for n in 0..8 {
        metas.push(place.put(&n.to_string(), vec![n; 100]).await);
    }
    let Place { objects, scratch, .. } = &place;
    let fetches = metas.iter().map(|meta| async move {
        let fetched = objects.fetch_cut(meta, scratch, cut, &mut |_| {}).await.unwrap();
        fetched.bytes
    });
    assert_eq!(join_all(fetches).await, [100; 8]);
    assert_eq!(place.store.asked.lock().unwrap().len(), 8 * 10);
    assert_eq!(place.most(), PARTS_IN_MEMORY);
}
