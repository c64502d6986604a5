//! The documents that extraction is measured with, and independent text of each: what the package ships beside its PDF, or
//! what another program reads from a page before it is made a picture. `cargo xtask bench extract` assembles them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Name of the list of documents, in their folder.
const MANIFEST: &str = "MANIFEST.json";

/// Documents by what they are for.
#[derive(Debug, Clone, Deserialize)]
pub struct Corpus {
    /// Documents with a text layer, and their text from elsewhere.
    pub documents: Vec<Document>,
    /// Pages made pictures, a document a language.
    pub scans: Vec<Scan>,
    /// What a file pipeline gets: a third text, a third scans, a third both.
    pub workload: Vec<Scan>,
    /// Files larger than the memory that they may take; none where only a share is measured.
    #[serde(default)]
    pub large: Option<Large>,
}

/// A document with a text layer.
#[derive(Debug, Clone, Deserialize)]
pub struct Document {
    /// Short name.
    pub name: String,
    /// Its language.
    pub language: String,
    /// The file.
    pub pdf: PathBuf,
    /// Its text, from elsewhere.
    pub text: PathBuf,
    /// Whether speed is measured with it, too.
    #[serde(default)]
    pub is_timed: bool,
}

/// A document of which some pages are pictures.
#[derive(Debug, Clone, Deserialize)]
pub struct Scan {
    /// Short name.
    pub name: String,
    /// Its language.
    pub language: String,
    /// The language as Tesseract names it.
    pub tesseract: String,
    /// Whether its pictures are turned, blurred and full of noise.
    #[serde(default)]
    pub is_noisy: bool,
    /// The file.
    pub pdf: PathBuf,
    /// Its pages, in order.
    pub pages: Vec<PageTruth>,
}

/// A page of a [`Scan`].
#[derive(Debug, Clone, Deserialize)]
pub struct PageTruth {
    /// Whether it is a picture.
    pub scanned: bool,
    /// Its text, from before it was one.
    pub text: PathBuf,
}

/// Files larger than the memory that they may take.
#[derive(Debug, Clone, Deserialize)]
pub struct Large {
    /// Text, nothing in it packed.
    pub text: PathBuf,
    /// Pictures.
    pub scans: PathBuf,
    /// Pages of the pictures.
    pub scanned_pages: u32,
}

impl Corpus {
    /// Reads the list in the folder.
    ///
    /// # Errors
    /// There is none, or it is another version's.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("no {}: `cargo xtask bench extract` makes it", path.display()))?;
        let mut corpus: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is not understood", path.display()))?;
        corpus.resolve(folder);
        Ok(corpus)
    }

    /// Paths stand in the list as they are below its folder.
    fn resolve(&mut self, folder: &Path) {
        let below = |path: &mut PathBuf| *path = folder.join(&*path);
        for document in &mut self.documents {
            below(&mut document.pdf);
            below(&mut document.text);
        }
        for scan in self.scans.iter_mut().chain(&mut self.workload) {
            below(&mut scan.pdf);
            scan.pages.iter_mut().for_each(|page| below(&mut page.text));
        }
        if let Some(large) = &mut self.large {
            below(&mut large.text);
            below(&mut large.scans);
        }
    }

    /// Documents of one language that speed is measured with.
    pub fn timed(&self, language: &str) -> Vec<&Document> {
        let of_language = |document: &&Document| document.language == language && document.is_timed;
        self.documents.iter().filter(of_language).collect()
    }
}

impl Document {
    /// Its text, from elsewhere.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn truth(&self) -> Result<String> {
        read(&self.text)
    }
}

impl PageTruth {
    /// Its text, from before it was a picture.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn truth(&self) -> Result<String> {
        read(&self.text)
    }
}

/// Independent texts come in what their language was written in; what is not UTF-8 would be measured as our mistake.
fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {} as UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = serde_json::json!({
            "documents": [
                {"name": "a", "language": "en", "pdf": "documents/a.pdf", "text": "documents/a.txt", "is_timed": true},
                {"name": "b", "language": "en", "pdf": "documents/b.pdf", "text": "documents/b.txt"},
            ],
            "scans": [{"name": "en", "language": "en", "tesseract": "eng", "pdf": "scans/en.pdf",
                       "pages": [{"scanned": true, "text": "scans/en/1.txt"}]}],
            "workload": [],
        });
        std::fs::write(folder.path().join(MANIFEST), manifest.to_string()).unwrap();
        std::fs::create_dir_all(folder.path().join("scans/en")).unwrap();
        std::fs::write(folder.path().join("scans/en/1.txt"), "what it says").unwrap();
        let corpus = Corpus::load(folder.path()).unwrap();
        let timed: Vec<_> = corpus.timed("en").iter().map(|document| document.pdf.clone()).collect();
        assert_eq!(timed, [folder.path().join("documents/a.pdf")]);
        assert!(corpus.timed("de").is_empty() && corpus.large.is_none() && !corpus.scans[0].is_noisy);
        assert_eq!(corpus.scans[0].pages[0].truth().unwrap(), "what it says");
        assert!(Corpus::load(&folder.path().join("nowhere")).unwrap_err().to_string().contains(MANIFEST));
    }
}
