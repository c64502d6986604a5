//! What writes answers, whoever it is: a model behind an address, or none that says so.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who said something before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Who asks.
    User,
    /// Who answers.
    Assistant,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// By whom.
    #[schema(inline)]
    pub role: Role,
    /// What.
    pub content: String,
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// The question alone, for what answers without sources.
    pub question: String,
    /// The rules.
    pub system: String,
    /// What was said; last the question with its sources.
    pub turns: Vec<Turn>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// How freely it chooses its words; none: as the model has it.
    pub temperature: Option<f32>,
    /// Texts before which the answer is to end.
    pub stop: Vec<String>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Text.
    Text(String),
    /// The answer is at its end.
    End {
        /// Why: `stop` where the model had said all.
        finish: String,
        /// Tokens that it was told, if it counted.
        input_tokens: Option<u64>,
        /// Tokens that it said, if it counted.
        output_tokens: Option<u64>,
    },
}

/// Why there is no answer, or no end of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Nobody is there.
    #[error("the model cannot be reached: {0}")]
    Unreachable(String),
    /// It says no.
    #[error("the model refuses with the status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// It has no time.
    #[error("the model takes no more questions for now")]
    Throttled {
        /// When it may have.
        after: Option<Duration>,
    },
    /// The first piece took too long.
    #[error("the model did not begin its answer in time")]
    FirstToken,
    /// A piece took too long.
    #[error("the model fell silent in the middle of its answer")]
    Idle,
    /// All of it took too long.
    #[error("the model did not end its answer in time")]
    Total,
    /// The connection ended before the answer.
    #[error("the model's answer was cut off")]
    Cut,
    /// It says too much.
    #[error("the model's answer is longer than one may be")]
    TooLong,
    /// It says something else.
    #[error("what the model sends is not an answer")]
    Malformed,
}

/// Writes answers.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// What people know it by.
    fn name(&self) -> &str;

    /// The answer in pieces. It ends with [`Delta::End`] or with an error; nothing is tried again after the first piece.
    /// Dropping the stream ends the model's work.
    ///
    /// # Errors
    /// There is no answer.
    async fn stream(&self, chat: Chat)
    -> Result<BoxStream<'static, Result<Delta, ModelError>>, ModelError>;
}
