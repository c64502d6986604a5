//! How many workers there are to be and why, as the operator told it last: `/v1/scaling`. Nothing is decided here.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::problem::Problem;
use super::request::Body;

/// The name under which the ledger keeps it.
const NAME: &str = "scaling";
/// Most reasons of a decision.
const REASONS_MAX: usize = 32;
/// Longest code, and longest sentence, in bytes.
const CODE_BYTES_MAX: usize = 100;
const MESSAGE_BYTES_MAX: usize = 1_000;

/// Why there are to be so many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The same whatever its numbers.
    code: String,
    /// A sentence with the numbers.
    message: String,
}

/// A decision of the operator, which may be newer and say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Workers that there are to be.
    desired: u32,
    /// Workers that there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    /// The value of the metric that a HorizontalPodAutoscaler reads.
    metric: u64,
    /// Why, in the order in which it came about.
    #[serde(default)]
    #[schema(inline)]
    reasons: Vec<Why>,
    /// When the operator told it, in milliseconds since the Unix epoch; the operator does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told_at_ms: Option<u64>,
}

/// `GET /v1/scaling`.
pub async fn get(State(api): State<Shared>) -> Result<Json<Scaling>, Problem> {
    let unknown = || Problem::missing("decision of an operator", NAME);
    let (text, told_at_ms) = api.desk.told(NAME).await?.ok_or_else(unknown)?;
    // What a newer operator told to a newer API is not guessed at.
    let scaling: Scaling = serde_json::from_str(&text).map_err(|error| {
        tracing::debug!(%error, "what the operator told is not understood");
        unknown()
    })?;
    Ok(Json(Scaling { told_at_ms: Some(told_at_ms), ..scaling }))
}

/// `POST /internal/v1/scaling`.
pub async fn tell(State(api): State<Shared>, Body(scaling): Body<Scaling>) -> Result<StatusCode, Problem> {
    checked(&scaling)?;
    let text = serde_json::to_string(&Scaling { told_at_ms: None, ..scaling }).unwrap_or_default();
    api.desk.tell(NAME, &text).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn checked(scaling: &Scaling) -> Result<(), Problem> {
    let too_long = |text: &str, max: usize| text.len() > max || text.contains('\0');
    if scaling.reasons.len() > REASONS_MAX {
        return Err(Problem::invalid("reasons", "are too many", format!("up to {REASONS_MAX}")));
    }
    if scaling.reasons.iter().any(|why| too_long(&why.code, CODE_BYTES_MAX)) {
        let allowed = format!("codes of up to {CODE_BYTES_MAX} bytes");
        return Err(Problem::invalid("reasons", "a code is too long", allowed));
    }
    if scaling.reasons.iter().any(|why| too_long(&why.message, MESSAGE_BYTES_MAX)) {
        let allowed = format!("sentences of up to {MESSAGE_BYTES_MAX} bytes");
        return Err(Problem::invalid("reasons", "a sentence is too long", allowed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaling(message: &str, reasons: usize) -> Scaling {
        let why = Why { code: "Backlog".to_owned(), message: message.to_owned() };
        Scaling { desired: 3, replicas: None, metric: 30, reasons: vec![why; reasons], told_at_ms: None }
    }

    #[test]
    fn what_the_operator_tells_is_bounded() {
        assert!(checked(&scaling("30 documents wait", 32)).is_ok());
        for wrong in [scaling("x", 33), scaling(&"x".repeat(1_001), 1), scaling("a\0b", 1)] {
            assert_eq!(checked(&wrong).unwrap_err().status(), 422);
        }
    }

    #[test]
    fn the_operators_own_words_are_understood() {
        let text = r#"{"desired":2,"metric":20,"replicas":1,"more":"of a newer one","reasons":[{"code":"Backlog","message":"20 documents wait"}]}"#;
        let scaling: Scaling = serde_json::from_str(text).unwrap();
        assert_eq!((scaling.desired, scaling.reasons.len()), (2, 1));
    }
}
