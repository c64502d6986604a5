//! The section `api`: where documents are handed in, and how many.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::oidc::OidcSettings;
use super::read::quoted;
use super::resolve::Judge;
use super::{Api, Operator};
use crate::secret::Secret;

/// Longest audience of the operator's tokens, in bytes.
const AUDIENCE_BYTES_MAX: usize = 200;

/// Where and how documents are handed in.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where users reach it.
    pub listen: SocketAddr,
    /// Where the operator reaches it.
    pub internal_listen: SocketAddr,
    /// What the operator shows there; none: whoever reaches it is the operator.
    pub internal_token: Option<Secret>,
    /// Where the token for changes is written while there are no keys.
    pub token_file: PathBuf,
    /// Largest uploaded file, in bytes.
    pub max_upload_bytes: u64,
    /// Unsettled documents from which on no more are taken.
    pub high_water_documents: u64,
    /// Most that a tenant uploads a day, in bytes.
    pub tenant_bytes_per_day: Option<u64>,
    /// Most unsettled documents of a tenant.
    pub tenant_documents_in_flight: Option<u64>,
    /// A tenant other than `default` names only what is in the folder of its name.
    pub tenant_folders: bool,
    /// Whose tokens are taken beside keys; none: nobody's.
    pub oidc: Option<OidcSettings>,
    /// Whose signed tokens are taken at the operator's address; none: nobody's.
    pub operator: Option<OperatorSettings>,
    /// File of a key that is made known at the start. Read only then: workers have this configuration and not the key.
    pub first_key_file: Option<PathBuf>,
}

/// Tokens that an operator signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSettings {
    /// What they have to be for.
    pub audience: String,
    /// File of the public keys, which may change.
    pub keys_file: PathBuf,
}

impl ApiSettings {
    /// For one machine: this address, no operator, limits of one user's machine.
    pub fn here(listen: SocketAddr, token_file: PathBuf) -> Self {
        let given = Api::default();
        Self {
            listen,
            internal_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            internal_token: None,
            token_file,
            max_upload_bytes: given.max_upload_bytes,
            high_water_documents: given.high_water_documents,
            tenant_bytes_per_day: None,
            tenant_documents_in_flight: None,
            tenant_folders: given.tenant_folders,
            oidc: None,
            operator: None,
            first_key_file: None,
        }
    }
}

impl Judge<'_> {
    pub(super) fn api(&mut self, given: &Api, scratch: &Path) -> Option<ApiSettings> {
        let listen = self.address("api.listen", &given.listen);
        let internal_listen = self.address("api.internalListen", &given.internal_listen);
        let internal_token = self.secret(
            "api.internalToken",
            given.internal_token_file.as_deref(),
            given.internal_token_env.as_deref(),
        );
        let operator = self.operator(&given.operator);
        let has_token = given.internal_token_file.is_some()
            || given.internal_token_env.is_some()
            || given.operator != Operator::default();
        if internal_listen.is_some_and(|address| !address.ip().is_loopback()) && !has_token {
            let what_to_do =
                "give api.operator, api.internalTokenFile or api.internalTokenEnv, or listen on 127.0.0.1";
            let what = "is open to others, and there is no token";
            self.wrong("api.internalListen", Some(quoted(&given.internal_listen)), what, what_to_do);
        }
        let token_file = self.file("api.tokenFile", given.token_file.as_deref());
        let first_key_file = self.file("api.firstKeyFile", given.first_key_file.as_deref());
        let oidc = self.oidc(&given.oidc);
        Some(ApiSettings {
            listen: listen?,
            internal_listen: internal_listen?,
            internal_token,
            token_file: token_file.unwrap_or_else(|| scratch.join("api-token")),
            max_upload_bytes: given.max_upload_bytes,
            high_water_documents: given.high_water_documents,
            tenant_bytes_per_day: given.tenant_bytes_per_day,
            tenant_documents_in_flight: given.tenant_documents_in_flight,
            tenant_folders: given.tenant_folders,
            oidc: oidc?,
            operator: operator?,
            first_key_file,
        })
    }

    /// `Some(None)` where there is none; `None`: there is a problem.
    fn operator(&mut self, given: &Operator) -> Option<Option<OperatorSettings>> {
        let (audience_key, file_key) = ("api.operator.audience", "api.operator.keysFile");
        if *given == Operator::default() {
            // A value that was refused alone is not there any more.
            return if self.told_of(audience_key) || self.told_of(file_key) { None } else { Some(None) };
        }
        let needed = [(audience_key, given.audience.is_some()), (file_key, given.keys_file.is_some())];
        for (key, is_given) in needed {
            if !is_given && !self.told_of(key) {
                self.wrong(key, None, "is missing", "add it, or remove api.operator");
            }
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
        if let Some(name) = &given.audience
            && (name.len() > AUDIENCE_BYTES_MAX || !name.chars().all(allowed))
        {
            let what_to_do = "use the UID of the IngestionPipeline";
            self.wrong(audience_key, Some(quoted(name)), "is not a name", what_to_do);
        }
        let keys_file = self.file(file_key, given.keys_file.as_deref());
        Some(Some(OperatorSettings { audience: given.audience.clone()?, keys_file: keys_file? }))
    }

    fn address(&mut self, path: &str, given: &str) -> Option<SocketAddr> {
        let address = given.parse().ok();
        if address.is_none() {
            self.wrong(path, Some(quoted(given)), "is not an address with a port", "correct it");
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::{Environment, Problem, load};
    use super::*;

    fn api(section: &str) -> Result<ApiSettings, Vec<Problem>> {
        let text = format!(
            "queue: {{redis: {{url: 'redis://h'}}}}\nledger: {{postgres: {{url: 'postgresql://h/d'}}}}\napi: {section}"
        );
        let settings = load(&text, &Environment::new(), &|_| Err(io::ErrorKind::NotFound.into()));
        settings.map(|settings| settings.api)
    }

    #[test]
    fn an_operator_is_known_by_its_tokens() {
        let operator = "operator: {audience: 0a-1b, keysFile: /keys/all.pem}";
        let found = api(&format!("{{internalListen: '0.0.0.0:8082', {operator}}}")).unwrap();
        let expected = OperatorSettings { audience: "0a-1b".to_owned(), keys_file: "/keys/all.pem".into() };
        assert_eq!((found.operator, found.first_key_file), (Some(expected), None));
        assert_eq!(api("{operator: {}}").unwrap().operator, None);
        // No file of these is read before it is needed.
        let first = api("{firstKeyFile: /keys/first}").unwrap().first_key_file;
        assert_eq!(first.as_deref(), Some(Path::new("/keys/first")));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key() {
        let long = "x".repeat(AUDIENCE_BYTES_MAX + 1);
        for (section, path) in [
            ("{internalListen: '0.0.0.0:8082'}".to_owned(), "api.internalListen"),
            ("{operator: {audience: a}}".to_owned(), "api.operator.keysFile"),
            ("{operator: {keysFile: /keys}}".to_owned(), "api.operator.audience"),
            ("{operator: {audience: 5}}".to_owned(), "api.operator.audience"),
            ("{operator: {audience: a, keysFile: keys}}".to_owned(), "api.operator.keysFile"),
            ("{operator: {audience: 'a b', keysFile: /keys}}".to_owned(), "api.operator.audience"),
            (format!("{{operator: {{audience: {long}, keysFile: /keys}}}}"), "api.operator.audience"),
            ("{operator: {audience: a, keysFile: /keys, key: x}}".to_owned(), "api.operator.key"),
            ("{firstKeyFile: docmill_x_y}".to_owned(), "api.firstKeyFile"),
        ] {
            let problems = api(&section).unwrap_err();
            let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, [path], "{section}");
            assert!(!format!("{problems:?}").contains("docmill_x_y"), "{problems:?}");
        }
    }
}
