//! What may be said of searches, questions and concepts.

use clap::Args as ClapArgs;
use docmill_core::id::DocumentId;
use docmill_core::search::{Facet, Filter, SearchRequest};
use docmill_worker::time_text::ms_of_rfc3339;
use serde_json::{Value, json};

/// Concepts between two, at most, where nothing is said.
const STEPS: u8 = 6;

#[derive(Debug, ClapArgs)]
pub struct Search {
    /// Words or a sentence, in any language
    pub query: String,
    /// Results
    #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub k: u16,
    /// Say how each hit was scored
    #[arg(long)]
    pub explain: bool,
    /// Count what fits by these: category, mediaType, language
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = facet)]
    pub facets: Vec<Facet>,
    #[command(flatten)]
    pub filters: Filters,
}

#[derive(Debug, ClapArgs)]
pub struct Ask {
    /// A question, in any language
    pub question: String,
    /// Texts that the answer is taken from, at most
    #[arg(short, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub k: u16,
    /// Print the answer when it is whole
    #[arg(long)]
    pub no_stream: bool,
    #[command(flatten)]
    pub filters: Filters,
}

#[derive(Debug, ClapArgs)]
pub struct Concept {
    /// As documents write it; case, plural and a misspelt letter do not matter
    pub name: String,
    /// The way to this other concept, by texts that mention both ends of each step
    #[arg(long, value_name = "OTHER")]
    pub path: Option<String>,
    /// Longest way
    #[arg(long, value_name = "N", default_value_t = STEPS, requires = "path",
          value_parser = clap::value_parser!(u8).range(1..=6))]
    pub steps: u8,
}

/// Which documents may answer; lists with commas.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// Only these documents
    #[arg(long = "document", value_name = "IDS", value_delimiter = ',', value_parser = document)]
    pub documents: Vec<DocumentId>,
    /// Only these categories
    #[arg(long = "category", value_name = "NAMES", value_delimiter = ',')]
    pub categories: Vec<String>,
    /// Only these media types
    #[arg(long = "media-type", value_name = "TYPES", value_delimiter = ',')]
    pub media_types: Vec<String>,
    /// Only these languages: en,de
    #[arg(long = "language", value_name = "CODES", value_delimiter = ',')]
    pub languages: Vec<String>,
    /// Only where the URI begins so
    #[arg(long, value_name = "URI")]
    pub prefix: Option<String>,
    /// Only what was committed at this time or later: 2026-11-21T04:05:06Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Time>,
    /// Only what was committed before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub before: Option<Time>,
}

/// A time as it was written, and in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    written: String,
    ms: u64,
}

impl Search {
    /// What it asks of a data directory.
    pub fn request(&self) -> SearchRequest {
        SearchRequest {
            filter: self.filters.filter(),
            facets: self.facets.clone(),
            explain: self.explain,
            ..SearchRequest::new(self.query.clone(), self.k)
        }
    }

    /// What it asks of a server, for one page of so many.
    pub fn body(&self, k: u16, cursor: Option<&str>) -> Value {
        let mut body = json!({"query": self.query, "k": k, "explain": self.explain});
        if let Some(cursor) = cursor {
            body["cursor"] = cursor.into();
        }
        if !self.facets.is_empty() {
            body["facets"] = self.facets.iter().map(|facet| facet.as_str()).collect();
        }
        if let Some(filter) = self.filters.body() {
            body["filter"] = filter;
        }
        body
    }
}

impl Filters {
    /// As a data directory understands it.
    pub fn filter(&self) -> Filter {
        Filter {
            documents: self.documents.clone(),
            categories: self.categories.clone(),
            media_types: self.media_types.clone(),
            languages: self.languages.clone(),
            uri_prefix: self.prefix.clone(),
            committed_from_ms: self.from.as_ref().map(|time| time.ms),
            committed_before_ms: self.before.as_ref().map(|time| time.ms),
        }
    }

    /// As a server understands it; none where all documents may answer.
    pub fn body(&self) -> Option<Value> {
        let mut body = serde_json::Map::new();
        let documents: Vec<String> = self.documents.iter().map(ToString::to_string).collect();
        for (name, list) in [
            ("documents", &documents),
            ("categories", &self.categories),
            ("mediaTypes", &self.media_types),
            ("languages", &self.languages),
        ] {
            if !list.is_empty() {
                body.insert(name.to_owned(), json!(list));
            }
        }
        let written = |time: &Option<Time>| time.as_ref().map(|time| time.written.clone());
        for (name, value) in [
            ("uriPrefix", self.prefix.clone()),
            ("committedFrom", written(&self.from)),
            ("committedBefore", written(&self.before)),
        ] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        (!body.is_empty()).then_some(Value::Object(body))
    }
}

fn facet(name: &str) -> Result<Facet, String> {
    Facet::parse(name).ok_or_else(|| "use category, mediaType or language".to_owned())
}

fn document(id: &str) -> Result<DocumentId, String> {
    DocumentId::parse(id).ok_or_else(|| "use an id, as `docmill documents` lists them".to_owned())
}

fn time(written: &str) -> Result<Time, String> {
    let ms = ms_of_rfc3339(written).ok_or_else(|| "write it as 2026-11-21T04:05:06Z".to_owned())?;
    Ok(Time { written: written.to_owned(), ms })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        search: Search,
    }

    fn search(args: &[&str]) -> Search {
        Line::try_parse_from([&["docmill", "shell"], args].concat()).unwrap().search
    }

    #[test]
    fn a_filter_says_the_same_here_and_at_a_server() {
        let asked = search(&[
            "--language",
            "en,de",
            "--media-type",
            "text/plain",
            "--prefix",
            "file:///a",
            "--from",
            "1970-01-01T00:00:01Z",
            "--facets",
            "language,mediaType",
        ]);
        let filter = asked.request().filter;
        assert_eq!((filter.languages.len(), filter.committed_from_ms), (2, Some(1_000)));
        assert_eq!(
            asked.body(5, Some("oa")),
            json!({"query": "shell", "k": 5, "explain": false, "cursor": "oa", "facets": ["language", "mediaType"],
                "filter": {"mediaTypes": ["text/plain"], "languages": ["en", "de"], "uriPrefix": "file:///a",
                    "committedFrom": "1970-01-01T00:00:01Z"}})
        );
        assert_eq!(search(&[]).body(10, None), json!({"query": "shell", "k": 10, "explain": false}));
        assert!(search(&[]).request().filter.is_empty());
    }

    #[test]
    fn what_no_filter_knows_is_refused() {
        for wrong in [["--from", "yesterday"], ["--facets", "colour"], ["--document", "x"]] {
            assert!(Line::try_parse_from(["docmill", "shell", wrong[0], wrong[1]]).is_err(), "{wrong:?}");
        }
    }
}
