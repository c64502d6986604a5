//! Tokens that the operator signs, for the address that is the operator's: they last two minutes at most, and are for
//! one pipeline alone.
//!
//! Whoever reads this pod, its configuration or its Secrets finds nothing that could be shown elsewhere: there are
//! only public keys. Their file is looked at again while the API runs, so that keys change without a restart.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, get_current_timestamp};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::config::OperatorSettings;

/// What the operator calls itself.
pub const ISSUER: &str = "docmill-operator";
/// Longest time from `iat` to `exp`, in seconds.
pub const LASTS_MAX_S: u64 = 120;
/// How far the operator's clock may be from ours, in seconds.
const LEEWAY_S: u64 = 5;
/// Longest token that is looked at, in bytes: the operator's have some hundreds.
const TOKEN_BYTES_MAX: usize = 2 << 10;
/// Time between two looks at the file of the keys.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most of the file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Most keys that are tried.
const KEYS_MAX: usize = 8;
/// What stands before the 32 bytes of a public key of Ed25519 (RFC 8410, section 4).
const BEFORE_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// See the module.
pub struct OperatorTokens {
    audience: String,
    path: PathBuf,
    validation: Validation,
    seen: Mutex<Seen>,
}

/// What was seen of the file last.
#[derive(Default)]
struct Seen {
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    keys: Arc<Vec<DecodingKey>>,
    /// What was logged last.
    word: String,
}

/// Tells one content of the file from another: time in seconds and nanoseconds, number of the file, size.
type Stamp = (i64, i64, u64, u64);

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
}

impl OperatorTokens {
    /// For this audience, by the keys in this file.
    pub fn new(settings: &OperatorSettings) -> Self {
        let OperatorSettings { audience, keys_file } = settings;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[audience]);
        validation.leeway = LEEWAY_S;
        Self { audience: audience.clone(), path: keys_file.clone(), validation, seen: Mutex::default() }
    }

    /// Whether the operator signed this for this pipeline, just now. Why not is for the log alone.
    pub fn accepts(&self, token: &str) -> bool {
        match self.judge(token) {
            Ok(()) => true,
            Err(reason) => {
                tracing::debug!(reason, "a token of the operator was refused");
                false
            }
        }
    }

    fn judge(&self, token: &str) -> Result<(), &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("it is too long");
        }
        // `none` and whatever else the library does not know is no header to it.
        let header = decode_header(token).map_err(|_| "it is no signed token of a known algorithm")?;
        if header.alg != Algorithm::EdDSA {
            return Err("its algorithm is not EdDSA");
        }
        // RFC 7515, 4.1.11: what we do not understand and must, we have to refuse.
        if header.crit.is_some() {
            return Err("it has critical extensions");
        }
        for key in self.keys().iter() {
            match decode::<Claims>(token, key, &self.validation) {
                Ok(decoded) => return decoded.claims.judge(&self.audience),
                Err(error) => match error.kind() {
                    ErrorKind::InvalidSignature => {}
                    ErrorKind::ExpiredSignature => return Err("it expired"),
                    ErrorKind::InvalidIssuer => return Err("its issuer is another"),
                    ErrorKind::InvalidAudience => return Err("it is for another pipeline"),
                    _ => return Err("it is malformed, or lacks `iss`, `aud`, `iat` or `exp`"),
                },
            }
        }
        Err("no key that is in the file now has signed it")
    }

    /// The keys, looked at again where the last look was a while ago. The file is small and on this machine.
    fn keys(&self) -> Arc<Vec<DecodingKey>> {
        // What is kept is replaced as a whole: a panic leaves nothing half done.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return seen.keys.clone();
        }
        seen.looked = Some(Instant::now());
        // Before the content: what is written in between has another stamp at the next look.
        let stamp = stamp(&self.path);
        if stamp.is_some() && stamp == seen.stamp {
            return seen.keys.clone();
        }
        let read = read(&self.path);
        // What cannot be read is tried again, whether it changes or not.
        seen.stamp = stamp.filter(|_| read.is_ok());
        let (keys, word) = match read {
            Ok(keys) if keys.is_empty() => (keys, "there is no public key of Ed25519 in it".to_owned()),
            Ok(keys) => (keys, String::new()),
            Err(error) => (Vec::new(), error.to_string()),
        };
        let path = self.path.display();
        if word.is_empty() {
            tracing::info!(%path, keys = keys.len(), "the operator's keys were read");
        } else if word != seen.word {
            tracing::warn!(%path, error = word, "no signed token is good: see api.operator.keysFile");
        }
        seen.word = word;
        seen.keys = Arc::new(keys);
        seen.keys.clone()
    }
}

impl Claims {
    fn judge(&self, audience: &str) -> Result<(), &'static str> {
        // The library takes lists that have them in it, too; the operator sends texts.
        if self.iss != ISSUER || self.aud != audience {
            return Err("it is for another pipeline, or of another issuer");
        }
        if self.exp <= self.iat || self.exp - self.iat > LASTS_MAX_S {
            return Err("it lasts too long");
        }
        if self.iat > get_current_timestamp().saturating_add(LEEWAY_S) {
            return Err("it is not valid yet");
        }
        Ok(())
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.mtime(), found.mtime_nsec(), found.ino(), found.size()))
}

fn read(path: &Path) -> std::io::Result<Vec<DecodingKey>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(keys_in(&text))
}

/// Public keys of Ed25519 in PEM; whatever else is there is left out.
fn keys_in(text: &[u8]) -> Vec<DecodingKey> {
    let found = SubjectPublicKeyInfoDer::pem_slice_iter(text).take(KEYS_MAX).flatten();
    let raw = |key: SubjectPublicKeyInfoDer<'_>| {
        let raw = key.strip_prefix(&BEFORE_ED25519)?;
        (raw.len() == 32).then(|| DecodingKey::from_ed_der(raw))
    };
    found.filter_map(raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8410, section 10.1.
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
                       MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                       -----END PUBLIC KEY-----\n";
    /// A point of P-256.
    const OTHER: &str = "-----BEGIN PUBLIC KEY-----\n\
                         MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n\
                         q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n\
                         -----END PUBLIC KEY-----\n";

    #[test]
    fn keys_of_the_right_kind_are_found() {
        let damaged = KEY.replace("MCow", "MC!w");
        for (text, count) in [
            (String::new(), 0),
            ("garbage".to_owned(), 0),
            (KEY.to_owned(), 1),
            (format!("# current\n{KEY}{KEY}"), 2),
            (format!("{OTHER}{KEY}"), 1),
            (KEY.repeat(KEYS_MAX + 1), KEYS_MAX),
            (KEY.replace("PUBLIC", "PRIVATE"), 0),
            (damaged, 0),
        ] {
            assert_eq!(keys_in(text.as_bytes()).len(), count, "{text}");
        }
    }

    #[test]
    fn without_keys_nobody_is_let_in() {
        let settings = OperatorSettings { audience: "a".to_owned(), keys_file: "/does/not/exist".into() };
        let tokens = OperatorTokens::new(&settings);
        // {"alg":"EdDSA"}, {"alg":"none"}, {"alg":"HS256"}
        for header in ["eyJhbGciOiJFZERTQSJ9", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9", "", "!"] {
            assert!(!tokens.accepts(&format!("{header}.e30.")), "{header}");
        }
        assert!(!tokens.accepts("") && !tokens.accepts(&"x".repeat(TOKEN_BYTES_MAX + 1)));
    }
}
