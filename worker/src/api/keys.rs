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
    }
}
