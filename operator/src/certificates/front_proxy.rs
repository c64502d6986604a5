//! Whom Kubernetes' API server vouches for. It passes requests on to servers like ours, shows a certificate of its
//! front proxy and tells in headers who asks. Which certificates these are stands in one ConfigMap, which is watched:
//! it changes when a cluster rotates them. Kubernetes documents it under "Configure the Aggregation Layer".

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{DistinguishedName, RootCertStore};
use tokio::sync::watch;

use super::identity::HeaderNames;
use super::server_tls::provider;
use super::{causes, x509};

/// Where it stands.
pub const NAMESPACE: &str = "kube-system";
/// Under which name.
pub const CONFIG_MAP: &str = "extension-apiserver-authentication";

const AUTHORITY: &str = "requestheader-client-ca-file";
const ALLOWED_NAMES: &str = "requestheader-allowed-names";
const USER_HEADERS: &str = "requestheader-username-headers";
const UID_HEADERS: &str = "requestheader-uid-headers";
const GROUP_HEADERS: &str = "requestheader-group-headers";
const EXTRA_PREFIXES: &str = "requestheader-extra-headers-prefix";

/// Why nobody can be vouched for.
#[derive(Debug, thiserror::Error)]
pub enum FrontProxyError {
    /// The cluster has no aggregation layer.
    #[error("{0} is missing: the API server runs without its --requestheader flags")]
    Missing(&'static str),
    /// There is no certificate in it.
    #[error("requestheader-client-ca-file holds no certificate")]
    NoCertificate,
    /// It is no list.
    #[error("{0} is no JSON list of texts")]
    NoList(&'static str),
}

/// Why a client is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It shows no certificate.
    #[error("a client certificate of the cluster's front proxy is needed")]
    NoCertificate,
    /// It shows one of somebody else, or an expired one.
    #[error("the client certificate is not one of the cluster's front proxy")]
    OtherAuthority,
    /// It is not one of the names that may pass requests on.
    #[error("the name in the client certificate is not allowed to pass requests on")]
    OtherName,
}

/// Whom to believe.
#[derive(Debug)]
pub struct FrontProxy {
    verifier: Arc<dyn ClientCertVerifier>,
    subjects: Vec<DistinguishedName>,
    allowed_names: Vec<String>,
    headers: HeaderNames,
}

impl FrontProxy {
    /// Reads the ConfigMap's data.
    ///
    /// # Errors
    /// Something is missing or not what it should be.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, FrontProxyError> {
        let authority = data.get(AUTHORITY).ok_or(FrontProxyError::Missing(AUTHORITY))?;
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(authority.as_bytes());
        roots.add_parsable_certificates(certificates.map_while(Result::ok));
        let subjects = roots.subjects();
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let headers = HeaderNames {
            user: list(data, USER_HEADERS)?,
            uid: list(data, UID_HEADERS)?,
            group: list(data, GROUP_HEADERS)?,
            extra_prefix: list(data, EXTRA_PREFIXES)?,
        };
        if headers.user.is_empty() {
            return Err(FrontProxyError::Missing(USER_HEADERS));
        }
        let verifier = builder.build().map_err(|_| FrontProxyError::NoCertificate)?;
        Ok(Self { verifier, subjects, allowed_names: list(data, ALLOWED_NAMES)?, headers })
    }

    /// The names of the authorities, so that clients know which certificate to show.
    pub fn subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    /// In which headers stands who asks.
    pub fn headers(&self) -> &HeaderNames {
        &self.headers
    }

    /// Whether a certificate with this name may pass requests on. No names: each one may.
    pub fn is_allowed(&self, common_name: &str) -> bool {
        self.allowed_names.is_empty() || self.allowed_names.iter().any(|name| name == common_name)
    }

    /// Whether the headers of a client with this certificate, followed by what leads to its authority, are to be
    /// believed.
    ///
    /// # Errors
    /// They are not.
    pub fn believe(&self, chain: &[CertificateDer<'_>], now_ms: u64) -> Result<(), Distrust> {
        let (certificate, others) = chain.split_first().ok_or(Distrust::NoCertificate)?;
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
        self.verifier.verify_client_cert(certificate, others, now).map_err(|_| Distrust::OtherAuthority)?;
        let name = x509::read(certificate).and_then(|facts| facts.common_name);
        let allowed = self.is_allowed(name.as_deref().unwrap_or_default());
        if allowed { Ok(()) } else { Err(Distrust::OtherName) }
    }
}

fn list(data: &BTreeMap<String, String>, name: &'static str) -> Result<Vec<String>, FrontProxyError> {
    // An API server without such a flag writes nothing, an empty text or `null`.
    let Some(text) = data.get(name).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let list: Option<Vec<String>> =
        serde_json::from_str(text).map_err(|_| FrontProxyError::NoList(name))?;
    Ok(list.unwrap_or_default())
}

/// What is known of the front proxy; none until it was read.
pub type Known = Option<Arc<FrontProxy>>;

/// A channel for [`watch_cluster`].
pub fn channel() -> (watch::Sender<Known>, watch::Receiver<Known>) {
    watch::channel(None)
}

/// Publishes what stands in the cluster, and again when it changes, until nobody listens. What was known stays while
/// the API server is away, and where what it says is damaged.
pub async fn watch_cluster(client: Client, published: watch::Sender<Option<Arc<FrontProxy>>>) {
    let config_maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let mut changes = pin!(watch_object(config_maps, CONFIG_MAP).default_backoff());
    let mut known = BTreeMap::new();
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = published.closed() => return,
        };
        let data = match change {
            Some(Ok(Some(config_map))) => config_map.data.unwrap_or_default(),
            Some(Ok(None)) => {
                tracing::warn!(
                    "there is no ConfigMap {NAMESPACE}/{CONFIG_MAP}: nobody can ask for metrics"
                );
                continue;
            }
            Some(Err(error)) => {
                tracing::warn!(error = causes(&error), "cannot watch ConfigMap {NAMESPACE}/{CONFIG_MAP}");
                continue;
            }
            None => return,
        };
        if data == known {
            continue;
        }
        match FrontProxy::parse(&data) {
            Ok(front_proxy) => {
                published.send_replace(Some(Arc::new(front_proxy)));
            }
            Err(error) => tracing::warn!(%error, "cannot use ConfigMap {NAMESPACE}/{CONFIG_MAP}"),
        }
        known = data;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName as Names, DnType, ExtendedKeyUsagePurpose,
        IsCa, Issuer, KeyPair,
    };
    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::certificates::{DAY_MS, now_ms};

    /// A front proxy's authority for tests, as PEM and able to issue.
    pub(crate) struct TestAuthority {
        pub(crate) pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    impl TestAuthority {
        pub(crate) fn new(name: &str) -> Self {
            let (key, mut params) = (KeyPair::generate().unwrap(), params(name));
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).unwrap().pem();
            Self { pem, issuer: Issuer::new(params, key) }
        }

        pub(crate) fn client(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
            let (key, mut params) = (KeyPair::generate().unwrap(), params(name));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            (vec![certificate.into()], key.into())
        }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = Names::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        params
    }

    /// What a cluster says of this authority.
    pub(crate) fn cluster(authority: &TestAuthority) -> BTreeMap<String, String> {
        let entries = [
            (AUTHORITY, authority.pem.as_str()),
            (ALLOWED_NAMES, r#"["front-proxy-client"]"#),
            (USER_HEADERS, r#"["X-Remote-User"]"#),
            (GROUP_HEADERS, r#"["X-Remote-Group"]"#),
            (EXTRA_PREFIXES, r#"["X-Remote-Extra-"]"#),
            ("client-ca-file", "of another purpose"),
        ];
        entries.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn what_a_cluster_says_is_read() {
        let front_proxy = FrontProxy::parse(&cluster(&TestAuthority::new("front-proxy-ca"))).unwrap();
        let one = |name: &str| vec![name.to_owned()];
        let headers = HeaderNames {
            user: one("X-Remote-User"),
            uid: Vec::new(),
            group: one("X-Remote-Group"),
            extra_prefix: one("X-Remote-Extra-"),
        };
        assert_eq!(front_proxy.headers(), &headers);
        assert_eq!(front_proxy.subjects().len(), 1);
        assert!(front_proxy.is_allowed("front-proxy-client"));
        assert!(!front_proxy.is_allowed("kubelet"));
    }

    #[test]
    fn no_names_are_all_names() {
        let mut data = cluster(&TestAuthority::new("ca"));
        for empty in [Some("[]"), Some("null"), Some(""), None] {
            data.remove(ALLOWED_NAMES);
            data.extend(empty.map(|text| (ALLOWED_NAMES.to_owned(), text.to_owned())));
            assert_eq!(
                FrontProxy::parse(&data).ok().map(|proxy| proxy.is_allowed("x")),
                Some(true),
                "{empty:?}"
            );
        }
    }

    #[test]
    fn only_its_certificates_with_its_names_are_believed() {
        let (authority, other) = (TestAuthority::new("ca"), TestAuthority::new("ca"));
        let front_proxy = FrontProxy::parse(&cluster(&authority)).unwrap();
        let believe = |(chain, _): (Vec<CertificateDer<'_>>, _), at| front_proxy.believe(&chain, at);
        let now = now_ms();
        assert_eq!(believe(authority.client("front-proxy-client"), now), Ok(()));
        assert_eq!(believe(authority.client("kubelet"), now), Err(Distrust::OtherName));
        assert_eq!(believe(other.client("front-proxy-client"), now), Err(Distrust::OtherAuthority));
        let expired = believe(authority.client("front-proxy-client"), now + 100 * 365 * DAY_MS);
        assert_eq!(expired, Err(Distrust::OtherAuthority));
        assert_eq!(front_proxy.believe(&[], now), Err(Distrust::NoCertificate));
    }

    #[test]
    fn damage_is_told() {
        let whole = cluster(&TestAuthority::new("ca"));
        let with = |name: &str, text: Option<&str>| {
            let mut data = whole.clone();
            data.remove(name);
            data.extend(text.map(|text| (name.to_owned(), text.to_owned())));
            FrontProxy::parse(&data).unwrap_err().to_string()
        };
        assert!(with(AUTHORITY, None).starts_with("requestheader-client-ca-file is missing"));
        assert_eq!(with(AUTHORITY, Some("x")), "requestheader-client-ca-file holds no certificate");
        assert!(with(USER_HEADERS, None).starts_with("requestheader-username-headers is missing"));
        let no_list = "requestheader-allowed-names is no JSON list of texts";
        assert_eq!(with(ALLOWED_NAMES, Some("front-proxy-client")), no_list);
    }
}
