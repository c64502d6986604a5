//! Stores of a tenant that lost rows and are filled again: `/v1/indexes/stores`. The work is done by the upkeep
//! and the workers, here it is only asked for.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use docmill_core::id::TenantId;
use docmill_core::manifest::Store;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::auth::Caller;
use super::problem::Problem;
use super::request::Body;

/// A store that is to be filled again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFill {
    /// `text`, `vectors` or `graph`.
    store: String,
}

/// How far a store is filled again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    /// `text`, `vectors` or `graph`.
    store: &'static str,
    /// `filling`, or `filled`: a pass over all documents found nothing lacking.
    state: &'static str,
    /// Documents of the tenant.
    documents: u64,
    /// Of them, those that this pass has looked at.
    looked: u64,
    /// Documents that were done again, in all passes.
    again: u64,
    /// Documents that lack rows and cannot be done again: dead letters.
    given_up: u64,
}

/// Stores that are or were filled again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fills {
    /// By name; none that nobody asked for.
    stores: Vec<Fill>,
}

/// Names of the stores, as users know them.
const NAMES: [(Store, &str); 3] =
    [(Store::Text, "text"), (Store::Vector, "vectors"), (Store::Graph, "graph")];

fn name_of(store: Store) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == store).map_or("", |(_, name)| name)
}

/// `GET /v1/indexes/stores`.
pub async fn list(State(api): State<Shared>, caller: Caller) -> Result<Json<Fills>, Problem> {
    Ok(Json(told(&api, &caller.tenant).await?))
}

/// `POST /v1/indexes/stores`. The same again while it goes on changes nothing.
pub async fn create(
    State(api): State<Shared>,
    caller: Caller,
    Body(new): Body<NewFill>,
) -> Result<Response, Problem> {
    let Some((store, _)) = NAMES.iter().find(|(_, name)| *name == new.store) else {
        let allowed = NAMES.map(|(_, name)| name).join(", ");
        return Err(Problem::invalid("store", "is no store", allowed).given(&new.store));
    };
    api.desk.begin_fill(&caller.tenant, *store).await?;
    let text = serde_json::to_string(&told(&api, &caller.tenant).await?).unwrap_or_default();
    Ok((StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}

async fn told(api: &Shared, tenant: &TenantId) -> Result<Fills, Problem> {
    let (rows, documents) = api.desk.fills(tenant).await?;
    let one = |row: crate::desk::FillRow| Fill {
        store: name_of(row.store),
        state: if row.ended { "filled" } else { "filling" },
        documents,
        looked: row.looked,
        again: row.again,
        given_up: row.given_up,
    };
    Ok(Fills { stores: rows.into_iter().map(one).collect() })
}
