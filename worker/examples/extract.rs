//! Reads files with the extractor pool and prints what comes out: for looking at results and timing them.
//! `cargo run --example extract -- [--quiet] [--ocr never|always] FILE…` (needs `docmill-worker` beside it)

use std::path::PathBuf;
use std::time::Instant;

use docmill_core::id::TenantId;
use docmill_worker::extract::{Event, ExtractOptions, Input, OcrMode, Pool};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut quiet, mut options, mut files) = (false, ExtractOptions::default(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quiet" => quiet = true,
            "--ocr" if arguments.next().as_deref() == Some("always") => options.ocr = OcrMode::Always,
            "--ocr" => options.ocr = OcrMode::Never,
            file => files.push(PathBuf::from(file)),
        }
    }
    let here = std::env::current_exe()?;
    let folder = here.parent().and_then(|examples| examples.parent()).unwrap_or(&here);
    let pool = Pool::new(folder.join("docmill-worker"), 1, options);
    for file in files {
        let (sink, mut events) = tokio::sync::mpsc::channel(64);
        let (started, tenant, input) = (Instant::now(), TenantId::default(), Input::new(&file));
        let print = async {
            let mut pages = 0;
            while let Some(event) = events.recv().await {
                pages += u32::from(matches!(event, Event::Page(_)));
                if !quiet {
                    println!("{event:#?}");
                }
            }
            pages
        };
        let (outcome, pages) = tokio::join!(pool.extract(&tenant, input, sink), print);
        let seconds = started.elapsed().as_secs_f64();
        println!("{}: {pages} pages, {seconds:.2} s, {outcome:?}", file.display());
        for pid in pool.child_pids() {
            // User and system time of the child, in ticks of 10 ms, and its peak memory.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let fields: Vec<&str> =
                stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
            println!("  child {pid}: {} + {} ticks, {peak}", fields[11], fields[12]);
        }
    }
    pool.shutdown().await;
    Ok(())
}
