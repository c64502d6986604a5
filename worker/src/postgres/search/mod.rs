//! Hybrid search at a server: full text and vectors each bring candidates, which are then scored alike by the words
//! and the passages that they have. One transaction and one snapshot an answer, so that it shows exactly one whole
//! version of every document.
//!
//! Candidates are what current manifests of the tenant name and a filter admits, whatever else the indexes bring.
//! Their number depends on `k` and on what is there, not on the page asked for: pages of one order fit together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, DocumentId, IndexId, TenantId};
use docmill_core::index::IndexSpec;
use docmill_core::search::{
    DEPTH_MAX, FacetCount, Hit, Mode, OF_ONE_DOCUMENT_MAX, SearchAnswer, SearchRequest, Timings,
    WORDS_SHARE, cursor_of,
};
use docmill_core::segment::segment_query;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::sql::optional;
use super::transaction::transaction;
use super::values::{chunk_key, from_json};
use super::{Database, Error, vector_table};
use crate::search::{self, QueryEmbedder, Search, nothing_ingested, vector_or_words};

mod frequencies;
mod lexemes;
mod meaning;
mod rows;
mod scope;
mod scoring;
mod words;

use frequencies::{Frequencies, Known};
use rows::Place;
use scope::{Scope, with_spare};
use scoring::{Candidates, Scores, Scoring, lacking, without_twins};
use words::Questions;

/// Longest time of a statement of a search, in milliseconds: who waits longer has gone.
const STATEMENT_MS: u64 = 2_000;
/// Longest wait for the turn to search.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Candidates asked of each half for each result wanted: of equal texts one is shown.
const OVERFETCH: usize = 4;
/// How many times more are asked for where equal texts left too few.
const MORE: usize = 4;
/// Candidates asked of full text at least.
const WITH_WORDS_MIN: usize = 48;
/// Candidates asked of the vectors at least: the best by passages may be far down by the whole text's vector.
const NEAREST_MIN: usize = 96;
/// Candidates asked of each half where facets are counted: 1,000 of both.
const FACETED_MIN: usize = 500;
/// Candidates asked of each half at most; also the most that pgvector keeps while it looks.
const CANDIDATES_MAX: usize = 1_000;
/// As many chunks are looked at one by one, which finds the nearest of them exactly.
const FEW_MAX: u64 = 2_000;
/// A tenant that has less than one of this many chunks finds little under indexes that all share.
const SMALL_ONE_IN: u64 = 8;
/// Times that a search begins again as the tenant's index was switched.
const SWITCHES_MAX: usize = 3;
/// Active indexes that are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Search of every tenant's active index in a PostgreSQL server.
pub struct PostgresSearch {
    database: Database,
    embedder: Arc<QueryEmbedder>,
    /// What was active when somebody looked; an answer's own snapshot says whether it still is.
    active: Mutex<HashMap<TenantId, Active>>,
    frequencies: Frequencies,
    /// Searches take half of the pool's connections at most, in the order they came: uploads and lists have the rest.
    turns: Semaphore,
}

/// A tenant's active index.
#[derive(Clone)]
struct Active {
    index: IndexId,
    spec: IndexSpec,
    /// Whether the server's pgvector goes on until a filter has let enough rows through.
    iterates: bool,
}

/// What one transaction answers.
struct Asked<'a> {
    tenant: &'a TenantId,
    request: &'a SearchRequest,
    active: &'a Active,
    /// The query as a vector; none: words answer alone.
    vector: Option<Arc<Vec<f32>>>,
}

/// What a transaction found.
struct Found {
    scoring: Scoring,
    /// Places in the order, of the page that was asked for.
    page: Vec<usize>,
    places: HashMap<ChunkId, Place>,
    facets: BTreeMap<String, Vec<FacetCount>>,
    facets_over: Option<u32>,
    next: Option<String>,
    timings: Timings,
}

impl PostgresSearch {
    /// Of this database, with models for queries.
    pub fn new(database: Database, embedder: Arc<QueryEmbedder>) -> Self {
        let turns = Semaphore::new((database.pool.status().max_size / 2).max(1));
        Self { database, embedder, active: Mutex::default(), frequencies: Frequencies::default(), turns }
    }

    /// The tenant's active index; `None` where there is none.
    async fn active(&self, tenant: &TenantId) -> Result<Option<Active>, Error> {
        if let Some(known) = locked(&self.active).get(tenant) {
            return Ok(Some(known.clone()));
        }
        let found = transaction!(self.database, |transaction| active(transaction, tenant))?;
        if let Some(active) = &found {
            let mut known = locked(&self.active);
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            known.insert(tenant.clone(), active.clone());
        }
        Ok(found)
    }

    /// `None`: the index that was asked is not the active one any more.
    async fn found(&self, asked: &Asked<'_>) -> Result<Option<Found>, Error> {
        let turn = tokio::time::timeout(WAIT_MAX, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Error::Failed("more searches wait than are answered".to_owned()));
        };
        transaction!(self.database, |transaction| Box::pin(self.within(transaction, asked)))
    }

    async fn within(
        &self,
        transaction: &Transaction<'_>,
        asked: &Asked<'_>,
    ) -> Result<Option<Found>, Error> {
        let Asked { tenant, request, active, .. } = *asked;
        transaction.batch_execute(&settings(active, request.k)).await?;
        let Some(has_vectors) = is_active(transaction, tenant, active.index).await? else {
            return Ok(None);
        };
        let vector = asked.vector.clone().filter(|_| has_vectors);
        let mut timings = Timings::default();
        let began = Instant::now();
        let terms = segment_query(&request.query);
        let known = self.frequencies.of(transaction, tenant, active.index, &terms).await?;
        let questions = Questions::plan(&terms, &known);
        timings.full_text += began.elapsed();
        let scope = Scope::new(tenant, active.index, &request.filter);
        let look = Look::of(transaction, &scope, &known).await?;
        let mut candidates = self
            .candidates(transaction, asked, (&scope, look), &questions, vector.as_deref(), &mut timings)
            .await?;
        let began = Instant::now();
        if let Some(vector) = &vector {
            let lacking: Vec<Uuid> = lacking(&candidates);
            for (chunk, near) in meaning::of_chunks(transaction, active.index, vector, &lacking).await? {
                if let Some(candidate) = candidates.get_mut(&chunk) {
                    candidate.near = Some(near);
                }
            }
        }
        let keys: Vec<Uuid> = candidates.keys().copied().map(chunk_key).collect();
        let terms = words::terms_of(transaction, &keys).await?;
        let scores = Scores {
            words_share: if asked.vector.is_some() { WORDS_SHARE } else { 1.0 },
            vector,
            forms: questions.forms.clone(),
            mean_length: known.mean_length,
            question: request.explain.then(|| questions.shown()),
            query: request.query.clone(),
        };
        // Off the threads that answer others: some hundred texts are read.
        let scored = tokio::task::spawn_blocking(move || {
            let scoring = scores.scoring(&candidates, &terms)?;
            Ok::<_, Error>((scoring, candidates))
        });
        let (scoring, candidates) = scored.await.map_err(|error| Error::Failed(error.to_string()))??;
        let mut order = without_twins(&scoring.fused, &candidates);
        if request.as_sources {
            order = with_shares(order, |at| {
                scoring.fused.get(at).and_then(|one| candidates.get(&one.key)).map(|one| one.document)
            });
        }
        let (first, k) = (request.offset as usize, usize::from(request.k));
        let page: Vec<usize> = order.iter().copied().skip(first).take(k).collect();
        let chunks: Vec<ChunkId> = page.iter().map(|at| scoring.fused[*at].key).collect();
        let places = rows::places(transaction, &scope, &chunks, !request.as_sources).await?;
        let mut facets = BTreeMap::new();
        if !request.facets.is_empty() {
            let documents: BTreeSet<DocumentId> = candidates.values().map(|one| one.document).collect();
            facets = rows::facets(transaction, &documents, &request.facets).await?;
        }
        timings.rows += began.elapsed();
        let over = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        Ok(Some(Found {
            next: next(request, order.len()),
            facets_over: (!request.facets.is_empty()).then_some(over),
            scoring,
            page,
            places,
            facets,
            timings,
        }))
    }

    /// Enough of them that `k` different texts are among them, where there are so many.
    async fn candidates(
        &self,
        transaction: &Transaction<'_>,
        asked: &Asked<'_>,
        (scope, look): (&Scope<'_>, Look),
        questions: &Questions,
        vector: Option<&Vec<f32>>,
        timings: &mut Timings,
    ) -> Result<Candidates, Error> {
        let k = usize::from(asked.request.k);
        let least = |of_half: usize| match asked.request.facets.is_empty() {
            true => of_half,
            false => FACETED_MIN,
        };
        let mut wanted = k.saturating_mul(OVERFETCH);
        loop {
            let with_words = wanted.max(least(WITH_WORDS_MIN)).min(CANDIDATES_MAX);
            let nearest = wanted.max(least(NEAREST_MIN)).min(CANDIDATES_MAX);
            let began = Instant::now();
            let by_words = questions.candidates(transaction, scope, look.few_words, with_words).await?;
            timings.full_text += began.elapsed();
            let began = Instant::now();
            let by_meaning = match vector {
                Some(vector) => {
                    let index = asked.active.index;
                    meaning::nearest(transaction, index, scope, vector, look.few, nearest).await?
                }
                None => Vec::new(),
            };
            timings.vectors += began.elapsed();
            let none_left = by_words.len() < with_words && by_meaning.len() < nearest;
            // Those with a vector last, as they know more.
            let candidates: Candidates = by_words.into_iter().chain(by_meaning).collect();
            let texts: HashSet<&[u8; 32]> = candidates.values().map(|one| &one.text).collect();
            if texts.len() >= k || none_left || wanted >= CANDIDATES_MAX {
                return Ok(candidates);
            }
            wanted = wanted.saturating_mul(MORE);
        }
    }
}

#[async_trait]
impl Search for PostgresSearch {
    async fn search(
        &self,
        tenant: &TenantId,
        request: &SearchRequest,
    ) -> Result<SearchAnswer, search::Error> {
        request.check().map_err(search::Error::Wrong)?;
        for _ in 0..SWITCHES_MAX {
            let Some(active) = self.active(tenant).await.map_err(search::Error::Postgres)? else {
                return Ok(nothing_ingested());
            };
            let began = Instant::now();
            let (embedded, passing) = vector_or_words(&self.embedder, &active.spec, &request.query).await;
            let embedding = began.elapsed();
            let (vector, reason) = match embedded {
                Ok(vector) if vector.len() == active.spec.dimensions as usize => {
                    (Some(Arc::new(vector)), None)
                }
                Ok(_) => (None, Some("the index was made with another embedding model".to_owned())),
                Err(why) => (None, Some(why)),
            };
            let asked = Asked { tenant, request, active: &active, vector };
            let found = Box::pin(self.found(&asked)).await.map_err(search::Error::Postgres)?;
            let Some(mut found) = found else {
                locked(&self.active).remove(tenant);
                continue;
            };
            found.timings.embedding = embedding;
            let answer = found.answer(reason).await.map_err(search::Error::Postgres)?;
            return Ok(SearchAnswer { passing, ..answer });
        }
        let switched = "the active index was switched again and again";
        Err(search::Error::Postgres(Error::Raced(switched)))
    }

    async fn warm(&self, tenants: &[TenantId]) {
        for tenant in tenants {
            let loaded = match self.active(tenant).await {
                Ok(Some(active)) => self.embedder.load(&active.spec.embedder).await.map(drop),
                Ok(None) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = loaded {
                tracing::warn!(%tenant, why, "queries are answered by words alone until the model is there");
            }
        }
    }
}

impl Found {
    /// As it is told: the parts worth showing are cut out off the threads that answer others.
    async fn answer(self, reason: Option<String>) -> Result<SearchAnswer, Error> {
        let Self { scoring, page, places, facets, facets_over, next, timings } = self;
        let shown = tokio::task::spawn_blocking(move || rows::hits(&scoring, &page, places));
        let results: Vec<Hit> = shown.await.map_err(|error| Error::Failed(error.to_string()))?;
        let mode = if reason.is_none() { Mode::Hybrid } else { Mode::FullText };
        Ok(SearchAnswer { results, mode, reason, facets, facets_over, next, timings, passing: false })
    }
}

/// How candidates are looked for.
#[derive(Clone, Copy)]
struct Look {
    /// What may be brought is so little that each vector is compared.
    few: bool,
    /// And of what the terms' index would find it is a small part.
    few_words: bool,
}

impl Look {
    async fn of(transaction: &Transaction<'_>, scope: &Scope<'_>, known: &Known) -> Result<Self, Error> {
        if scope.is_filtered() {
            let few = scope.count(transaction, FEW_MAX + 1).await? <= FEW_MAX;
            return Ok(Self { few, few_words: few });
        }
        let few = known.chunks <= FEW_MAX;
        Ok(Self { few, few_words: few && known.chunks.saturating_mul(SMALL_ONE_IN) < known.stored })
    }
}

/// The cursor of the page after this one, where one may be asked for.
fn next(request: &SearchRequest, hits: usize) -> Option<String> {
    let end = request.offset + u32::from(request.k);
    let may_be = end as usize + usize::from(request.k) <= DEPTH_MAX as usize;
    (hits > end as usize && may_be && !request.as_sources).then(|| cursor_of(end))
}

/// What is left of an order where each document has [`OF_ONE_DOCUMENT_MAX`] places at most.
fn with_shares(order: Vec<usize>, document_of: impl Fn(usize) -> Option<DocumentId>) -> Vec<usize> {
    let mut taken: HashMap<DocumentId, usize> = HashMap::new();
    let has_place = |at: &usize| {
        let Some(document) = document_of(*at) else { return false };
        let taken = taken.entry(document).or_default();
        *taken += 1;
        *taken <= OF_ONE_DOCUMENT_MAX
    };
    order.into_iter().filter(has_place).collect()
}

/// What holds for the transaction: one snapshot, plans made for the values that are asked with, and indexes before
/// reading whole tables, as a table that is read whole is never worth it here but where nothing else is possible.
fn settings(active: &Active, k: u16) -> String {
    let looked_at = with_spare((usize::from(k) * OVERFETCH).max(NEAREST_MIN)).min(CANDIDATES_MAX);
    let hnsw = match (active.spec.dimensions, active.iterates) {
        (0, _) => String::new(),
        (_, false) => format!("SET LOCAL hnsw.ef_search = {CANDIDATES_MAX}"),
        (_, true) => {
            format!("SET LOCAL hnsw.ef_search = {looked_at}; SET LOCAL hnsw.iterative_scan = relaxed_order")
        }
    };
    format!(
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
         SET LOCAL statement_timeout = {STATEMENT_MS}; SET LOCAL plan_cache_mode = force_custom_plan;
         SET LOCAL enable_seqscan = off; SET LOCAL jit = off; {hnsw}"
    )
}

async fn active(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<Option<Active>, Error> {
    let row = optional(
        transaction,
        "SELECT index_id, spec, coalesce(
           (SELECT string_to_array(substring(extversion FROM '^[0-9]+[.][0-9]+'), '.')::integer[] >= ARRAY[0, 8]
            FROM pg_catalog.pg_extension WHERE extname = 'vector'), false)
         FROM indexes WHERE tenant = $1 AND state = 'active'",
        &[&tenant.as_str()],
    )
    .await?;
    row.map(|row| {
        Ok(Active {
            index: IndexId(row.try_get(0)?),
            spec: from_json(row.try_get(1)?)?,
            iterates: row.try_get(2)?,
        })
    })
    .transpose()
}

/// Whether the index has vectors, if it is the tenant's active one in this snapshot.
async fn is_active(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: IndexId,
) -> Result<Option<bool>, Error> {
    let sql = "SELECT to_regclass($3) IS NOT NULL FROM indexes
               WHERE tenant = $1 AND index_id = $2 AND state = 'active'";
    let row = optional(transaction, sql, &[&tenant.as_str(), &index.0, &vector_table(index)]).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

fn locked<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_page_follows_where_there_are_hits_and_a_place_for_them() {
        let asked = |offset, k| SearchRequest { offset, ..SearchRequest::new("q", k) };
        assert_eq!(next(&SearchRequest::sources("q", 10, Default::default()), 20), None);
        assert_eq!(next(&asked(0, 10), 10), None);
        assert_eq!(next(&asked(0, 10), 11), Some(cursor_of(10)));
        assert_eq!(next(&asked(980, 10), 1_500), Some(cursor_of(990)));
        assert_eq!(next(&asked(990, 10), 1_500), None, "deeper than pages lead");
    }

    #[test]
    fn a_server_without_iterative_scans_is_not_asked_for_them() {
        let spec = |dimensions| IndexSpec {
            chunker: "c".to_owned(),
            embedder: "e".to_owned(),
            dimensions,
            concepts: "none".to_owned(),
        };
        let of = |dimensions, iterates| {
            settings(&Active { index: IndexId(1), spec: spec(dimensions), iterates }, 10)
        };
        assert!(of(384, true).contains("iterative_scan"));
        assert!(!of(384, false).contains("iterative_scan"));
        assert!(!of(0, true).contains("hnsw"));
    }
}
