//! Documents of a batch by the folder that they are in: the objects below a prefix are listed here, so that who
//! submits needs neither their names nor rights on the store. `/v1/batches/{id}/prefixes`.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Caller;
use super::batches::admit;
use super::problem::Problem;
use super::request::{Body, Id};
use super::upload::AcceptedDocument;
use super::{Shared, idempotency, sources};

/// A folder whose objects are added to a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPrefix {
    /// The folder in the configured store: `s3://BUCKET/FOLDER`; or a single object of it.
    prefix: String,
    /// `next` of the answer before.
    cursor: Option<String>,
}

/// What of a folder was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedPrefix {
    /// The batch.
    id: String,
    /// The documents, in the order of their names; at most 1,000.
    documents: Vec<AcceptedDocument>,
    /// Where to go on: send the same with it as `cursor`. Absent where this was the last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `POST /v1/batches/{id}/prefixes`. Adding an object again changes nothing, so it needs no key.
pub async fn add(
    State(api): State<Shared>,
    caller: Caller,
    Id(batch): Id<Uuid>,
    Body(new): Body<NewPrefix>,
) -> Result<Response, Problem> {
    let (admissions, next) =
        sources::list(&api, &caller.tenant, batch, &new.prefix, new.cursor.as_deref()).await?;
    api.load.admit(&caller.tenant, admissions.len() as u64).await?;
    let documents = admit(&api, &caller.tenant, batch, admissions).await?;
    let said = AcceptedPrefix { id: batch.to_string(), documents, next };
    idempotency::answer(api.desk.as_ref(), &caller.tenant, None, [0; 32], &said).await
}
