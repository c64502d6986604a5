//! What people are told while a question is answered.

use docmill_core::ask::Source;
use docmill_core::search::Mode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Problem;

/// A text that an answer may cite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceView {
    /// Its number in the answer: `[1]`.
    pub n: u32,
    /// Its document.
    pub document: String,
    /// Where the document is.
    pub uri: String,
    /// The document's title, or the name of its file.
    pub title: String,
    /// The page, from 1.
    pub page: u32,
    /// What it stands under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
    /// The part that fits the question.
    pub snippet: String,
}

impl From<&Source> for SourceView {
    fn from(source: &Source) -> Self {
        Self {
            n: source.n,
            document: source.document.to_string(),
            uri: source.uri.clone(),
            title: source.title.clone(),
            page: source.page,
            heading: source.heading.clone(),
            snippet: source.snippet.clone(),
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinalAnswer {
    /// The text, with numbers of sources in brackets.
    pub answer: String,
    /// The sources that it cites.
    pub citations: Vec<SourceView>,
    /// Who wrote it; `extractive` where it is made of sentences of the sources.
    pub model: String,
    /// Whether it is made of sentences of the sources.
    pub extractive: bool,
    /// What else to know about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it ends: `stop` where all is said.
    pub finish: String,
    /// Tokens that the model was told and said, if it counted.
    #[serde(skip)]
    pub tokens: (Option<u64>, Option<u64>),
    /// Whether the same question may be answered better soon, as something was away.
    #[serde(skip)]
    pub passing: bool,
}

/// What happens while a question is answered, in this order: the sources, pieces of the answer with the citations that
/// came up in them, and the whole answer or what went wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum AskEvent {
    /// What was found.
    SearchResults {
        /// Best first.
        results: Vec<SourceView>,
        /// How it was searched.
        mode: Mode,
        /// Why by words alone.
        reason: Option<String>,
    },
    /// A piece of the answer.
    Message {
        /// Its text.
        delta: String,
    },
    /// A source that is cited for the first time.
    Citation(SourceView),
    /// The end.
    FinalAnswer(FinalAnswer),
    /// The end, before the answer's.
    Error(Problem),
}
