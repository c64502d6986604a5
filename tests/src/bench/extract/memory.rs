//! Memory that stays what it is: files larger than the memory that they may take, and many files one after the other.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use docmill_worker::process_tree::tree_pss_kib;
use futures::{StreamExt as _, stream};

use super::Options;
use super::reading::Reader;
use super::truth::Corpus;
use crate::bench::Figures;
use crate::command::{Docmill, locate};
use crate::corpus::{Writer, damaged_pdf, dense_pages, pdf, write};

/// Most memory of the process tree, in MiB, over a file of text and over one of pictures.
const TEXT_MIB: f64 = 512.0;
const SCANS_MIB: f64 = 1_024.0;
/// Most of the time that may go by until the first page is there.
const FIRST_PAGE_MAX: f64 = 0.1;
/// Files of all kinds, read in rounds. The first round is not looked at: libraries are loaded, caches are filled. There are
/// many, as an allocator takes 2 MiB at once, which is much of what there is.
const FILES: usize = 1_000;
const ROUNDS: usize = 9;
/// Files between two looks.
const LOOK_EVERY: usize = 50;
/// Most that memory may grow over a thousand files.
const SLOPE_MAX: f64 = 0.01;
/// Size of a text among them.
const TEXT_BYTES: usize = 4_000;

/// What the command is asked for beside extraction: nothing.
const EXTRACTION_ALONE: [&str; 4] = ["--embeddings", "none", "--concepts", "none"];

pub(super) async fn measure(options: &Options, corpus: &Corpus, figures: &mut Figures) -> Result<()> {
    many_files(options, figures).await?;
    let large = corpus.large.as_ref().context("the large files were not made")?;
    for (name, file, mib) in [("text", &large.text, TEXT_MIB), ("scans", &large.scans, SCANS_MIB)] {
        let folder = tempfile::Builder::new().prefix("docmill-bench-").tempdir()?;
        let run =
            Docmill::new(&locate(None)?, &folder.path().join("data")).run_well(file, &EXTRACTION_ALONE)?;
        figures.told(&format!("large_{name}_mb"), std::fs::metadata(file)?.len() as f64 / 1e6);
        figures.told(&format!("large_{name}_pages"), run.number("pages")?);
        figures.below(&format!("large_{name}_peak_rss_mib"), run.number("peak_rss_mib")?, mib);
        if name == "scans" {
            figures.at_least(
                "large_scans_recognised",
                run.number("ocr_pages")?,
                f64::from(large.scanned_pages),
            );
        }
    }
    first_page(options, &large.text, figures).await
}

/// How soon the first page is there, beside the last.
async fn first_page(options: &Options, file: &Path, figures: &mut Figures) -> Result<()> {
    let reader = Reader::as_shipped(&options.worker, 1);
    let (began, mut first) = (Instant::now(), None);
    reader
        .each_page(file, |_| {
            first.get_or_insert_with(|| began.elapsed());
        })
        .await?;
    let all = began.elapsed();
    reader.end().await;
    let first = first.with_context(|| format!("{} has no page", file.display()))?;
    figures.at_most("large_first_page_share", first.as_secs_f64() / all.as_secs_f64(), FIRST_PAGE_MAX);
    figures.told("large_first_page_s", first.as_secs_f64());
    Ok(())
}

/// What is in use between two files.
#[derive(Debug, Clone, Copy)]
struct Look {
    files: usize,
    memory_kib: f64,
    descriptors: usize,
    temporary: usize,
}

async fn many_files(options: &Options, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("docmill-bench-").tempdir()?;
    let files = mixed_files(folder.path())?;
    let slots = super::cores();
    let reader = Reader::as_shipped(&options.worker, slots);
    let mut looks = Vec::new();
    let mut read = 0;
    for _ in 0..ROUNDS {
        for some in files.chunks(LOOK_EVERY) {
            // As many at once as a worker has slots. One that is damaged fails, as it should: what it leaves behind counts.
            stream::iter(some)
                .for_each_concurrent(slots, async |file| drop(reader.events(file, drop).await))
                .await;
            read += some.len();
            let look = look(read, &reader)?;
            eprintln!("# after {read} files: {:.1} MiB", look.memory_kib / 1024.0);
            looks.push(look);
        }
    }
    reader.end().await;
    let of_round = FILES / LOOK_EVERY;
    let judged = looks.split_off(of_round);
    let points: Vec<_> = judged.iter().map(|look| (look.files as f64, look.memory_kib)).collect();
    let (before, after) = judged.split_at(of_round);
    let most =
        |looks: &[Look], of: fn(&Look) -> usize| looks.iter().map(of).max().unwrap_or_default() as f64;
    figures.below("memory_slope_1000", slope(&points) * 1e3, SLOPE_MAX);
    let descriptors = |look: &Look| look.descriptors;
    let temporary = |look: &Look| look.temporary;
    figures.at_most("descriptors_grown", most(after, descriptors) - most(before, descriptors), 0.0);
    figures.at_most("temporary_files_grown", most(after, temporary) - most(before, temporary), 0.0);
    figures.told("memory_mib_at_the_end", points.last().map_or(f64::NAN, |(_, kib)| kib / 1024.0));
    Ok(())
}

fn look(files: usize, reader: &Reader) -> Result<Look> {
    let open = |pid: u32| -> Result<usize> {
        let path = format!("/proc/{pid}/fd");
        Ok(std::fs::read_dir(&path).with_context(|| format!("cannot list {path}"))?.count())
    };
    let of_child = reader.children().into_iter().map(open).collect::<Result<Vec<_>>>()?;
    let own = open(std::process::id())?;
    let is_ours = |name: &str| name.starts_with("docmill-") || name.starts_with(".tmp");
    let temporary = std::fs::read_dir(std::env::temp_dir())?
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_ours)))
        .count();
    // A child that was spent is gone until it is needed again: the most of one says more than the sum.
    let descriptors = own + of_child.into_iter().max().unwrap_or_default();
    Ok(Look { files, memory_kib: tree_pss_kib() as f64, descriptors, temporary })
}

/// How much a value grows with each step, as a share of its mean: least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    together / spread / y
}

/// Small files of many kinds, one in nine of them damaged.
fn mixed_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut writer = Writer::new(17);
    (0..FILES)
        .map(|number| {
            let text = writer.document(TEXT_BYTES);
            let lines = || text.lines().filter(|line| !line.is_empty());
            let (extension, bytes) = match number % 9 {
                0 => ("txt", text.clone().into_bytes()),
                1 => ("md", format!("# Title\n\n{text}").into_bytes()),
                2 => {
                    let paragraphs: String = lines().map(|line| format!("<p>{line}</p>\n")).collect();
                    ("html", format!("<html><body><h1>Title</h1>{paragraphs}</body></html>").into_bytes())
                }
                3 => {
                    ("csv", lines().map(|line| format!("\"{line}\",1\n")).collect::<String>().into_bytes())
                }
                4 => ("json", serde_json::json!({ "text": text }).to_string().into_bytes()),
                5 => {
                    let head = "From: a@example.org\r\nTo: b@example.org\r\nSubject: A mail\r\n\r\n";
                    ("eml", format!("{head}{text}").into_bytes())
                }
                6 => {
                    let paragraphs: String = lines().map(|line| format!("{line}\\par\n")).collect();
                    ("rtf", format!("{{\\rtf1\\ansi {paragraphs}}}").into_bytes())
                }
                7 => ("pdf", pdf(&dense_pages(&mut writer, 1 + number % 4, None, None))),
                _ => ("pdf", damaged_pdf(number as u64)),
            };
            let path = folder.join(format!("file-{number:04}.{extension}"));
            write(&path, &bytes)?;
            Ok(path)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_a_share_of_the_mean() {
        let flat: Vec<(f64, f64)> = (0..10).map(|n| (f64::from(n), 200.0)).collect();
        assert_eq!(slope(&flat), 0.0);
        let rising: Vec<(f64, f64)> = (0..11).map(|n| (f64::from(n), 100.0 + 2.0 * f64::from(n))).collect();
        assert!((slope(&rising) - 2.0 / 110.0).abs() < 1e-12);
        // Up and down again is no growth.
        let saw: Vec<(f64, f64)> = (0..40).map(|n| (f64::from(n), 100.0 + f64::from(n % 4))).collect();
        assert!(slope(&saw) * 40.0 < 0.005);
    }
}
