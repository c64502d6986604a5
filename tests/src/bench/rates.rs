//! Documents and pages a second, and memory over more documents.

use anyhow::{Result, ensure};

use super::{Bench, Figures, Options};
use crate::command::{Docmill, Run};
use crate::corpus::{Writer, dense_pages, pdf as make_pdf, write, write_texts};

const MOCK: [&str; 2] = ["--embeddings", "mock"];
const DOCUMENT_BYTES: usize = 4_000;
/// Runs of which the median counts: other programs take their share of a small machine.
const REPEATS: usize = 3;
/// How much more memory twice the documents may take.
const FLAT_RATIO_MAX: f64 = 1.15;

pub(super) fn text(options: &Options, figures: &mut Figures) -> Result<()> {
    let count = options.sized(500, 20);
    let bench = Bench::new(options)?;
    write_texts(&bench.documents(), count, DOCUMENT_BYTES, false, 11)?;
    let runs = repeated(&bench, count)?;
    figures.at_least("text_docs_per_s", median(&runs, "docs_per_second")?, 500.0);
    // The same documents and more. At a thousand every cache of a bounded size is full.
    let mut peaks = Vec::new();
    for count in [options.sized(1_000, 40), options.sized(2_000, 80)] {
        write_texts(&bench.documents(), count, DOCUMENT_BYTES, false, 11)?;
        let run = fresh(&bench.docmill_at(&format!("of-{count}")), &bench, count)?;
        peaks.push(run.number("peak_rss_mib")?);
    }
    figures.told("text_peak_rss_mib", peaks[1]);
    figures.at_most("rss_ratio_2000_to_1000", peaks[1] / peaks[0], FLAT_RATIO_MAX);
    Ok(())
}

pub(super) fn growth(options: &Options, figures: &mut Figures) -> Result<()> {
    let (few, many) = (options.sized(500, 20), options.sized(5_000, 200));
    let small = Bench::new(options)?;
    write_texts(&small.documents(), few, DOCUMENT_BYTES, true, 12)?;
    // Before and after the many: what else the machine does changes from minute to minute.
    let mut runs = repeated(&small, few)?;
    let large = Bench::new(options)?;
    write_texts(&large.documents(), many, DOCUMENT_BYTES, true, 12)?;
    let at_many = fresh(&large.docmill(), &large, many)?.number("docs_per_second")?;
    let after = |round: usize| fresh(&small.docmill_at(&format!("after-{round}")), &small, few);
    runs.extend((0..REPEATS).map(after).collect::<Result<Vec<_>>>()?);
    let at_few = median(&runs, "docs_per_second")?;
    figures.told("growth_docs_per_s_500", at_few);
    figures.told("growth_docs_per_s_5000", at_many);
    figures.at_least("growth_ratio", at_many / at_few, 0.8);
    Ok(())
}

pub(super) fn pdf(options: &Options, figures: &mut Figures) -> Result<()> {
    let (count, pages) = (options.sized(40, 4), 15);
    let bench = Bench::new(options)?;
    let mut writer = Writer::new(13);
    for number in 0..count {
        let bytes = make_pdf(&dense_pages(&mut writer, pages, None, None));
        write(&bench.documents().join(format!("report-{number:03}.pdf")), &bytes)?;
    }
    let runs = repeated(&bench, count)?;
    for run in &runs {
        ensure!(run.number("pages")? as usize == count * pages, "pages are missing: {}", run.report);
        ensure!(run.number("ocr_pages")? == 0.0, "pages with text were recognised: {}", run.report);
    }
    let seconds = median(&runs, "seconds")?;
    figures.at_least("pdf_pages_per_s", (count * pages) as f64 / seconds, 300.0);
    Ok(())
}

/// Runs with a new data directory each.
fn repeated(bench: &Bench, documents: usize) -> Result<Vec<Run>> {
    (0..REPEATS).map(|round| fresh(&bench.docmill_at(&format!("data-{round}")), bench, documents)).collect()
}

fn fresh(docmill: &Docmill, bench: &Bench, documents: usize) -> Result<Run> {
    let run = docmill.run_well(&bench.documents(), &MOCK)?;
    ensure!(run.number("succeeded")? as usize == documents, "documents are missing: {}", run.report);
    Ok(run)
}

fn median(runs: &[Run], name: &str) -> Result<f64> {
    let mut values = runs.iter().map(|run| run.number(name)).collect::<Result<Vec<_>>>()?;
    values.sort_by(f64::total_cmp);
    Ok(values[values.len() / 2])
}
