//! What operations are told in their path, their query and their headers, as the description says it. Handlers read
//! and judge it themselves, and refuse what is not said here.

use docmill_core::failure::FailureCode;
use serde_json::{Value, json};

use super::documents::STATES;
use super::request::{PAGE, PAGE_MAX};
use super::search::K_MAX;
use super::upload::KINDS;
use crate::concepts::STEPS_MAX;

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text of at most so many bytes; characters are no more than bytes.
    Text(u32),
    /// The same of printable characters, as headers need it.
    Printable(u32),
    /// A whole number.
    Number {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
        /// Where nothing is said.
        default: Option<u64>,
    },
    /// `true` or `false`; false where nothing is said.
    Flag,
    /// A time.
    Time,
    /// An id as documents and batches have it.
    Id,
    /// The name of an answer that is on its way.
    Run,
    /// One of these.
    One(&'static [&'static str]),
    /// The code of a failure.
    FailureCode,
    /// Some of these, with commas.
    Some(&'static [&'static str]),
    /// Ids with commas.
    Ids,
    /// Texts with commas.
    Texts,
}

/// Something that an operation is told.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// `query` or `header`; what is in the path is there by its name.
    pub place: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether nothing is done without it.
    pub required: bool,
    /// What it means.
    pub meaning: &'static str,
    /// Something that it may be.
    pub example: Option<&'static str>,
}

/// Most values of a list: as many as a filter takes.
const VALUES_MAX: u32 = 100;
/// Longest text where an operation says no other bound, in bytes.
const TEXT_MAX: u32 = 2_048;

const fn query(name: &'static str, kind: Kind, meaning: &'static str) -> Parameter {
    Parameter { name, place: "query", kind, required: false, meaning, example: None }
}

const fn header(name: &'static str, kind: Kind, meaning: &'static str) -> Parameter {
    Parameter { name, place: "header", kind, required: false, meaning, example: None }
}

impl Parameter {
    const fn required(mut self, example: &'static str) -> Self {
        self.required = true;
        self.example = Some(example);
        self
    }

    /// As the description has it.
    pub fn described(&self) -> Value {
        let mut described = json!({
            "name": self.name, "in": self.place, "required": self.required, "description": self.meaning,
            "schema": self.kind.schema(),
        });
        if matches!(self.kind, Kind::Some(_) | Kind::Ids | Kind::Texts) {
            described["style"] = "form".into();
            described["explode"] = false.into();
        }
        if let Some(example) = self.example {
            described["example"] = example.into();
        }
        described
    }
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text(max) => json!({"type": "string", "maxLength": max}),
            Self::Printable(max) => {
                json!({"type": "string", "minLength": 1, "maxLength": max, "pattern": "^[!-~]+$"})
            }
            Self::Number { min, max, default } => {
                let mut schema = json!({"type": "integer", "minimum": min, "maximum": max});
                if let Some(default) = default {
                    schema["default"] = default.into();
                }
                schema
            }
            Self::Flag => json!({"type": "boolean", "default": false}),
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Id => json!({"type": "string", "format": "uuid"}),
            Self::Run => json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
            Self::One(names) => json!({"type": "string", "enum": names}),
            Self::FailureCode => {
                let names: Vec<&str> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
                json!({"type": "string", "enum": names})
            }
            Self::Some(names) => {
                let items = json!({"type": "string", "enum": names});
                json!({"type": "array", "items": items, "maxItems": names.len()})
            }
            Self::Ids => list(json!({"type": "string", "format": "uuid"})),
            Self::Texts => list(json!({"type": "string", "maxLength": TEXT_MAX})),
        }
    }
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items, "maxItems": VALUES_MAX})
}

/// What a part of a path in braces may be. What is none is not there: 404.
pub fn in_path(path: &str, name: &str) -> Value {
    let (kind, meaning) = match name {
        "id" if path.starts_with("/v1/keys/") => {
            (Kind::Text(TEXT_MAX), "The key's name, which is no secret")
        }
        "id" => (Kind::Id, "Its id"),
        "kind" => (Kind::One(KINDS), "The kind of the files"),
        "page" => {
            let number = Kind::Number { min: 1, max: u32::MAX as u64, default: None };
            (number, "The page, from 1")
        }
        "run" => (Kind::Run, "The answer: what its events' ids begin with"),
        _ => (Kind::Text(TEXT_MAX), "Its name"),
    };
    json!({"name": name, "in": "path", "required": true, "description": meaning, "schema": kind.schema()})
}

const LIMIT: Parameter = query(
    "limit",
    Kind::Number { min: 1, max: PAGE_MAX as u64, default: Some(PAGE as u64) },
    "Most of a page",
);
const CURSOR: Parameter = query("cursor", Kind::Text(TEXT_MAX), "`next` of an earlier page");
const SAME_AGAIN: Parameter = header(
    "idempotency-key",
    Kind::Printable(255),
    "The same request with the same key gets the first answer, for a day",
);

/// A page of a list.
pub const PAGED: &[Parameter] = &[LIMIT, CURSOR];
/// What uploads are told.
pub const UPLOAD: &[Parameter] = &[
    query("batch", Kind::Id, "The batch that the documents belong to"),
    query("uri", Kind::Text(1_024), "Where the document belongs: another upload to it is its next content"),
    SAME_AGAIN,
];
/// What may be sent twice and is done once.
pub const KEYED: &[Parameter] = &[SAME_AGAIN];
/// Which documents are listed.
pub const DOCUMENTS: &[Parameter] = &[
    query("state", Kind::One(&STATES), "Only those whose newest content is there"),
    query("batch", Kind::Id, "Only those of a batch"),
    query("uri", Kind::Text(TEXT_MAX), "Only the one that is there"),
    LIMIT,
    CURSOR,
];
/// Which dead letters are listed.
pub const LETTERS: &[Parameter] =
    &[query("code", Kind::FailureCode, "Only those that failed with this code"), LIMIT, CURSOR];
/// A search.
pub const SEARCH: &[Parameter] = &[
    query("q", Kind::Text(8_192), "What is looked for: words or a sentence, in any language")
        .required("falling barometer"),
    query("k", Kind::Number { min: 1, max: K_MAX as u64, default: Some(10) }, "Most hits"),
    query("cursor", Kind::Text(TEXT_MAX), "`next` of an earlier answer"),
    query("document", Kind::Ids, "Only in these documents"),
    query("category", Kind::Texts, "Only of these categories"),
    query("mediaType", Kind::Texts, "Only of these media types"),
    query("language", Kind::Texts, "Only in these languages (ISO 639-1)"),
    query("uriPrefix", Kind::Text(TEXT_MAX), "Only documents whose URI begins so"),
    query("from", Kind::Time, "Only what was committed from then on; a day alone will do"),
    query("before", Kind::Time, "Only what was committed before; a day alone will do"),
    query("facets", Kind::Some(FACETS), "What hits are counted by"),
    query("explain", Kind::Flag, "Whether each hit says how it was scored"),
];
/// What hits are counted by.
pub const FACETS: &[&str] = &["category", "mediaType", "language"];
/// Going on with a stream.
pub const LAST_EVENT: &[Parameter] = &[header(
    "last-event-id",
    Kind::Printable(200),
    "The last event that was seen of a stream: it goes on after it",
)];
/// What need not be sent again.
pub const KNOWN: &[Parameter] =
    &[header("if-none-match", Kind::Text(2_048), "Tags of what is there already")];
/// Which concepts are listed.
pub const CONCEPTS: &[Parameter] =
    &[query("prefix", Kind::Text(512), "Only those that begin so"), LIMIT, CURSOR];
/// A way from one concept to another.
pub const WAY: &[Parameter] = &[
    query("to", Kind::Text(512), "The other concept").required("barometer"),
    query(
        "steps",
        Kind::Number { min: 1, max: STEPS_MAX as u64, default: Some(STEPS_MAX as u64) },
        "Longest way",
    ),
];
/// From when on a query is slow.
pub const SLOW: &[Parameter] = &[query(
    "aboveMs",
    Kind::Number { min: 0, max: 3_600_000, default: Some(1_000) },
    "Only what takes longer, in milliseconds",
)];
/// What an audit does beside looking.
pub const AUDIT: &[Parameter] =
    &[query("repair", Kind::Flag, "Whether to do again then exactly what was found wrong")];
/// How often is observed.
pub const OBSERVED: &[Parameter] = &[query(
    "intervalMs",
    Kind::Number { min: 100, max: 60_000, default: Some(1_000) },
    "Time between two lines, in milliseconds",
)];

#[cfg(test)]
mod tests {
    use docmill_core::search::{FILTER_VALUES_MAX, Facet, QUERY_BYTES_MAX};

    use super::*;

    #[test]
    fn what_is_said_is_what_is_taken() {
        assert_eq!(FACETS, Facet::ALL.map(Facet::as_str));
        assert_eq!(VALUES_MAX as usize, FILTER_VALUES_MAX);
        assert!(SEARCH.iter().any(|one| one.kind == Kind::Text(QUERY_BYTES_MAX as u32) && one.required));
    }

    #[test]
    fn lists_are_told_with_commas() {
        let of = |name: &str| SEARCH.iter().find(|one| one.name == name).unwrap().described();
        let facets = of("facets");
        assert_eq!((&facets["schema"]["type"], &facets["explode"]), (&json!("array"), &json!(false)));
        assert_eq!(
            of("k")["schema"],
            json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 10})
        );
        assert_eq!(of("from")["schema"]["format"], "date-time");
        assert_eq!(of("q")["required"], json!(true));
    }

    #[test]
    fn parts_of_paths_are_what_they_name() {
        assert_eq!(in_path("/v1/documents/{id}", "id")["schema"]["format"], "uuid");
        assert!(in_path("/v1/keys/{id}", "id")["schema"]["format"].is_null());
        assert_eq!(in_path("/v1/documents/{id}/pages/{page}", "page")["schema"]["minimum"], 1);
        assert!(
            in_path("/ingest/{kind}", "kind")["schema"]["enum"]
                .as_array()
                .unwrap()
                .contains(&json!("pptx"))
        );
    }
}
