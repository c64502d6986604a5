//! Texts as vectors of the model that the tenant's index is made with: `/v1/embeddings`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use docmill_core::index::IndexState;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Refusal, known, tokens_of};
use crate::api::Shared;
use crate::api::auth::Caller;
use crate::api::problem::Problem;
use crate::api::request::Body;
use crate::ask::EMBED_MODEL;
use crate::search::QUERIES_TOGETHER;

/// Texts of one request for embeddings.
const INPUTS_MAX: usize = 256;
/// Longest of them, in bytes; models read the beginning alone.
const INPUT_BYTES_MAX: usize = 32 << 10;

/// Parts of such requests that are embedded at once, each of [`QUERIES_TOGETHER`] texts: searches wait for no more.
pub const EMBEDDINGS_AT_ONCE: usize = 2;
/// Longest wait of a part for its turn.
const TURN_MAX: Duration = Duration::from_secs(30);
/// Seconds after which it is worth asking again.
const BUSY_RETRY_S: u64 = 2;

/// Texts to embed.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EmbeddingsRequest {
    /// `docmill-embed`.
    model: String,
    /// A text or up to 256.
    #[schema(value_type = Value)]
    input: Input,
    /// `float` or `base64`; float.
    encoding_format: Option<String>,
    /// What the index has, if anything.
    dimensions: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
    Other(IgnoredAny),
}

/// Texts as vectors.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmbeddingsAnswer {
    /// `list`.
    object: &'static str,
    /// One for each text, in their order.
    #[schema(inline)]
    data: Vec<Embedded>,
    /// What made them.
    model: &'static str,
    /// Tokens, about.
    #[schema(inline)]
    usage: EmbeddingsUsage,
}

/// A text as a vector.
#[derive(Debug, Serialize, ToSchema)]
pub struct Embedded {
    object: &'static str,
    index: usize,
    /// Numbers, or their bytes (f32, little end first) in base64.
    embedding: Value,
}

/// Tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmbeddingsUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// `POST /v1/embeddings`.
pub async fn embeddings(
    State(api): State<Shared>,
    caller: Caller,
    body: Result<Body<EmbeddingsRequest>, Problem>,
) -> Result<Json<EmbeddingsAnswer>, Refusal> {
    let Body(request) = body?;
    known(&request.model, EMBED_MODEL)?;
    let as_base64 = match request.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            return Err(Problem::invalid("encoding_format", "is none", "float, base64")
                .given(other)
                .into());
        }
    };
    let texts = texts_of(request.input)?;
    let indexes = api.desk.indexes(&caller.tenant).await.map_err(Problem::from)?;
    let active = indexes.iter().find(|index| index.state == IndexState::Active);
    let spec = &active.ok_or_else(no_index)?.spec;
    if request.dimensions.is_some_and(|dimensions| dimensions != spec.dimensions) {
        let allowed = spec.dimensions.to_string();
        return Err(Problem::invalid("dimensions", "are not those of the index", allowed).into());
    }
    let prompt_tokens = texts.iter().map(|text| tokens_of(text.len())).sum();
    let vectors = vectors_of(&api, &spec.embedder, texts).await?;
    let data = vectors.iter().enumerate().map(|(index, vector)| {
        let embedding = if as_base64 { Value::String(in_base64(vector)) } else { json!(vector) };
        Embedded { object: "embedding", index, embedding }
    });
    let usage = EmbeddingsUsage { prompt_tokens, total_tokens: prompt_tokens };
    Ok(Json(EmbeddingsAnswer { object: "list", data: data.collect(), model: EMBED_MODEL, usage }))
}

/// A vector for each, part by part, so that the parts of several requests, and searches, take turns.
async fn vectors_of(api: &Shared, embedder: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Problem> {
    let mut vectors = Vec::with_capacity(texts.len());
    let mut texts = texts.into_iter();
    loop {
        let part: Vec<String> = texts.by_ref().take(QUERIES_TOGETHER).collect();
        if part.is_empty() {
            return Ok(vectors);
        }
        let turn = tokio::time::timeout(TURN_MAX, api.embeddings.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(busy()) };
        vectors.extend(api.embedder.texts(embedder, part).await?);
    }
}

fn busy() -> Problem {
    let detail = "more texts wait to be embedded than are";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail, "ask again later").retry_after(BUSY_RETRY_S)
}

fn no_index() -> Problem {
    let detail = "there is no index yet, whose model would embed";
    Problem::new(StatusCode::CONFLICT, "no_index", detail, "hand in a document first")
}

fn texts_of(input: Input) -> Result<Vec<String>, Problem> {
    let allowed = || format!("1 to {INPUTS_MAX} texts of 1 to {INPUT_BYTES_MAX} bytes");
    let texts = match input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
        Input::Other(IgnoredAny) => {
            return Err(Problem::invalid("input", "is no text; numbers of tokens are not read", allowed()));
        }
    };
    let fits = |text: &String| !text.is_empty() && text.len() <= INPUT_BYTES_MAX;
    match (1..=INPUTS_MAX).contains(&texts.len()) && texts.iter().all(fits) {
        true => Ok(texts),
        false => Err(Problem::invalid("input", "is out of bounds", allowed())),
    }
}

fn in_base64(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_and_numbers_of_tokens_are_not() {
        let texts = |input: Value| texts_of(serde_json::from_value(input).unwrap());
        assert_eq!(texts(json!("a")), Ok(vec!["a".to_owned()]));
        assert_eq!(texts(json!(["a", "b"])).map(|texts| texts.len()), Ok(2));
        for bad in
            [json!(""), json!([]), json!([1, 2]), json!([[1]]), json!("x".repeat(INPUT_BYTES_MAX + 1))]
        {
            assert!(texts(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn vectors_are_written_as_the_client_reads_them() {
        assert_eq!(in_base64(&[1.0, -2.0]), "AACAPwAAAMA=");
    }
}
