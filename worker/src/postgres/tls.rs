//! TLS to the server: always with a checked certificate, by the one cryptography provider of the workspace.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Error;

/// A connector that trusts the authorities in the file and no others.
pub(super) fn connector(authorities: &Path) -> Result<MakeRustlsConnect, Error> {
    let failed = |what: String| Error::Certificate(format!("{}: {what}", authorities.display()));
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(authorities).map_err(|error| failed(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    // Named, so that nothing depends on which provider the process has made its default.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        assert!(matches!(connector(&file), Err(Error::Certificate(_))));
        std::fs::write(&file, "nothing").unwrap();
        assert!(matches!(connector(&file), Err(Error::Certificate(_))));
    }
}
