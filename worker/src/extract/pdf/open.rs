//! From bytes to a document: passwords, repair of what is damaged, and in plain words why neither helped.

use docmill_core::failure::{Failure, FailureCode};
use pdfium_render::prelude::*;

use super::repair::{self, Tree};
use super::shared::Shared;
use crate::extract::passwords::locked;
use crate::extract::source::Source;
use crate::secret::Secret;

/// Pages of which one must have something on it, or the document is taken for damaged.
const PAGES_LOOKED_AT: PdfPageIndex = 8;

/// A document, and how it was come by.
pub(super) struct Opened<'a> {
    pub document: PdfDocument<'a>,
    /// What it is read from.
    pub file: Shared,
    /// What was done to it, for the notes of its pages.
    pub repair: Option<&'static str>,
}

/// Opens a document: with no password, then with each of these, then what can be repaired of it.
pub(super) fn open<'a>(
    pdfium: &'a Pdfium,
    file: &Shared,
    passwords: &[Secret],
) -> Result<Opened<'a>, Failure> {
    match load(pdfium, file, passwords) {
        Ok(document) => Ok(Opened { document, file: file.clone(), repair: None }),
        Err(error) if may_be_damaged(&error) => {
            second_opinion(pdfium, file, passwords).ok_or_else(|| failure(&error, passwords.len()))
        }
        Err(error) => Err(failure(&error, passwords.len())),
    }
}

/// What is to be read in place of a document that opened with nothing on its pages, unless it is repaired already.
pub(super) fn in_place_of<'a>(
    opened: &Opened<'_>,
    pdfium: &'a Pdfium,
    file: &Shared,
    passwords: &[Secret],
) -> Option<Opened<'a>> {
    if opened.repair.is_some() || has_content(&opened.document) {
        return None;
    }
    second_opinion(pdfium, file, passwords)
}

/// The document as it is after a repair, if there is something on its pages then.
fn second_opinion<'a>(pdfium: &'a Pdfium, file: &Shared, passwords: &[Secret]) -> Option<Opened<'a>> {
    let found = repair::scan(file.whole(repair::BYTES_MAX)?)?;
    let trees = [
        (Tree::Found, "the file is damaged and was read from a repaired copy"),
        (
            Tree::Made,
            "the file is damaged and was read from a repaired copy, whose pages may lack or be out of order",
        ),
    ];
    trees.into_iter().find_map(|(tree, repair)| {
        let copy = Shared::new(Source::memory(found.rebuilt(tree)?));
        let document = load(pdfium, &copy, passwords).ok()?;
        has_content(&document).then_some(Opened { document, file: copy, repair: Some(repair) })
    })
}

/// Whether there is anything on the first pages. Of a whole document there is.
fn has_content(document: &PdfDocument<'_>) -> bool {
    let pages = document.pages();
    (0..pages.len().min(PAGES_LOOKED_AT))
        .any(|number| pages.get(number).is_ok_and(|page| !page.objects().is_empty()))
}

fn load<'a>(
    pdfium: &'a Pdfium,
    file: &Shared,
    passwords: &[Secret],
) -> Result<PdfDocument<'a>, PdfiumError> {
    let mut loaded = pdfium.load_pdf_from_reader(file.clone(), None);
    for password in passwords {
        if !matches!(
            loaded,
            Err(PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::PasswordError))
        ) {
            break;
        }
        loaded = pdfium.load_pdf_from_reader(file.clone(), Some(password.expose()));
    }
    loaded
}

fn may_be_damaged(error: &PdfiumError) -> bool {
    use PdfiumInternalError::{PasswordError, SecurityError};
    !matches!(error, PdfiumError::PdfiumLibraryInternalError(PasswordError | SecurityError))
}

/// What an error of pdfium means for whoever has the file. `passwords` were tried.
fn failure(error: &PdfiumError, passwords: usize) -> Failure {
    use PdfiumInternalError::{FileError, FormatError, PageError, PasswordError, SecurityError};
    let PdfiumError::PdfiumLibraryInternalError(error) = error else {
        return Failure::new(FailureCode::Damaged, "the PDF cannot be opened");
    };
    match error {
        PasswordError => locked("the PDF", passwords),
        SecurityError => Failure::new(
            FailureCode::Encrypted,
            "the PDF is encrypted in a way that no password opens: for a certificate, or by a program of its own",
        ),
        FileError => Failure::new(FailureCode::Damaged, "the PDF ends before what is needed to open it"),
        FormatError => Failure::new(
            FailureCode::Damaged,
            "the PDF is damaged: what leads to its pages is gone, and no page could be found without it",
        ),
        PageError => Failure::new(FailureCode::Damaged, "the PDF is damaged: its pages cannot be found"),
        PdfiumInternalError::Unknown => {
            Failure::new(FailureCode::Damaged, "the PDF cannot be opened, and nothing says why")
        }
    }
}

/// What an error of pdfium means for one page.
pub(super) fn page_loss(error: &PdfiumError) -> &'static str {
    match error {
        PdfiumError::PageIndexOutOfBounds => "the document ends before this page",
        PdfiumError::PdfiumLibraryInternalError(_) => "this page is damaged or missing in the file",
        _ => "this page cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: PdfiumInternalError, passwords: usize) -> Failure {
        failure(&PdfiumError::PdfiumLibraryInternalError(error), passwords)
    }

    #[test]
    fn errors_are_said_in_plain_words() {
        use PdfiumInternalError::{
            FileError, FormatError, PageError, PasswordError, SecurityError, Unknown,
        };
        for (error, code) in [
            (FileError, FailureCode::Damaged),
            (FormatError, FailureCode::Damaged),
            (PageError, FailureCode::Damaged),
            (Unknown, FailureCode::Damaged),
            (PasswordError, FailureCode::Encrypted),
            (SecurityError, FailureCode::Encrypted),
        ] {
            let name = format!("{error:?}");
            let said = said(error, 0);
            assert_eq!(said.code, code);
            assert!(!said.detail.contains(&name) && !said.detail.contains("pdfium"), "{}", said.detail);
        }
        assert!(said(PasswordError, 0).detail.contains("none is given"));
        assert!(said(PasswordError, 3).detail.contains("not among those given (3)"));
    }
}
