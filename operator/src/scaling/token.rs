//! What the operator shows to a pipeline's API: a signed token that is good for two minutes and for that pipeline only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;

/// Who signs.
pub const ISSUER: &str = "docmill-operator";
/// How long a token is good, in seconds.
pub const LASTS_S: u64 = 120;
/// A token with less time left than this is not shown any more, in seconds.
const LEFT_S: u64 = 60;

/// What makes a token impossible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key is none of ours.
    #[error("the signing key is not PKCS#8 in PEM: {0}")]
    Pem(String),
    /// Nothing can be signed with it.
    #[error("nothing can be signed with the key")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// Signs with one key.
pub struct Signer {
    key: EncodingKey,
    header: Header,
}

impl Signer {
    /// An Ed25519 key, PKCS#8 in PEM. The id tells the API which of its public keys to look at.
    ///
    /// # Errors
    /// It is no such key.
    pub fn from_pkcs8_pem(pem: &[u8], key_id: Option<String>) -> Result<Self, Error> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|error| Error::Pem(error.to_string()))?;
        let key = EncodingKey::from_ed_der(der.secret_pkcs8_der());
        let signer = Self { key, header: Header { kid: key_id, ..Header::new(Algorithm::EdDSA) } };
        // A key of another kind is found now, not at the first call.
        signer.sign("", 0)?;
        Ok(signer)
    }

    /// A token for that audience, which is the pipeline's UID. `now_s` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Nothing can be signed.
    pub fn sign(&self, audience: &str, now_s: u64) -> Result<String, Error> {
        let claims = Claims { iss: ISSUER, aud: audience, iat: now_s, exp: now_s.saturating_add(LASTS_S) };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.key)?)
    }
}

/// Tokens of all pipelines, each signed when it is first asked for and kept for a minute.
pub struct Tokens {
    signer: ArcSwap<Signer>,
    held: Mutex<HashMap<String, Held>>,
}

struct Held {
    token: Arc<str>,
    good_until_s: u64,
}

impl Tokens {
    /// None is signed yet.
    pub fn new(signer: Signer) -> Self {
        Self { signer: ArcSwap::from_pointee(signer), held: Mutex::default() }
    }

    /// Signs with another key from now on. Tokens of the one before are good until their time is over: the API knows
    /// both keys.
    pub fn sign_with(&self, signer: Signer) {
        self.signer.store(Arc::new(signer));
    }

    /// A token for that audience with at least a minute left.
    ///
    /// # Errors
    /// Nothing can be signed.
    pub fn token(&self, audience: &str, now_s: u64) -> Result<Arc<str>, Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not keep a token of the future.
        let is_good = |held: &&Held| {
            now_s.saturating_add(LEFT_S) <= held.good_until_s
                && held.good_until_s <= now_s.saturating_add(LASTS_S)
        };
        if let Some(held) = held.get(audience).filter(is_good) {
            return Ok(held.token.clone());
        }
        let token: Arc<str> = self.signer.load().sign(audience, now_s)?.into();
        let good_until_s = now_s.saturating_add(LASTS_S);
        held.insert(audience.to_owned(), Held { token: token.clone(), good_until_s });
        Ok(token)
    }

    /// Forgets the token of a pipeline that is no more.
    pub fn forget(&self, audience: &str) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(audience);
    }
}

#[cfg(test)]
pub(super) fn test_tokens() -> Tokens {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    Tokens::new(Signer::from_pkcs8_pem(key.serialize_pem().as_bytes(), None).unwrap())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use rcgen::KeyPair;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Shown {
        iss: String,
        aud: String,
        iat: u64,
        exp: u64,
    }

    #[test]
    fn the_other_side_can_check_it() {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let signer = Signer::from_pkcs8_pem(pair.serialize_pem().as_bytes(), Some("k1".into())).unwrap();
        let now_s = jsonwebtoken::get_current_timestamp();
        let token = signer.sign("uid-1", now_s).unwrap();
        let key = DecodingKey::from_ed_der(pair.public_key_raw());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["uid-1"]);
        validation.set_issuer(&[ISSUER]);
        let decoded = jsonwebtoken::decode::<Shown>(&token, &key, &validation).unwrap();
        assert_eq!(decoded.header.kid.as_deref(), Some("k1"));
        let Shown { iss, aud, iat, exp } = decoded.claims;
        assert_eq!((iss.as_str(), aud.as_str(), iat, exp), (ISSUER, "uid-1", now_s, now_s + 120));
        validation.set_audience(&["uid-2"]);
        assert!(jsonwebtoken::decode::<Shown>(&token, &key, &validation).is_err(), "for one pipeline only");
    }

    #[test]
    fn a_key_that_is_none_is_found_at_once() {
        let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        assert!(matches!(Signer::from_pkcs8_pem(b"no key", None), Err(Error::Pem(_))));
        let signer = Signer::from_pkcs8_pem(other.serialize_pem().as_bytes(), None);
        assert!(matches!(signer, Err(Error::Sign(_))));
    }

    #[test]
    fn a_token_is_kept_until_a_minute_is_left() {
        let tokens = test_tokens();
        let first = tokens.token("a", 1_000).unwrap();
        assert_eq!(tokens.token("a", 1_060).unwrap(), first);
        assert_ne!(tokens.token("b", 1_060).unwrap(), first);
        let second = tokens.token("a", 1_061).unwrap();
        assert_ne!(second, first);
        assert_ne!(tokens.token("a", 900).unwrap(), second, "the clock was set back");
        tokens.forget("a");
        assert_eq!(tokens.held.lock().unwrap().len(), 1);
    }
}
