//! One search within one read transaction: candidates of both halves, their order, the page that is shown.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use docmill_core::id::TenantId;
use docmill_core::index::IndexSpec;
use docmill_core::search::{
    DEPTH_MAX, Explain, FacetCount, Fused, Highlighter, Hit, Mode, OF_ONE_DOCUMENT_MAX, PlanLimits,
    SearchAnswer, SearchRequest, Timings, WORDS_SHARE, cursor_of,
};
use rusqlite::Connection;

use super::full_text::Questions;
use super::meaning::Meaning;
use super::query::Embedded;
use super::rows::{Order, Shown};
use super::scope::{Admitted, Scope};
use super::{Error, codes, facets, full_text, nothing_ingested, rescore, rows};
use crate::sqlite::Readers;
use crate::sqlite::read::active_index;

/// Candidates asked of each half for each result wanted, and the most: those that no current manifest
/// names are dropped.
const OVERFETCH: usize = 4;
const OVERFETCH_MAX: usize = 64;
/// Candidates asked of each half at most.
const CANDIDATES_MAX: usize = 8_000;
/// Candidates asked of the vectors at least: the best by passages may be far down by the whole text's vector.
const NEAREST_MIN: usize = 96;
/// Candidates asked of full text at least.
const WITH_WORDS_MIN: usize = 48;
/// Pages that one set of candidates is taken for, after the first page, which has its own.
const PAGES_TOGETHER: usize = 8;

/// What answers without waiting for anything but the disk.
pub(super) struct Store {
    pub readers: Readers,
    pub tenant: TenantId,
    codes: codes::Codes,
    frequencies: full_text::Frequencies,
    /// The active index, when it was looked at last.
    spec: Mutex<Option<IndexSpec>>,
}

/// A query, ready to be searched for.
pub(super) struct Asked {
    pub vector: Embedded,
    /// The embedder of the index that the vector is for; `None` where it is for whichever there is.
    pub embedder: Option<String>,
    /// Whether there may be a vector soon where there is none.
    pub passing: bool,
}

/// What a look at the store led to.
pub(super) enum Look {
    Answer(Box<SearchAnswer>),
    /// The vector is not for the index that is active: this is.
    Other(IndexSpec),
}

impl Store {
    pub(super) fn new(readers: Readers, tenant: TenantId) -> Self {
        Self {
            readers,
            tenant,
            codes: Default::default(),
            frequencies: Default::default(),
            spec: Mutex::default(),
        }
    }

    /// The active index, when it was looked at last.
    pub(super) fn spec(&self) -> Option<IndexSpec> {
        self.spec.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn remember(&self, spec: IndexSpec) {
        *self.spec.lock().unwrap_or_else(PoisonError::into_inner) = Some(spec);
    }

    /// Loads the codes of the active index. Returns that, where there is one.
    pub(super) fn warm(&self, connection: &Connection) -> Result<Option<IndexSpec>, Error> {
        let Some((index, spec)) = active_index(connection, &self.tenant)? else { return Ok(None) };
        if spec.dimensions > 0 {
            let scope = Scope { tenant: &self.tenant, index, admitted: None };
            self.codes.load(connection, &scope, spec.dimensions as usize)?;
        }
        Ok(Some(spec))
    }

    pub(super) fn look(
        &self,
        connection: &Connection,
        request: &SearchRequest,
        asked: Asked,
    ) -> Result<Look, Error> {
        let Some((index, spec)) = active_index(connection, &self.tenant)? else {
            return Ok(Look::Answer(Box::new(nothing_ingested())));
        };
        if asked.embedder.is_some_and(|embedder| embedder != spec.embedder) {
            return Ok(Look::Other(spec));
        }
        let vector = asked.vector.and_then(|vector| match vector.len() == spec.dimensions as usize {
            true => Ok(vector),
            false => Err("the index was made with another embedding model".to_owned()),
        });
        let admitted = Admitted::of(connection, &self.tenant, &request.filter)?;
        let began = Instant::now();
        let limits = admitted.as_ref().map_or_else(PlanLimits::default, Admitted::limits);
        let questions = full_text::plan(connection, &request.query, &self.frequencies, &limits)?;
        let answering = Answering {
            connection,
            codes: &self.codes,
            scope: Scope { tenant: &self.tenant, index, admitted: admitted.as_ref() },
            questions,
            meaning: vector.as_deref().ok().map(Meaning::of),
            timings: Timings { full_text: began.elapsed(), ..Timings::default() },
        };
        let mut answer = answering.answer(request)?;
        answer.reason = vector.err();
        answer.passing = asked.passing;
        Ok(Look::Answer(Box::new(answer)))
    }
}

/// How deep into the order each set of candidates leads. The first page has the candidates that fit it; later
/// ones have more, and leave out what the earlier showed: so pages neither repeat nor skip, and the first costs
/// no more than if there were no others.
fn depths(k: usize) -> [usize; 3] {
    let most = (DEPTH_MAX as usize).max(k);
    [k, k.saturating_mul(PAGES_TOGETHER).min(most), most]
}

/// One search in one state of the ledger.
struct Answering<'a> {
    connection: &'a Connection,
    codes: &'a codes::Codes,
    scope: Scope<'a>,
    questions: Questions,
    meaning: Option<Meaning<'a>>,
    timings: Timings,
}

impl Answering<'_> {
    fn answer(mut self, request: &SearchRequest) -> Result<SearchAnswer, Error> {
        let (k, offset) = (usize::from(request.k), request.offset as usize);
        let wanted = offset..offset.saturating_add(k);
        let mut order = Order::default();
        order.of_one_document = request.as_sources.then_some(OF_ONE_DOCUMENT_MAX);
        let mut first: Option<Vec<i64>> = None;
        let mut ended = false;
        // Sources are one page.
        let pages = if request.as_sources { 1 } else { usize::MAX };
        for depth in depths(k).into_iter().take(pages) {
            if ended || order.count >= wanted.end {
                break;
            }
            let (candidates, exhausted) = self.extend(&mut order, depth, &wanted)?;
            ended = exhausted && !order.more;
            first = first.or(Some(candidates));
        }
        let full = order.count >= wanted.end;
        let has_more = order.count > wanted.end || full && !ended;
        let follows = has_more && !request.as_sources && wanted.end + k <= DEPTH_MAX as usize;
        let (facets, facets_over) = match request.facets.is_empty() {
            true => Default::default(),
            false => {
                let (facets, over) = self.facets(request, first.unwrap_or_default())?;
                (facets, Some(over))
            }
        };
        let results = self.hits(request, std::mem::take(&mut order.page))?;
        Ok(SearchAnswer {
            results,
            mode: if self.meaning.is_some() { Mode::Hybrid } else { Mode::FullText },
            reason: None,
            facets,
            facets_over,
            next: follows.then(|| cursor_of(request.offset + u32::from(request.k))),
            timings: self.timings,
            passing: false,
        })
    }

    /// Goes on with the order to this depth. Returns the candidates it was made of, and whether there are no
    /// others.
    fn extend(
        &mut self,
        order: &mut Order,
        depth: usize,
        wanted: &Range<usize>,
    ) -> Result<(Vec<i64>, bool), Error> {
        let most = CANDIDATES_MAX.max(depth);
        let mut factor = OVERFETCH;
        loop {
            let asked = depth.saturating_mul(factor).min(most);
            let (fused, exhausted) = self.candidates(asked.max(WITH_WORDS_MIN), asked.max(NEAREST_MIN))?;
            let began = Instant::now();
            let further = order.further(self.connection, &self.scope, &fused, depth, wanted)?;
            self.timings.rows += began.elapsed();
            let enough = order.count + further.looked_at() >= depth;
            if enough || exhausted || asked >= most || factor >= OVERFETCH_MAX {
                order.take(further);
                return Ok((fused.into_iter().map(|hit| hit.key).collect(), exhausted));
            }
            factor *= 2;
        }
    }

    /// Rows of the text store, best first, and whether neither half has others.
    fn candidates(&mut self, with_words: usize, nearest: usize) -> Result<(Vec<Fused<i64>>, bool), Error> {
        let began = Instant::now();
        let words = full_text::hits(self.connection, &self.questions, &self.scope, with_words)?;
        self.timings.full_text += began.elapsed();
        let began = Instant::now();
        let meanings = match &self.meaning {
            Some(meaning) => self.codes.nearest(self.connection, &self.scope, meaning, nearest)?,
            None => Vec::new(),
        };
        self.timings.vectors += began.elapsed();
        let began = Instant::now();
        let exhausted = words.len() < with_words && meanings.len() < nearest;
        let fused = match &self.meaning {
            Some(meaning) => {
                rescore::rescore(self.connection, &self.questions, meaning, &words, &meanings)?
            }
            None => by_rank(&words),
        };
        self.timings.rows += began.elapsed();
        Ok((fused, exhausted))
    }

    fn hits(&mut self, request: &SearchRequest, page: Vec<Shown>) -> Result<Vec<Hit>, Error> {
        let began = Instant::now();
        let mut hits = Vec::with_capacity(page.len());
        let mut highlighter = Highlighter::new(&request.query);
        let with_twins = !request.as_sources;
        for shown in page {
            let explain = request.explain.then(|| self.explain(&shown.fused));
            let shown_as = (&mut highlighter, with_twins);
            hits.push(rows::hit(self.connection, &self.scope, shown_as, shown, explain)?);
        }
        self.timings.rows += began.elapsed();
        Ok(hits)
    }

    fn explain(&self, fused: &Fused<i64>) -> Explain {
        let by_words_alone = self.meaning.is_none();
        let (terms, question) = self.questions.explained(by_words_alone);
        Explain {
            words: fused.words,
            words_best: fused.words_best,
            words_share: if by_words_alone { 1.0 } else { WORDS_SHARE },
            meaning: fused.meaning,
            meaning_best: fused.meaning_best,
            terms,
            question,
        }
    }

    /// Facets of the first page's candidates and of what else has the words.
    fn facets(
        &mut self,
        request: &SearchRequest,
        first: Vec<i64>,
    ) -> Result<(BTreeMap<String, Vec<FacetCount>>, u32), Error> {
        let began = Instant::now();
        let with_words =
            full_text::hits(self.connection, &self.questions, &self.scope, facets::CHUNKS_MAX)?;
        self.timings.full_text += began.elapsed();
        let began = Instant::now();
        let mut known: HashSet<i64> = HashSet::new();
        let rows: Vec<i64> = first.into_iter().chain(with_words).filter(|row| known.insert(*row)).collect();
        let counted = facets::count(self.connection, &self.scope, &rows, &request.facets)?;
        self.timings.rows += began.elapsed();
        Ok(counted)
    }
}

/// Words alone, narrow questions first: scores of different questions cannot be compared, places can.
fn by_rank(words: &[i64]) -> Vec<Fused<i64>> {
    let at = |(place, row): (usize, &i64)| {
        let score = 1.0 / (place as f64 + 1.0);
        Fused { key: *row, score, words: score, words_best: 1.0, meaning: None, meaning_best: 0.0 }
    };
    words.iter().enumerate().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_candidates_lead_from_the_first_page_to_the_last() {
        assert_eq!(depths(10), [10, 80, 1_000]);
        assert_eq!(depths(200), [200, 1_000, 1_000]);
        assert_eq!(depths(1_000), [1_000, 1_000, 1_000]);
        assert_eq!(depths(3_000), [3_000, 3_000, 3_000]);
        assert_eq!(depths(0), [0, 0, 1_000]);
    }
}
