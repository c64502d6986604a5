//! In how many chunks terms are, about: the server's statistics know of common ones, and the others are soon counted.
//!
//! Counts are of the tenant's own chunks; only shares of common terms are of all that the server holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool_postgres::Transaction;
use docmill_core::id::{IndexId, TenantId};
use docmill_core::search::{Filter, PlanLimits};
use docmill_core::segment::{QueryTerm, is_stop_word};

use super::lexemes::Lexemes;
use super::locked;
use super::scope::Scope;
use crate::postgres::Error;
use crate::postgres::sql::{one, optional, rows};
use crate::postgres::terms::{is_storable, quote};
use crate::postgres::values::{big, number};

/// How long counts are kept.
const KEPT: Duration = Duration::from_secs(60);
/// Chunks of a form that are counted: in more, it is common.
const COUNTED_MAX: u64 = 1_500;
/// Chunks of a tenant that are counted; beyond, the server's estimate of all serves as well.
const CHUNKS_COUNTED_MAX: u64 = 20_000;
/// Chunks whose mean length is taken for that of all, the first few of each document.
const SAMPLED: i64 = 256;
const SAMPLED_OF_DOCUMENT: i32 = 4;
/// Forms that are kept for an index.
const FORMS_MAX: usize = 65_536;
/// Indexes that are kept.
const INDEXES_MAX: usize = 1_000;

/// See the module.
#[derive(Default)]
pub(super) struct Frequencies {
    common: Mutex<Option<Arc<Common>>>,
    of_index: Mutex<HashMap<(TenantId, IndexId), Arc<OfIndex>>>,
}

/// What the server's statistics say of all chunks.
struct Common {
    since: Instant,
    stored: u64,
    /// Share of the chunks that have a form.
    share: HashMap<String, f32>,
}

/// What was counted of a tenant's index.
struct OfIndex {
    since: Instant,
    chunks: u64,
    mean_length: f64,
    of_form: Mutex<HashMap<String, u64>>,
}

/// What is known for one search.
pub(super) struct Known {
    /// Chunks of the tenant's index, about.
    pub(super) chunks: u64,
    /// Chunks of all tenants, about.
    pub(super) stored: u64,
    /// Words that a chunk has on average.
    pub(super) mean_length: f64,
    of_form: HashMap<String, u64>,
}

impl Known {
    /// In how many chunks a form is.
    pub(super) fn of_form(&self, form: &str) -> u64 {
        self.of_form.get(form).copied().unwrap_or(0)
    }

    /// In how many chunks a term is, by its most frequent form.
    pub(super) fn of_term(&self, term: &QueryTerm) -> u64 {
        let most = term.alternatives.iter().map(|form| self.of_form(form)).max().unwrap_or(0);
        // Of a prefix nothing is counted: it is asked for as if it were rare.
        if term.prefix { most.max(1) } else { most }
    }
}

impl Frequencies {
    /// Of a query's terms.
    pub(super) async fn of(
        &self,
        transaction: &Transaction<'_>,
        tenant: &TenantId,
        index: IndexId,
        terms: &[QueryTerm],
    ) -> Result<Known, Error> {
        let common = self.common(transaction).await?;
        let counted = self.of_index(transaction, (tenant, index), &common).await?;
        let mut of_form = HashMap::new();
        let mut unknown: Vec<&str> = Vec::new();
        {
            let kept = locked(&counted.of_form);
            for form in forms(terms) {
                let listed = || common.share.get(form).map(|share| estimated(*share, counted.chunks));
                match listed().or_else(|| kept.get(form).copied()) {
                    Some(known) => _ = of_form.insert(form.to_owned(), known),
                    None if is_storable(form) => unknown.push(form),
                    None => {}
                }
            }
        }
        if !unknown.is_empty() {
            let found = count(transaction, tenant, index, &unknown).await?;
            let mut kept = locked(&counted.of_form);
            for (form, chunks) in unknown.into_iter().zip(found) {
                // One that is nowhere is looked for again: it may have come.
                if chunks > 0 && kept.len() < FORMS_MAX {
                    kept.insert(form.to_owned(), chunks);
                }
                of_form.insert(form.to_owned(), chunks);
            }
        }
        let (chunks, mean_length) = (counted.chunks, counted.mean_length);
        Ok(Known { chunks, stored: common.stored, mean_length, of_form })
    }

    async fn common(&self, transaction: &Transaction<'_>) -> Result<Arc<Common>, Error> {
        let kept = locked(&self.common).clone();
        if let Some(kept) = kept.filter(|kept| kept.since.elapsed() < KEPT) {
            return Ok(kept);
        }
        let read = Arc::new(common(transaction).await?);
        *locked(&self.common) = Some(read.clone());
        Ok(read)
    }

    async fn of_index(
        &self,
        transaction: &Transaction<'_>,
        (tenant, index): (&TenantId, IndexId),
        common: &Common,
    ) -> Result<Arc<OfIndex>, Error> {
        let key = (tenant.clone(), index);
        let kept = locked(&self.of_index).get(&key).cloned();
        if let Some(kept) = kept.filter(|kept| kept.since.elapsed() < KEPT) {
            return Ok(kept);
        }
        let read = Arc::new(of_index(transaction, tenant, index, common).await?);
        let mut all = locked(&self.of_index);
        if all.len() >= INDEXES_MAX {
            all.clear();
        }
        all.insert(key, read.clone());
        Ok(read)
    }
}

/// Forms whose frequency a plan asks for. Stop words have the longest lists, and count only where there is nothing else.
fn forms(terms: &[QueryTerm]) -> impl Iterator<Item = &str> {
    let stops = |term: &&QueryTerm| term.alternatives.iter().all(|form| is_stop_word(form));
    let telling = terms.iter().any(|term| !stops(&term));
    let most = PlanLimits::default().terms_max;
    let asked = terms.iter().filter(move |term| !telling || !stops(term)).take(most);
    asked.flat_map(|term| term.alternatives.iter().map(String::as_str))
}

fn estimated(share: f32, chunks: u64) -> u64 {
    ((f64::from(share) * chunks as f64).round() as u64).max(1)
}

async fn common(transaction: &Transaction<'_>) -> Result<Common, Error> {
    // As the planner estimates it: rows a page when the table was looked at, for the pages of now.
    let stored = one(
        transaction,
        "SELECT coalesce(
           (SELECT (c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::bigint))::bigint
            FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('chunks') AND c.relpages > 0 AND c.reltuples > 0),
           (SELECT count(*) FROM (SELECT 1 FROM chunks LIMIT $1) AS part))",
        &[&big(CHUNKS_COUNTED_MAX)],
    )
    .await?;
    // The list of shares has some more at its end: the least, the most, and that of NULL.
    let listed = optional(
        transaction,
        "SELECT most_common_elems::text::text[], most_common_elem_freqs FROM pg_catalog.pg_stats
         WHERE schemaname = current_schema() AND tablename = 'chunks' AND attname = 'terms'",
        &[],
    )
    .await?;
    let mut share = HashMap::new();
    if let Some(row) = listed {
        let forms: Option<Vec<String>> = row.try_get(0)?;
        let shares: Option<Vec<f32>> = row.try_get(1)?;
        share = forms.into_iter().flatten().zip(shares.into_iter().flatten()).collect();
    }
    Ok(Common { since: Instant::now(), stored: number(stored.try_get(0)?), share })
}

async fn of_index(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: IndexId,
    common: &Common,
) -> Result<OfIndex, Error> {
    let scope = Scope::new(tenant, index, &Filter::default());
    let counted = scope.count(transaction, CHUNKS_COUNTED_MAX).await?;
    let sql = format!(
        "SELECT c.terms FROM ({} AND e.ordinal < $4 LIMIT $3) AS part JOIN chunks c ON c.chunk = part.chunk",
        scope.all(2)
    );
    let sample = rows(transaction, &sql, &scope.and(&[&SAMPLED, &SAMPLED_OF_DOCUMENT])).await?;
    let mut words = 0u64;
    for row in &sample {
        words += u64::from(row.try_get::<_, Lexemes<'_>>(0)?.length());
    }
    let chunks = if counted < CHUNKS_COUNTED_MAX { counted } else { counted.max(common.stored) };
    let mean_length = if sample.is_empty() { 0.0 } else { words as f64 / sample.len() as f64 };
    Ok(OfIndex { since: Instant::now(), chunks, mean_length, of_form: Mutex::default() })
}

/// In how many of the tenant's chunks each form is, up to a bound.
async fn count(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: IndexId,
    forms: &[&str],
) -> Result<Vec<u64>, Error> {
    let asked: Vec<String> = forms
        .iter()
        .map(|form| {
            let mut text = String::new();
            quote(form, &mut text);
            text
        })
        .collect();
    let found = rows(
        transaction,
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM chunks c WHERE c.terms @@ f.form::tsquery
                   AND c.tenant = $2 AND c.index_id = $3 LIMIT $4) AS part)
         FROM unnest($1::text[]) WITH ORDINALITY AS f(form, n) ORDER BY f.n",
        &[&asked, &tenant.as_str(), &index.0, &big(COUNTED_MAX)],
    )
    .await?;
    found.iter().map(|row| Ok(number(row.try_get(0)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use docmill_core::segment::segment_query;

    #[test]
    fn stop_words_are_counted_only_where_there_is_nothing_else() {
        let of = |query: &str| {
            let terms = segment_query(query);
            forms(&terms).map(str::to_owned).collect::<Vec<String>>()
        };
        assert!(of("the zebra").contains(&"zebra".to_owned()));
        assert!(!of("the zebra").contains(&"the".to_owned()));
        assert!(of("the").contains(&"the".to_owned()));
    }

    #[test]
    fn a_listed_form_is_somewhere() {
        assert_eq!((estimated(0.25, 1_000), estimated(0.001, 10)), (250, 1));
    }
}
