//! The operator's own authority and the certificates that it issues. Time is an argument; keys come from the
//! crypto library's own randomness.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{DAY_MS, x509};

/// How long an authority is valid.
pub const AUTHORITY_LIFE_MS: u64 = 365 * DAY_MS;
/// How long a certificate is valid that it issues.
pub const LEAF_LIFE_MS: u64 = DAY_MS;
/// So far the clocks of machines may be apart: what is new is already valid for the others.
const CLOCKS_APART_MS: u64 = 5 * 60 * 1000;
/// The name in certificates of servers. Clients look at the DNS names.
const LEAF_NAME: &str = "docmill-operator";

/// Why there is no authority or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The crypto library refused.
    #[error("cannot make a key or a certificate")]
    Make(#[from] rcgen::Error),
    /// What is stored is no certificate.
    #[error("the authority's certificate is not readable PEM")]
    NoCertificate,
    /// What is stored is no key of ours.
    #[error("the authority's key is not readable as PKCS #8 PEM of ECDSA P-256")]
    NoKey,
    /// Certificate and key are not of each other.
    #[error("the authority's certificate and key do not belong together")]
    Unlike,
}

/// An authority that can issue.
pub struct Authority {
    pem: String,
    from_ms: u64,
    until_ms: u64,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate with its key, which never leaves the process.
pub struct Leaf {
    /// The certificate, without its authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    authority_pem: String,
    from_ms: u64,
    until_ms: u64,
}

/// A new authority: its certificate and its key as PEM.
///
/// # Errors
/// The crypto library refused.
pub fn create(now_ms: u64) -> Result<(String, String), AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // Each has a name of its own, so that nobody takes one for the other during the overlap.
    let mut params = named(&format!("docmill-operator-ca-{}", now_ms / 1000))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now_ms, AUTHORITY_LIFE_MS);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

impl Authority {
    /// Reads what [`create`] made.
    ///
    /// # Errors
    /// One of the two is damaged, or they are not of each other.
    pub fn parse(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes());
        let facts = der.ok().and_then(|der| x509::read(&der)).ok_or(AuthorityError::NoCertificate)?;
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(key_pem, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| AuthorityError::NoKey)?;
        if facts.public_key != key.public_key_raw() {
            return Err(AuthorityError::Unlike);
        }
        let name = facts.common_name.ok_or(AuthorityError::NoCertificate)?;
        let issuer = Issuer::new(named(&name)?, key);
        Ok(Self {
            pem: certificate_pem.to_owned(),
            from_ms: facts.from_ms,
            until_ms: facts.until_ms,
            issuer,
        })
    }

    /// Its certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// When a new one should take its place: a third of its life is left then.
    pub fn renew_at_ms(&self) -> u64 {
        self.until_ms - self.until_ms.saturating_sub(self.from_ms) / 3
    }

    /// A certificate of a server with these DNS names.
    ///
    /// # Errors
    /// A name is none, or the crypto library refused.
    pub fn issue(&self, names: &[String], now_ms: u64) -> Result<Leaf, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, LEAF_NAME);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, now_ms, LEAF_LIFE_MS);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            chain: vec![certificate.into()],
            key: key.into(),
            authority_pem: self.pem.clone(),
            from_ms: now_ms,
            until_ms: now_ms + LEAF_LIFE_MS,
        })
    }
}

impl Leaf {
    /// Whether a new one should take its place: half of its life is over, clients with this bundle would refuse it,
    /// or the clock was set to before its time.
    ///
    /// A new authority alone is no reason: the bundle holds the former one too, and clients learn of the new one
    /// only after us.
    pub fn is_due(&self, bundle: &str, now_ms: u64) -> bool {
        let half = self.from_ms + (self.until_ms - self.from_ms) / 2;
        now_ms >= half || now_ms + CLOCKS_APART_MS < self.from_ms || !bundle.contains(&self.authority_pem)
    }
}

fn named(common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// Valid from a little before now for so long.
fn valid(params: &mut CertificateParams, now_ms: u64, life_ms: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_millis(now_ms.saturating_sub(CLOCKS_APART_MS));
    params.not_after = epoch + Duration::from_millis(now_ms + life_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn authority() -> Authority {
        let (certificate, key) = create(NOW_MS).unwrap();
        Authority::parse(&certificate, &key).unwrap()
    }

    #[test]
    fn an_authority_is_renewed_with_a_third_left() {
        let authority = authority();
        assert_eq!(authority.until_ms, NOW_MS + AUTHORITY_LIFE_MS);
        let left = authority.until_ms - authority.renew_at_ms();
        assert!(left.abs_diff(AUTHORITY_LIFE_MS / 3) <= CLOCKS_APART_MS);
    }

    #[test]
    fn certificate_and_key_belong_together() {
        let ((certificate, key), (other, _)) = (create(NOW_MS).unwrap(), create(NOW_MS).unwrap());
        let parse = Authority::parse;
        assert!(matches!(parse(&other, &key), Err(AuthorityError::Unlike)));
        assert!(matches!(parse("", &key), Err(AuthorityError::NoCertificate)));
        assert!(matches!(parse(&certificate, "x"), Err(AuthorityError::NoKey)));
    }

    #[test]
    fn a_leaf_names_its_authority() {
        let (authority, names) = (authority(), ["a.b.svc".to_owned()]);
        let leaf = authority.issue(&names, NOW_MS).unwrap();
        let certificate = x509::read(&leaf.chain[0]).unwrap();
        assert_eq!(certificate.common_name.as_deref(), Some(LEAF_NAME));
        assert_eq!(certificate.from_ms, NOW_MS - CLOCKS_APART_MS);
        assert_eq!(certificate.until_ms, NOW_MS + LEAF_LIFE_MS);
    }

    #[test]
    fn a_leaf_is_due_at_half_and_when_nobody_trusts_it() {
        let (authority, names) = (authority(), ["a.b.svc".to_owned()]);
        let leaf = authority.issue(&names, NOW_MS).unwrap();
        let both = format!("{}{}", create(NOW_MS).unwrap().0, authority.pem());
        assert!(!leaf.is_due(&both, NOW_MS));
        assert!(!leaf.is_due(&both, NOW_MS + LEAF_LIFE_MS / 2 - 1));
        assert!(leaf.is_due(&both, NOW_MS + LEAF_LIFE_MS / 2));
        assert!(leaf.is_due(&both, NOW_MS - CLOCKS_APART_MS - 1));
        assert!(leaf.is_due(&create(NOW_MS).unwrap().0, NOW_MS));
    }
}
