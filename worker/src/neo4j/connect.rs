//! New connections: TCP, TLS with a checked certificate, login; once, and within the time for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::bolt::{self, Connection, Login};
use super::options::Address;
use super::{Error, Options};
use crate::secret::Secret;

/// The way to a server.
pub(super) struct Connector {
    options: Options,
    address: Address,
    tls: Option<TlsConnector>,
}

impl Connector {
    pub(super) fn new(options: Options) -> Result<Self, Error> {
        options.validate()?;
        let address = options.address()?;
        let tls = match (address.tls, &options.tls_ca_file) {
            (false, _) => None,
            (true, Some(file)) => Some(connector(named(file)?)?),
            (true, None) => Some(connector(of_the_system()?)?),
        };
        Ok(Self { options, address, tls })
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let limit = Duration::from_millis(self.options.connect_timeout_ms);
        // One limit for all of it: a server that accepts and says nothing is none.
        let connected = tokio::time::timeout(limit, self.open()).await;
        connected.unwrap_or_else(|_| Err(bolt::Error::TimedOut(limit.as_millis()))).map_err(Error::from)
    }

    async fn open(&self) -> Result<Connection, bolt::Error> {
        let Address { host, port, .. } = &self.address;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        let login = Login {
            username: &self.options.username,
            password: self.options.password.as_ref().map(Secret::expose),
        };
        let Some(tls) = &self.tls else {
            return Connection::open(Box::new(stream), &login).await;
        };
        let name = ServerName::try_from(host.clone()).map_err(|_| {
            bolt::Error::Broken("the host has no name that a certificate could have".to_owned())
        })?;
        let stream = tls.connect(name, stream).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => bolt::Error::Broken(format!("TLS: {error}")),
            _ => bolt::Error::Broken(format!("TLS: {error}; does the server expect TLS here?")),
        })?;
        Connection::open(Box::new(stream), &login).await
    }
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, Error> {
    // Named, so that nothing depends on which provider the process has made its default.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Certificate(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn named(file: &Path) -> Result<RootCertStore, Error> {
    let failed = |what: String| Error::Certificate(format!("{}: {what}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

fn of_the_system() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    // One that cannot be read is one authority less, no reason to trust none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::Certificate("the system has none: name a file of authorities".to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        assert!(matches!(named(&file), Err(Error::Certificate(_))));
        std::fs::write(&file, "nothing").unwrap();
        assert!(matches!(named(&file), Err(Error::Certificate(_))));
    }
}
