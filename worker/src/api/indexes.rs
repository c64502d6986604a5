//! Indexes of a tenant: the active one, and another that is built beside it and takes its place when every document
//! is in it. `/v1/indexes`. The work is done by the workers and by the upkeep, here it is only asked for.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use docmill_core::index::{IndexSpec, IndexState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::auth::Caller;
use super::problem::Problem;
use super::request::Body;
use crate::desk::{self, IndexRow};
use crate::embed::MiniLm;
use crate::stages::models;

/// What the models may be called.
const MODELS: [&str; 2] = ["builtin", "none"];

/// An index that is to be built.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewIndex {
    /// The embedding model: `builtin` or `none`; without it, the active index's.
    embeddings: Option<String>,
    /// The concept model: `builtin` or `none`; without it, the active index's.
    concepts: Option<String>,
}

/// An index.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// `active`: searches read it. `building`: it will take its place.
    state: &'static str,
    /// Its embedding model.
    embeddings: String,
    /// Its concept model.
    concepts: String,
    /// Documents that are in it.
    documents: u64,
}

/// The indexes of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Indexes {
    /// The active one first; none before the first document.
    indexes: Vec<Index>,
}

impl From<IndexRow> for Index {
    fn from(row: IndexRow) -> Self {
        Self {
            state: row.state.as_str(),
            embeddings: row.spec.embedder,
            concepts: row.spec.concepts,
            documents: row.documents,
        }
    }
}

/// `GET /v1/indexes`.
pub async fn list(State(api): State<Shared>, caller: Caller) -> Result<Json<Indexes>, Problem> {
    let rows = api.desk.indexes(&caller.tenant).await?;
    Ok(Json(Indexes { indexes: rows.into_iter().map(Index::from).collect() }))
}

/// `POST /v1/indexes`. The same again changes nothing; another one takes the place of one that is being built.
pub async fn create(
    State(api): State<Shared>,
    caller: Caller,
    Body(new): Body<NewIndex>,
) -> Result<Response, Problem> {
    for (field, given) in [("embeddings", &new.embeddings), ("concepts", &new.concepts)] {
        if let Some(given) = given.as_deref().filter(|given| !MODELS.contains(given)) {
            return Err(Problem::invalid(field, "is no model", MODELS.join(", ")).given(given));
        }
    }
    let rows = api.desk.indexes(&caller.tenant).await?;
    let active = rows.into_iter().find(|row| row.state == IndexState::Active).ok_or_else(|| {
        let what_to_do = "hand in documents first: the first index is made with the built-in models";
        Problem::new(
            StatusCode::CONFLICT,
            "no_index",
            "there is no index to build another beside",
            what_to_do,
        )
    })?;
    let asked = asked(&active.spec, new.embeddings.as_deref(), new.concepts.as_deref());
    // It only begins the index here, and does not switch to it.
    api.ledger.begin_index(&caller.tenant, &asked).await.map_err(desk::Error::from)?;
    let rows = api.desk.indexes(&caller.tenant).await?;
    let said = Indexes { indexes: rows.into_iter().map(Index::from).collect() };
    let text = serde_json::to_string(&said).unwrap_or_default();
    Ok((StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The specification that is asked for, where the rest is as in the active index.
fn asked(active: &IndexSpec, embeddings: Option<&str>, concepts: Option<&str>) -> IndexSpec {
    let (embedder, dimensions) = match embeddings {
        None => (active.embedder.as_str(), active.dimensions as usize),
        Some("none") => (models::NONE, 0),
        Some(_) => (MiniLm::FINGERPRINT, MiniLm::DIMENSIONS),
    };
    let concepts = match concepts {
        None => active.concepts.as_str(),
        Some("none") => models::NONE,
        Some(_) => models::CONCEPTS_BUILTIN,
    };
    models::spec(embedder, dimensions, concepts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays() {
        let active = models::spec(MiniLm::FINGERPRINT, MiniLm::DIMENSIONS, models::CONCEPTS_BUILTIN);
        assert_eq!(asked(&active, None, None).id(), active.id());
        assert_eq!(asked(&active, Some("builtin"), Some("builtin")).id(), active.id());
        let other = asked(&active, Some("none"), None);
        assert_eq!((other.dimensions, other.concepts.as_str()), (0, models::CONCEPTS_BUILTIN));
        assert_eq!(asked(&other, None, Some("none")).embedder, models::NONE);
    }
}
