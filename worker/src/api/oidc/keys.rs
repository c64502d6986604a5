//! The keys of an issuer, from the JSON that it publishes. What cannot be used is left out: other applications
//! of the issuer may need what we do not know.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// Algorithms of key pairs. Whoever has a secret that both sides know could make tokens with it, so none of HS*.
pub(super) const ASYMMETRIC: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Most keys of an issuer that are looked at.
const KEYS_MAX: usize = 100;

/// A public key.
#[derive(Clone)]
pub(super) struct Key {
    kid: String,
    /// What it may have signed: what it says, else all of its kind.
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl Key {
    /// For the library.
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    fn read(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let of_kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &ASYMMETRIC[..6],
            AlgorithmParameters::EllipticCurve(point) => match point.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA][..]
            }
            _ => return None,
        };
        let algorithms: Vec<Algorithm> = match jwk.common.key_algorithm {
            None => of_kind.to_vec(),
            Some(named) => {
                let named = Algorithm::try_from(named).ok()?;
                of_kind.iter().copied().filter(|algorithm| *algorithm == named).collect()
            }
        };
        let kid = jwk.common.key_id.clone()?;
        let usable = signs && !algorithms.is_empty();
        usable.then(|| DecodingKey::from_jwk(&jwk).ok()).flatten().map(|decoding| Self {
            kid,
            algorithms,
            decoding,
        })
    }
}

/// All keys of an issuer that can be used.
#[derive(Clone, Default)]
pub(super) struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads what the issuer published; none where it is no set of keys.
    pub(super) fn read(published: &Value) -> Option<Self> {
        let keys = published.get("keys")?.as_array()?;
        Some(Self(keys.iter().take(KEYS_MAX).filter_map(Key::read).collect()))
    }

    /// Whether none can be used.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many can be used.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is a key of this name, for whatever algorithm.
    pub(super) fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid == kid)
    }

    /// The key of this name that signs with this algorithm.
    pub(super) fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&Key> {
        self.0.iter().find(|key| key.kid == kid && key.algorithms.contains(&algorithm))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(more: &Value) -> Value {
        let mut key = json!({"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"});
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    #[test]
    fn a_key_signs_what_it_is_for() {
        let ec = |curve: &str| json!({"kty": "EC", "kid": "e", "crv": curve, "x": "AQAB", "y": "AQAB"});
        let cases = [
            (rsa(&json!({})), &ASYMMETRIC[..6]),
            (rsa(&json!({"alg": "PS384", "use": "sig"})), &[Algorithm::PS384]),
            (ec("P-256"), &[Algorithm::ES256]),
            (ec("P-384"), &[Algorithm::ES384]),
            (json!({"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": "AQAB"}), &[Algorithm::EdDSA]),
            // For another purpose, of another kind, shared, or without a name.
            (rsa(&json!({"use": "enc"})), &[]),
            (rsa(&json!({"alg": "RSA-OAEP"})), &[]),
            (rsa(&json!({"alg": "ES256"})), &[]),
            (rsa(&json!({"alg": "HS256"})), &[]),
            (rsa(&json!({"kid": null})), &[]),
            (ec("P-521"), &[]),
            (ec("secp256k1"), &[]),
            (json!({"kty": "OKP", "kid": "o", "crv": "X25519", "x": "AQAB"}), &[]),
            (json!({"kty": "oct", "kid": "s", "k": "AQAB"}), &[]),
            (json!({"kty": "new", "kid": "n"}), &[]),
            (json!("text"), &[]),
        ];
        for (key, expected) in cases {
            let set = KeySet::read(&json!({"keys": [key]})).unwrap();
            let kid = key["kid"].as_str().unwrap_or_default();
            let all = [ASYMMETRIC, &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]].concat();
            let found: Vec<Algorithm> =
                all.into_iter().filter(|algorithm| set.find(kid, *algorithm).is_some()).collect();
            assert_eq!(found, expected, "{key}");
        }
    }

    #[test]
    fn what_is_no_set_of_keys_is_none() {
        for text in ["[]", "{}", "5", r#"{"keys": 5}"#, r#"{"keys": {}}"#] {
            assert!(KeySet::read(&serde_json::from_str(text).unwrap()).is_none(), "{text}");
        }
        let many: Vec<Value> = (0..=KEYS_MAX).map(|n| rsa(&json!({"kid": n.to_string()}))).collect();
        let set = KeySet::read(&json!({"keys": many})).unwrap();
        assert_eq!((set.len(), set.has("99"), set.has("100")), (KEYS_MAX, true, false));
    }
}
