//! What a second run costs: over unchanged files, over touched files, after small edits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use super::{Bench, Figures, Options, collapsed};
use crate::corpus::{Writer, insert_near_start, write, write_texts};

const RUN: [&str; 2] = ["--embeddings", "mock"];
/// Files younger than this at a scan are hashed again at the next.
const SETTLE: Duration = Duration::from_millis(2_500);
/// Chunks of a document whose edit is measured, at least.
const EDIT_CHUNKS_MIN: usize = 50;
const EDIT_BYTES: usize = 120_000;

pub(super) fn rerun(options: &Options, figures: &mut Figures) -> Result<()> {
    let count = options.sized(10_000, 100);
    let bench = Bench::new(options)?;
    let paths = write_texts(&bench.documents(), count, 300, false, 14)?;
    std::thread::sleep(SETTLE);
    let docmill = bench.docmill();
    let first = docmill.run_well(&bench.documents(), &RUN)?;
    ensure!(first.number("succeeded")? as usize == count, "documents are missing: {}", first.report);
    let second = docmill.run_well(&bench.documents(), &RUN)?;
    ensure!(second.number("skipped")? as usize == count, "unchanged files were read: {}", second.report);
    ensure!(second.number("embedded_texts")? == 0.0, "unchanged files were embedded: {}", second.report);
    figures.told("first_10k_s", first.wall_seconds);
    figures.below("rerun_10k_s", second.wall_seconds, 3.0);
    let now = SystemTime::now();
    for path in &paths {
        std::fs::File::options().append(true).open(path)?.set_modified(now)?;
    }
    let touched = docmill.run_well(&bench.documents(), &RUN)?;
    figures.told("touched_10k_s", touched.wall_seconds);
    figures.at_most("touched_embedded_texts", touched.number("embedded_texts")?, 0.0);
    Ok(())
}

pub(super) fn edit(options: &Options, figures: &mut Figures) -> Result<()> {
    let count = options.sized(100, 10);
    let bench = Bench::new(options)?;
    let paths = write_texts(&bench.documents(), count, EDIT_BYTES, false, 15)?;
    let docmill = bench.docmill();
    docmill.run_well(&bench.documents(), &RUN)?;
    let mut chunks: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for chunk in docmill.export()? {
        *chunks.entry(chunk.path).or_default() += 1;
    }
    ensure!(chunks.len() == count, "{} of {count} documents were exported", chunks.len());
    let least = chunks.values().min().copied().unwrap_or(0);
    ensure!(least >= EDIT_CHUNKS_MIN, "a document has only {least} chunks: make them longer");
    let mut writer = Writer::new(16);
    let mut edited = BTreeMap::new();
    for path in paths.iter().step_by(10) {
        let text = insert_near_start(&std::fs::read_to_string(path)?, &writer.sentence());
        write(path, text.as_bytes())?;
        edited.insert(path.canonicalize()?, text);
    }
    let run = docmill.run_well(&bench.documents(), &RUN)?;
    ensure!(run.number("documents")? as usize == edited.len(), "not the edited files ran: {}", run.report);
    let texts = run.number("embedded_texts")? / edited.len() as f64;
    let (mut wrong, mut cited) = (0usize, BTreeSet::new());
    let collapsed_files: BTreeMap<_, _> =
        edited.iter().map(|(path, text)| (path.clone(), collapsed(text))).collect();
    for chunk in docmill.export()? {
        let Some(text) = edited.get(&chunk.path) else { continue };
        let said = collapsed(&chunk.text);
        let (start, end) = (usize::try_from(chunk.start)?, usize::try_from(chunk.end)?);
        // The file is one page: its offsets are those of the file.
        let at = text.get(start..end).map(collapsed);
        let right = collapsed_files[&chunk.path].contains(&said)
            && chunk.page == 1
            && at.is_some_and(|at| at == said);
        if !right && wrong == 0 {
            eprintln!("wrong: page {} {start}..{end} of {}", chunk.page, chunk.path.display());
        }
        wrong += usize::from(!right);
        cited.insert(chunk.path);
    }
    let missing = edited.keys().find(|path| !cited.contains(*path));
    missing
        .map_or(Ok(()), |path| Err(anyhow::anyhow!("{} has no chunks", path.display())))
        .context("edit")?;
    figures.told("edit_chunks_least", least as f64);
    figures.at_most("edit_calls_per_file", texts, 3.0);
    figures.at_most("edit_wrong_citations", wrong as f64, 0.0);
    Ok(())
}
