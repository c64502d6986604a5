//! The full-text half: a plan from the core, asked of FTS5.

use std::sync::Mutex;

use docmill_core::search::{PlanLimits, QueryPlan, plan_query};
use docmill_core::segment::{QueryTerm, segment_query};
use rusqlite::{Connection, OptionalExtension, params};

use super::Counts;

/// Frequencies kept of one snapshot.
const FREQUENCIES_MAX: usize = 65_536;

/// In how many chunks terms are, as of one commit.
#[derive(Default)]
pub(super) struct Frequencies(Mutex<(i64, Option<u64>, Counts)>);

impl Frequencies {
    fn of(&self, connection: &Connection, term: &QueryTerm, commit: i64) -> rusqlite::Result<u64> {
        let mut most = 0;
        for form in &term.alternatives {
            most = most.max(self.of_form(connection, form, commit)?);
        }
        // Of a prefix the dictionary knows no count: it is asked for as if it were rare.
        Ok(if term.prefix { most.max(1) } else { most })
    }

    fn of_form(&self, connection: &Connection, form: &str, commit: i64) -> rusqlite::Result<u64> {
        if let Some(known) = self.at(commit).2.get(form) {
            return Ok(*known);
        }
        let count = connection
            .prepare_cached("SELECT doc FROM chunk_term_counts WHERE term = ?")?
            .query_row([form], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let mut kept = self.at(commit);
        if kept.2.len() < FREQUENCIES_MAX {
            kept.2.insert(form.to_owned(), count);
        }
        Ok(count)
    }

    fn total(&self, connection: &Connection, commit: i64) -> rusqlite::Result<u64> {
        if let Some(known) = self.at(commit).1 {
            return Ok(known);
        }
        let total =
            connection.prepare_cached("SELECT count(*) FROM chunks")?.query_row([], |row| row.get(0))?;
        self.at(commit).1 = Some(total);
        Ok(total)
    }

    fn at(&self, commit: i64) -> std::sync::MutexGuard<'_, (i64, Option<u64>, Counts)> {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.0 != commit {
            *kept = (commit, None, Counts::new());
        }
        kept
    }
}

/// Plans the query for this snapshot.
pub(super) fn plan(
    connection: &Connection,
    query: &str,
    commit: i64,
    frequencies: &Frequencies,
) -> rusqlite::Result<QueryPlan> {
    let total = frequencies.total(connection, commit)?;
    let mut failed = None;
    let mut frequency = |term: &QueryTerm| {
        frequencies.of(connection, term, commit).unwrap_or_else(|error| {
            failed = Some(error);
            0
        })
    };
    let plan = plan_query(&segment_query(query), &mut frequency, total, &PlanLimits::default());
    failed.map_or(Ok(plan), Err)
}

/// Chunks by rank: those with all terms first, then, if they are too few, those with any.
pub(super) fn hits(connection: &Connection, plan: &QueryPlan, limit: usize) -> rusqlite::Result<Vec<i64>> {
    let mut hits: Vec<i64> = Vec::new();
    for question in [plan.all_in_fts5(), plan.any_in_fts5()].into_iter().flatten() {
        if hits.len() >= limit {
            break;
        }
        let mut statement = connection.prepare_cached(
            "SELECT rowid FROM chunk_terms WHERE chunk_terms MATCH ? ORDER BY rank LIMIT ?",
        )?;
        let rows = statement.query_map(params![question, limit as i64], |row| row.get::<_, i64>(0))?;
        for row in rows {
            let row = row?;
            if !hits.contains(&row) {
                hits.push(row);
            }
        }
    }
    hits.truncate(limit);
    Ok(hits)
}
