//! Files that are made to hurt who reads them: a list of 66 inputs by their numbers, with what must come of each. They are
//! made anew for each run and kept nowhere: some unpack to gigabytes.

mod archive;
mod image;
mod mail;
mod objects;
mod office;
pub(crate) mod packed;
mod pdf;
mod pdf_more;
mod text;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use docmill_core::failure::FailureCode;

/// How many inputs the list has; each is at least one file.
pub const NUMBERS: u32 = 66;

/// What the files speak of: an address that nobody may call, and a file that nobody may read.
#[derive(Debug, Clone)]
pub struct World {
    /// Host and port of a listener.
    pub address: String,
    /// A file with a word in it that no document's text may have.
    pub secret: PathBuf,
}

impl World {
    /// An address below that of the listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The file that nobody may read, as an address.
    pub fn secret_url(&self) -> String {
        format!("file://{}", self.secret.display())
    }
}

/// How a file gets its bytes.
pub enum Content {
    /// They are here.
    Bytes(Vec<u8>),
    /// They are written: there are too many to hold.
    Written(fn(&mut File) -> io::Result<()>),
}

/// One file.
pub struct Made {
    /// Its place in the list.
    pub number: u32,
    /// The name that the document has. The file on disk has another: this one may be none that a disk takes.
    pub name: String,
    /// What is in it.
    pub content: Content,
    /// What must come of it: a class, see [`super::class`].
    pub class: &'static str,
    /// What the reason must say.
    pub says: &'static str,
    /// What its text must have.
    pub holds: Vec<String>,
    /// What its text must not have.
    pub lacks: Vec<String>,
    /// How often it is handed in at once.
    pub times: usize,
}

/// A file that is read like any other.
fn made(number: u32, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Made {
    Made {
        number,
        name: name.into(),
        content: Content::Bytes(bytes.into()),
        class: super::class::READ,
        says: "",
        holds: Vec::new(),
        lacks: Vec::new(),
        times: 1,
    }
}

impl Made {
    /// Fails with this code and a reason that says this.
    fn fails(mut self, code: FailureCode, says: &'static str) -> Self {
        (self.class, self.says) = (code.as_str(), says);
        self
    }

    /// Loses a part of it, with a note that says this.
    fn partial(mut self, says: &'static str) -> Self {
        (self.class, self.says) = (super::class::PARTIAL, says);
        self
    }

    fn holds(mut self, text: impl Into<String>) -> Self {
        self.holds.push(text.into());
        self
    }

    fn lacks(mut self, text: impl Into<String>) -> Self {
        self.lacks.push(text.into());
        self
    }

    /// Puts its bytes there.
    ///
    /// # Errors
    /// The disk did not take them.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        match &self.content {
            Content::Bytes(bytes) => std::fs::write(path, bytes),
            Content::Written(write) => write(&mut File::create(path)?),
        }
    }
}

/// Makes some of the files.
pub type Group = fn(&World) -> Vec<Made>;

/// All of them, a group at a time: all at once would be hundreds of megabytes.
pub const GROUPS: &[Group] =
    &[pdf::files, pdf_more::files, office::files, archive::files, text::files, image::files, mail::files];

/// Those of them that are hostile by their names, or by the names of what is in them.
pub fn by_name() -> Vec<Made> {
    archive::names().into_iter().chain(text::names()).collect()
}

/// A document that nothing is wrong with, and what its text is.
pub fn healthy() -> (Vec<u8>, &'static str) {
    (objects::simple(objects::LINE), objects::LINE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_has_a_file_and_every_class_is_one() {
        let world = World { address: "127.0.0.1:9".to_owned(), secret: PathBuf::from("/nowhere/secret") };
        let mut numbers = BTreeSet::new();
        for group in GROUPS {
            for made in group(&world) {
                assert!(super::super::class::is_known(made.class), "{}: {}", made.name, made.class);
                let is_read =
                    matches!(made.class, super::super::class::READ | super::super::class::PARTIAL);
                assert!(is_read || made.holds.is_empty(), "{} has no text", made.name);
                numbers.insert(made.number);
            }
        }
        assert_eq!(numbers, (1..=NUMBERS).collect());
    }
}
