//! What the sandbox costs, in CPU time of all processes: clocks on the wall tell what else the machine does.
//!
//! All of them share one core, as they do where every core has work. A child on a core that has nothing else to do costs
//! more, and by how much is the machine's matter: a virtual one is left and entered for each time that a core is woken.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use docmill_core::id::TenantId;
use docmill_worker::extract::{Event, ExtractOptions, Here, Input, Pool};
use docmill_worker::process_tree::cpu_seconds;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::tempdir;
use tokio::sync::mpsc;

use super::Options;
use crate::corpus::{Writer, dense_pages, pdf, write};
use crate::cpu::{child_s, own_s};

/// Size of the HTML page.
const HTML_BYTES: usize = 50 << 10;
/// Size of a page that costs nearly nothing to read: what is left is the child.
const SMALL_BYTES: usize = 200;
/// Documents that are read before any is measured: libraries are loaded, memory is there.
const WARM_UP: usize = 20;
/// CPU time of one side of a pair, in seconds.
const SIDE_S: f64 = 0.5;
/// The same where figures are not judged.
const SIDE_MOMENT_S: f64 = 0.1;
/// Pairs, of which the median counts: others on the machine disturb some.
const PAIRS: usize = 7;
/// Documents with a child of their own each.
const CHILDREN: usize = 300;
/// The same where figures are not judged.
const CHILDREN_MOMENT: usize = 20;

/// What it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// CPU time that a document costs more when it gets a child of its own, start to end, than read in the process.
    pub cpu_ms_per_document: f64,
    /// CPU time of an HTML page of 50 KB read by a child that is there, beside reading it in the process.
    pub html_over_inprocess: f64,
    /// The same of a PDF of one page.
    pub pdf_over_inprocess: f64,
}

/// Measures all of it, on a thread of its own and on one core.
///
/// # Errors
/// A document could not be read, or the core not be chosen.
pub fn measure(binary: &Path, options: Options) -> Result<Figures> {
    let on_one_core = || -> Result<Figures> {
        let allowed = sched_getaffinity(None)?;
        let core = (0..CpuSet::MAX_CPU).rfind(|&core| allowed.is_set(core));
        let mut one = CpuSet::new();
        one.set(core.context("no core is allowed")?);
        // Threads and processes that this one starts have it too.
        sched_setaffinity(None, &one)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Box::pin(measured(binary, options)))
    };
    let measured = std::thread::scope(|scope| scope.spawn(on_one_core).join());
    measured.map_err(|_| anyhow!("the measurement ended in a panic"))?
}

async fn measured(binary: &Path, options: Options) -> Result<Figures> {
    let folder = tempdir()?;
    let mut writer = Writer::new(1);
    let page = |path: PathBuf, text: &str| -> Result<PathBuf> {
        let paragraphs = text.split_inclusive(". ").map(|sentence| format!("<p>{sentence}</p>\n"));
        let page = format!(
            "<html><head><title>A page</title></head><body><h1>A page</h1>\n{}</body></html>",
            paragraphs.collect::<String>()
        );
        write(&path, page.as_bytes())?;
        Ok(path)
    };
    let html = page(folder.path().join("page.html"), &writer.prose(HTML_BYTES))?;
    let small = page(folder.path().join("small.html"), &writer.prose(SMALL_BYTES))?;
    let one_page = folder.path().join("page.pdf");
    write(&one_page, &pdf(&dense_pages(&mut writer, 1, None, None)))?;
    Ok(Figures {
        cpu_ms_per_document: own_child_ms(binary, &small, options).await?,
        html_over_inprocess: over_in_process(binary, &html, options).await?,
        pdf_over_inprocess: over_in_process(binary, &one_page, options).await?,
    })
}

/// A child for every document: a pool of one slot in which two tenants take turns.
async fn own_child_ms(binary: &Path, document: &Path, options: Options) -> Result<f64> {
    let pool = Pool::new(binary.to_owned(), 1, ExtractOptions::default());
    let tenants = [TenantId::new("one")?, TenantId::new("other")?];
    let documents = if options.counts_only { CHILDREN_MOMENT } else { CHILDREN };
    read(&pool, &tenants[1], document).await?;
    let before = cpu_seconds();
    for number in 0..documents {
        read(&pool, &tenants[number % 2], document).await?;
    }
    let in_children = (cpu_seconds() - before) / documents as f64;
    pool.shutdown().await;
    let mut here = Here::default();
    let in_process = in_process_s(&mut here, document, documents)? / documents as f64;
    Ok((in_children - in_process) * 1e3)
}

/// The median of pairs, one side right after the other.
async fn over_in_process(binary: &Path, document: &Path, options: Options) -> Result<f64> {
    let (pairs, side_s) = if options.counts_only { (1, SIDE_MOMENT_S) } else { (PAIRS, SIDE_S) };
    let mut kept = ExtractOptions::default();
    // None is started meanwhile.
    kept.limits.extractor_documents = u32::MAX;
    let pool = Pool::new(binary.to_owned(), 1, kept);
    let tenant = TenantId::default();
    let mut here = Here::default();
    for _ in 0..WARM_UP {
        read(&pool, &tenant, document).await?;
    }
    let one_s = in_process_s(&mut here, document, WARM_UP)? / WARM_UP as f64;
    let documents = ((side_s / one_s.max(1e-6)) as usize).max(1);
    let mut ratios = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        let in_process = in_process_s(&mut here, document, documents)?;
        let [child] = pool.child_pids()[..] else { anyhow::bail!("one child is wanted") };
        let before = own_s() + child_s(child)?;
        for _ in 0..documents {
            read(&pool, &tenant, document).await?;
        }
        ratios.push((own_s() + child_s(child)? - before) / in_process);
    }
    pool.shutdown().await;
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().context("there are pairs")
}

fn in_process_s(here: &mut Here, document: &Path, documents: usize) -> Result<f64> {
    let options = ExtractOptions::default();
    let before = own_s();
    for _ in 0..documents {
        let events = here.read(&Input::new(document), &options)?;
        ensure!(events.last() == Some(&Event::Done), "the document was not read to its end");
    }
    Ok(own_s() - before)
}

async fn read(pool: &Pool, tenant: &TenantId, document: &Path) -> Result<()> {
    let (sink, mut events) = mpsc::channel(8);
    let collect = async {
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            all.push(event);
        }
        all
    };
    let (outcome, events) = tokio::join!(pool.extract(tenant, Input::new(document), sink), collect);
    outcome?;
    ensure!(events.last() == Some(&Event::Done), "the document was not read to its end");
    Ok(())
}
