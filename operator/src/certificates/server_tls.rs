//! TLS of the operator's servers: a certificate of our authority, renewed in place, and client certificates that are
//! asked for. A client without one, or with one of somebody else, still gets a connection, so that it can be told what
//! is wrong; each request is checked against [`FrontProxy`]. New connections use what is current.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio::sync::watch;

use super::authority::{AuthorityError, Leaf};
use super::front_proxy::FrontProxy;
use super::secret::Materials;
use super::{causes, now_ms};

/// How often somebody looks whether the certificate is due, by the wall clock.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Why a server has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate.
    #[error("cannot issue a certificate")]
    Issue(#[from] AuthorityError),
    /// The library refused.
    #[error("cannot use a certificate")]
    Use(#[from] rustls::Error),
}

/// What new connections of a server use; nothing until there is an authority.
#[derive(Debug, Default)]
pub struct ServerTls {
    current: ArcSwapOption<ServerConfig>,
}

impl ServerTls {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// For one connection.
    pub fn current(&self) -> Option<Arc<ServerConfig>> {
        self.current.load_full()
    }

    /// For connections from now on.
    pub fn set(&self, config: ServerConfig) {
        self.current.store(Some(Arc::new(config)));
    }
}

/// Issues certificates with these DNS names and keeps `tls` current, until one of the senders is gone.
pub async fn keep(
    tls: Arc<ServerTls>,
    names: Vec<String>,
    mut materials: Materials,
    mut front_proxies: watch::Receiver<Option<Arc<FrontProxy>>>,
) {
    let mut used: Option<(Leaf, Option<Arc<FrontProxy>>)> = None;
    loop {
        let material = materials.borrow_and_update().clone();
        let front_proxy = front_proxies.borrow_and_update().clone();
        if let Some(material) = material {
            let now_ms = now_ms();
            let kept = used.take().filter(|(leaf, _)| !leaf.is_due(material.bundle(), now_ms));
            used = match kept {
                Some((leaf, hinted)) if same(hinted.as_ref(), front_proxy.as_ref()) => Some((leaf, hinted)),
                kept => {
                    let leaf = kept.map_or_else(|| material.issue(&names, now_ms), |(leaf, _)| Ok(leaf));
                    let leaf = leaf.map_err(TlsError::from).and_then(|leaf| {
                        tls.set(server_config(&leaf, front_proxy.as_deref())?);
                        Ok(leaf)
                    });
                    let leaf = leaf.inspect_err(|error| tracing::error!("no TLS: {}", causes(error)));
                    leaf.ok().map(|leaf| (leaf, front_proxy))
                }
            };
        }
        let changed = tokio::select! {
            changed = materials.changed() => changed,
            changed = front_proxies.changed() => changed,
            () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
        };
        if changed.is_err() {
            return;
        }
    }
}

/// A server that proves itself with this certificate and asks clients for one of the front proxy.
///
/// # Errors
/// The library refused.
pub fn server_config(leaf: &Leaf, front_proxy: Option<&FrontProxy>) -> Result<ServerConfig, rustls::Error> {
    let provider = provider();
    let verifier = KeyHolders {
        hints: front_proxy.map(|front_proxy| front_proxy.subjects().to_vec()).unwrap_or_default(),
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(leaf.chain.clone(), leaf.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn same(one: Option<&Arc<FrontProxy>>, other: Option<&Arc<FrontProxy>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}

/// The one crypto library that is compiled in.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Takes every client that holds the key of the certificate that it shows. Whose certificate that is is asked with
/// each request.
#[derive(Debug)]
struct KeyHolders {
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for KeyHolders {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
