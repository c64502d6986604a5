//! From the claims of a token to who asks. Pure; signature, issuer, audience and times were judged before.

use docmill_core::id::TenantId;
use serde_json::{Map, Value};

use crate::api::auth::{Caller, Scope};
use crate::config::OidcSettings;

/// What scopes of this API begin with: an issuer has other applications, and their `read` or `admin` is not ours.
const SCOPE_PREFIX: &str = "docmill:";

/// All claims of a token whose signature was checked.
#[derive(Debug, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Claims(Map<String, Value>);

/// Why a token whose signature is good leads to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not what it has to be.
    Token(&'static str),
    /// It names no tenant, or none that can be.
    Tenant,
}

impl Claims {
    /// Whose documents they see, and what they may do. Scopes that are not ours are nothing to us.
    pub(super) fn caller(&self, settings: &OidcSettings) -> Result<Caller, Refused> {
        // The library takes a list that has the issuer in it, too; RFC 7519 knows one issuer.
        if self.0.get("iss").and_then(Value::as_str) != Some(settings.issuer.as_str()) {
            return Err(Refused::Token("its issuer is not one text"));
        }
        let tenant = self.0.get(&settings.tenant_claim).and_then(Value::as_str);
        let tenant = tenant.and_then(|name| TenantId::new(name).ok()).ok_or(Refused::Tenant)?;
        let scopes = match self.0.get(&settings.scope_claim) {
            Some(Value::String(text)) => scopes(text.split(' ')),
            Some(Value::Array(list)) => scopes(list.iter().filter_map(Value::as_str)),
            _ => Vec::new(),
        };
        Ok(Caller { tenant, scopes })
    }
}

fn scopes<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Scope> {
    let named = |name: &str| Scope::parse(name.strip_prefix(SCOPE_PREFIX)?);
    let found: Vec<Scope> = names.filter_map(named).collect();
    // Each once, however often a token repeats it.
    Scope::ALL.into_iter().filter(|scope| found.contains(scope)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn settings() -> OidcSettings {
        OidcSettings {
            issuer: "https://id.example".to_owned(),
            audience: "docmill".to_owned(),
            tenant_claim: "https://docmill.example/tenant".to_owned(),
            scope_claim: "scope".to_owned(),
            tls_ca_file: None,
            allow_http: false,
            leeway: Duration::ZERO,
            timeout: Duration::from_secs(1),
            keys_max_age: Duration::from_secs(60),
        }
    }

    fn caller(tenant: Value, scope: Value) -> Result<(String, Vec<Scope>), Refused> {
        let claims = json!({
            "iss": "https://id.example", "https://docmill.example/tenant": tenant, "scope": scope,
            "tenant": "other", "tid": "other",
        });
        let claims: Claims = serde_json::from_value(claims).unwrap();
        claims.caller(&settings()).map(|caller| (caller.tenant.to_string(), caller.scopes))
    }

    #[test]
    fn scopes_are_ours_alone() {
        use Scope::{Admin, Read, Write};
        let cases = [
            (json!("docmill:read"), vec![Read]),
            (json!("openid docmill:write  docmill:read docmill:read"), vec![Read, Write]),
            (json!(["docmill:admin", "other:read", 5, null]), vec![Admin]),
            // Somebody else's, or not written as ours.
            (json!("read write admin"), vec![]),
            (json!("docmill:Read docmill: docmill:admins xdocmill:read\tdocmill:read"), vec![]),
            (json!({"docmill:read": true}), vec![]),
            (json!(null), vec![]),
        ];
        for (scope, expected) in cases {
            assert_eq!(
                caller(json!("one"), scope.clone()).unwrap(),
                ("one".to_owned(), expected),
                "{scope}"
            );
        }
    }

    #[test]
    fn a_tenant_is_one_valid_name() {
        for tenant in [
            json!(null),
            json!(""),
            json!(7),
            json!(["one"]),
            json!({"name": "one"}),
            json!("one two"),
            json!("../one"),
            json!("оne"),
            json!("one\0"),
            json!("x".repeat(65)),
        ] {
            assert_eq!(caller(tenant.clone(), json!("docmill:read")), Err(Refused::Tenant), "{tenant}");
        }
    }

    #[test]
    fn an_issuer_is_one_text() {
        for issuer in [json!(null), json!(["https://id.example"]), json!("https://id.example/")] {
            let claims: Claims =
                serde_json::from_value(json!({"iss": issuer, "https://docmill.example/tenant": "one"}))
                    .unwrap();
            assert!(matches!(claims.caller(&settings()), Err(Refused::Token(_))), "{issuer}");
        }
    }
}
