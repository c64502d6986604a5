//! The categories of a data directory: those that were given last are kept beside its database, so that a command
//! without any gives documents the same.

use std::io::Write;
use std::path::Path;

use super::Error;
use crate::classify::ClassifySettings;
use crate::{sqlite, whole_file};

/// Where they are, below the data directory.
const FILE: &str = "categories.json";

/// The categories that are given, which are kept; without any, those that were.
///
/// # Errors
/// The file cannot be read or written, or is damaged.
pub(super) fn of(data_dir: &Path, given: Option<&ClassifySettings>) -> Result<ClassifySettings, Error> {
    let path = data_dir.join(FILE);
    let unusable = |detail: String| {
        let detail = format!("{FILE}: {detail}");
        Error::from(sqlite::Error::Unusable { dir: data_dir.to_owned(), detail })
    };
    let kept = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => ClassifySettings::default(),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let Some(given) = given.filter(|given| **given != kept) else { return Ok(kept) };
    let text = serde_json::to_vec_pretty(given).map_err(|error| unusable(error.to_string()))?;
    whole_file::write(&path, |file| file.write_all(&text)).map_err(|error| unusable(error.to_string()))?;
    Ok(given.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_last_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let given = |lines: &[&str]| ClassifySettings::of_lines(lines.iter().copied()).unwrap();
        assert_eq!(of(dir.path(), None).unwrap(), ClassifySettings::default());
        let categories = given(&["letter=Dear Sir", "invoice"]);
        assert_eq!(of(dir.path(), Some(&categories)).unwrap(), categories);
        assert_eq!(of(dir.path(), None).unwrap(), categories);
        of(dir.path(), Some(&given(&[]))).unwrap();
        assert_eq!(of(dir.path(), None).unwrap().recipe(), None);
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(of(dir.path(), None).unwrap_err().to_string().contains(FILE));
    }
}
