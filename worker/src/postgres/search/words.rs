//! The full-text half: questions planned by the core, asked of the GIN index, and how well chunks fit them.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use docmill_core::id::ChunkId;
use docmill_core::search::{PlanLimits, Question, plan_query, rarity, scoring_question};
use docmill_core::segment::QueryTerm;
use tokio_postgres::Row;
use uuid::Uuid;

use super::frequencies::Known;
use super::lexemes::Form;
use super::scope::{Scope, current, with_spare};
use super::scoring::Candidate;
use crate::postgres::Error;
use crate::postgres::sql::rows;
use crate::postgres::terms::{is_storable, quote};
use crate::postgres::values::{big, chunk_of, document_of, hash_of};

/// What is asked, in order, until there are candidates enough.
pub(super) struct Questions {
    asked: Vec<Asked>,
    /// What candidates are scored by.
    pub(super) forms: Vec<Form>,
}

/// A question as the server reads it, and as people do.
struct Asked {
    query: String,
    shown: String,
}

impl Questions {
    /// Plans a query.
    pub(super) fn plan(terms: &[QueryTerm], known: &Known) -> Self {
        let mut frequency = |term: &QueryTerm| known.of_term(term);
        // Candidates' terms are read whole: no list is walked to score them.
        let limits = PlanLimits { walked_to_score_max: u64::MAX, ..PlanLimits::default() };
        let plan = plan_query(terms, &mut frequency, known.chunks, &limits);
        let scoring = scoring_question(terms, &mut frequency, known.chunks, &limits);
        // Nothing but stop words: then they count.
        let scoring = scoring.as_ref().or(plan.last());
        let forms = scoring.map(|question| forms(question, known)).unwrap_or_default();
        Self { asked: plan.iter().filter_map(Asked::new).collect(), forms }
    }

    /// The questions, for people: what narrows first.
    pub(super) fn shown(&self) -> String {
        self.asked.iter().map(|asked| asked.shown.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// Chunks that the questions find, the best of narrow questions first. Of each question a bounded number is looked
    /// at. Who is a candidate is asked here; how good one is, its words say.
    pub(super) async fn candidates(
        &self,
        transaction: &Transaction<'_>,
        scope: &Scope<'_>,
        few: bool,
        limit: usize,
    ) -> Result<Vec<(ChunkId, Candidate)>, Error> {
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        for Asked { query, .. } in &self.asked {
            if found.len() >= limit {
                break;
            }
            for (chunk, candidate) in best(transaction, scope, query, few, limit).await? {
                if known.insert(chunk) {
                    found.push((chunk, candidate));
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// The best chunks that one question finds. Of all that it finds a bounded number is looked at.
async fn best(
    transaction: &Transaction<'_>,
    scope: &Scope<'_>,
    query: &str,
    few: bool,
    limit: usize,
) -> Result<Vec<(ChunkId, Candidate)>, Error> {
    let read = |row: &Row| Ok((chunk_of(row.try_get(0)?), candidate(row)?));
    let most = big(PlanLimits::default().scored_max.max(limit as u64));
    let columns = "c.chunk, c.document, c.text_hash, ts_rank(c.terms, $3::text::tsquery) AS rank";
    let found = "c.terms @@ $3::text::tsquery AND c.tenant = $1 AND c.index_id = $2";
    if !few && !scope.is_filtered() {
        // Nearly all are current: which of the best are is asked of them alone.
        let sql = format!(
            "WITH matched AS MATERIALIZED (SELECT {columns} FROM chunks c WHERE {found} LIMIT $4),
             best AS MATERIALIZED (SELECT * FROM matched ORDER BY rank DESC, chunk LIMIT $5)
             SELECT chunk, document, text_hash, coalesce({}, false) FROM best ORDER BY rank DESC, chunk",
            scope.of_row("best", 3)
        );
        let looked_at = big(with_spare(limit) as u64);
        let found = rows(transaction, &sql, &scope.and(&[&query, &most, &looked_at])).await?;
        if let Some(current) = current(&found, 3, limit)? {
            return current.into_iter().map(read).collect();
        }
    }
    // What may be brought is little of what the index would find: then it is looked at, and not the index.
    let from = match few {
        true => format!("({}) AS part JOIN chunks c ON c.chunk = part.chunk WHERE {found}", scope.all(3)),
        false => format!("chunks c WHERE {found} AND {}", scope.of_row("c", 3)),
    };
    let sql = format!(
        "WITH matched AS MATERIALIZED (SELECT {columns} FROM {from} LIMIT $4)
         SELECT chunk, document, text_hash FROM matched ORDER BY rank DESC, chunk LIMIT $5"
    );
    let found = rows(transaction, &sql, &scope.and(&[&query, &most, &big(limit as u64)])).await?;
    found.iter().map(read).collect()
}

impl Asked {
    /// `None` where no term has a letter or digit.
    fn new(question: &Question) -> Option<Self> {
        let (by, by_shown) = match question {
            Question::All(_) => (" & ", " and "),
            Question::Any(_) => (" | ", " or "),
        };
        let terms: Vec<String> = question.terms().iter().filter_map(in_tsquery).collect();
        let shown: Vec<&str> = question
            .terms()
            .iter()
            .filter_map(|term| term.alternatives.first())
            .map(String::as_str)
            .collect();
        (!terms.is_empty()).then(|| Self { query: terms.join(by), shown: shown.join(by_shown) })
    }
}

/// The columns chunk, document, text hash.
pub(super) fn candidate(row: &Row) -> Result<Candidate, Error> {
    Ok(Candidate { document: document_of(row.try_get(1)?), text: hash_of(row.try_get(2)?)?, near: None })
}

/// The terms of these chunks.
pub(super) async fn terms_of(transaction: &Transaction<'_>, chunks: &[Uuid]) -> Result<Vec<Row>, Error> {
    rows(transaction, "SELECT chunk, terms FROM chunks WHERE chunk = ANY($1)", &[&chunks]).await
}

/// Forms of a term that can be asked for.
fn telling(term: &QueryTerm) -> impl Iterator<Item = &String> {
    term.alternatives.iter().filter(|form| form.chars().any(char::is_alphanumeric) && is_storable(form))
}

/// One term: its forms, any of which will do, each quoted so that nothing in it is an operator.
fn in_tsquery(term: &QueryTerm) -> Option<String> {
    let mut text = String::new();
    for form in telling(term) {
        text.push_str(if text.is_empty() { "(" } else { " | " });
        quote(form, &mut text);
        text.push_str(if term.prefix { ":*" } else { "" });
    }
    (!text.is_empty()).then(|| text + ")")
}

fn forms(question: &Question, known: &Known) -> Vec<Form> {
    let of_term = |term: &QueryTerm| -> Vec<Form> {
        telling(term)
            .map(|text| {
                let chunks = known.of_form(text);
                let weight = rarity(chunks, known.chunks);
                Form { text: text.clone(), prefix: term.prefix, chunks, weight }
            })
            .collect()
    };
    question.terms().iter().flat_map(of_term).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use docmill_core::segment::segment_query;

    #[test]
    fn questions_are_quoted_and_joined() {
        let term = |forms: &[&str], prefix| QueryTerm {
            alternatives: forms.iter().map(|form| (*form).to_owned()).collect(),
            prefix,
        };
        let all =
            Question::All(vec![term(&["it's", "it"], false), term(&["東"], true), term(&["-"], false)]);
        let asked = Asked::new(&all).unwrap();
        assert_eq!(asked.query, "('it''s' | 'it') & ('東':*)");
        let any = Question::Any(vec![term(&["a\\b"], false), term(&["c"], false)]);
        assert_eq!(Asked::new(&any).unwrap().query, r"('a\\b') | ('c')");
        assert_eq!(Asked::new(&any).unwrap().shown, "a\\b or c");
        assert!(Asked::new(&Question::Any(vec![term(&["-"], false)])).is_none());
    }

    #[test]
    fn hostile_queries_are_terms_and_nothing_else() {
        for query in ["a & !b | (c:* <-> 'd')", "'; DROP TABLE chunks; --", "\\' :A"] {
            for term in segment_query(query) {
                let text = in_tsquery(&term).unwrap();
                assert!(
                    text.starts_with("('") && (text.ends_with("')") || text.ends_with("':*)")),
                    "{text}"
                );
            }
        }
    }
}
