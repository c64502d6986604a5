//! How the material lies in the Secret, and what is due.

use std::collections::BTreeMap;
use std::fmt;

use super::DAY_MS;
use super::authority::{self, Authority, AuthorityError, Leaf};
use super::tokens::{self, TokenError, TokenKey};

/// The authority's certificate; these are the names in the Secret.
pub const AUTHORITY: &str = "ca.crt";
/// Its key.
pub const AUTHORITY_KEY: &str = "ca.key";
/// The authority before it, while certificates of it are in use.
pub const PREVIOUS_AUTHORITY: &str = "previous-ca.crt";
/// The key that signs tokens.
pub const TOKEN_KEY: &str = "token.key";
/// Its public half.
pub const TOKEN_PUBLIC: &str = "token.pub";
/// When it was made, in milliseconds since the Unix epoch.
pub const TOKEN_CREATED: &str = "token.created";
/// The public half of the key before it.
pub const PREVIOUS_TOKEN_PUBLIC: &str = "previous-token.pub";
/// When all this was written: each writing has a later time than the one before it, whatever the clocks say.
pub const WRITTEN: &str = "written";
/// All of them.
pub const NAMES: [&str; 8] = [
    AUTHORITY,
    AUTHORITY_KEY,
    PREVIOUS_AUTHORITY,
    TOKEN_KEY,
    TOKEN_PUBLIC,
    TOKEN_CREATED,
    PREVIOUS_TOKEN_PUBLIC,
    WRITTEN,
];

/// How long a key signs tokens.
pub const TOKEN_KEY_LIFE_MS: u64 = 90 * DAY_MS;

/// Why the material cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// A part is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A time is none.
    #[error("{0} is no number of milliseconds")]
    NoTime(&'static str),
    /// The authority is damaged or cannot be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The key of tokens is damaged or cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What is to be done with the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// There is none yet.
    Create,
    /// The authority is in the last third of its life.
    RenewAuthority,
    /// The key of tokens is old.
    RenewTokenKey,
}

/// What the Secret holds: readable, and of one piece.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    data: BTreeMap<&'static str, String>,
    renew_authority_at_ms: u64,
    token_created_ms: u64,
    written_ms: u64,
}

/// What the operator works with.
pub struct Material {
    authority: Authority,
    bundle: String,
    tokens: TokenKey,
}

/// What is due at this time, the most urgent first.
pub fn what_is_due(stored: Option<&Stored>, now_ms: u64) -> Due {
    match stored {
        None => Due::Create,
        Some(stored) if now_ms >= stored.renew_authority_at_ms => Due::RenewAuthority,
        Some(stored) if now_ms >= stored.token_created_ms.saturating_add(TOKEN_KEY_LIFE_MS) => {
            Due::RenewTokenKey
        }
        Some(_) => Due::Nothing,
    }
}

impl Stored {
    /// Reads what the Secret holds; none where it holds nothing.
    ///
    /// # Errors
    /// A part is missing or damaged.
    pub fn read(files: &BTreeMap<&'static str, String>) -> Result<Option<Self>, StoredError> {
        if files.is_empty() {
            return Ok(None);
        }
        Self::of(files.clone()).map(Some)
    }

    /// New material.
    ///
    /// # Errors
    /// The crypto library refused.
    pub fn create(now_ms: u64) -> Result<Self, StoredError> {
        let (authority, authority_key) = authority::create(now_ms)?;
        let (token_key, token_public) = tokens::create()?;
        Self::of(BTreeMap::from([
            (AUTHORITY, authority),
            (AUTHORITY_KEY, authority_key),
            (TOKEN_KEY, token_key),
            (TOKEN_PUBLIC, token_public),
            (TOKEN_CREATED, now_ms.to_string()),
            (WRITTEN, now_ms.to_string()),
        ]))
    }

    /// The same with what is due done.
    ///
    /// # Errors
    /// The crypto library refused.
    pub fn with(&self, due: Due, now_ms: u64) -> Result<Self, StoredError> {
        let later_ms = now_ms.max(self.written_ms + 1);
        let mut data = self.data.clone();
        match due {
            Due::Nothing => return Ok(self.clone()),
            // Somebody deleted the Secret on purpose: nothing of the former one is trusted any longer.
            Due::Create => data = Self::create(now_ms)?.data,
            Due::RenewAuthority => {
                let (authority, key) = authority::create(now_ms)?;
                keep_previous(&mut data, AUTHORITY, PREVIOUS_AUTHORITY, authority);
                data.insert(AUTHORITY_KEY, key);
            }
            Due::RenewTokenKey => {
                let (key, public) = tokens::create()?;
                keep_previous(&mut data, TOKEN_PUBLIC, PREVIOUS_TOKEN_PUBLIC, public);
                data.insert(TOKEN_KEY, key);
                data.insert(TOKEN_CREATED, now_ms.to_string());
            }
        }
        data.insert(WRITTEN, later_ms.to_string());
        Self::of(data)
    }

    /// What the Secret holds, by name.
    pub fn data(&self) -> &BTreeMap<&'static str, String> {
        &self.data
    }

    /// When it was written: what has the later time is the newer one.
    pub fn written_ms(&self) -> u64 {
        self.written_ms
    }

    /// What the operator works with.
    ///
    /// # Errors
    /// None in practice: it was read once already.
    pub fn material(&self) -> Result<Material, StoredError> {
        let authority = Authority::parse(part(&self.data, AUTHORITY)?, part(&self.data, AUTHORITY_KEY)?)?;
        // The former authority stays until the next change: an expired one harms nobody.
        let previous = self.data.get(PREVIOUS_AUTHORITY).map_or("", String::as_str);
        let bundle = format!("{}{previous}", authority.pem());
        let before = self.data.get(PREVIOUS_TOKEN_PUBLIC).map(String::as_str);
        let tokens = TokenKey::parse(part(&self.data, TOKEN_KEY)?, before)?;
        Ok(Material { authority, bundle, tokens })
    }

    fn of(data: BTreeMap<&'static str, String>) -> Result<Self, StoredError> {
        let token_created_ms = time(&data, TOKEN_CREATED)?;
        let written_ms = time(&data, WRITTEN)?;
        part(&data, TOKEN_PUBLIC)?;
        let mut stored = Self { data, renew_authority_at_ms: 0, token_created_ms, written_ms };
        stored.renew_authority_at_ms = stored.material()?.authority.renew_at_ms();
        Ok(stored)
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the keys.
        formatter.debug_struct("Stored").field("written_ms", &self.written_ms).finish_non_exhaustive()
    }
}

impl Material {
    /// The certificates that clients of ours should trust, as PEM: the authority, then the one before it.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// A certificate of a server with these DNS names, valid for a day.
    ///
    /// # Errors
    /// A name is none, or the crypto library refused.
    pub fn issue(&self, names: &[String], now_ms: u64) -> Result<Leaf, AuthorityError> {
        self.authority.issue(names, now_ms)
    }

    /// The key of the tokens that pipelines are shown.
    pub fn tokens(&self) -> &TokenKey {
        &self.tokens
    }

    /// The public keys of tokens as a JSON Web Key Set, for the pipelines' ConfigMaps.
    pub fn public_pem(&self) -> String {
        self.tokens.public_pem()
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Material").finish_non_exhaustive()
    }
}

/// Puts the new one in place; what was there becomes the previous one.
fn keep_previous(
    data: &mut BTreeMap<&'static str, String>,
    name: &'static str,
    previous: &'static str,
    new: String,
) {
    if let Some(old) = data.insert(name, new) {
        data.insert(previous, old);
    }
}

fn part<'a>(data: &'a BTreeMap<&'static str, String>, name: &'static str) -> Result<&'a str, StoredError> {
    data.get(name).map(String::as_str).ok_or(StoredError::Missing(name))
}

fn time(data: &BTreeMap<&'static str, String>, name: &'static str) -> Result<u64, StoredError> {
    part(data, name)?.trim().parse().map_err(|_| StoredError::NoTime(name))
}

#[cfg(test)]
mod tests {
    use super::super::authority::AUTHORITY_LIFE_MS;
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;
    const HOUR_MS: u64 = DAY_MS / 24;

    #[test]
    fn nothing_stored_is_created() {
        assert_eq!(what_is_due(None, NOW_MS), Due::Create);
        let stored = Stored::create(NOW_MS).unwrap();
        assert_eq!(what_is_due(Some(&stored), NOW_MS), Due::Nothing);
    }

    #[test]
    fn keys_of_tokens_last_ninety_days() {
        let stored = Stored::create(NOW_MS).unwrap();
        let due = |days: u64| what_is_due(Some(&stored), NOW_MS + days * DAY_MS);
        assert_eq!((due(89), due(90)), (Due::Nothing, Due::RenewTokenKey));
    }

    #[test]
    fn the_authority_is_renewed_first() {
        let stored = Stored::create(NOW_MS).unwrap();
        let third_left_ms = NOW_MS + AUTHORITY_LIFE_MS / 3 * 2;
        assert_eq!(what_is_due(Some(&stored), third_left_ms - HOUR_MS), Due::RenewTokenKey);
        assert_eq!(what_is_due(Some(&stored), third_left_ms + HOUR_MS), Due::RenewAuthority);
    }

    #[test]
    fn what_is_written_is_read() {
        let stored = Stored::create(NOW_MS).unwrap().with(Due::RenewTokenKey, NOW_MS).unwrap();
        assert_eq!(Stored::read(stored.data()).unwrap().as_ref(), Some(&stored));
        assert_eq!(Stored::read(&BTreeMap::new()).unwrap(), None);
    }

    #[test]
    fn a_new_authority_leaves_the_former_one_in_the_bundle() {
        let before = Stored::create(NOW_MS).unwrap();
        let after = before.with(Due::RenewAuthority, NOW_MS + HOUR_MS).unwrap();
        let (old, new) = (before.material().unwrap(), after.material().unwrap());
        assert!(new.bundle().ends_with(old.bundle()));
        assert_eq!(new.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        assert_eq!(new.public_pem(), old.public_pem());
        // Only the newest two are kept.
        let third = after.with(Due::RenewAuthority, NOW_MS + 2 * HOUR_MS).unwrap().material().unwrap();
        assert_eq!(third.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        assert!(!third.bundle().contains(old.bundle()));
    }

    #[test]
    fn each_writing_is_later_than_the_one_before() {
        let stored = Stored::create(NOW_MS).unwrap();
        let clock_behind = stored.with(Due::RenewTokenKey, NOW_MS - HOUR_MS).unwrap();
        assert_eq!(clock_behind.written_ms(), NOW_MS + 1);
        assert_eq!(clock_behind.token_created_ms, NOW_MS - HOUR_MS);
        let deleted = clock_behind.with(Due::Create, NOW_MS).unwrap();
        assert_eq!(deleted.written_ms(), NOW_MS + 2);
        assert_eq!(deleted.data().get(PREVIOUS_TOKEN_PUBLIC), None);
    }

    #[test]
    fn damage_is_told() {
        let stored = Stored::create(NOW_MS).unwrap();
        let without = |name: &str| {
            let kept = stored.data().iter().filter(|(part, _)| **part != name);
            Stored::read(&kept.map(|(name, text)| (*name, text.clone())).collect())
        };
        for name in [AUTHORITY, AUTHORITY_KEY, TOKEN_KEY, TOKEN_PUBLIC, TOKEN_CREATED, WRITTEN] {
            assert!(matches!(without(name), Err(StoredError::Missing(missing)) if missing == name));
        }
        let mut data = stored.data().clone();
        data.insert(WRITTEN, "yesterday".to_owned());
        assert!(matches!(Stored::read(&data), Err(StoredError::NoTime(WRITTEN))));
        data.insert(WRITTEN, "1".to_owned());
        data.insert(AUTHORITY, "x".to_owned());
        assert!(matches!(Stored::read(&data), Err(StoredError::Authority(AuthorityError::NoCertificate))));
    }

    #[test]
    fn keys_are_not_shown() {
        let stored = Stored::create(NOW_MS).unwrap();
        assert!(!format!("{stored:?} {:?}", stored.material().unwrap()).contains("KEY"));
    }
}
