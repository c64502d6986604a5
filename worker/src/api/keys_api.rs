//! Keys over the API: `/v1/keys`. A tenant's administrators make, see and revoke keys of their tenant; those of the
//! tenant `default`, which is the one of who has no tenants, those of every tenant.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use docmill_core::id::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::auth::{Caller, Scope};
use super::keys::{generate, hash_of};
use super::plain;
use super::problem::Problem;
use super::request::Body;
use crate::desk::{KeyRow, NewKey};
use crate::time_text::rfc3339_of_ms;

/// Longest label, in characters.
const LABEL_CHARS_MAX: usize = 200;
/// Longest life of a key that ends, in days.
const DAYS_MAX: u64 = 3_650;
const DAY_MS: u64 = 86_400_000;

/// A key that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewKeyBody {
    /// What people call it; at most 200 characters.
    #[serde(default)]
    label: String,
    /// Whose documents it leads to; without it, the caller's. Only callers of the tenant `default` may name another.
    tenant: Option<String>,
    /// What it may do: `read`, `write`, `admin`.
    scopes: Vec<String>,
    /// How long it lasts, in days: 1 to 3650; without it, until it is revoked.
    expires_days: Option<u64>,
}

/// A key that was made. It is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyMade {
    /// The key itself: keep it, nobody else does.
    key: String,
    /// What is known of it.
    known: KeyView,
}

/// What is known of a key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    /// Its name, for programs.
    id: String,
    /// What people call it.
    label: String,
    /// Whose documents it leads to.
    tenant: String,
    /// What it may do.
    scopes: Vec<String>,
    /// When it was made (UTC).
    created_at: String,
    /// From when on it is refused (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// When it was revoked (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

/// Keys.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    /// Oldest first; revoked and expired ones too.
    keys: Vec<KeyView>,
}

impl From<KeyRow> for KeyView {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            label: row.label,
            tenant: row.tenant.as_str().to_owned(),
            scopes: row.scopes,
            created_at: rfc3339_of_ms(row.created_at_ms),
            expires_at: row.expires_at_ms.map(rfc3339_of_ms),
            revoked_at: row.revoked_at_ms.map(rfc3339_of_ms),
        }
    }
}

/// Whether a caller may see and change the keys of a tenant.
fn may_keep(caller: &Caller, tenant: &TenantId) -> bool {
    caller.tenant == *tenant || caller.tenant == TenantId::default()
}

/// `GET /v1/keys`.
pub async fn list(State(api): State<Shared>, caller: Caller) -> Result<Json<Keys>, Problem> {
    let rows = api.desk.keys().await?;
    let own = rows.into_iter().filter(|row| may_keep(&caller, &row.tenant));
    Ok(Json(Keys { keys: own.map(KeyView::from).collect() }))
}

/// `POST /v1/keys`.
pub async fn create(
    State(api): State<Shared>,
    caller: Caller,
    Body(new): Body<NewKeyBody>,
) -> Result<(StatusCode, Json<KeyMade>), Problem> {
    plain::judged("label", &new.label, LABEL_CHARS_MAX)?;
    let tenant = tenant_of(&caller, new.tenant.as_deref())?;
    let scopes = scopes_of(&new.scopes)?;
    if let Some(days) = new.expires_days.filter(|days| !(1..=DAYS_MAX).contains(days)) {
        let wrong = Problem::invalid("expiresDays", "is out of bounds", format!("1 to {DAYS_MAX}"));
        return Err(wrong.given(&days.to_string()));
    }
    let made = generate().map_err(|_| Problem::ledger_away())?;
    let key = NewKey {
        id: &made.id,
        secret_hash: hash_of(made.key.expose()),
        label: &new.label,
        tenant: &tenant,
        scopes: &scopes,
        lasts_ms: new.expires_days.map(|days| days * DAY_MS),
    };
    let row = api.desk.create_key(&key).await?;
    tracing::info!(id = made.id, tenant = tenant.as_str(), "a key was made");
    Ok((StatusCode::CREATED, Json(KeyMade { key: made.key.expose().to_owned(), known: row.into() })))
}

/// `DELETE /v1/keys/{id}`. Revoking what is revoked is no mistake.
pub async fn revoke(
    State(api): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let rows = api.desk.keys().await?;
    let is_own = rows.iter().any(|row| row.id == id && may_keep(&caller, &row.tenant));
    if !is_own || !api.desk.revoke_key(&id).await? {
        return Err(Problem::missing("key", &id));
    }
    tracing::info!(id, "a key was revoked");
    Ok(StatusCode::NO_CONTENT)
}

fn tenant_of(caller: &Caller, named: Option<&str>) -> Result<TenantId, Problem> {
    let Some(named) = named else { return Ok(caller.tenant.clone()) };
    let allowed = "1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-'";
    let tenant = TenantId::new(named)
        .map_err(|_| Problem::invalid("tenant", "cannot be a tenant", allowed).given(named))?;
    match may_keep(caller, &tenant) {
        true => Ok(tenant),
        false => {
            Err(Problem::invalid("tenant", "is not the caller's", caller.tenant.as_str()).given(named))
        }
    }
}

fn scopes_of(named: &[String]) -> Result<Vec<&'static str>, Problem> {
    let allowed = || Scope::ALL.map(Scope::as_str).join(", ");
    if named.is_empty() {
        return Err(Problem::invalid("scopes", "are missing", allowed()));
    }
    let known = |name: &String| {
        let unknown = || Problem::invalid("scopes", "have an unknown one", allowed()).given(name);
        Scope::parse(name).map(Scope::as_str).ok_or_else(unknown)
    };
    let mut scopes = named.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(tenant: &str) -> Caller {
        Caller { tenant: TenantId::new(tenant).unwrap(), scopes: vec![Scope::Admin] }
    }

    #[test]
    fn only_the_tenant_default_names_others() {
        for (tenant, named, expected) in [
            ("one", None, Some("one")),
            ("one", Some("one"), Some("one")),
            ("one", Some("two"), None),
            ("one", Some("default"), None),
            ("default", Some("two"), Some("two")),
            ("default", Some("no tenant"), None),
        ] {
            let found = tenant_of(&caller(tenant), named).ok();
            assert_eq!(found.as_ref().map(TenantId::as_str), expected, "{tenant} {named:?}");
        }
    }

    #[test]
    fn scopes_are_known_and_named_once() {
        let scopes =
            |names: &[&str]| scopes_of(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(scopes(&["write", "read", "write"]).unwrap(), ["read", "write"]);
        assert!(scopes(&[]).is_err() && scopes(&["root"]).is_err());
    }
}
