//! The section `api`: where documents are handed in, and how many.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Api;
use super::oidc::OidcSettings;
use super::read::quoted;
use super::resolve::Judge;
use crate::secret::Secret;

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
        let has_token = given.internal_token_file.is_some() || given.internal_token_env.is_some();
        if internal_listen.is_some_and(|address| !address.ip().is_loopback()) && !has_token {
            let what_to_do = "give api.internalTokenFile or api.internalTokenEnv, or listen on 127.0.0.1";
            let what = "is open to others, and there is no token";
            self.wrong("api.internalListen", Some(quoted(&given.internal_listen)), what, what_to_do);
        }
        let token_file = self.file("api.tokenFile", given.token_file.as_deref());
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
        })
    }

    fn address(&mut self, path: &str, given: &str) -> Option<SocketAddr> {
        let address = given.parse().ok();
        if address.is_none() {
            self.wrong(path, Some(quoted(given)), "is not an address with a port", "correct it");
        }
        address
    }
}
