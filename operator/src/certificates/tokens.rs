//! The key of the tokens that the operator shows to pipelines (`scaling::token` signs them): Ed25519, with its public
//! half and the one before it as pipelines get them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// What stands before the 32 bytes of an Ed25519 public key in its DER form (RFC 8410).
const ED25519_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The crypto library refused.
    #[error("cannot make a key")]
    Make(#[from] rcgen::Error),
    /// What is stored is no key of ours.
    #[error("the key of tokens is not readable as PKCS #8 PEM of Ed25519")]
    NoKey,
    /// What is stored is no public key of ours.
    #[error("a public key of tokens is not readable as PEM of Ed25519")]
    NoPublicKey,
}

/// The key that signs tokens, and with which keys they are to be checked.
pub struct TokenKey {
    pem: String,
    kid: String,
    public: Vec<u8>,
    previous: Option<Vec<u8>>,
}

/// A new key: the private half and the public one as PEM.
///
/// # Errors
/// The crypto library refused.
pub fn create() -> Result<(String, String), TokenError> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

impl TokenKey {
    /// Reads what [`create`] made; and the public half of the key before it, whose tokens are still on their way.
    ///
    /// # Errors
    /// One of them is damaged.
    pub fn parse(key_pem: &str, previous_public_pem: Option<&str>) -> Result<Self, TokenError> {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(key_pem, &PKCS_ED25519);
        let public = key.map_err(|_| TokenError::NoKey)?.public_key_raw().to_vec();
        let previous = previous_public_pem.map(raw_public).transpose()?;
        Ok(Self { pem: key_pem.to_owned(), kid: kid(&public), public, previous })
    }

    /// The private half, PKCS #8 as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its name, which follows from the public half.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public keys as PEM, the current one first: what API pods check tokens with.
    pub fn public_pem(&self) -> String {
        [Some(&self.public), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .map(|public| pem(public))
            .collect()
    }
}

fn pem(public: &[u8]) -> String {
    let der: Vec<u8> = ED25519_HEAD.iter().chain(public).copied().collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

fn kid(public: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(public).into();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn raw_public(pem: &str) -> Result<Vec<u8>, TokenError> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|_| TokenError::NoPublicKey)?;
    let raw = der.as_ref().strip_prefix(&ED25519_HEAD).filter(|raw| raw.len() == 32);
    raw.map(<[u8]>::to_vec).ok_or(TokenError::NoPublicKey)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use serde_json::{Value, json};

    use super::*;
    use crate::certificates::now_ms;

    #[test]
    fn what_the_key_signs_is_checked_with_the_published_one() {
        let (pem, _) = create().unwrap();
        let key = TokenKey::parse(&pem, None).unwrap();
        let der = PrivatePkcs8KeyDer::from_pem_slice(key.pem().as_bytes()).unwrap();
        let claims = json!({"aud": "uid-1", "exp": now_ms() / 1000 + 120});
        let private = EncodingKey::from_ed_der(der.secret_pkcs8_der());
        let token = encode(&Header::new(Algorithm::EdDSA), &claims, &private).unwrap();
        let public = DecodingKey::from_ed_der(&raw_public(&key.public_pem()).unwrap());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["uid-1"]);
        assert_eq!(decode::<Value>(&token, &public, &validation).unwrap().claims, claims);
    }

    #[test]
    fn the_previous_public_key_is_published_too() {
        let ((first, public), (second, _)) = (create().unwrap(), create().unwrap());
        let before = TokenKey::parse(&first, None).unwrap().public_pem();
        let after = TokenKey::parse(&second, Some(&public)).unwrap().public_pem();
        assert!(after.ends_with(&before) && !after.starts_with(&before));
    }

    #[test]
    fn damage_is_told() {
        let (key, public) = create().unwrap();
        assert!(matches!(TokenKey::parse(&public, None), Err(TokenError::NoKey)));
        assert!(matches!(TokenKey::parse(&key, Some("x")), Err(TokenError::NoPublicKey)));
    }
}
