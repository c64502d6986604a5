//! Search. `/v1/search`.

use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use docmill_core::id::{DocumentId, TenantId};
use docmill_core::search::{Facet, Filter, SearchAnswer, SearchRequest, offset_of};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Shared;
use super::auth::Caller;
use super::memo::{self, Again};
use super::problem::Problem;
use super::request::{Body, Params, cursor};
use crate::time_text::ms_of_rfc3339;
use crate::{desk, postgres, search, sqlite};

/// Most hits of a page.
pub const K_MAX: u32 = 100;
/// Hits of a page where nothing is said.
const K: u32 = 10;
/// Longest time of an answer: who waits longer has gone.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Seconds after which it is worth asking again.
const BUSY_RETRY_S: u64 = 2;
/// Kinds of keys of remembered answers: a query string as it came, and a question as it was understood.
const AS_IT_CAME: u8 = 1;
const UNDERSTOOD: u8 = 2;

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchBody {
    /// Words or a sentence, in any language; up to 8,192 bytes.
    query: String,
    /// Hits of a page: 1 to 100; 10.
    k: Option<u32>,
    /// `next` of an earlier page, which was asked for with the same `k`.
    cursor: Option<String>,
    /// Which documents may answer; all where nothing is said.
    #[serde(default)]
    filter: FilterBody,
    /// What to count of the documents that fit: category, mediaType, language.
    #[serde(default)]
    facets: Vec<String>,
    /// Whether each hit says how it was scored.
    #[serde(default)]
    explain: bool,
}

/// Which documents may answer: those that every part admits. A part that is empty admits all; lists have up to 100
/// values, any of which will do.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FilterBody {
    /// Ids of documents.
    documents: Vec<String>,
    /// Categories.
    categories: Vec<String>,
    /// IANA media types.
    media_types: Vec<String>,
    /// Languages (ISO 639-1 where there is one).
    languages: Vec<String>,
    /// What the URI begins with.
    uri_prefix: Option<String>,
    /// Committed at this time or later (RFC 3339).
    committed_from: Option<String>,
    /// Committed before this time (RFC 3339).
    committed_before: Option<String>,
}

/// The same in a query string; lists with commas.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    q: String,
    k: Option<u32>,
    cursor: Option<String>,
    document: Option<String>,
    category: Option<String>,
    media_type: Option<String>,
    language: Option<String>,
    uri_prefix: Option<String>,
    from: Option<String>,
    before: Option<String>,
    facets: Option<String>,
    #[serde(default)]
    explain: bool,
}

impl From<Asked> for SearchBody {
    fn from(asked: Asked) -> Self {
        Self {
            query: asked.q,
            k: asked.k,
            cursor: asked.cursor,
            filter: FilterBody {
                documents: list(asked.document),
                categories: list(asked.category),
                media_types: list(asked.media_type),
                languages: list(asked.language),
                uri_prefix: asked.uri_prefix,
                committed_from: asked.from,
                committed_before: asked.before,
            },
            facets: list(asked.facets),
            explain: asked.explain,
        }
    }
}

fn list(text: Option<String>) -> Vec<String> {
    let parts = text.iter().flat_map(|text| text.split(','));
    parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl SearchBody {
    /// What is asked for.
    ///
    /// # Errors
    /// The first part that is not allowed.
    pub fn read(self) -> Result<SearchRequest, Problem> {
        let k = self.k.unwrap_or(K);
        let allowed = u16::try_from(k).ok().filter(|_| (1..=K_MAX).contains(&k));
        let k = allowed.ok_or_else(|| {
            Problem::invalid("k", "is out of range", format!("1 to {K_MAX}")).given(&k.to_string())
        })?;
        let facet = |name: &String| {
            let names = || Facet::ALL.map(Facet::as_str).join(", ");
            Facet::parse(name).ok_or_else(|| Problem::invalid("facets", "has none", names()).given(name))
        };
        let request = SearchRequest {
            query: self.query,
            k,
            offset: cursor(self.cursor.as_deref(), offset_of)?.unwrap_or(0),
            filter: self.filter.filter()?,
            facets: self.facets.iter().map(facet).collect::<Result<_, _>>()?,
            explain: self.explain,
            as_sources: false,
        };
        request.check().map_err(search::Error::Wrong)?;
        Ok(request)
    }
}

impl FilterBody {
    /// Which documents may answer.
    ///
    /// # Errors
    /// The first part that is none.
    pub fn filter(self) -> Result<Filter, Problem> {
        let id = |text: &String| {
            let none =
                || Problem::invalid("documents", "has what is no id", "ids of documents").given(text);
            DocumentId::parse(text).ok_or_else(none)
        };
        let time = |field, text: Option<String>| {
            let none = |text: &str| {
                let allowed =
                    "a time since 1970 as RFC 3339 has it, such as 2026-11-21T04:05:06Z, or a day";
                Problem::invalid(field, "is no time", allowed).given(text)
            };
            text.map(|text| ms_of_rfc3339(&text).ok_or_else(|| none(&text))).transpose()
        };
        Ok(Filter {
            documents: self.documents.iter().map(id).collect::<Result<_, _>>()?,
            categories: self.categories,
            media_types: self.media_types,
            languages: self.languages,
            uri_prefix: self.uri_prefix,
            committed_from_ms: time("committedFrom", self.committed_from)?,
            committed_before_ms: time("committedBefore", self.committed_before)?,
        })
    }
}

/// `GET /v1/search`. What was asked in the same words before is answered before anything is read.
pub async fn get(State(api): State<Shared>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let remembered = may_be_remembered(&parts.headers);
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let name = memo::key(AS_IT_CAME, &[caller.tenant.as_str().as_bytes(), query]);
    if remembered && let Some(body) = api.memo.named(&caller.tenant, name) {
        return Ok(told(body));
    }
    let Params(asked) = Params::<Asked>::from_request_parts(&mut parts, &()).await?;
    let request = SearchBody::from(asked).read()?;
    answer(&api, &caller.tenant, request, remembered, Some(name)).await
}

/// `POST /v1/search`.
pub async fn post(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(asked): Body<SearchBody>,
) -> Result<Response, Problem> {
    let request = asked.read()?;
    answer(&api, &caller.tenant, request, may_be_remembered(&headers), None).await
}

/// Answers from memory where it may, and remembers; `name` is another name of the question.
async fn answer(
    api: &Shared,
    tenant: &TenantId,
    request: SearchRequest,
    remembered: bool,
    name: Option<u128>,
) -> Result<Response, Problem> {
    if !remembered {
        return written(&found(api, tenant, &request).await?).map(told);
    }
    let key = key_of(tenant, &request);
    let body = match api.memo.get(tenant, key) {
        Some(body) => body,
        None => found_and_kept(api, tenant, request, key).await?.1,
    };
    name.into_iter().for_each(|name| api.memo.name(name, key));
    Ok(told(body))
}

/// The sources of an answer, from memory unless they are to be `new`; and remembers them as it does all searches.
pub async fn sources(
    api: &Shared,
    tenant: &TenantId,
    request: SearchRequest,
    new: bool,
) -> Result<SearchAnswer, Problem> {
    if new {
        return found(api, tenant, &request).await;
    }
    let key = key_of(tenant, &request);
    let known = api.memo.get(tenant, key);
    if let Some(answer) = known.and_then(|body| serde_json::from_slice(&body).ok()) {
        return Ok(answer);
    }
    Ok(found_and_kept(api, tenant, request, key).await?.0)
}

/// An answer of the stores, as it is and in JSON; it is remembered unless it may be better the next time.
async fn found_and_kept(
    api: &Shared,
    tenant: &TenantId,
    request: SearchRequest,
    key: u128,
) -> Result<(SearchAnswer, Bytes), Problem> {
    // Before the search: what is committed meanwhile makes the answer an old one.
    let epoch = api.memo.epoch(tenant);
    let answer = found(api, tenant, &request).await?;
    let body = written(&answer)?;
    if !answer.passing {
        api.memo.put(tenant, key, epoch, body.clone(), Again::Search(Box::new(request)));
    }
    Ok((answer, body))
}

/// Finds a remembered answer again that a commit had forgotten. What fails is found when somebody asks.
pub async fn renew(api: &Shared, tenant: &TenantId, request: &SearchRequest) {
    let epoch = api.memo.epoch(tenant);
    let found = found(api, tenant, request).await.ok().filter(|answer| !answer.passing);
    if let Some(body) = found.and_then(|answer| written(&answer).ok()) {
        api.memo.renew(tenant, key_of(tenant, request), epoch, body);
    }
}

/// An answer of the stores.
async fn found(api: &Shared, tenant: &TenantId, request: &SearchRequest) -> Result<SearchAnswer, Problem> {
    let began = Instant::now();
    let answer = tokio::time::timeout(ANSWER_MAX, api.search.search(tenant, request)).await;
    let answer = answer.map_err(|_| unavailable())??;
    api.metrics.searches_seconds.observe(began.elapsed().as_secs_f64());
    Ok(answer)
}

/// The answer in JSON, in no more memory than it needs.
fn written(answer: &SearchAnswer) -> Result<Bytes, Problem> {
    let text = serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        unavailable()
    })?;
    Ok(text.into_boxed_slice().into())
}

/// Every part of the request is in what it prints.
pub fn key_of(tenant: &TenantId, request: &SearchRequest) -> u128 {
    memo::key(UNDERSTOOD, &[tenant.as_str().as_bytes(), format!("{request:?}").as_bytes()])
}

/// Whether the client takes an answer that was found before.
fn may_be_remembered(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut said = said.flat_map(|value| value.split(',')).map(str::trim);
    !said.any(|one| one.eq_ignore_ascii_case("no-cache") || one.eq_ignore_ascii_case("no-store"))
}

fn told(body: Bytes) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}

fn unavailable() -> Problem {
    let detail = "the search did not answer in time";
    let what_to_do = "ask again later, or for less: a smaller k, another filter";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "search_unavailable", detail, what_to_do)
        .retry_after(BUSY_RETRY_S)
}

/// The stores' own words are for the log.
impl From<search::Error> for Problem {
    fn from(error: search::Error) -> Self {
        use postgres::Error as Server;
        match error {
            search::Error::Wrong(wrong) => Self::invalid(wrong.field, wrong.what, wrong.allowed),
            search::Error::Postgres(
                error @ (Server::Damaged(_) | Server::Unreachable(_) | Server::Login(_)),
            ) => desk::Error::from(error).into(),
            search::Error::Store(error @ sqlite::Error::Damaged(_)) => desk::Error::from(error).into(),
            error => {
                tracing::warn!(%error, "a search failed");
                unavailable()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<SearchRequest, Problem> {
        serde_json::from_str::<SearchBody>(body).unwrap().read()
    }

    fn field(body: &str) -> String {
        let problem = serde_json::to_value(read(body).unwrap_err()).unwrap();
        assert_eq!(problem["status"], 422);
        problem["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_body_and_a_query_string_ask_for_the_same() {
        let id = DocumentId::born(&TenantId::default(), "u", 0);
        let body = format!(
            r#"{{"query": "a b", "k": 5, "cursor": "oa", "explain": true, "facets": ["language", "mediaType"],
                "filter": {{"documents": ["{id}"], "languages": ["de", "en"], "uriPrefix": "s3://a,b",
                            "committedFrom": "1970-01-02", "committedBefore": "1970-01-03T00:00:00Z"}}}}"#
        );
        let query = format!(
            "/?q=a+b&k=5&cursor=oa&explain=true&facets=language,mediaType&document={id}&language=de,%20en&\
             uriPrefix=s3://a,b&from=1970-01-02&before=1970-01-03T00:00:00Z"
        );
        let axum::extract::Query(asked) =
            axum::extract::Query::<Asked>::try_from_uri(&query.parse().unwrap()).unwrap();
        let asked = SearchBody::from(asked).read().unwrap();
        assert_eq!(asked, read(&body).unwrap());
        assert_eq!((asked.k, asked.offset, asked.filter.committed_from_ms), (5, 10, Some(86_400_000)));
        assert_eq!(read(r#"{"query": "a"}"#).unwrap(), SearchRequest::new("a", 10));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, expected) in [
            (r#"{"query": " "}"#, "query"),
            (r#"{"query": "a", "k": 0}"#, "k"),
            (r#"{"query": "a", "k": 101}"#, "k"),
            (r#"{"query": "a", "k": 70000}"#, "k"),
            (r#"{"query": "a", "cursor": "x"}"#, "cursor"),
            (r#"{"query": "a", "facets": ["author"]}"#, "facets"),
            (r#"{"query": "a", "filter": {"documents": ["x"]}}"#, "documents"),
            (r#"{"query": "a", "filter": {"committedFrom": "yesterday"}}"#, "committedFrom"),
        ] {
            assert_eq!(field(wrong), expected, "{wrong}");
        }
        assert!(serde_json::from_str::<SearchBody>(r#"{"query": "a", "tenant": "b"}"#).is_err());
    }

    #[test]
    fn a_client_may_want_an_answer_of_now() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static(value))]);
            may_be_remembered(&headers)
        };
        assert!(may_be_remembered(&HeaderMap::new()) && of("max-age=5"));
        assert!(!of("no-cache") && !of("max-age=0, No-Store"));
    }

    #[test]
    fn every_part_of_a_request_is_part_of_its_key() {
        let (tenant, plain) = (TenantId::default(), SearchRequest::new("q", 10));
        let filter = Filter { languages: vec!["de".to_owned()], ..Filter::default() };
        let others = [
            SearchRequest::new("r", 10),
            SearchRequest::new("q", 9),
            SearchRequest { offset: 10, ..plain.clone() },
            SearchRequest { filter, ..plain.clone() },
            SearchRequest { facets: vec![Facet::Language], ..plain.clone() },
            SearchRequest { explain: true, ..plain.clone() },
            SearchRequest { as_sources: true, ..plain.clone() },
        ];
        for other in &others {
            assert_ne!(key_of(&tenant, other), key_of(&tenant, &plain), "{other:?}");
        }
        let other = TenantId::new("other").unwrap();
        assert_ne!(key_of(&other, &plain), key_of(&tenant, &plain));
    }
}
