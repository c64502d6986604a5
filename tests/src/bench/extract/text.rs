//! Text PDFs end to end through the sandbox, against pdfium called in this process and against pdfplumber: pages a second of
//! CPU, of all processes that have a part in it.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use docmill_worker::extract::OcrLanguages;

use super::bare::Bare;
use super::reading::Reader;
use super::truth::Corpus;
use super::{Options, median, peers};
use crate::bench::Figures;
use crate::cpu;

/// Language of the documents: the six hundred pages of it are what the others were measured with.
const LANGUAGE: &str = "en";
/// Rounds of which the median counts, one side right after the other.
const ROUNDS: usize = 5;
/// Least that is to be left of the speed of pdfium called in the process.
const RATIO_MIN: f64 = 0.85;
/// Least that we are to be faster than pdfplumber.
const PDFPLUMBER_MIN: f64 = 40.0;

pub(super) async fn measure(options: &Options, corpus: &Corpus, figures: &mut Figures) -> Result<()> {
    let documents: Vec<PathBuf> =
        corpus.timed(LANGUAGE).into_iter().map(|document| document.pdf.clone()).collect();
    let rate = through_sandbox(options, &documents, figures).await?;
    cores(options, &documents, figures).await?;
    let plumbed = peers::read("pdfplumber", "eng", &documents)?;
    for (read, document) in plumbed.iter().zip(&documents) {
        ensure!(read.error.is_none(), "pdfplumber: {}: {:?}", document.display(), read.error);
    }
    let seconds: f64 = plumbed.iter().map(|read| read.cpu_s).sum();
    let count: usize = plumbed.iter().map(|read| read.pages.len()).sum();
    figures.told("pdfplumber_pages_per_cpu_s", count as f64 / seconds);
    figures.at_least("text_vs_pdfplumber", rate / (count as f64 / seconds), PDFPLUMBER_MIN);
    Ok(())
}

/// Gives pages a second of CPU through the sandbox.
async fn through_sandbox(options: &Options, documents: &[PathBuf], figures: &mut Figures) -> Result<f64> {
    let bare = Bare::get()?;
    let reader = Reader::new(&options.worker, 1, OcrLanguages::Auto);
    let in_process = || -> Result<(usize, f64)> {
        let (before, mut pages) = (cpu::own_s(), 0);
        for document in documents {
            pages += bare.text(document)?.len();
        }
        Ok((pages, cpu::own_s() - before))
    };
    // Libraries are loaded, fonts are known, files are in memory.
    in_process()?;
    reader.all(documents).await?;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (pages, bare_s) = in_process()?;
        let before = reader.cpu_s()?;
        let mut read = 0;
        for document in documents {
            read += reader.pages(document).await?.len();
        }
        let ours_s = reader.cpu_s()? - before;
        ensure!(pages == read, "{read} of {pages} pages were read");
        ratios.push(bare_s / ours_s);
        rates.push(pages as f64 / ours_s);
    }
    reader.end().await;
    let rate = median(&mut rates);
    figures.told("text_pages_per_cpu_s", rate);
    figures.at_least("text_ratio_inprocess", median(&mut ratios), RATIO_MIN);
    Ok(rate)
}

/// The share of all cores that is used while documents wait.
async fn cores(options: &Options, documents: &[PathBuf], figures: &mut Figures) -> Result<()> {
    let cores = super::cores();
    let reader = Reader::new(&options.worker, cores, OcrLanguages::Auto);
    reader.all(documents).await?;
    // Each document a few times over: the last one to end must not be what is measured.
    let many: Vec<PathBuf> = (0..4 * cores).flat_map(|_| documents.to_vec()).collect();
    let (began, before) = (Instant::now(), reader.cpu_s()?);
    reader.all(&many).await?;
    let used = (reader.cpu_s()? - before) / began.elapsed().as_secs_f64();
    reader.end().await;
    figures.told("text_cores_used", used / cores as f64);
    Ok(())
}
