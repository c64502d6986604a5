//! What the real documents answer: known items in each language, and questions in other words.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use docmill_core::id::TenantId;
use docmill_worker::embed::EmbeddingModel;
use docmill_worker::search::{Found, Searcher, model_of};
use docmill_worker::sqlite::{Readers, read};

use super::known_items::{self, KnownItem};
use super::paraphrases::PARAPHRASES;
use super::{Figures, Options, collapsed, remove};
use crate::command::{Docmill, ExportedChunk, path_of_uri};
use crate::corpus;
use crate::services::cache;

/// The languages of the corpus, and the share of known items that must be among the first three.
const LANGUAGES: [(&str, f64); 5] = [("en", 0.90), ("de", 0.90), ("ru", 0.90), ("ja", 0.85), ("zh", 0.85)];
const QUERIES: usize = 50;
const PARAPHRASE_HITS_MIN: f64 = 0.80;
const PEAK_RSS_MIB_MAX: f64 = 1_536.0;
/// Misses that are shown of each language.
const MISSES_SHOWN: usize = 5;
/// Largest document at a smaller scale.
const SMALL_BYTES: u64 = 200_000;

pub(super) fn quality(options: &Options, figures: &mut Figures) -> Result<()> {
    let (root, folder) = documents(options)?;
    if options.fresh {
        remove(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let docmill = Docmill::new(&options.bin, &folder.join("data"));
    // Some documents of the corpus may be refused: the answers tell whether that matters.
    let run = docmill.run(&root, &["--embeddings", "builtin"])?;
    let failed = run.number("failed")?;
    eprintln!("ingested {} documents in {:.0} s", run.number("documents")?, run.wall_seconds);
    if failed > 0.0 {
        eprintln!("failed: {}", run.report["failures_by_code"]);
    }
    let chunks = docmill.export()?;
    let readers = Readers::open(docmill.data_dir())?;
    let tenant = TenantId::default();
    let (_, spec) = readers
        .read(|connection| read::active_index(connection, &tenant))??
        .context("the data directory has no active index")?;
    let model = model_of(&spec)?.context("the index has no embeddings")?;
    let asker = Asker::new(readers.clone(), Some(model))?;
    let queries = options.sized(QUERIES, 5);
    let mut chosen = known_items::choose(&chunks, &root, queries);
    for (language, least) in LANGUAGES {
        let items = chosen.remove(language).unwrap_or_default();
        eprintln!("{language}: {} known items", items.len());
        ensure!(options.scale < 1.0 || items.len() == queries, "{language}: too few items to ask for");
        let hits = known_item_hits(&asker, &items)?;
        figures.at_least(&format!("hit3_{language}"), hits as f64 / items.len() as f64, least);
    }
    let hybrid = paraphrase_hits(&asker, &chunks, &root, true)?;
    let full_text = paraphrase_hits(&Asker::new(readers, None)?, &chunks, &root, false)?;
    figures.at_least("paraphrase_hit10", hybrid, PARAPHRASE_HITS_MIN);
    figures.told("paraphrase_full_text_hit10", full_text);
    figures.above("paraphrase_gain", hybrid - full_text, 0.0);
    let peak = highest_peak(&folder, run.number("peak_rss_mib")?)?;
    figures.below("peak_rss_mib", peak, PEAK_RSS_MIB_MAX);
    Ok(())
}

/// The corpus and where its data is kept; at a smaller scale a part of its small documents.
fn documents(options: &Options) -> Result<(PathBuf, PathBuf)> {
    let corpus = cache()?.join("corpus/docs");
    ensure!(corpus.is_dir(), "no corpus in {}: `make run` fetches it", corpus.display());
    let corpus = corpus.canonicalize()?;
    let bench = cache()?.join("bench");
    if options.scale >= 1.0 {
        return Ok((corpus, bench.join("quality-v3")));
    }
    let folder = bench.join(format!("quality-v3-scale-{}", options.scale));
    let root = folder.join("documents");
    for (language, _) in LANGUAGES {
        let mut files = Vec::new();
        list(&corpus.join(language), &mut files)?;
        files.sort();
        let wanted = options.sized(files.len(), 3);
        for file in files.into_iter().take(wanted) {
            corpus::write(&root.join(file.strip_prefix(&corpus)?), &std::fs::read(&file)?)?;
        }
    }
    Ok((root.canonicalize()?, folder))
}

/// The small files under a folder.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else if entry.metadata()?.len() <= SMALL_BYTES {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// A searcher for a thread that waits.
struct Asker {
    searcher: Searcher,
    runtime: tokio::runtime::Runtime,
}

impl Asker {
    fn new(readers: Readers, model: Option<Arc<dyn EmbeddingModel>>) -> Result<Self> {
        let searcher = Searcher::open(readers, TenantId::default(), model);
        Ok(Self { searcher, runtime: tokio::runtime::Builder::new_current_thread().build()? })
    }

    fn ask(&self, query: &str, k: usize) -> Result<Vec<Found>> {
        Ok(self.runtime.block_on(self.searcher.search(query, k))?.results)
    }
}

fn known_item_hits(asker: &Asker, items: &[KnownItem]) -> Result<usize> {
    let (mut hits, mut shown) = (0, 0);
    for item in items {
        let found = asker.ask(&item.query, 3)?;
        let right = found.iter().any(|found| {
            path_of_uri(&found.document.uri) == item.path && u64::from(found.page).abs_diff(item.page) <= 1
        });
        hits += usize::from(right);
        if !right && shown < MISSES_SHOWN {
            shown += 1;
            let file = item.path.file_name().unwrap_or_default().display();
            eprintln!("  missed {:?} of {file}, page {}", item.query, item.page);
        }
    }
    Ok(hits)
}

/// Share of the paraphrases whose answer is among the first ten.
fn paraphrase_hits(asker: &Asker, chunks: &[ExportedChunk], root: &Path, tell: bool) -> Result<f64> {
    let said = |text: &str, says: &str| plain(text).contains(&plain(says));
    let mut hits = 0;
    for paraphrase in PARAPHRASES {
        let answers = |path: &Path, text: &str| {
            let inside = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
            paraphrase.answers().any(|answer| inside.contains(answer.document) && said(text, answer.says))
        };
        let found = asker.ask(paraphrase.query, 10)?;
        let right = found.iter().any(|found| answers(&path_of_uri(&found.document.uri), &found.text));
        hits += usize::from(right);
        if tell && !right {
            let there = chunks.iter().any(|chunk| answers(&chunk.path, &chunk.text));
            let note = if there { "" } else { " (no chunk says it)" };
            eprintln!("  missed {:?}{note}", paraphrase.query);
        }
    }
    Ok(hits as f64 / PARAPHRASES.len() as f64)
}

fn plain(text: &str) -> String {
    collapsed(text).to_lowercase()
}

/// The highest peak of the runs over this data directory: a run over unchanged documents takes little.
fn highest_peak(folder: &Path, peak: f64) -> Result<f64> {
    let kept = folder.join("peak_rss_mib");
    let before = std::fs::read_to_string(&kept).ok().and_then(|text| text.trim().parse::<f64>().ok());
    let highest = before.map_or(peak, |before| before.max(peak));
    std::fs::write(&kept, highest.to_string())?;
    Ok(highest)
}
