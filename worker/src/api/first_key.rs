//! A key that is there from the start: whoever makes a pipeline makes it, as a file, and the API sees to it that the
//! ledger knows it.

use std::io::Read as _;
use std::path::Path;

use docmill_core::id::TenantId;

use super::Error;
use super::auth::Scope;
use super::keys::{hash_of, id_of};
use crate::postgres::{self, Database, NewKey};

/// What people see that it is.
const LABEL: &str = "api.firstKeyFile";
/// What a key looks like.
const FORM: &str = "`docmill_`, 12 and, after another `_`, 64 digits of 0-9 and a-f";
/// Most of the file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 10;

/// What is to be known of the key; the key itself is not kept.
#[derive(Debug)]
pub(super) struct FirstKey {
    id: String,
    hash: [u8; 32],
}

impl FirstKey {
    /// Reads it.
    ///
    /// # Errors
    /// There is no file, or no key in it. None repeats what was read.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |what: String| Error::FirstKey { path: path.to_owned(), what };
        let mut text = String::new();
        let file = std::fs::File::open(path);
        let read = file.and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| wrong(format!("it cannot be read: {error}")))?;
        // Editors and `echo` end a file with a line end.
        let key = text.trim_end_matches(['\r', '\n']);
        let id = id_of(key).ok_or_else(|| wrong(format!("it does not hold {FORM}")))?;
        Ok(Self { id: id.to_owned(), hash: hash_of(key) })
    }

    /// Makes it known unless it is. One that was revoked stays so.
    ///
    /// # Errors
    /// The ledger did not answer.
    pub(super) async fn keep(&self, database: &Database) -> Result<(), postgres::Error> {
        let scopes = Scope::ALL.map(Scope::as_str);
        let key = NewKey {
            id: &self.id,
            secret_hash: self.hash,
            label: LABEL,
            tenant: &TenantId::default(),
            scopes: &scopes,
            lasts_ms: None,
        };
        if !database.ensure_key(&key).await? {
            let (id, what_to_do) = (&self.id, "put another into the file of api.firstKeyFile");
            tracing::error!(id, what_to_do, "another key has the name of the first key, which is not good");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::keys::generate;

    #[test]
    fn a_file_holds_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = generate().unwrap();
        let key = made.key.expose();
        for end in ["", "\n", "\r\n"] {
            std::fs::write(&path, format!("{key}{end}")).unwrap();
            let read = FirstKey::read(&path).unwrap();
            assert_eq!((&read.id, read.hash), (&made.id, hash_of(key)));
        }
        for bad in [String::new(), format!("{key}\n{key}"), format!(" {key}"), key.to_uppercase()] {
            std::fs::write(&path, &bad).unwrap();
            let said = FirstKey::read(&path).unwrap_err().to_string();
            assert!(said.contains("docmill_") && !said.contains(&made.id), "{said}");
        }
        std::fs::write(&path, [0xff_u8, 0xfe]).unwrap();
        assert!(FirstKey::read(&path).is_err() && FirstKey::read(dir.path()).is_err());
        let said = FirstKey::read(&dir.path().join("none")).unwrap_err().to_string();
        assert!(said.contains("cannot be read"), "{said}");
    }
}
