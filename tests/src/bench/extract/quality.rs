//! The right text: ours against independent text, beside what others make of the same files. The judge is what a package
//! ships beside its PDF, what stood on a page before it was made a picture, and what went into an office file.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use docmill_core::page::PageSource;
use docmill_worker::extract::OcrLanguages;

use super::f1::F1;
use super::reading::{Reader, text};
use super::truth::{Corpus, Scan};
use super::{Options, peers};
use crate::bench::Figures;

/// Readers of text layers, as the table has them.
const READERS: [&str; 5] = ["pdftotext", "pymupdf", "pypdf", "pdfplumber", "kreuzberg"];
/// The one that we may not be worse than on any document.
const BEST: &str = "pymupdf";
/// Nor by more than this, which is what two renderings of one footnote differ by.
const BEHIND_MAX: f64 = 0.005;
/// Least word F1 of recognised pages, by language.
const RECOGNISED_MIN: [(&str, f64); 4] = [("en", 0.99), ("de", 0.99), ("ja", 0.94), ("zh", 0.90)];
/// A mean of some pages alone may be lower than that of all by this.
const OF_FEW_LESS: f64 = 0.005;
/// Least word F1 of the office formats of today; older and open ones are told only.
const OFFICE_MIN: f64 = 0.99;
const OFFICE_JUDGED: [&str; 3] = ["report.docx", "deck.pptx", "table.xlsx"];

/// Documents, scans and office files; scans alone where only some of their pages are asked for.
pub(super) async fn measure(options: &Options, corpus: &Corpus, figures: &mut Figures) -> Result<()> {
    let reader = Reader::new(&options.worker, super::cores(), OcrLanguages::Auto);
    if options.pages_per_language.is_none() {
        documents(&reader, corpus, figures).await?;
        office(&reader, figures).await?;
    }
    scans(&reader, options, corpus, figures).await?;
    reader.end().await;
    Ok(())
}

async fn documents(reader: &Reader, corpus: &Corpus, figures: &mut Figures) -> Result<()> {
    let files: Vec<PathBuf> = corpus.documents.iter().map(|document| document.pdf.clone()).collect();
    let truths = corpus.documents.iter().map(|document| document.truth()).collect::<Result<Vec<_>>>()?;
    let score = |texts: Vec<String>| -> Vec<F1> {
        texts.iter().zip(&truths).map(|(found, truth)| F1::of(found, truth)).collect()
    };
    let ours = reader.all(&files).await?;
    let mut columns = vec![("docmill", score(ours.iter().map(|pages| text(pages)).collect()))];
    for name in READERS {
        eprintln!("# {name}");
        let read = peers::read(name, "eng", &files)?;
        for (read, file) in read.iter().zip(&files) {
            if let Some(error) = &read.error {
                eprintln!("{name} does not read {}: {error}", file.display());
            }
        }
        columns.push((name, score(read.iter().map(|read| read.pages.join("\n\n")).collect())));
    }
    let names: Vec<&str> = corpus.documents.iter().map(|document| document.name.as_str()).collect();
    print_table(&names, &columns);
    let best = columns.iter().find(|(name, _)| *name == BEST).map(|(_, scores)| scores);
    let best = best.context("the best is among the readers")?;
    let mut worst = f64::INFINITY;
    for ((ours, best), name) in columns[0].1.iter().zip(best).zip(&names) {
        let ahead = (ours.token - best.token).min(ours.bigram - best.bigram);
        if ahead < -BEHIND_MAX {
            eprintln!(
                "{name}: {:.4}/{:.4}, {BEST} {:.4}/{:.4}",
                ours.token, ours.bigram, best.token, best.bigram
            );
        }
        worst = worst.min(ahead);
    }
    let mean = F1::mean(&columns[0].1);
    figures.told("f1", mean.token);
    figures.told("bigram_f1", mean.bigram);
    figures.at_least("least_ahead_of_pymupdf", worst, -BEHIND_MAX);
    Ok(())
}

/// Scans in all languages, none of which is told to the reader.
async fn scans(reader: &Reader, options: &Options, corpus: &Corpus, figures: &mut Figures) -> Result<()> {
    for scan in &corpus.scans {
        let pages = match options.pages_per_language {
            Some(asked) => {
                let there = scan.pages.len();
                ensure!(asked <= there, "--pages-per-language is {asked}; {} has {there}", scan.name);
                asked
            }
            None => scan.pages.len(),
        };
        let truths = scan.pages.iter().take(pages).map(|page| page.truth()).collect::<Result<Vec<_>>>()?;
        let ours = ours(reader, scan, pages).await?;
        let mut columns = vec![("docmill", score(&ours, &truths))];
        if options.pages_per_language.is_none() {
            let read = peers::read("pytesseract", &scan.tesseract, std::slice::from_ref(&scan.pdf))?;
            let read = read.into_iter().next().context("a file was asked for")?;
            ensure!(read.error.is_none(), "pytesseract: {}: {:?}", scan.name, read.error);
            columns.push(("pytesseract", score(&read.pages, &truths)));
        }
        let title = title(scan);
        let names: Vec<String> = (1..=pages).map(|page| format!("{title} {page}")).collect();
        print_table(&names.iter().map(String::as_str).collect::<Vec<_>>(), &columns);
        for (reader, scores) in &columns {
            let mean = F1::mean(scores);
            let name = format!("{reader}_{title}");
            let less = if pages < scan.pages.len() || options.counts_only { OF_FEW_LESS } else { 0.0 };
            let least = RECOGNISED_MIN.iter().find(|(language, _)| *language == scan.language);
            match least {
                // What is asked for is asked of clean scans.
                Some((_, least)) if *reader == "docmill" && !scan.is_noisy => {
                    figures.at_least(&name, mean.token, *least - less)
                }
                _ => figures.told(&name, mean.token),
            }
            figures.told(&format!("{name}_bigram"), mean.bigram);
        }
    }
    Ok(())
}

/// How a scan is called in tables and figures.
fn title(scan: &Scan) -> String {
    if scan.is_noisy { format!("{}_noisy", scan.language) } else { scan.language.clone() }
}

async fn ours(reader: &Reader, scan: &Scan, pages: usize) -> Result<Vec<String>> {
    let read = reader.pages(&scan.pdf).await?;
    ensure!(read.len() == scan.pages.len(), "{}: {} pages were read", scan.name, read.len());
    for page in read.iter().take(pages) {
        let note = page.note.as_deref().unwrap_or_default();
        ensure!(page.source == PageSource::Ocr, "{} page {}: {note}", scan.name, page.number);
    }
    Ok(read.iter().take(pages).map(docmill_core::page::Page::text).collect())
}

fn score(found: &[String], truths: &[String]) -> Vec<F1> {
    found.iter().zip(truths).map(|(found, truth)| F1::of(found, truth)).collect()
}

async fn office(reader: &Reader, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("docmill-bench-").tempdir()?;
    let mut rows = Vec::new();
    for made in peers::office(folder.path())? {
        let truth = std::fs::read_to_string(&made.text)?;
        let f1 = F1::of(&text(&reader.pages(&made.file).await?), &truth);
        let name = format!("office_{}", made.name.replace('.', "_"));
        if OFFICE_JUDGED.contains(&made.name.as_str()) {
            figures.at_least(&name, f1.token, OFFICE_MIN);
        } else {
            figures.told(&name, f1.token);
        }
        rows.push((made.name, f1));
    }
    let missing = OFFICE_JUDGED.iter().filter(|name| rows.iter().all(|(made, _)| made != *name)).count();
    ensure!(missing == 0, "{missing} office files were not made");
    let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
    print_table(&names, &[("docmill", rows.iter().map(|(_, f1)| *f1).collect())]);
    Ok(())
}

/// Token F1 and bigram F1: a line a document, a column a reader, and the mean.
fn print_table(names: &[&str], columns: &[(&str, Vec<F1>)]) {
    let row = |name: &str, cells: Vec<String>| {
        println!("{name:16}{}", cells.iter().map(|cell| format!("{cell:>14}")).collect::<String>());
    };
    let cell = |f1: &F1| format!("{:.3}/{:.3}", f1.token, f1.bigram);
    println!();
    row("", columns.iter().map(|(reader, _)| (*reader).to_owned()).collect());
    for (place, name) in names.iter().enumerate() {
        let cells = columns.iter().map(|(_, scores)| scores.get(place).map(cell).unwrap_or_default());
        row(name, cells.collect());
    }
    row("mean", columns.iter().map(|(_, scores)| cell(&F1::mean(scores))).collect());
}
