//! Hostile files, each through a pool as workers have it, with a healthy document after each: 66 inputs that are made, and
//! what others keep for their own tests. Every file has a class that must come of it; nothing that it names is fetched,
//! nothing ends but a child, and nothing is read without a text and does not say so.
//!
//! What reads is a process of its own (`reader`), as what ends it must be seen and told.

pub mod class;
pub mod corpora;
pub mod expected;
mod listener;
pub mod made;
mod outcome;
mod reader;
mod run;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

use corpora::Case;
use expected::{Key, Row, Table};
use listener::Listener;
use made::World;
use reader::Ask;
use run::{Runner, Wanted, Watch};

pub use outcome::Outcome;
pub use reader::serve;
pub use run::Subject;

/// Which files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// Those that are made.
    Made,
    /// Those of others.
    Corpora,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// One kind of files, else both.
    pub only: Option<Only>,
    /// So many of the corpora that every run has, else all of all of them.
    pub sample: Option<usize>,
    /// What is seen of the corpora is what is expected from now on.
    pub write: bool,
    /// Files at once, of the corpora.
    pub jobs: usize,
    /// What reads.
    pub subject: Subject,
}

/// Runs all of it.
///
/// # Errors
/// Something that is needed is not there. What files do is no error.
pub async fn run(options: &Options) -> Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("docmill-hostile-").tempdir()?;
    let mut listener = Listener::start()?;
    let canary = format!("canary-{:032x}", rand::random::<u128>());
    let world = World { address: listener.address(), secret: folder.path().join("secret.txt") };
    std::fs::write(&world.secret, &canary)?;
    let watch = Watch { subject: options.subject.clone(), healthy: healthy(folder.path())?, canary };
    let mut outcome = Outcome::default();
    if options.only != Some(Only::Corpora) {
        outcome.add(run_made(&world, &watch, folder.path()).await?);
    }
    if options.only != Some(Only::Made) {
        outcome.add(run_corpora(options, &watch).await?);
    }
    outcome.connections = listener.connections()?;
    Ok(outcome)
}

fn healthy(folder: &Path) -> Result<Ask> {
    let (bytes, text) = made::healthy();
    let path = folder.join("healthy.pdf");
    std::fs::write(&path, bytes)?;
    Ok(Ask {
        path,
        name: "healthy.pdf".to_owned(),
        times: 1,
        holds: vec![text.to_owned()],
        lacks: Vec::new(),
    })
}

/// One after the other by one reader: what a file leaves behind meets the next ones.
async fn run_made(world: &World, watch: &Watch, folder: &Path) -> Result<Outcome> {
    let mut runner = Runner::new(watch.clone());
    for group in made::GROUPS {
        for made in group(world) {
            let path = folder.join("hostile");
            made.write(&path).with_context(|| format!("cannot write {:?}", made.name))?;
            let label = format!("{} {:?}", made.number, short(&made.name));
            let wanted = Wanted { class: Some(made.class.to_owned()), says: made.says.to_owned() };
            let ask = Ask {
                path: path.clone(),
                name: made.name,
                times: made.times,
                holds: made.holds,
                lacks: made.lacks,
            };
            runner.file(&label, ask, &wanted).await?;
            std::fs::remove_file(&path)?;
        }
    }
    Ok(runner.end().await)
}

/// The beginning of a name: some have thousands of characters.
fn short(name: &str) -> String {
    name.chars().take(60).collect()
}

/// What several readers share.
struct Shared<'a> {
    waiting: Mutex<VecDeque<Case>>,
    table: &'a Table,
    seen: Mutex<BTreeMap<Key, Row>>,
    write: bool,
}

async fn run_corpora(options: &Options, watch: &Watch) -> Result<Outcome> {
    let mut table = Table::kept()?;
    let cases = corpora::cases(options.sample)?;
    let there: HashSet<Key> = cases.iter().map(|case| (case.package.clone(), case.path.clone())).collect();
    let shared = Shared {
        waiting: Mutex::new(cases.into()),
        table: &table,
        seen: Mutex::default(),
        write: options.write,
    };
    let outcomes = try_join_all((0..options.jobs.max(1)).map(|_| work(&shared, watch))).await?;
    let mut outcome = Outcome::default();
    outcomes.into_iter().for_each(|one| outcome.add(one));
    let seen = shared.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if options.write {
        if options.sample.is_none() {
            table.rows.clear();
        }
        table.rows.extend(seen);
        table.keep()?;
    } else if options.sample.is_none() {
        // Of a sample most are not there.
        let gone = table.rows.keys().filter(|key| !there.contains(*key));
        let gone =
            gone.map(|(package, path)| format!("{package} {path:?}: it is expected, and is not there"));
        outcome.wrong.extend(gone);
    }
    Ok(outcome)
}

/// Takes files until none is waiting.
async fn work(shared: &Shared<'_>, watch: &Watch) -> Result<Outcome> {
    let mut runner = Runner::new(watch.clone());
    loop {
        let next = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(case) = next else { return Ok(runner.end().await) };
        let label = format!("{} {:?}", case.package, case.path);
        let key = (case.package, case.path);
        let row = shared.table.rows.get(&key);
        if !shared.write {
            let wrong = match row {
                None => Some("it is not in the table: `cargo xtask hostile --write` adds it"),
                Some(row) if row.sha256 != case.sha256 => Some("it is another file than the table has"),
                Some(_) => None,
            };
            runner.outcome.wrong.extend(wrong.map(|wrong| format!("{label}: {wrong}")));
        }
        let class = row.filter(|_| !shared.write).map(|row| row.class.clone());
        let ask = Ask {
            path: case.file.clone(),
            name: name_of(&case.file),
            times: 1,
            holds: vec![],
            lacks: vec![],
        };
        let answer = runner.file(&label, ask, &Wanted { class, says: String::new() }).await?;
        if let Some(answer) = answer {
            let class = class::expected(&answer.class, answer.recognised).to_owned();
            if let Some(row) = row.filter(|row| row.class != class && shared.write) {
                println!("{label}: {} becomes {class}", row.class);
            }
            let row = Row { sha256: case.sha256, class };
            shared.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(key, row);
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// This program as a reader, with what extracts beside it.
///
/// # Errors
/// It does not know where it is.
pub fn own_reader(extractor: &Path) -> Result<Subject> {
    let program = std::env::current_exe()?;
    let extractor: PathBuf = extractor.canonicalize()?;
    let extractor = extractor.into_os_string().into_string();
    ensure!(extractor.is_ok(), "the path of docmill-worker is no text");
    Ok(Subject { program, args: vec!["--reader".to_owned(), extractor.unwrap_or_default()] })
}
