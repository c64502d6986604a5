//! pdfium called as directly as it can be, in this process: what our reading of the same pages is measured against.
//! Nobody should do so with files that they do not know.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use libloading::Library;

use crate::services::cache;

type Handle = *mut c_void;

/// The library, once a process and for its life; its calls may not meet in threads.
pub(super) struct Bare {
    load_document: unsafe extern "C" fn(*const c_char, *const c_char) -> Handle,
    close_document: unsafe extern "C" fn(Handle),
    page_count: unsafe extern "C" fn(Handle) -> c_int,
    load_page: unsafe extern "C" fn(Handle, c_int) -> Handle,
    close_page: unsafe extern "C" fn(Handle),
    load_text: unsafe extern "C" fn(Handle) -> Handle,
    close_text: unsafe extern "C" fn(Handle),
    count_characters: unsafe extern "C" fn(Handle) -> c_int,
    get_text: unsafe extern "C" fn(Handle, c_int, c_int, *mut u16) -> c_int,
    _library: Library,
}

static LOADED: OnceLock<Result<Bare, String>> = OnceLock::new();

impl Bare {
    /// The library that `make setup` put there.
    pub fn get() -> Result<&'static Self> {
        let loaded = LOADED.get_or_init(|| Self::load().map_err(|error| format!("{error:#}")));
        loaded.as_ref().map_err(|error| anyhow!("{error}"))
    }

    fn load() -> Result<Self> {
        let named = std::env::var_os("PDFIUM_LIB").map(PathBuf::from).filter(|path| path.is_file());
        let path = match named {
            Some(named) => named,
            None => cache()?.join("lib/libpdfium.so"),
        };
        let bound = Self::bind(&path).map_err(|error| anyhow!("{}: {error}", path.display()));
        bound.context("`make setup` fetches pdfium")
    }

    fn bind(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: names and types are those of pdfium's public headers; the library is set up once, before any other call.
        unsafe {
            let library = Library::new(path)?;
            let begin: unsafe extern "C" fn() = *library.get(b"FPDF_InitLibrary")?;
            begin();
            Ok(Self {
                load_document: *library.get(b"FPDF_LoadDocument")?,
                close_document: *library.get(b"FPDF_CloseDocument")?,
                page_count: *library.get(b"FPDF_GetPageCount")?,
                load_page: *library.get(b"FPDF_LoadPage")?,
                close_page: *library.get(b"FPDF_ClosePage")?,
                load_text: *library.get(b"FPDFText_LoadPage")?,
                close_text: *library.get(b"FPDFText_ClosePage")?,
                count_characters: *library.get(b"FPDFText_CountChars")?,
                get_text: *library.get(b"FPDFText_GetText")?,
                _library: library,
            })
        }
    }

    /// The text of all pages of a document.
    pub fn text(&self, document: &Path) -> Result<Vec<String>> {
        self.each(document, |page| {
            // SAFETY: the page is open, and the buffer has room for all characters and the zero behind them.
            unsafe {
                let text = (self.load_text)(page);
                ensure!(!text.is_null(), "a page of {} has no text page", document.display());
                let count = (self.count_characters)(text).max(0);
                let mut characters = vec![0_u16; count as usize + 1];
                let written = (self.get_text)(text, 0, count, characters.as_mut_ptr()).max(1);
                (self.close_text)(text);
                characters.truncate(written as usize - 1);
                Ok(String::from_utf16_lossy(&characters))
            }
        })
    }

    fn each<T>(&self, document: &Path, mut with: impl FnMut(Handle) -> Result<T>) -> Result<Vec<T>> {
        let path = CString::new(document.to_string_lossy().as_bytes())?;
        // SAFETY: the name lives over the call; document and pages are closed once, after their last use.
        unsafe {
            let open = (self.load_document)(path.as_ptr(), std::ptr::null());
            ensure!(!open.is_null(), "pdfium does not open {}", document.display());
            let mut all = Vec::new();
            for number in 0..(self.page_count)(open) {
                let page = (self.load_page)(open, number);
                ensure!(
                    !page.is_null(),
                    "pdfium does not open page {} of {}",
                    number + 1,
                    document.display()
                );
                all.push(with(page)?);
                (self.close_page)(page);
            }
            (self.close_document)(open);
            Ok(all)
        }
    }
}
