//! Pages as pictures, for people: drawn by an extractor, one at a time in this process. A few more may wait; who comes
//! beyond is told to come again. Pictures are kept for who looks twice, and so is the file that was drawn from last.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bytes::Bytes;
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{DocumentId, TenantId};

use super::Api;
use super::content::{self, Content};
use super::problem::Problem;
use crate::desk::DocumentRow;
use crate::extract::{Drawing, ExtractOptions, Pool};
use crate::stages::file_uri;

/// Longest side of a drawn page, in pixels: twice what a laptop shows of it beside its text.
const SIDE_MAX: u32 = 1_200;
/// Longest that the drawing of a page may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Most address space of the extractor that draws, in MiB.
const MEMORY_MIB: u64 = 512;
/// Who may be in line, with the one whose page is drawn.
const LINE_MAX: usize = 16;
/// Of them, those of one tenant.
const LINE_OF_TENANT_MAX: usize = 8;
/// Longest wait in line.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest that a file may take to be fetched and looked at: less than those behind it wait.
const OPEN_MAX: Duration = Duration::from_secs(4);
/// Seconds after which it is worth coming again.
const BUSY_RETRY_S: u64 = 2;
/// Pictures that are kept, in bytes and by number.
const KEPT_BYTES_MAX: usize = 32 << 20;
const KEPT_MAX: usize = 512;
/// What one that is kept takes beside its picture, in bytes.
const KEPT_BESIDE_BYTES: usize = 1_024;
/// So long a page that could not be drawn is not tried again: a machine that was busy is not for ever.
const FAILED_KEPT: Duration = Duration::from_secs(60);
/// Scratch that is left for others while a file is kept for the next page, in bytes.
const SCRATCH_LEFT_MIN: u64 = 64 << 20;

/// A page of a content of a document.
type Key = (DocumentId, u64, u32);

/// See the module.
pub struct Drawer {
    pool: Pool,
    /// Held by who draws.
    slot: tokio::sync::Mutex<Option<Held>>,
    line: Mutex<Vec<TenantId>>,
    kept: Mutex<Kept>,
}

/// The file that was drawn from last.
struct Held {
    document: DocumentId,
    generation: u64,
    content: Content,
}

/// What came of a drawing.
#[derive(Debug, Clone)]
enum Outcome {
    Drawn(Bytes),
    Failed(Failure, Instant),
}

impl Drawer {
    /// One whose extractors run this program and are told so of documents.
    ///
    /// # Errors
    /// There is too little memory for one beside all else, as a sentence.
    pub fn new(extractor: PathBuf, options: &ExtractOptions) -> Result<Self, String> {
        let mut options = options.clone();
        options.limits.extractor_mib = options.limits.extractor_mib.min(MEMORY_MIB);
        let pool = Pool::new(extractor, 1, options);
        if let Some(shortage) = pool.shortage() {
            return Err(shortage.to_owned());
        }
        let (slot, line, kept) = Default::default();
        Ok(Self { pool, slot, line, kept })
    }

    /// Makes sure that its extractors are held as is asked.
    ///
    /// # Errors
    /// They are not, or do not start, as a sentence.
    pub async fn check(&self, options: &ExtractOptions) -> Result<(), String> {
        let report = self.pool.sandbox().await?;
        report.judge(options.sandbox).map_err(|failure| failure.detail)
    }

    /// The picture of a page of the tenant's document, as PNG.
    ///
    /// # Errors
    /// There is none, or too many wait.
    pub(super) async fn page(
        &self,
        api: &Api,
        tenant: &TenantId,
        row: &DocumentRow,
        page: u32,
    ) -> Result<Bytes, Problem> {
        let key = (row.id, row.generation, page);
        if let Some(known) = lock(&self.kept).get(&key, Instant::now()) {
            return told(known, page);
        }
        let _in_line = self.join(tenant)?;
        let Ok(mut slot) = tokio::time::timeout(WAIT_MAX, self.slot.lock()).await else {
            return Err(busy());
        };
        // Who was before us may have drawn the same.
        if let Some(known) = lock(&self.kept).get(&key, Instant::now()) {
            return told(known, page);
        }
        let fits = |held: &Held| {
            held.document == row.id && held.generation == row.generation && held.content.is_as_it_was()
        };
        if !slot.as_ref().is_some_and(fits) {
            // At once: scratch may not have room for both.
            *slot = None;
            // All others wait meanwhile.
            let opening = tokio::time::timeout(OPEN_MAX, Box::pin(content::open(api, tenant, row)));
            let Ok(opened) = opening.await else { return Err(busy()) };
            let opened = opened?;
            let (document, generation) = (row.id, row.generation);
            *slot = opened.map(|content| Held { document, generation, content });
        }
        let Some(held) = slot.as_ref() else { return Err(gone(page)) };
        let drawing = Drawing {
            file: &held.content.file,
            name: file_uri::name(&row.uri),
            page,
            side_max: SIDE_MAX,
            deadline: DEADLINE,
        };
        let outcome = match Box::pin(self.pool.draw(tenant, &drawing)).await {
            Ok(drawn) => Outcome::Drawn(drawn.png.into()),
            Err(failure) => {
                if is_ours(failure.code) {
                    tracing::warn!(document = %row.id, page, %failure, "a page was not drawn");
                } else {
                    tracing::info!(document = %row.id, page, %failure, "a page was not drawn");
                }
                Outcome::Failed(failure, Instant::now() + FAILED_KEPT)
            }
        };
        if !held.content.is_as_it_was() {
            *slot = None;
            return Err(gone(page));
        }
        if api.scratch.as_ref().is_some_and(|scratch| scratch.free_bytes() < SCRATCH_LEFT_MIN) {
            *slot = None;
        }
        lock(&self.kept).keep(key, outcome.clone());
        told(outcome, page)
    }

    /// A place in line, until the answer is dropped.
    fn join(&self, tenant: &TenantId) -> Result<InLine<'_>, Problem> {
        let mut line = lock(&self.line);
        let own = line.iter().filter(|other| *other == tenant).count();
        if line.len() >= LINE_MAX || own >= LINE_OF_TENANT_MAX {
            return Err(busy());
        }
        line.push(tenant.clone());
        Ok(InLine { line: &self.line, tenant: tenant.clone() })
    }
}

/// A place in line.
struct InLine<'a> {
    line: &'a Mutex<Vec<TenantId>>,
    tenant: TenantId,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut line = lock(self.line);
        if let Some(place) = line.iter().position(|tenant| *tenant == self.tenant) {
            line.swap_remove(place);
        }
    }
}

/// What came of drawings, the last that was asked for first.
#[derive(Default)]
struct Kept {
    pages: VecDeque<(Key, Outcome)>,
    bytes: usize,
}

impl Kept {
    fn get(&mut self, key: &Key, now: Instant) -> Option<Outcome> {
        let place = self.pages.iter().position(|(of, _)| of == key)?;
        let (key, outcome) = self.pages.remove(place)?;
        if matches!(&outcome, Outcome::Failed(_, until) if *until <= now) {
            self.bytes = self.bytes.saturating_sub(bytes_of(&outcome));
            return None;
        }
        self.pages.push_front((key, outcome.clone()));
        Some(outcome)
    }

    fn keep(&mut self, key: Key, outcome: Outcome) {
        self.bytes += bytes_of(&outcome);
        self.pages.push_front((key, outcome));
        while self.bytes > KEPT_BYTES_MAX || self.pages.len() > KEPT_MAX {
            let Some((_, last)) = self.pages.pop_back() else { break };
            self.bytes = self.bytes.saturating_sub(bytes_of(&last));
        }
    }
}

fn bytes_of(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Drawn(png) => png.len() + KEPT_BESIDE_BYTES,
        Outcome::Failed(failure, _) => failure.detail.len() + KEPT_BESIDE_BYTES,
    }
}

fn told(outcome: Outcome, page: u32) -> Result<Bytes, Problem> {
    match outcome {
        Outcome::Drawn(png) => Ok(png),
        Outcome::Failed(failure, _) => Err(no_image(page, why(&failure))),
    }
}

/// Why a page is not drawn, for who may see it. What it says of this server is for its log.
fn why(failure: &Failure) -> &str {
    match is_ours(failure.code) {
        true => "what draws it failed; the log of the API says how",
        false => &failure.detail,
    }
}

/// Whether it says more of this server than of the document.
fn is_ours(code: FailureCode) -> bool {
    use FailureCode::{Internal, SandboxMissing, SandboxViolation};
    matches!(code, Internal | SandboxMissing | SandboxViolation)
}

/// There is no picture of a page.
pub(super) fn no_image(page: u32, why: &str) -> Problem {
    let detail = format!("there is no picture of this page: {why}");
    Problem::new(StatusCode::NOT_FOUND, "no_page_image", detail, "show its text").given(&page.to_string())
}

/// There is none, as what lies where the document was is something else by now, or nothing.
pub(super) fn gone(page: u32) -> Problem {
    no_image(page, "its file is not there any more as it was read")
}

fn busy() -> Problem {
    let detail = "as many pages wait to be drawn as may";
    let what_to_do = "ask again after a moment";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "drawing_busy", detail, what_to_do)
        .retry_after(BUSY_RETRY_S)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept behind these locks is whole at every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(page: u32) -> Key {
        (DocumentId::born(&TenantId::default(), "a", 0), 1, page)
    }

    fn drawn(bytes: usize) -> Outcome {
        Outcome::Drawn(vec![0; bytes].into())
    }

    #[test]
    fn pictures_are_kept_by_their_bytes_and_those_that_are_looked_at_stay() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        let each = KEPT_BYTES_MAX / 4;
        for page in 1..=3 {
            kept.keep(key(page), drawn(each));
        }
        assert!(kept.get(&key(1), now).is_some());
        kept.keep(key(4), drawn(each));
        assert!(kept.bytes <= KEPT_BYTES_MAX);
        assert!(kept.get(&key(2), now).is_none(), "nobody looked at it for the longest time");
        assert!([1, 3, 4].iter().all(|page| kept.get(&key(*page), now).is_some()));
        for page in 10..10 + 2 * KEPT_MAX as u32 {
            kept.keep(key(page), drawn(0));
        }
        assert_eq!((kept.pages.len(), kept.bytes), (KEPT_MAX, KEPT_MAX * KEPT_BESIDE_BYTES));
    }

    #[test]
    fn what_failed_is_tried_again_after_its_time() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        let failure = Failure::new(FailureCode::LimitTime, "not drawn in time");
        kept.keep(key(1), Outcome::Failed(failure, now + FAILED_KEPT));
        let Some(Outcome::Failed(failure, _)) = kept.get(&key(1), now) else { panic!("it is kept") };
        assert_eq!(why(&failure), "not drawn in time");
        assert!(kept.get(&key(1), now + FAILED_KEPT).is_none());
        assert_eq!((kept.bytes, kept.pages.len()), (0, 0));
        let inner = Failure::new(FailureCode::Internal, "/opt/lib/libpdfium.so is missing");
        assert!(!why(&inner).contains("/opt"));
    }

    #[tokio::test]
    async fn one_tenant_does_not_fill_the_line() {
        let options = ExtractOptions::default();
        let (slot, line, kept) = Default::default();
        let drawer = Drawer { pool: Pool::new("/nowhere".into(), 1, options), slot, line, kept };
        let [one, two] = ["one", "two"].map(|name| TenantId::new(name).unwrap());
        let mut held: Vec<_> = (0..LINE_OF_TENANT_MAX).map(|_| drawer.join(&one).unwrap()).collect();
        let refused = drawer.join(&one).err().unwrap();
        assert_eq!(refused.status(), 503);
        held.extend((LINE_OF_TENANT_MAX..LINE_MAX).map(|_| drawer.join(&two).unwrap()));
        assert!(drawer.join(&two).is_err());
        drop(held.remove(0));
        assert!(drawer.join(&one).is_ok());
        drop(held);
        assert!(lock(&drawer.line).is_empty());
    }
}
