//! `docmill run PATH…`: ingest, with progress and a report.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use docmill_core::failure::FailureCode;
use docmill_worker::classify::ClassifySettings;
use docmill_worker::embedded::{self, LossyDocument, Report, RunOptions};
use docmill_worker::extract::{OcrMode, SandboxMode};
use docmill_worker::whole_file;

use super::Context;
use crate::args;
use crate::failure::{DOCUMENTS_FAILED, Failure, INTERRUPTED};
use crate::output::{self, Style, escaped, mib, one_line};

/// Failed documents shown of each code.
const EXAMPLES: usize = 3;
/// Documents shown that were read with losses.
const LOSSY_EXAMPLES: usize = 10;

impl From<args::Embeddings> for embedded::Embeddings {
    fn from(asked: args::Embeddings) -> Self {
        match asked {
            args::Embeddings::Builtin => Self::Builtin,
            args::Embeddings::Mock => Self::Mock,
            args::Embeddings::None => Self::None,
        }
    }
}

impl From<args::Concepts> for embedded::Concepts {
    fn from(asked: args::Concepts) -> Self {
        match asked {
            args::Concepts::Builtin => Self::Builtin,
            args::Concepts::None => Self::None,
        }
    }
}

impl From<args::Sandbox> for SandboxMode {
    fn from(asked: args::Sandbox) -> Self {
        match asked {
            args::Sandbox::Required => Self::Required,
            args::Sandbox::BestEffort => Self::BestEffort,
            args::Sandbox::Off => Self::Off,
        }
    }
}

/// How documents are read, as `run` and `serve` have it in common; of nothing yet.
pub fn options(context: &Context, asked: &args::Reading) -> Result<RunOptions, Failure> {
    // An older name of the same setting, still in people's environments.
    let from_environment = || std::env::var("MAX_WORKERS").ok()?.parse().ok().filter(|slots| *slots > 0);
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(RunOptions {
        paths: Vec::new(),
        tenant: context.tenant.clone(),
        slots: asked.workers.map(usize::from).or_else(from_environment).unwrap_or_else(cores),
        sync: embedded::Sync::Off,
        ocr: match asked.ocr {
            args::Ocr::Auto => OcrMode::Auto,
            args::Ocr::Never => OcrMode::Never,
            args::Ocr::Always => OcrMode::Always,
        },
        languages: asked.languages.clone(),
        embeddings: asked.embeddings.map(Into::into),
        concepts: asked.concepts.map(Into::into),
        classify: categories(&asked.categories)?,
        metrics: asked.metrics.clone(),
        limits: asked.limits.limits(),
        bars: asked.limits.bars(),
        extractor: crate::backend::extractor(&asked.extraction)?,
    })
}

/// The categories that are asked for; `None` where nothing is said.
fn categories(asked: &args::Categories) -> Result<Option<ClassifySettings>, Failure> {
    if asked.no_classify {
        return Ok(Some(ClassifySettings::default()));
    }
    if asked.classify.is_none() && asked.categories.is_empty() {
        return Ok(None);
    }
    let of_file = match &asked.classify {
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            let what = format!("--classify {} cannot be read: {error}", file.display());
            Failure::new("bad_categories", what, "check the path and its permissions")
        })?,
        None => String::new(),
    };
    let lines = of_file.lines().chain(asked.categories.iter().map(String::as_str));
    let wrong = |what: String| Failure::new("bad_categories", what, "write one NAME=DESCRIPTION a line");
    let settings = ClassifySettings::of_lines(lines).map_err(wrong)?;
    match settings.categories.is_empty() {
        true => Err(wrong("there is no category".to_owned())),
        false => Ok(Some(settings)),
    }
}

pub async fn execute(context: &Context, asked: args::Run) -> Result<ExitCode, Failure> {
    let options = RunOptions {
        paths: asked.paths.clone(),
        sync: match asked.sync {
            None => embedded::Sync::Off,
            Some(args::Sync::On) => embedded::Sync::On,
            Some(args::Sync::Force) => embedded::Sync::Force,
        },
        ..options(context, &asked.reading)?
    };
    let counters = Arc::default();
    crate::signals::reclaim_on_signal();
    let stop = crate::signals::stop();
    let progress = crate::progress::Progress::start(Arc::clone(&counters), context.json);
    let done = crate::backend::run(&context.dir, options, counters, stop.clone()).await;
    drop(progress);
    let (report, refused) = match done {
        Ok(report) => (report, None),
        // All but the removal was done: the report is told, then the refusal.
        Err(embedded::Error::SyncRefused { reason, report }) => {
            let copy = report.clone();
            (*copy, Some(embedded::Error::SyncRefused { reason, report }))
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(path) = &asked.report {
        write_report(path, &report)?;
    }
    if let Some(refused) = refused {
        if !context.json {
            summarize(&report);
            return Err(refused.into());
        }
        return Err(Failure::from(refused).with("report", &report));
    }
    if context.json {
        output::json(&report)?;
    } else {
        summarize(&report);
    }
    Ok(match (*stop.borrow(), report.failed) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(DOCUMENTS_FAILED),
    })
}

fn write_report(path: &Path, report: &Report) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(report).map_err(|error| Failure::internal(error.to_string()))?;
    whole_file::write(path, |file| Ok(file.write_all(&text)?))
}

fn summarize(report: &Report) {
    let style = Style::stdout();
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = vec![
        row(
            "documents",
            format!("{} ({} succeeded, {} failed)", report.documents, report.succeeded, report.failed),
        ),
        row("unchanged, moved", format!("{}, {}", report.skipped, report.moved)),
        row("vanished, removed", format!("{}, {}", report.vanished, report.removed)),
        row("pages", format!("{} ({} by OCR, {} lost)", report.pages, report.ocr_pages, report.lost_pages)),
        row("chunks, concepts", format!("{}, {}", report.chunks, report.concepts)),
        row("size", mib(report.bytes)),
        row(
            "time",
            format!(
                "{:.1} s ({:.1} documents/s, {:.2} MB/s)",
                report.seconds, report.docs_per_second, report.mb_per_second
            ),
        ),
        row("peak memory, CPU", format!("{:.0} MiB, {:.0} %", report.peak_rss_mib, report.cpu_percent)),
    ];
    println!("{}", output::table(&[], rows));
    for (code, count) in &report.failures_by_code {
        let meaning = FailureCode::parse(code).map(FailureCode::meaning).unwrap_or_default();
        println!("\n{} {count}: {meaning}", style.bad(code));
        let of_code = report.failures.iter().filter(|failed| failed.failure.code.as_str() == code);
        for (place, failed) in of_code.enumerate().take(EXAMPLES) {
            if place == 0 {
                println!("  help: {}", failed.advice);
            }
            println!("  {}: {}", escaped(&failed.uri), escaped(&failed.failure.detail));
            output::place_of_failure(None, failed.failure.page);
        }
        if *count > EXAMPLES as u64 {
            println!("  and {} more: --report FILE lists all", count - EXAMPLES as u64);
        }
    }
    tell_losses(&report.read_with_losses, style);
    for warning in &report.warnings {
        println!("warning: {}", escaped(warning));
    }
    println!("\nnext: docmill search \"what you look for\"");
}

/// Documents that can be found, but not by all that they say.
fn tell_losses(documents: &[LossyDocument], style: Style) {
    if documents.is_empty() {
        return;
    }
    println!("\n{} {}", style.strong("read with losses"), documents.len());
    println!(
        "  what could be read of these is found; `docmill documents show FILE` says what each page is"
    );
    for document in documents.iter().take(LOSSY_EXAMPLES) {
        println!("  {}: {} of {} pages", escaped(&document.uri), document.lost_pages, document.pages);
        for note in document.losses.iter().take(EXAMPLES) {
            println!("    p. {:<4} {}", note.page, one_line(&note.to_string()));
        }
        let shown = document.losses.len().min(EXAMPLES);
        let more = document.lost_pages as usize - shown.min(document.lost_pages as usize);
        if more > 0 {
            println!("    and {more} more");
        }
    }
    if documents.len() > LOSSY_EXAMPLES {
        println!("  and {} more: --report FILE lists all", documents.len() - LOSSY_EXAMPLES);
    }
}
