//! Names of objects: what every back end can hold, a file system included.

use std::fmt;

use super::Error;

/// Longest name, in bytes: S3's limit.
const BYTES_MAX: usize = 1_024;
/// Longest part between two slashes, in bytes: the limit of file systems.
const PART_BYTES_MAX: usize = 255;
/// First part of the names that the volume keeps for itself.
pub(super) const RESERVED: &str = ".docmill";

/// The name of an object: parts that are neither empty nor `.` nor `..`, joined by slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Judges a name.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let part = |part: &str| {
            !part.is_empty()
                && part.len() <= PART_BYTES_MAX
                && part != "."
                && part != ".."
                && !part.contains(char::is_control)
        };
        let reserved = name.split('/').next() == Some(RESERVED);
        if name.len() > BYTES_MAX || reserved || !name.split('/').all(part) {
            return Err(Error::Name(name.chars().take(PART_BYTES_MAX).collect()));
        }
        // The client library's own idea of a name, so that it is never asked for another.
        match object_store::path::Path::parse(&name) {
            Ok(path) if path.as_ref() == name => Ok(Self(name)),
            _ => Err(Error::Name(name)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_volume() {
        for good in ["a", "a/b.pdf", "日本 語/x y", "...", ".hidden"] {
            assert_eq!(ObjectKey::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0", "a\nb", ".docmill/x"] {
            assert!(ObjectKey::new(bad).is_err(), "{bad:?}");
        }
        assert!(ObjectKey::new("x".repeat(256)).is_err());
    }
}
