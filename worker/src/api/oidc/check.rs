//! Whether an issuer is fit: it answers, is who the configuration says, and has keys.

use super::Error;
use super::issuer::Issuer;
use crate::config::OidcSettings;
use crate::finding::{Finding, Severity};

/// Asks it. One that cannot be asked is a finding.
pub async fn check(settings: &OidcSettings) -> Vec<Finding> {
    let asked = match Issuer::new(settings) {
        Ok(issuer) => Box::pin(issuer.keys()).await,
        Err(error) => Err(error),
    };
    let error = |what: String, what_to_do: &str| Finding::new(Severity::Error, what, what_to_do);
    let mut findings = Vec::new();
    match asked {
        Ok(keys) if keys.is_empty() => {
            let what = "the issuer has no key that can be used";
            let what_to_do = "have it sign with RS256, PS256, ES256, EdDSA or a longer one of these, and name its keys (`kid`)";
            findings.push(error(what.to_owned(), what_to_do));
        }
        Ok(_) => {}
        Err(failed) => findings.push(error(failed.to_string(), what_to_do(&failed))),
    }
    if settings.issuer.starts_with("http://") {
        let what = "the issuer is asked without TLS: whoever is between could give out tokens";
        findings.push(Finding::new(
            Severity::Warning,
            what,
            "give it a certificate, and begin its URL with https",
        ));
    }
    findings
}

fn what_to_do(error: &Error) -> &'static str {
    match error {
        Error::Unreachable(_) | Error::Slow(_) => {
            "check api.oidc.issuer, the network policy, and whether both sides agree on TLS"
        }
        Error::Certificate(_) | Error::Authorities { .. } => "check api.oidc.tlsCaFile",
        Error::OtherIssuer(_) => "write api.oidc.issuer as the issuer writes it, to the last slash",
        Error::WithoutTls => "have the issuer give its keys by https, or set api.oidc.allowHttp to true",
        Error::Status { .. } | Error::TooLarge { .. } | Error::Malformed(_) => {
            "check api.oidc.issuer: below it there has to be /.well-known/openid-configuration"
        }
        Error::Client(_) => "check api.oidc, and the authorities of the system",
    }
}
