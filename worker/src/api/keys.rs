//! Keys of the API: 256 random bits after a name that may be shown. The ledger has only their SHA-256, so that
//! whoever reads it can use none.

use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// What every key begins with, so that scanners of code find one that was published.
const MARK: &str = "docmill";
/// Bytes of a name.
const ID_BYTES: usize = 6;
/// Bytes that make a key unguessable.
const SECRET_BYTES: usize = 32;

/// A new key.
pub struct Generated {
    /// Its name, which may be shown.
    pub id: String,
    /// The key itself; shown once, kept nowhere.
    pub key: Secret,
}

/// Draws a key.
///
/// # Errors
/// The system has no random numbers.
pub fn generate() -> Result<Generated, getrandom::Error> {
    let id = random_hex(ID_BYTES)?;
    let key = Secret::new(format!("{MARK}_{id}_{}", random_hex(SECRET_BYTES)?));
    Ok(Generated { id, key })
}

/// The name that a key says it has; none where it has not the form of one: `docmill_`, 12 and, after another `_`, 64
/// digits of 0-9 and a-f. Whoever makes a key elsewhere draws all of them at random.
pub fn id_of(key: &str) -> Option<&str> {
    let (id, secret) = key.strip_prefix(MARK)?.strip_prefix('_')?.split_once('_')?;
    let digits = |text: &str, bytes: usize| {
        text.len() == 2 * bytes && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    (digits(id, ID_BYTES) && digits(secret, SECRET_BYTES)).then_some(id)
}

/// What the ledger keeps of a key.
pub fn hash_of(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// So many random bytes, in hexadecimal digits.
///
/// # Errors
/// The system has no random numbers.
pub fn random_hex(bytes: usize) -> Result<String, getrandom::Error> {
    let mut drawn = vec![0; bytes];
    getrandom::fill(&mut drawn)?;
    Ok(hex(&drawn))
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keys_are_equal_and_none_prints() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.key.expose(), two.key.expose());
        assert!(one.key.expose().starts_with(&format!("docmill_{}_", one.id)));
        assert_eq!(one.key.expose().len(), MARK.len() + 2 + 2 * (ID_BYTES + SECRET_BYTES));
        assert!(!format!("{:?}", one.key).contains(&one.id));
        assert_eq!(id_of(one.key.expose()), Some(one.id.as_str()));
    }

    #[test]
    fn what_has_another_form_is_no_key() {
        let good = format!("docmill_{}_{}", "0a".repeat(ID_BYTES), "1b".repeat(SECRET_BYTES));
        assert!(id_of(&good).is_some());
        for bad in [
            String::new(),
            "docmill_x_y".to_owned(),
            good[1..].to_owned(),
            good[..good.len() - 1].to_owned(),
            format!("{good}0"),
            format!("{good}_"),
            good.to_uppercase(),
            good.replace("1b", "1g"),
            good.replace('_', "-"),
        ] {
            assert_eq!(id_of(&bad), None, "{bad}");
        }
    }
}
