//! Extraction through real children of the built binary. Needs libpdfium.so and Tesseract: `make setup`.

// A test that cannot go on should stop where it is.
#![allow(clippy::unwrap_used)]

mod children;
mod drawing;
mod examples;
mod files;
mod formats;
#[cfg(target_arch = "x86_64")]
mod libraries;
// Children have faults on demand only where they are built for tests.
#[cfg(feature = "testing")]
mod losses;
mod pdf;
mod recognition;

use std::path::{Path, PathBuf};

use docmill_core::failure::Failure;
use docmill_core::id::TenantId;
use docmill_core::page::{Block, DocumentInfo, Page};
use docmill_worker::extract::{Event, ExtractOptions, Input, Pool};

/// Where setup puts what the tests need.
fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DOCMILL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("docmill")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/docmill")))
        .expect("one of DOCMILL_CACHE, XDG_CACHE_HOME and HOME is set")
}

/// The pool under test.
fn pool(slots: usize, options: ExtractOptions) -> Pool {
    Pool::new(PathBuf::from(env!("CARGO_BIN_EXE_docmill-worker")), slots, options)
}

/// What a document gave.
#[derive(Debug)]
struct Read {
    info: Option<DocumentInfo>,
    pages: Vec<Page>,
    outcome: Result<(), Failure>,
}

impl Read {
    fn blocks(&self) -> Vec<&Block> {
        self.outcome.as_ref().expect("the document is read (if libpdfium.so is missing, run `make setup`)");
        self.pages.iter().flat_map(|page| &page.blocks).collect()
    }

    fn text(&self) -> String {
        self.blocks().iter().map(|block| block.text.as_str()).collect::<Vec<_>>().join("|")
    }

    fn failure(&self) -> &Failure {
        self.outcome.as_ref().expect_err("the document fails")
    }
}

async fn read_input(pool: &Pool, tenant: &str, input: Input) -> Read {
    let tenant = TenantId::new(tenant).unwrap();
    let (sink, mut events) = tokio::sync::mpsc::channel(8);
    let collect = async {
        let (mut info, mut pages, mut done) = (None, Vec::new(), false);
        while let Some(event) = events.recv().await {
            assert!(!done, "nothing comes after Done");
            match event {
                Event::Info(found) => info = Some(found),
                Event::Page(page) => pages.push(page),
                Event::Done => done = true,
            }
        }
        (info, pages, done)
    };
    let (outcome, (info, pages, done)) = tokio::join!(pool.extract(&tenant, input, sink), collect);
    assert_eq!(outcome.is_ok(), done);
    Read { info, pages, outcome }
}

async fn read(pool: &Pool, path: &Path) -> Read {
    read_input(pool, "t", Input::new(path)).await
}
