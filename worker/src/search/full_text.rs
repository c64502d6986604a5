//! The full-text half: questions planned by the core, asked of FTS5.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use docmill_core::search::{ExplainedTerm, PlanLimits, Question, plan_query, rarity, scoring_question};
use docmill_core::segment::{QueryTerm, segment_query};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::scope::Scope;
use crate::sqlite::term_score;

/// Frequencies kept.
const FREQUENCIES_MAX: usize = 65_536;
/// Frequencies are counted again once there are this many hundredths of chunks more or fewer.
const STALE_AFTER_PERCENT: u64 = 10;

/// In how many chunks terms are, about: a plan needs an order, and counting costs as much as asking.
#[derive(Default)]
pub(super) struct Frequencies(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    total: u64,
    of_form: HashMap<String, u64>,
}

impl Frequencies {
    /// Chunks that there are, about: rows are numbered in order, and few are ever removed.
    fn total(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let total: u64 = connection
            .prepare_cached("SELECT coalesce(max(row), 0) FROM chunks")?
            .query_row([], |row| row.get(0))?;
        let mut kept = self.lock();
        if kept.total.abs_diff(total) * 100 > kept.total * STALE_AFTER_PERCENT {
            *kept = Counted { total, of_form: HashMap::new() };
        }
        Ok(total)
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Looks frequencies up for one search.
struct Lookup<'a> {
    connection: &'a Connection,
    frequencies: &'a Frequencies,
    /// Forms that are nowhere: the next search looks again, as they may have come.
    absent: RefCell<HashSet<String>>,
}

impl Lookup<'_> {
    fn of(&self, term: &QueryTerm) -> rusqlite::Result<u64> {
        let mut most = 0;
        for form in &term.alternatives {
            most = most.max(self.of_form(form)?);
        }
        // Of a prefix the dictionary knows no count: it is asked for as if it were rare.
        Ok(if term.prefix { most.max(1) } else { most })
    }

    fn of_form(&self, form: &str) -> rusqlite::Result<u64> {
        if let Some(known) = self.frequencies.lock().of_form.get(form) {
            return Ok(*known);
        }
        if self.absent.borrow().contains(form) {
            return Ok(0);
        }
        let count = self
            .connection
            .prepare_cached("SELECT doc FROM chunk_term_counts WHERE term = ?")?
            .query_row([form], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let mut kept = self.frequencies.lock();
        if count == 0 {
            self.absent.borrow_mut().insert(form.to_owned());
        } else if kept.of_form.len() < FREQUENCIES_MAX {
            kept.of_form.insert(form.to_owned(), count);
        }
        Ok(count)
    }
}

/// What is asked, in order, until there are hits enough.
pub(super) struct Questions {
    of_fts5: Vec<Weighed>,
    /// What chunks that are known are scored by.
    scoring: Option<Weighed>,
    /// Whether the file holds chunks of other tenants or indexes, which must not take the place of ours.
    shared: bool,
}

impl Questions {
    /// The terms that candidates were scored by, or found by where words alone answer, and the question.
    pub(super) fn explained(&self, by_words_alone: bool) -> (Vec<ExplainedTerm>, String) {
        let asked = if by_words_alone { &self.of_fts5[..] } else { self.scoring.as_slice() };
        let mut terms: Vec<ExplainedTerm> = Vec::new();
        for term in asked.iter().flat_map(|question| &question.terms) {
            if !terms.contains(term) {
                terms.push(term.clone());
            }
        }
        let texts: Vec<&str> = asked.iter().map(|question| question.text.as_str()).collect();
        (terms, texts.join("; "))
    }
}

/// A question and what each phrase of it counts.
struct Weighed {
    text: String,
    weights: Vec<u8>,
    /// The phrases, in order.
    terms: Vec<ExplainedTerm>,
}

impl Weighed {
    /// `None` when there is nothing to ask for.
    fn new(question: &Question, lookup: &Lookup<'_>, total: u64) -> rusqlite::Result<Option<Self>> {
        let Some(asked) = question.in_fts5() else { return Ok(None) };
        let explained = |term: String| {
            let chunks = lookup.of_form(&term)?;
            Ok(ExplainedTerm { term, chunks, rarity: rarity(chunks, total) })
        };
        let terms =
            asked.forms.into_iter().map(explained).collect::<rusqlite::Result<Vec<ExplainedTerm>>>()?;
        let weights = term_score::weights(terms.iter().map(|term| term.rarity));
        Ok(Some(Self { text: asked.text, weights, terms }))
    }
}

/// Plans the query.
pub(super) fn plan(
    connection: &Connection,
    query: &str,
    frequencies: &Frequencies,
    limits: &PlanLimits,
) -> rusqlite::Result<Questions> {
    let total = frequencies.total(connection)?;
    let mut failed = None;
    let lookup = Lookup { connection, frequencies, absent: RefCell::default() };
    let mut frequency = |term: &QueryTerm| {
        lookup.of(term).unwrap_or_else(|error| {
            failed = Some(error);
            0
        })
    };
    let terms = segment_query(query);
    let plan = plan_query(&terms, &mut frequency, total, limits);
    let scoring = scoring_question(&terms, &mut frequency, total, limits);
    if let Some(error) = failed {
        return Err(error);
    }
    let indexes: u64 =
        connection.prepare_cached("SELECT count(*) FROM indexes")?.query_row([], |row| row.get(0))?;
    let weighed = |question: &Question| Weighed::new(question, &lookup, total).transpose();
    Ok(Questions {
        of_fts5: plan.iter().filter_map(weighed).collect::<rusqlite::Result<_>>()?,
        scoring: scoring.as_ref().and_then(weighed).transpose()?,
        shared: indexes > 1,
    })
}

/// Chunks by rank, narrow questions first; of each question at most a bounded number is scored. Lengths do
/// not count here: who is a candidate is asked, and [`scores`] says how good one is.
pub(super) fn hits(
    connection: &Connection,
    questions: &Questions,
    scope: &Scope<'_>,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    // The inner limit is on rows before they are scored, the outer one on what is best of them.
    let (filtered, filter_values) = match scope.admitted.map(|admitted| admitted.condition(7)) {
        Some((condition, values)) => (format!(" AND {condition}"), values),
        None => (String::new(), Vec::new()),
    };
    let joined = questions.shared || scope.admitted.is_some();
    let sql = if joined {
        format!(
            "SELECT row FROM (
               SELECT t.rowid AS row, term_score_flat(t.chunk_terms, ?2) AS score FROM chunk_terms t
               CROSS JOIN chunks c ON c.row = t.rowid CROSS JOIN documents d ON d.document = c.document
               WHERE t.chunk_terms MATCH ?1 AND c.index_id = ?5 AND d.tenant = ?6{filtered} LIMIT ?3
             ) ORDER BY score DESC LIMIT ?4"
        )
    } else {
        "SELECT row FROM (
           SELECT rowid AS row, term_score_flat(chunk_terms, ?2) AS score
           FROM chunk_terms WHERE chunk_terms MATCH ?1 LIMIT ?3
         ) ORDER BY score DESC LIMIT ?4"
            .to_owned()
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let whole = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let scored_max = PlanLimits::default().scored_max.max(limit as u64);
    let mut hits: Vec<i64> = Vec::new();
    let mut known: HashSet<i64> = HashSet::new();
    for Weighed { text, weights, .. } in &questions.of_fts5 {
        if hits.len() >= limit {
            break;
        }
        let mut values = vec![
            Value::Text(text.clone()),
            Value::Blob(weights.clone()),
            whole(scored_max),
            whole(limit as u64),
        ];
        if joined {
            values.extend([Value::Integer(scope.index.0), Value::Text(scope.tenant.as_str().to_owned())]);
            values.extend(filter_values.iter().cloned());
        }
        for row in statement.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))? {
            let row = row?;
            if known.insert(row) {
                hits.push(row);
            }
        }
    }
    hits.truncate(limit);
    Ok(hits)
}

/// How well the words of each of these rows fit, by one question for all; larger is better. A row that
/// lacks has none of them.
pub(super) fn scores(
    connection: &Connection,
    questions: &Questions,
    rows: impl Iterator<Item = i64>,
) -> rusqlite::Result<HashMap<i64, f64>> {
    let Some(Weighed { text, weights, .. }) = &questions.scoring else { return Ok(HashMap::new()) };
    let list: Vec<String> = rows.map(|row| row.to_string()).collect();
    // The plus keeps the rows from being looked up one by one: the terms' lists are walked once, and only
    // rows of the list are scored.
    let sql = format!(
        "SELECT rowid, term_score(chunk_terms, ?2) FROM chunk_terms
         WHERE chunk_terms MATCH ?1 AND +rowid IN ({})",
        list.join(",")
    );
    let mut statement = connection.prepare(&sql)?;
    let scored = statement.query_map(params![text, weights], |row| Ok((row.get(0)?, row.get(1)?)))?;
    scored.collect()
}
