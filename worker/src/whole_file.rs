//! Files that nobody sees half-written: they get their name when they are complete and on disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// Writes the file beside its place, as `NAME.part`, and renames it when the writing succeeded.
///
/// # Errors
/// The writer's own, or the file cannot be made, written or renamed; a file of that name is as it was.
pub fn write<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = File::create(&part)?;
    let written = write(&mut file)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_writing_that_fails_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        write(&path, |file| file.write_all(b"first")).unwrap();
        let failed: io::Result<()> = write(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
    }
}
