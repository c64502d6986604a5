//! pdfium called as directly as it can be, in this process: what our reading of the same pages is measured against.
//! Nobody should do so with files that they do not know.

use std::ffi::{CString, c_char, c_float, c_int, c_ulong, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use libloading::Library;

use crate::services::cache;

type Handle = *mut c_void;

/// Points an inch.
const POINTS: f32 = 72.0;
/// Three bytes a pixel.
const FORMAT_BGR: c_int = 2;
const WHITE: c_ulong = 0xffff_ffff;
/// With annotations, as a page is seen.
const RENDER_ANNOTATIONS: c_int = 1;

/// The library, once a process and for its life; its calls may not meet in threads.
pub(super) struct Bare {
    load_document: unsafe extern "C" fn(*const c_char, *const c_char) -> Handle,
    close_document: unsafe extern "C" fn(Handle),
    page_count: unsafe extern "C" fn(Handle) -> c_int,
    load_page: unsafe extern "C" fn(Handle, c_int) -> Handle,
    close_page: unsafe extern "C" fn(Handle),
    page_width: unsafe extern "C" fn(Handle) -> c_float,
    page_height: unsafe extern "C" fn(Handle) -> c_float,
    load_text: unsafe extern "C" fn(Handle) -> Handle,
    close_text: unsafe extern "C" fn(Handle),
    count_characters: unsafe extern "C" fn(Handle) -> c_int,
    get_text: unsafe extern "C" fn(Handle, c_int, c_int, *mut u16) -> c_int,
    create_bitmap: unsafe extern "C" fn(c_int, c_int, c_int, *mut c_void, c_int) -> Handle,
    fill: unsafe extern "C" fn(Handle, c_int, c_int, c_int, c_int, c_ulong) -> c_int,
    render: unsafe extern "C" fn(Handle, Handle, c_int, c_int, c_int, c_int, c_int, c_int),
    destroy_bitmap: unsafe extern "C" fn(Handle),
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
                page_width: *library.get(b"FPDF_GetPageWidthF")?,
                page_height: *library.get(b"FPDF_GetPageHeightF")?,
                load_text: *library.get(b"FPDFText_LoadPage")?,
                close_text: *library.get(b"FPDFText_ClosePage")?,
                count_characters: *library.get(b"FPDFText_CountChars")?,
                get_text: *library.get(b"FPDFText_GetText")?,
                create_bitmap: *library.get(b"FPDFBitmap_CreateEx")?,
                fill: *library.get(b"FPDFBitmap_FillRect")?,
                render: *library.get(b"FPDF_RenderPageBitmap")?,
                destroy_bitmap: *library.get(b"FPDFBitmap_Destroy")?,
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

    /// Renders all pages of a document in colour as recognition wants them, and keeps none; gives their pixels.
    pub fn render(&self, document: &Path, dpi: u32) -> Result<Vec<usize>> {
        let pixels = |points: f32| (points * dpi as f32 / POINTS).round().max(1.0) as c_int;
        self.each(document, |page| {
            // SAFETY: the page is open, and the bitmap is used before it is destroyed, once.
            unsafe {
                let (width, height) = (pixels((self.page_width)(page)), pixels((self.page_height)(page)));
                let bitmap = (self.create_bitmap)(width, height, FORMAT_BGR, std::ptr::null_mut(), 0);
                ensure!(!bitmap.is_null(), "no bitmap of {width} x {height}");
                (self.fill)(bitmap, 0, 0, width, height, WHITE);
                (self.render)(bitmap, page, 0, 0, width, height, 0, RENDER_ANNOTATIONS);
                (self.destroy_bitmap)(bitmap);
                Ok(width as usize * height as usize)
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
