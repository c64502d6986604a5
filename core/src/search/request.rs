//! What a search asks for, whichever store answers it: the query, a page of the order, a filter.

use serde::{Deserialize, Serialize};

use crate::id::DocumentId;

/// Most hits of one page; the HTTP API allows fewer.
pub const K_MAX: u16 = 1_000;
/// Longest query, in bytes: more is a pasted document, not a question.
pub const QUERY_BYTES_MAX: usize = 8_192;
/// How far down the order pages lead, in hits: a cursor's offset and the page after it together.
pub const DEPTH_MAX: u32 = 1_000;
/// Most values of one list of a filter.
pub const FILTER_VALUES_MAX: usize = 100;
/// Longest value of a filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 2_048;
/// Hits of one document among those that are sources of an answer: a long one about everything would push all others
/// out.
pub const OF_ONE_DOCUMENT_MAX: usize = 3;

/// A question to the search of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SearchRequest {
    /// Words or a sentence, in any language.
    pub query: String,
    /// Hits of this page.
    pub k: u16,
    /// Hits before this page. Pages of one order are asked for with the same `k`.
    pub offset: u32,
    /// Which documents may answer.
    pub filter: Filter,
    /// What to count of the documents that fit.
    pub facets: Vec<Facet>,
    /// Whether each hit says how it was scored.
    pub explain: bool,
    /// Whether the hits are sources of an answer: at most [`OF_ONE_DOCUMENT_MAX`] of a document, one page of them, and
    /// where else their texts are is not looked up.
    pub as_sources: bool,
}

/// A request that is refused before anything is asked: which field, what is wrong with it, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {what}: allowed is {allowed}")]
pub struct Wrong {
    /// The field, as the API names it.
    pub field: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
    /// What is allowed.
    pub allowed: String,
}

impl SearchRequest {
    /// The first `k` hits, of all documents.
    pub fn new(query: impl Into<String>, k: u16) -> Self {
        Self {
            query: query.into(),
            k,
            offset: 0,
            filter: Filter::default(),
            facets: Vec::new(),
            explain: false,
            as_sources: false,
        }
    }

    /// The `k` best sources of an answer to it.
    pub fn sources(query: impl Into<String>, k: u16, filter: Filter) -> Self {
        Self { filter, as_sources: true, ..Self::new(query, k) }
    }

    /// Whether it may be asked.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), Wrong> {
        let wrong = |field, what, allowed: String| Err(Wrong { field, what, allowed });
        if self.query.trim().is_empty() {
            return wrong("query", "is empty", format!("text of 1 to {QUERY_BYTES_MAX} bytes"));
        }
        if self.query.len() > QUERY_BYTES_MAX {
            return wrong("query", "is too long", format!("text of 1 to {QUERY_BYTES_MAX} bytes"));
        }
        if self.k == 0 || self.k > K_MAX {
            return wrong("k", "is out of range", format!("1 to {K_MAX}"));
        }
        if self.offset.saturating_add(u32::from(self.k)) > DEPTH_MAX {
            return wrong("cursor", "leads too deep", format!("a page that ends at hit {DEPTH_MAX}"));
        }
        if self.as_sources && self.offset > 0 {
            return wrong(
                "cursor",
                "leads beyond the sources of an answer",
                "none: they are one page".into(),
            );
        }
        if self.facets.len() > Facet::ALL.len() {
            return wrong("facets", "names one twice", "each of category, mediaType, language once".into());
        }
        self.filter.check()
    }
}

/// Which documents may answer: those that every part admits. A part that is empty admits all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Filter {
    /// One of these.
    pub documents: Vec<DocumentId>,
    /// Of one of these categories; what has none is not admitted.
    pub categories: Vec<String>,
    /// Of one of these IANA media types.
    pub media_types: Vec<String>,
    /// In one of these languages (ISO 639-1 where there is one).
    pub languages: Vec<String>,
    /// Whose URI begins so, byte for byte.
    pub uri_prefix: Option<String>,
    /// Committed at this time or later, in milliseconds since the Unix epoch.
    pub committed_from_ms: Option<u64>,
    /// Committed before this time, in milliseconds since the Unix epoch.
    pub committed_before_ms: Option<u64>,
}

/// What a filter looks at of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The document.
    pub id: DocumentId,
    /// Where it is.
    pub uri: &'a str,
    /// Its category, where it was given one.
    pub category: Option<&'a str>,
    /// Its IANA media type.
    pub media_type: &'a str,
    /// Language of most of its text.
    pub language: &'a str,
    /// When its content was committed, in milliseconds since the Unix epoch.
    pub committed_at_ms: Option<u64>,
}

impl Filter {
    /// Whether it admits every document.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it admits the document; what stores do in SQL gives the same.
    pub fn admits(&self, facts: &Facts<'_>) -> bool {
        let one_of = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|one| one == value))
        };
        (self.documents.is_empty() || self.documents.contains(&facts.id))
            && one_of(&self.categories, facts.category)
            && one_of(&self.media_types, Some(facts.media_type))
            && one_of(&self.languages, Some(facts.language))
            && self.uri_prefix.as_ref().is_none_or(|prefix| facts.uri.starts_with(prefix.as_str()))
            && self.committed_from_ms.is_none_or(|from| facts.committed_at_ms.is_some_and(|at| at >= from))
            && self.committed_before_ms.is_none_or(|end| facts.committed_at_ms.is_some_and(|at| at < end))
    }

    fn check(&self) -> Result<(), Wrong> {
        let lists = [
            ("categories", &self.categories),
            ("mediaTypes", &self.media_types),
            ("languages", &self.languages),
        ];
        let lengths = lists.iter().map(|(field, list)| (*field, list.len()));
        for (field, length) in lengths.chain([("documents", self.documents.len())]) {
            if length > FILTER_VALUES_MAX {
                let allowed = format!("at most {FILTER_VALUES_MAX} values");
                return Err(Wrong { field, what: "has too many values", allowed });
            }
        }
        let values = lists.iter().flat_map(|(field, list)| list.iter().map(move |value| (*field, value)));
        for (field, value) in values.chain(self.uri_prefix.iter().map(|prefix| ("uriPrefix", prefix))) {
            if value.len() > FILTER_BYTES_MAX {
                let allowed = format!("at most {FILTER_BYTES_MAX} bytes");
                return Err(Wrong { field, what: "has a value that is too long", allowed });
            }
        }
        match (self.committed_from_ms, self.committed_before_ms) {
            (Some(from), Some(before)) if before <= from => Err(Wrong {
                field: "committedBefore",
                what: "is not later than committedFrom",
                allowed: "a later time".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// What can be counted of the documents that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Facet {
    /// Categories.
    Category,
    /// Media types.
    MediaType,
    /// Languages.
    Language,
}

impl Facet {
    /// Every facet.
    pub const ALL: [Self; 3] = [Self::Category, Self::MediaType, Self::Language];

    /// Its name in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::MediaType => "mediaType",
            Self::Language => "language",
        }
    }

    /// The facet with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.as_str() == name)
    }
}

/// Base of the numbers in cursors.
const CURSOR_BASE: u32 = 36;

/// The cursor of the page that begins after so many hits.
pub fn cursor_of(offset: u32) -> String {
    let mut digits = Vec::new();
    let mut left = offset;
    loop {
        digits.extend(char::from_digit(left % CURSOR_BASE, CURSOR_BASE));
        left /= CURSOR_BASE;
        if left == 0 {
            break;
        }
    }
    std::iter::once('o').chain(digits.into_iter().rev()).collect()
}

/// The hits before the page that a cursor names; `None` where it is none of ours, or leads too deep.
pub fn offset_of(cursor: &str) -> Option<u32> {
    let offset = u32::from_str_radix(cursor.strip_prefix('o')?, CURSOR_BASE).ok()?;
    // A number can be written in several ways; ours is one of them.
    (offset <= DEPTH_MAX && cursor_of(offset) == cursor).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;
    use proptest::prelude::*;

    fn field_of(request: SearchRequest) -> Option<&'static str> {
        request.check().err().map(|wrong| wrong.field)
    }

    #[test]
    fn what_may_not_be_asked_is_named() {
        let with = |change: &dyn Fn(&mut SearchRequest)| {
            let mut request = SearchRequest::new("shell", 10);
            change(&mut request);
            field_of(request)
        };
        assert_eq!(with(&|_| ()), None);
        assert_eq!(with(&|request| request.query = " \n".into()), Some("query"));
        assert_eq!(with(&|request| request.query = "x".repeat(QUERY_BYTES_MAX + 1)), Some("query"));
        assert_eq!(with(&|request| request.k = 0), Some("k"));
        assert_eq!(with(&|request| request.k = K_MAX + 1), Some("k"));
        assert_eq!(with(&|request| request.k = K_MAX), None);
        assert_eq!(with(&|request| request.offset = DEPTH_MAX - 10), None);
        assert_eq!(with(&|request| request.offset = DEPTH_MAX - 9), Some("cursor"));
        assert_eq!(with(&|request| request.offset = u32::MAX), Some("cursor"));
        assert_eq!(with(&|request| request.as_sources = true), None);
        assert_eq!(with(&|request| (request.as_sources, request.offset) = (true, 10)), Some("cursor"));
        assert_eq!(with(&|request| request.facets = vec![Facet::Language; 4]), Some("facets"));
        let many = vec!["x".to_owned(); FILTER_VALUES_MAX + 1];
        assert_eq!(with(&|request| request.filter.languages = many.clone()), Some("languages"));
        let long = "x".repeat(FILTER_BYTES_MAX + 1);
        assert_eq!(with(&|request| request.filter.uri_prefix = Some(long.clone())), Some("uriPrefix"));
        let never = |request: &mut SearchRequest| {
            request.filter.committed_from_ms = Some(5);
            request.filter.committed_before_ms = Some(5);
        };
        assert_eq!(with(&never), Some("committedBefore"));
    }

    #[test]
    fn every_part_of_a_filter_must_admit() {
        let id = DocumentId::born(&TenantId::default(), "file:///a/b.txt", 0);
        let other = DocumentId::born(&TenantId::default(), "file:///c", 0);
        let facts = Facts {
            id,
            uri: "file:///a/b.txt",
            category: None,
            media_type: "text/plain",
            language: "en",
            committed_at_ms: Some(100),
        };
        let all = Filter {
            documents: vec![other, id],
            media_types: vec!["text/html".into(), "text/plain".into()],
            languages: vec!["en".into()],
            uri_prefix: Some("file:///a/".into()),
            committed_from_ms: Some(100),
            committed_before_ms: Some(101),
            ..Filter::default()
        };
        assert!(Filter::default().is_empty() && Filter::default().admits(&facts));
        assert!(!all.is_empty() && all.admits(&facts));
        let refused = [
            Filter { documents: vec![other], ..all.clone() },
            Filter { categories: vec!["report".into()], ..all.clone() },
            Filter { media_types: vec!["text".into()], ..all.clone() },
            Filter { languages: vec!["de".into()], ..all.clone() },
            Filter { uri_prefix: Some("file:///b".into()), ..all.clone() },
            Filter { committed_from_ms: Some(101), ..all.clone() },
            Filter { committed_before_ms: Some(100), ..all.clone() },
        ];
        for filter in refused {
            assert!(!filter.admits(&facts), "{filter:?}");
        }
        let unknown = Facts { committed_at_ms: None, ..facts };
        assert!(!all.admits(&unknown) && Filter::default().admits(&unknown));
    }

    #[test]
    fn a_request_is_read_back() {
        let filter =
            Filter { languages: vec!["de".into()], committed_from_ms: Some(7), ..Filter::default() };
        let request =
            SearchRequest { facets: vec![Facet::Language], ..SearchRequest::sources("q", 8, filter) };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<SearchRequest>(&text).unwrap(), request);
    }

    #[test]
    fn names_of_facets_are_read_back() {
        for facet in Facet::ALL {
            assert_eq!(Facet::parse(facet.as_str()), Some(facet));
        }
        assert_eq!(Facet::parse("media_type"), None);
    }

    #[test]
    fn cursors_that_are_not_ours_are_none() {
        assert_eq!(cursor_of(0), "o0");
        assert_eq!(cursor_of(1_000), "ors");
        for bad in ["", "o", "rs", "o+1", "o01", "oRS", "ort", "o-1", "o1 ", "ozzzzzzzzz", "ö1"] {
            assert_eq!(offset_of(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn cursors_are_read_back(offset in 0..=DEPTH_MAX) {
            prop_assert_eq!(offset_of(&cursor_of(offset)), Some(offset));
        }

        #[test]
        fn any_text_is_a_cursor_of_ours_or_none(text in "\\PC{0,12}") {
            if let Some(offset) = offset_of(&text) {
                prop_assert_eq!(cursor_of(offset), text);
            }
        }
    }
}
