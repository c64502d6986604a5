//! Two tenants on real servers, each of which asks for what is the other's by every operation there is. What a
//! tenant has is marked by words of its own; a word at the wrong place is counted wherever it is: in answers, in
//! tables, nodes and entries, in dead letters and metrics. So are secrets, which may be nowhere at all.

mod hostile;
mod requests;
mod scan;
mod secrets;
mod side;
mod siege;
mod stores;
mod town;
mod watch;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::StdRng;

use scan::{Found, Scanner};
use side::Side;
use siege::Siege;
use stores::{Look, Wanted};
use town::Town;
use watch::Watch;

use crate::services::process::Process;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests to send.
    pub queries: usize,
    /// Decides what they are.
    pub seed: u64,
    /// Whether rows and secrets are put where they must be found.
    pub planted: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Requests that were sent.
    pub queries: usize,
    /// Operations of the description.
    pub operations: usize,
    /// Those that were asked.
    pub asked: usize,
    /// Those for tenants that did what was asked at least once, of so many.
    pub reached: (usize, usize),
    /// Answers by the first digit of their status.
    pub answers: BTreeMap<u16, usize>,
    /// Requests without an answer.
    pub unanswered: usize,
    /// Rows of the other tenant, by where they were.
    pub foreign: BTreeMap<&'static str, u64>,
    /// Secrets, by where they were.
    pub secrets: BTreeMap<&'static str, Found>,
    /// Own rows that were shown: nothing was found because nothing was there, if there are none.
    pub own: u64,
    /// Texts that both tenants have in the cache, each an entry of its own: it was not used, if there are none.
    pub cached: u64,
    /// Rows of servers that were looked at.
    pub rows: u64,
    /// Texts that were looked through for secrets: answers, rows, logs, command lines.
    pub texts: u64,
    /// What the attacks took away or changed, in words.
    pub harmed: Vec<String>,
    /// Some of what was found.
    pub examples: Vec<String>,
    /// All of it, in seconds.
    pub seconds: f64,
}

impl Outcome {
    /// Rows of the other tenant, wherever they were.
    pub fn foreign_rows(&self) -> u64 {
        self.foreign.values().sum()
    }

    /// Secrets, wherever they were.
    pub fn canary_hits(&self) -> u64 {
        self.secrets.values().flat_map(Found::values).sum()
    }

    /// Answers that say that the server failed.
    pub fn server_errors(&self) -> usize {
        self.answers.get(&5).copied().unwrap_or(0)
    }

    /// Names of what falls short.
    pub fn short(&self) -> Vec<&'static str> {
        let checks = [
            (self.foreign_rows() > 0, "foreign_rows"),
            (self.server_errors() > 0, "server_errors"),
            (self.canary_hits() > 0, "canary_hits"),
            (self.unanswered > 0, "unanswered"),
            (!self.harmed.is_empty(), "harmed"),
            (self.asked < self.operations, "asked"),
            (self.reached.0 < self.reached.1, "reached"),
            (self.own == 0 || self.rows == 0, "own_rows"),
            (self.cached == 0, "cached"),
        ];
        checks.into_iter().filter(|(short, _)| *short).map(|(_, name)| name).collect()
    }

    /// The closing line.
    pub fn line(&self) -> String {
        let of = |digit: u16| self.answers.get(&digit).copied().unwrap_or(0);
        format!(
            "tenants: queries={} foreign_rows={} server_errors={} canary_hits={} unanswered={} harmed={} operations={} \
             asked={} reached={}/{} answers_2xx={} answers_4xx={} own_rows={} cached={} rows={} texts={} \
             seconds={:.1}",
            self.queries,
            self.foreign_rows(),
            self.server_errors(),
            self.canary_hits(),
            self.unanswered,
            self.harmed.len(),
            self.operations,
            self.asked,
            self.reached.0,
            self.reached.1,
            of(2),
            of(4),
            self.own,
            self.cached,
            self.rows,
            self.texts,
            self.seconds,
        )
    }

    /// What the closing line does not say: where, and examples.
    pub fn beside(&self) -> String {
        let mut text = format!("foreign rows: {:?}\nsecrets: {:?}", self.foreign, self.secrets);
        for line in self.examples.iter().chain(&self.harmed) {
            text += &format!("\n{line}");
        }
        text
    }

    fn add(&mut self, place: &'static str, look: Look) {
        *self.foreign.entry(place).or_default() += look.foreign;
        for (name, count) in look.secrets {
            *self.secrets.entry(place).or_default().entry(name).or_default() += count;
        }
        self.rows += look.rows;
        self.texts += look.rows;
        self.examples.extend(look.examples);
    }

    /// Texts that belong to nobody.
    fn add_texts(&mut self, place: &'static str, wanted: &Wanted, texts: &[(String, Vec<u8>)]) {
        let mut look = Look::default();
        for (what, text) in texts {
            look.secrets(wanted, what, text);
        }
        self.texts += texts.len() as u64;
        self.add(place, look);
    }
}

/// Sends the requests, lets everything come to its end, counts.
///
/// # Errors
/// The harness could not do its work; what the program did wrong is in the outcome.
pub fn run(options: &Options) -> Result<Outcome> {
    let began = Instant::now();
    let (town, sides) = Town::start(&mut StdRng::seed_from_u64(options.seed))?;
    eprintln!(
        "{:.1} s: two tenants with {} documents each",
        began.elapsed().as_secs_f64(),
        sides[0].documents.len()
    );
    let wanted = wanted(&town, &sides)?;
    let watch = Watch::start(&town, &wanted)?;
    let _planted = options.planted.then(|| plant(&town, &sides)).transpose()?;
    let mut outcome = Siege { town: &town, sides: &sides, wanted: &wanted }.lay(options)?;
    eprintln!("{:.1} s: {} requests were sent", began.elapsed().as_secs_f64(), outcome.queries);
    town.wait_settled();
    for side in &sides {
        // What is planted is of the other, and so not as it was.
        if let (Err(error), false) = (side.check(&town), options.planted) {
            outcome.harmed.push(format!("{}: {error:#}", side.marks.tenant));
        }
    }
    outcome.add("postgres", town.runtime.block_on(stores::postgres(&town, &wanted))?);
    outcome.add("neo4j", town.runtime.block_on(stores::neo4j(&town, &wanted))?);
    let (entries, cached) = town.runtime.block_on(stores::cache(&town, &wanted))?;
    outcome.add("cache", entries);
    outcome.cached = cached;
    outcome.add("metrics", siege::metrics(&town, &sides, &wanted)?);
    outcome.add_texts("refused configurations", &wanted, &town.refused_configurations()?);
    outcome.add_texts("logs", &wanted, &town.logs()?);
    let (entries, lines) = watch.end()?;
    outcome.add("redis", entries);
    outcome.add("command lines", lines);
    outcome.seconds = began.elapsed().as_secs_f64();
    Ok(outcome)
}

fn wanted(town: &Town, sides: &[Side; 2]) -> Result<Wanted> {
    let of = |side: &Side| -> Vec<(String, String)> {
        let marks = side.marks.named().map(|(name, text)| (name, text.to_owned()));
        let ids = side.documents.iter().chain(&side.batches).chain(&side.scratch).chain([&side.disposable]);
        let ids = ids.map(|id| (format!("id of {}", side.marks.tenant), id.clone()));
        marks.into_iter().chain(ids).collect()
    };
    let scanner = |words: &[(String, String)]| {
        Scanner::new(words.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    };
    let [north, south] = sides;
    let foreign = [
        (north.marks.tenant.clone(), scanner(&of(south))?),
        (south.marks.tenant.clone(), scanner(&of(north))?),
    ];
    let anyones: Vec<(String, String)> = sides
        .iter()
        .flat_map(|side| side.marks.named())
        .map(|(name, text)| (name, text.to_owned()))
        .collect();
    let mut secrets: Vec<(String, String)> =
        town.secrets.named().into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    for side in sides {
        for (name, credential) in [("key", &side.key), ("admin key", &side.admin_key)] {
            // A key begins with a name, which may be shown.
            let secret = credential.rsplit('_').next().unwrap_or(credential);
            secrets.push((format!("{name} of {}", side.marks.tenant), secret.to_owned()));
        }
        // The claims of a token are known to whoever knows the tenant; the signature makes it good.
        let signature = side.token.rsplit('.').next().unwrap_or(&side.token);
        secrets.push((format!("token of {}", side.marks.tenant), signature.to_owned()));
    }
    Ok(Wanted { foreign: foreign.into(), anyones: scanner(&anyones)?, secrets: scanner(&secrets)? })
}

/// Puts a row or a secret into every kind of place, a command line included. What is not found then is not looked
/// for.
fn plant(town: &Town, sides: &[Side; 2]) -> Result<Process> {
    let [north, south] = sides;
    town.runtime.block_on(async {
        let move_over = "UPDATE documents SET tenant = $1 WHERE tenant = $2 AND state = 'committed' AND uri LIKE 'upload:own/%'
            RETURNING document::text";
        town.look.rows(move_over, &[&north.marks.tenant, &south.marks.tenant]).await?;
        let tell = "UPDATE documents SET failure = replace(failure, '\"detail\":\"', '\"detail\":\"' || $1) WHERE state = 'failed'
            RETURNING 1";
        town.look.rows(tell, &[&town.secrets.postgres]).await?;
        let database = docmill_worker::neo4j::Database::connect(&town.graph).await?;
        let give = format!(
            "MATCH (c:Chunk {{tenant_id: '{}'}}) WITH c LIMIT 1 SET c.tenant_id = '{}'",
            south.marks.tenant, north.marks.tenant
        );
        database.run(&give, docmill_worker::neo4j::bolt::map([])).await?;
        anyhow::Ok(())
    })?;
    let note = format!("{} and {}", south.marks.text, town.secrets.redis);
    redis::cmd("SET").arg("a-note").arg(&note).exec(&mut town.redis.admin())?;
    redis::cmd("SET").arg("extraction:a-note").arg(&note).exec(&mut town.cache.admin())?;
    let mut log = std::fs::File::options().append(true).open(town.worker_log())?;
    std::io::Write::write_all(&mut log, format!("connecting with {}\n", town.secrets.neo4j).as_bytes())?;
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "read -r line", "sh", &town.secrets.s3]);
    // Its input has no end, and it dies with its handle.
    Ok(Process::start_waiting(&mut command))
}
