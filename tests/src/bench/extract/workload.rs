//! What a file pipeline gets: files of fifteen pages, a third of them text, a third scans, a third both. We and the recipe that
//! is published read the same files in the same language, one after the other.
//!
//! The recipe (`bench/extract/recipe.py`) is run at its best, where Tesseract has one thread a process; and, as a part of its own
//! that takes long, as it is published.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use docmill_core::page::{Page, PageSource};
use docmill_worker::extract::{ExtractOptions, Here, Input, OcrLanguages};
use docmill_worker::process_tree::PeakMemory;

use super::f1::{F1, cut_words, letters};
use super::peers::{Recipe, RecipePage, RecipeRun};
use super::reading::Reader;
use super::truth::{Corpus, PageTruth};
use super::{Options, median, peers};
use crate::bench::Figures;
use crate::cpu;

/// In which language all of it is.
const LANGUAGE: &str = "eng";
/// Rounds of ours and of the recipe at its best, in turns; the median counts.
const ROUNDS: usize = 3;
/// Least that we are to be faster than the recipe as it is published, and at its best.
const PUBLISHED_MIN: f64 = 4.5;
const BEST_MIN: f64 = 1.12;
/// Share of pages that may be blank or there twice: they would cost us nothing.
const EASY_MAX: f64 = 0.02;
/// A page with fewer letters is blank.
const LETTERS_MIN: usize = 32;
/// A page's text is lower where it is so by more than this: a word in two hundred is what another rendering changes.
const LOWER_MIN: f64 = 0.005;
/// Least word F1 of recognised pages where nobody else is measured.
const WORD_F1_MIN: f64 = 0.95;
/// Most CPU of a recognised page that may be spent outside the recogniser.
const OUTSIDE_MAX: f64 = 0.05;
/// Files of scans of which that is measured: thirty pages.
const OUTSIDE_FILES: usize = 2;
/// Least share of the cores that is used while files wait.
const CORES_USED_MIN: f64 = 0.95;
const SECONDS_AN_HOUR: f64 = 3_600.0;

/// One run of ours.
struct Run {
    seconds: f64,
    cpu_s: f64,
    /// Share of all cores, while files waited.
    cores_used: f64,
    files: Vec<Vec<Page>>,
}

/// How near a run came to what stands on the pages.
struct Judged {
    pages: Vec<F1>,
    /// Words that a hyphen cuts at the end of a line.
    words_left_cut: usize,
}

pub(super) async fn measure(options: &Options, corpus: &Corpus, figures: &mut Figures) -> Result<()> {
    let files = files_of(corpus)?;
    let truths: Vec<(&PageTruth, String)> = corpus
        .workload
        .iter()
        .flat_map(|file| &file.pages)
        .map(|page| Ok((page, page.truth()?)))
        .collect::<Result<_>>()?;
    figures.at_most("easy_share", easy_share(&truths), EASY_MAX);

    let peak = PeakMemory::start();
    let first = run(options, &files).await?;
    let peak_mib = peak.peak_mib();
    drop(peak);
    let Judged { pages: found, words_left_cut } = judge(&first, &truths, figures)?;
    if options.counts_only {
        figures.told("words_left_cut", words_left_cut as f64);
        figures.told("cores_used", first.cores_used);
        figures.at_least("word_f1", mean_of_scans(&found, &truths).token, WORD_F1_MIN);
        figures.told("files_per_h", per_hour(files.len(), first.seconds));
        figures.told("peak_rss_mib", peak_mib);
        return Ok(());
    }
    outside(&first, &files, &truths, figures)?;
    let (mut ours, mut best) = (vec![first.seconds], Vec::new());
    let mut used = vec![first.cores_used];
    let at_its_best = Recipe { processes: super::cores().max(2), one_thread: true, pictures: "jpeg" };
    let mut read = None;
    for round in 0..ROUNDS {
        eprintln!("# the recipe with one thread a process, {} of {ROUNDS}", round + 1);
        let recipe = peers::recipe(at_its_best, LANGUAGE, &files)?;
        best.push(recipe.seconds);
        read.get_or_insert(recipe);
        if round + 1 < ROUNDS {
            let again = run(options, &files).await?;
            ours.push(again.seconds);
            used.push(again.cores_used);
        }
    }
    let (ours, best) = (median(&mut ours), median(&mut best));
    figures.told("files_per_h", per_hour(files.len(), ours));
    figures.told("recipe_files_per_h_omp1", per_hour(files.len(), best));
    figures.at_least("ocr_vs_recipe_omp1", best / ours, BEST_MIN);
    figures.at_least("cores_used", median(&mut used), CORES_USED_MIN);
    if let Some(recipe) = &read {
        eprintln!("# the recipe without loss in its pictures");
        let lossless = peers::recipe(Recipe { pictures: "png", ..at_its_best }, LANGUAGE, &files)?;
        compare(&found, recipe, &lossless, &truths, figures)?;
        hyphens(words_left_cut, recipe, figures);
    }
    figures.told("word_f1", mean_of_scans(&found, &truths).token);
    figures.told("peak_rss_mib", peak_mib);
    Ok(())
}

/// Beside the recipe as it is published, with one process less than there are cores and with as many as it is given at its best;
/// the faster one counts. It takes the better part of an hour on two cores.
pub(super) async fn measure_published(
    options: &Options,
    corpus: &Corpus,
    figures: &mut Figures,
) -> Result<()> {
    let files = files_of(corpus)?;
    let ours = run(options, &files).await?.seconds;
    let mut published = f64::INFINITY;
    for processes in [super::cores().saturating_sub(1).max(1), super::cores().max(2)] {
        eprintln!("# the recipe as published, {processes} processes");
        let as_published = Recipe { processes, one_thread: false, pictures: "jpeg" };
        let recipe = peers::recipe(as_published, LANGUAGE, &files)?;
        figures.told(&format!("recipe_files_per_h_{processes}"), per_hour(files.len(), recipe.seconds));
        published = published.min(recipe.seconds);
    }
    figures.at_least("ocr_vs_recipe", published / ours, PUBLISHED_MIN);
    Ok(())
}

/// The files, which are all in the language that both read them in.
fn files_of(corpus: &Corpus) -> Result<Vec<PathBuf>> {
    ensure!(corpus.workload.iter().all(|file| file.tesseract == LANGUAGE), "all of it is in one language");
    Ok(corpus.workload.iter().map(|file| file.pdf.clone()).collect())
}

async fn run(options: &Options, files: &[PathBuf]) -> Result<Run> {
    eprintln!("# ours");
    let languages = OcrLanguages::Fixed(LANGUAGE.to_owned());
    // Children start and models are loaded within the measured time; of the recipe, imports are not.
    let reader = Reader::new(&options.worker, super::cores(), languages);
    let (began, before) = (Instant::now(), reader.cpu_s()?);
    let (read, busy) = reader.all_while_busy(files).await?;
    let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), reader.cpu_s()? - before);
    reader.end().await;
    let cores_used = busy.cpu_s / (busy.seconds * super::cores() as f64);
    Ok(Run { seconds, cpu_s, cores_used, files: read })
}

fn per_hour(files: usize, seconds: f64) -> f64 {
    files as f64 * SECONDS_AN_HOUR / seconds
}

/// The share of pages that are blank, or the same as one before.
fn easy_share(truths: &[(&PageTruth, String)]) -> f64 {
    let (mut seen, mut easy) = (std::collections::HashSet::new(), 0_usize);
    for (_, text) in truths {
        let is_easy = letters(text) < LETTERS_MIN || !seen.insert(text.trim());
        easy += usize::from(is_easy);
    }
    easy as f64 / truths.len() as f64
}

/// Every page is there, came by its text as it should, and how near that is.
fn judge(run: &Run, truths: &[(&PageTruth, String)], figures: &mut Figures) -> Result<Judged> {
    let pages: Vec<&Page> = run.files.iter().flatten().collect();
    ensure!(pages.len() == truths.len(), "{} of {} pages were read", pages.len(), truths.len());
    let (mut scores, mut wrong, mut cut) = (Vec::with_capacity(pages.len()), 0_u32, 0_usize);
    for (page, (asked, truth)) in pages.iter().zip(truths) {
        let wanted = if asked.scanned { PageSource::Ocr } else { PageSource::TextLayer };
        if page.source != wanted && letters(truth) >= LETTERS_MIN {
            eprintln!("{}: {:?}, {:?}", asked.text.display(), page.source, page.note);
            wrong += 1;
        }
        let text = page.text();
        cut += cut_words(&text);
        scores.push(F1::of(&text, truth));
    }
    figures.at_most("pages_read_otherwise", f64::from(wrong), 0.0);
    Ok(Judged { pages: scores, words_left_cut: cut })
}

/// What a recognised page costs outside the recogniser: opening, making its picture, looking at that, hashing it, naming its
/// text. Read in this process, by the same code as in a child, where the clock can be looked at on the way.
fn outside(
    run: &Run,
    files: &[PathBuf],
    truths: &[(&PageTruth, String)],
    figures: &mut Figures,
) -> Result<()> {
    let languages = OcrLanguages::Fixed(LANGUAGE.to_owned());
    let options = ExtractOptions { languages, ..ExtractOptions::default() };
    let scans = files.iter().zip(&run.files).filter(|(_, pages)| all_recognised(pages));
    let (mut here, before) = (Here::default(), cpu::own_s());
    let mut read = 0;
    for (file, pages) in scans.take(OUTSIDE_FILES) {
        let events = here.read(&Input::new(file), &options);
        ensure!(events.is_ok(), "{} is not read in this process: {:?}", file.display(), events.err());
        read += pages.len();
    }
    ensure!(read > 0, "no file is all scans");
    let (all_s, spent) = (cpu::own_s() - before, here.spent());
    let scanned = truths.iter().filter(|(page, _)| page.scanned).count();
    figures.told("cpu_s_per_ocr_page", run.cpu_s / scanned as f64);
    figures.told("render_share", spent.pictures.as_secs_f64() / all_s);
    figures.below("outside_share", 1.0 - spent.recogniser.as_secs_f64() / all_s, OUTSIDE_MAX);
    Ok(())
}

fn all_recognised(pages: &[Page]) -> bool {
    pages.iter().all(|page| page.source == PageSource::Ocr)
}

fn mean_of_scans(scores: &[F1], truths: &[(&PageTruth, String)]) -> F1 {
    let scans = scores.iter().zip(truths).filter(|(_, (page, _))| page.scanned);
    F1::mean(&scans.map(|(score, _)| *score).collect::<Vec<_>>())
}

/// Ours against the recipe's, page by page; and the recipe's against its own without loss in its pictures, which says what
/// another picture of the same page does to any reader.
fn compare(
    ours: &[F1],
    recipe: &RecipeRun,
    lossless: &RecipeRun,
    truths: &[(&PageTruth, String)],
    figures: &mut Figures,
) -> Result<()> {
    let (theirs, lossless) = (judge_recipe(recipe, truths)?, judge_recipe(lossless, truths)?);
    for ((ours, theirs), (page, _)) in ours.iter().zip(&theirs).zip(truths) {
        if behind(ours, theirs) > LOWER_MIN {
            eprintln!(
                "{}: {:.4}/{:.4}, the recipe {:.4}/{:.4}",
                page.text.display(),
                ours.token,
                ours.bigram,
                theirs.token,
                theirs.bigram
            );
        }
    }
    let recognised = pages_of(recipe).filter(|page| page.recognised).count();
    let cpu_s: f64 = recipe.files.iter().map(|file| file.cpu_s).sum();
    figures.told("recipe_cpu_s_per_ocr_page", cpu_s / recognised as f64);
    figures.told("recipe_word_f1", mean_of_scans(&theirs, truths).token);
    figures.told("pages_higher", lower_by(LOWER_MIN, &theirs, ours));
    figures.told("pages_lower_at_all", lower_by(0.0, ours, &theirs));
    figures.told("recipe_lower_than_itself", lower_by(LOWER_MIN, &lossless, &theirs));
    figures.at_most("pages_lower", lower_by(LOWER_MIN, ours, &theirs), 0.0);
    Ok(())
}

fn pages_of(recipe: &RecipeRun) -> impl Iterator<Item = &RecipePage> {
    recipe.files.iter().flat_map(|file| &file.pages)
}

fn judge_recipe(recipe: &RecipeRun, truths: &[(&PageTruth, String)]) -> Result<Vec<F1>> {
    let count = pages_of(recipe).count();
    ensure!(count == truths.len(), "the recipe read {count} of {} pages", truths.len());
    Ok(pages_of(recipe).zip(truths).map(|(page, (_, truth))| F1::of(&page.text, truth)).collect())
}

/// Pages of which one of both scores is lower than another reader's by more than this.
fn lower_by(least: f64, ours: &[F1], theirs: &[F1]) -> f64 {
    ours.iter().zip(theirs).filter(|(ours, theirs)| behind(ours, theirs) > least).count() as f64
}

fn behind(ours: &F1, theirs: &F1) -> f64 {
    (theirs.token - ours.token).max(theirs.bigram - ours.bigram)
}

/// Words that a line's end cuts are whole: we leave no more of them cut than the recipe does.
fn hyphens(ours: usize, recipe: &RecipeRun, figures: &mut Figures) {
    let theirs = pages_of(recipe).map(|page| cut_words(&page.text)).sum::<usize>() as f64;
    figures.told("recipe_words_left_cut", theirs);
    figures.at_most("words_left_cut", ours as f64, theirs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_pages_and_twins_are_easy() {
        let page = PageTruth { scanned: true, text: PathBuf::new() };
        let long = |word: &str| format!("{word} {}", "letters and digits ".repeat(4));
        let truths =
            [long("one"), " 17 ".to_owned(), long("two"), long("one")].map(|text| (&page, text)).to_vec();
        assert_eq!(easy_share(&truths), 0.5);
    }

    #[test]
    fn a_page_is_lower_where_one_score_is() {
        let page = |token, bigram| F1 { token, bigram };
        let (ours, theirs) = ([page(0.9, 0.8), page(1.0, 0.70)], [page(0.9, 0.8), page(0.9, 0.71)]);
        assert_eq!((lower_by(0.005, &ours, &theirs), lower_by(0.02, &ours, &theirs)), (1.0, 0.0));
        assert_eq!(lower_by(0.005, &theirs, &ours), 1.0);
        assert_eq!(lower_by(0.0, &ours, &ours), 0.0);
    }

    #[test]
    fn no_more_words_are_left_cut_than_by_the_recipe() {
        let page = |text: &str| RecipePage { text: text.to_owned(), recognised: true };
        let pages = vec![page("docu-\nments and user-\nfriendly"), page("whole words")];
        let recipe = RecipeRun { seconds: 1.0, files: vec![peers::RecipeFile { pages, cpu_s: 1.0 }] };
        let short = |ours| {
            let mut figures = Figures::default();
            hyphens(ours, &recipe, &mut figures);
            figures.short().len()
        };
        assert_eq!((short(0), short(2), short(3)), (0, 0, 1));
    }
}
