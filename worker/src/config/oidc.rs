//! The section `api.oidc`: whose tokens the API takes, and where in them it looks.

use std::path::PathBuf;
use std::time::Duration;

use super::Oidc;
use super::read::quoted;
use super::resolve::Judge;

/// Longest name of a claim, in characters.
const CLAIM_CHARS_MAX: usize = 200;

/// An issuer of tokens, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcSettings {
    /// Its URL, as tokens name it.
    pub issuer: String,
    /// What tokens for this API name as their audience.
    pub audience: String,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that names the scopes.
    pub scope_claim: String,
    /// Authorities of the issuer's certificate, in PEM; none: the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// Whether it may be asked without TLS.
    pub allow_http: bool,
    /// How far its clock may be from ours.
    pub leeway: Duration,
    /// Longest wait until its keys are there, all requests together.
    pub timeout: Duration,
    /// Age of its keys at which they are fetched again.
    pub keys_max_age: Duration,
}

impl Judge<'_> {
    /// `Some(None)` where there is none; `None`: there is a problem.
    pub(super) fn oidc(&mut self, given: &Oidc) -> Option<Option<OidcSettings>> {
        if *given == Oidc::default() {
            // A value that was refused alone is not there any more.
            let told = |key: &str| self.told_of(&format!("api.oidc.{key}"));
            return if told("issuer") || told("audience") { None } else { Some(None) };
        }
        let issuer = self.given("api.oidc.issuer", given.issuer.as_deref());
        let audience = self.given("api.oidc.audience", given.audience.as_deref());
        let issuer = issuer.filter(|issuer| self.issuer(issuer, given.allow_http));
        let tenant_claim = self.claim("api.oidc.tenantClaim", &given.tenant_claim);
        let scope_claim = self.claim("api.oidc.scopeClaim", &given.scope_claim);
        if given.tenant_claim == given.scope_claim {
            let what = "is also the claim of the scopes";
            let what_to_do = "have the issuer say the tenant in a claim of its own";
            self.wrong("api.oidc.tenantClaim", Some(quoted(&given.tenant_claim)), what, what_to_do);
        }
        let tls_ca_file = self.file("api.oidc.tlsCaFile", given.tls_ca_file.as_deref());
        Some(Some(OidcSettings {
            issuer: issuer?,
            audience: audience?,
            tenant_claim: tenant_claim?,
            scope_claim: scope_claim?,
            tls_ca_file,
            allow_http: given.allow_http,
            leeway: Duration::from_secs(given.leeway_s),
            timeout: Duration::from_millis(given.timeout_ms),
            keys_max_age: Duration::from_secs(given.keys_max_age_s),
        }))
    }

    fn given(&mut self, path: &str, given: Option<&str>) -> Option<String> {
        if given.is_none() && !self.told_of(path) {
            self.wrong(path, None, "is missing", "add it, or remove api.oidc");
        }
        given.map(str::to_owned)
    }

    /// Never repeated: it is where somebody writes a user and a password by mistake.
    fn issuer(&mut self, url: &str, allow_http: bool) -> bool {
        let path = "api.oidc.issuer";
        if url.contains('@') {
            let what_to_do = "remove them: the issuer's keys are public; whoever could read it has seen the password: change it";
            self.wrong(path, None, "holds a user or a password", what_to_do);
            return false;
        }
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let plain = |rest: &str| {
            !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '\\', ' '])
        };
        if !rest.is_some_and(plain) || reqwest::Url::parse(url).is_err() {
            self.wrong(path, None, "is not the URL of an issuer", "correct it");
            return false;
        }
        if url.starts_with("http://") && !allow_http {
            let what_to_do =
                "begin it with https, or, where nobody can come between, set allowHttp to true";
            self.wrong(path, None, "is without TLS", what_to_do);
            return false;
        }
        true
    }

    fn claim(&mut self, path: &str, name: &str) -> Option<String> {
        let fits = name.chars().count() <= CLAIM_CHARS_MAX && !name.chars().any(char::is_control);
        if !fits {
            self.wrong(path, Some(quoted(name)), "is not the name of a claim", "correct it");
        }
        fits.then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::{Environment, Problem, load};
    use super::*;

    fn oidc(section: &str, variables: &[(&str, &str)]) -> Result<Option<OidcSettings>, Vec<Problem>> {
        let text = format!(
            "queue: {{redis: {{url: 'redis://h'}}}}\nledger: {{postgres: {{url: 'postgresql://h/d'}}}}\napi: {{oidc: {section}}}"
        );
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = load(&text, &environment, &|_| Err(io::ErrorKind::NotFound.into()));
        settings.map(|settings| settings.api.oidc)
    }

    #[test]
    fn without_an_issuer_there_is_none() {
        assert_eq!(oidc("", &[]).unwrap(), None);
        assert_eq!(oidc("{}", &[("OIDC_ISSUER", "")]).unwrap(), None);
    }

    #[test]
    fn with_an_issuer_it_says_where_to_look() {
        let environment = [("OIDC_ISSUER", "https://id.example/realms/docs"), ("OIDC_AUDIENCE", "docmill")];
        for (section, environment) in [
            ("", &environment[..]),
            ("{issuer: 'https://id.example/realms/docs', audience: docmill}", &[]),
            ("{issuer: 'https://other.example'}", &environment[..]),
        ] {
            let found = oidc(section, environment).unwrap().unwrap();
            assert_eq!(found.issuer, "https://id.example/realms/docs");
            assert_eq!((found.audience.as_str(), found.tenant_claim.as_str()), ("docmill", "tenant"));
            assert_eq!((found.scope_claim.as_str(), found.leeway.as_secs()), ("scope", 30));
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key() {
        let good = "issuer: 'https://id.example', audience: docmill";
        for (section, path) in [
            ("{issuer: 'https://id.example'}".to_owned(), "api.oidc.audience"),
            ("{audience: docmill}".to_owned(), "api.oidc.issuer"),
            ("{issuer: 'https://u:hunter2@id.example', audience: d}".to_owned(), "api.oidc.issuer"),
            ("{issuer: 'https://id.example?hunter2', audience: d}".to_owned(), "api.oidc.issuer"),
            ("{issuer: 'http://id.example', audience: d}".to_owned(), "api.oidc.issuer"),
            ("{issuer: hunter2, audience: d}".to_owned(), "api.oidc.issuer"),
            ("{issuer: 5}".to_owned(), "api.oidc.issuer"),
            (format!("{{{good}, tenantClaim: scope}}"), "api.oidc.tenantClaim"),
            (format!("{{{good}, leewayS: 301}}"), "api.oidc.leewayS"),
            (format!("{{{good}, timeoutMs: 1}}"), "api.oidc.timeoutMs"),
            (format!("{{{good}, keysMaxAgeS: 1}}"), "api.oidc.keysMaxAgeS"),
            (format!("{{{good}, tlsCaFile: ca.pem}}"), "api.oidc.tlsCaFile"),
            (format!("{{{good}, clientSecret: hunter2}}"), "api.oidc.clientSecret"),
        ] {
            let problems = oidc(&section, &[]).unwrap_err();
            let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, [path], "{section}");
            assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        }
    }
}
