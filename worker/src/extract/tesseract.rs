//! The dozen functions of Tesseract's C interface that are used, loaded at run time. Knows nothing of pages.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_float, c_int, c_uchar, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use super::process::cache_folder;

type Handle = *mut c_void;

/// The library that setup builds of Tesseract's source (`third_party/tesseract`): the same text in a third of the time.
const OWN: &str = "libtesseract-docmill.so";

/// The distribution's library, found where the system looks for libraries.
const OTHERS: &[&str] = &["libtesseract.so.5", "libtesseract.so"];

/// The loaded library; kept for the life of the process.
pub(super) struct Tesseract {
    create: unsafe extern "C" fn() -> Handle,
    delete: unsafe extern "C" fn(Handle),
    init: unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int,
    set_mode: unsafe extern "C" fn(Handle, c_int),
    set_image: unsafe extern "C" fn(Handle, *const c_uchar, c_int, c_int, c_int, c_int),
    set_resolution: unsafe extern "C" fn(Handle, c_int),
    get_text: unsafe extern "C" fn(Handle) -> *mut c_char,
    delete_text: unsafe extern "C" fn(*mut c_char),
    mean_confidence: unsafe extern "C" fn(Handle) -> c_int,
    clear: unsafe extern "C" fn(Handle),
    end: unsafe extern "C" fn(Handle),
    detect_script:
        unsafe extern "C" fn(Handle, *mut c_int, *mut c_float, *mut *const c_char, *mut c_float) -> c_int,
    data: PathBuf,
    // Last, so that it goes after everything that points into it.
    _library: Library,
}

/// Page segmentation modes of the C interface.
const MODE_OSD_ONLY: c_int = 0;
const MODE_AUTO: c_int = 3;

/// An 8-bit grey picture, rows from the top without padding.
pub(super) struct Grey {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

/// How a page stands and in which script it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Script {
    /// Degrees clockwise by which the picture is turned.
    pub degrees: i32,
    /// `Latin`, `Cyrillic`, `Japanese`, `Han` …
    pub name: String,
    pub confidence: f32,
    pub degrees_confidence: f32,
}

impl Tesseract {
    /// Loads the library and finds its models; the error says what is missing.
    pub fn load() -> Result<Self, String> {
        let data = data_folder().ok_or("no Tesseract models are installed")?;
        let named = std::env::var_os("TESSERACT_LIB").filter(|name| !name.is_empty());
        let mut error = String::new();
        for name in candidates(named, cache_folder(), runs_own()) {
            // SAFETY: the library's constructors only set up its own tables.
            match unsafe { Library::new(&name) } {
                Ok(library) => match Self::bind(library, data.clone()) {
                    Ok(tesseract) => return Ok(tesseract),
                    Err(cause) => error = cause.to_string(),
                },
                Err(cause) => error = cause.to_string(),
            }
        }
        Err(format!("Tesseract is not installed ({error})"))
    }

    fn bind(library: Library, data: PathBuf) -> Result<Self, libloading::Error> {
        // SAFETY: names and types are those of Tesseract 5's capi.h.
        unsafe {
            Ok(Self {
                create: *library.get(b"TessBaseAPICreate")?,
                delete: *library.get(b"TessBaseAPIDelete")?,
                init: *library.get(b"TessBaseAPIInit3")?,
                set_mode: *library.get(b"TessBaseAPISetPageSegMode")?,
                set_image: *library.get(b"TessBaseAPISetImage")?,
                set_resolution: *library.get(b"TessBaseAPISetSourceResolution")?,
                get_text: *library.get(b"TessBaseAPIGetUTF8Text")?,
                delete_text: *library.get(b"TessDeleteText")?,
                mean_confidence: *library.get(b"TessBaseAPIMeanTextConf")?,
                clear: *library.get(b"TessBaseAPIClear")?,
                end: *library.get(b"TessBaseAPIEnd")?,
                detect_script: *library.get(b"TessBaseAPIDetectOrientationScript")?,
                data,
                _library: library,
            })
        }
    }

    /// Whether the model of a language is installed.
    pub fn has(&self, language: &str) -> bool {
        self.data.join(format!("{language}.traineddata")).is_file()
    }

    /// Opens an engine for these languages (`jpn+eng`, or `osd` for scripts).
    pub fn engine(&self, languages: &str) -> Result<Engine, String> {
        let text = |text: &str| CString::new(text).map_err(|_| "a name has a zero byte in it".to_owned());
        let (data, names) = (text(&self.data.to_string_lossy())?, text(languages)?);
        // SAFETY: the strings live over the call; a handle that failed to start is deleted once.
        unsafe {
            let handle = (self.create)();
            if (self.init)(handle, data.as_ptr(), names.as_ptr()) != 0 {
                (self.delete)(handle);
                return Err(format!("Tesseract cannot load {languages} from {}", self.data.display()));
            }
            (self.set_mode)(handle, if languages == "osd" { MODE_OSD_ONLY } else { MODE_AUTO });
            Ok(Engine { handle })
        }
    }

    /// Without a resolution Tesseract estimates one from the height of lines.
    fn set_image(&self, engine: &Engine, image: &Grey, dpi: Option<u32>) {
        assert!(image.pixels.len() >= image.width * image.height, "the picture is as large as it says");
        let (width, height) = (image.width as c_int, image.height as c_int);
        // SAFETY: the pixels are as many as width and height say, and Tesseract copies them.
        unsafe {
            (self.set_image)(engine.handle, image.pixels.as_ptr(), width, height, 1, width);
            if let Some(dpi) = dpi {
                (self.set_resolution)(engine.handle, dpi as c_int);
            }
        }
    }

    /// The text of a picture and the mean confidence in its words, 0 to 100.
    pub fn recognise(
        &self,
        engine: &Engine,
        image: &Grey,
        dpi: Option<u32>,
    ) -> Result<(String, i32), String> {
        self.set_image(engine, image, dpi);
        // SAFETY: the text is a string that Tesseract made and that is given back once.
        unsafe {
            let raw = (self.get_text)(engine.handle);
            if raw.is_null() {
                (self.clear)(engine.handle);
                return Err("Tesseract gave no text".to_owned());
            }
            let text = CStr::from_ptr(raw).to_string_lossy().into_owned();
            (self.delete_text)(raw);
            let confidence = (self.mean_confidence)(engine.handle);
            (self.clear)(engine.handle);
            Ok((text, confidence))
        }
    }

    /// The script of a picture; `None` when there is too little text to tell.
    pub fn script(&self, engine: &Engine, image: &Grey, dpi: u32) -> Option<Script> {
        self.set_image(engine, image, Some(dpi));
        let (mut degrees, mut degrees_confidence, mut name, mut confidence) =
            (0, 0.0, std::ptr::null(), 0.0);
        // SAFETY: all five are valid for writing; the name points into the engine's tables and is copied.
        unsafe {
            let found = (self.detect_script)(
                engine.handle,
                &mut degrees,
                &mut degrees_confidence,
                &mut name,
                &mut confidence,
            );
            let script = (found != 0 && !name.is_null()).then(|| Script {
                degrees,
                name: CStr::from_ptr(name).to_string_lossy().into_owned(),
                confidence,
                degrees_confidence,
            });
            (self.clear)(engine.handle);
            script
        }
    }

    /// Closes an engine.
    pub fn close(&self, engine: Engine) {
        // SAFETY: the engine is taken by value, so this happens once.
        unsafe {
            (self.end)(engine.handle);
            (self.delete)(engine.handle);
        }
    }
}

/// An open engine with its models loaded.
pub(super) struct Engine {
    handle: Handle,
}

/// What to load, in this order: what is named, our own library, the distribution's. Ours only where it runs.
fn candidates(named: Option<OsString>, cache: Option<PathBuf>, runs_own: bool) -> Vec<OsString> {
    let own = cache.map(|cache| cache.join("lib").join(OWN).into_os_string());
    let is_own = |name: &OsString| Path::new(name).file_name() == Some(OsStr::new(OWN));
    let fits = |name: &OsString| runs_own || !is_own(name);
    let others = OTHERS.iter().map(OsString::from);
    named.into_iter().chain(own).filter(fits).chain(others).collect()
}

/// Whether this processor has what our own library is built for, which would end with an illegal instruction elsewhere.
#[cfg(target_arch = "x86_64")]
fn runs_own() -> bool {
    // x86-64-v3, as far as it is more than what Rust needs.
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("movbe")
}

#[cfg(not(target_arch = "x86_64"))]
fn runs_own() -> bool {
    false
}

pub(super) fn data_folder() -> Option<PathBuf> {
    let named = std::env::var_os("TESSDATA_PREFIX").map(PathBuf::from);
    let usual = ["/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tessdata", "/usr/local/share/tessdata"];
    let named = named.into_iter().flat_map(|path| [path.join("tessdata"), path]);
    named.chain(usual.map(PathBuf::from)).find(|path| has_models(path))
}

fn has_models(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.path().extension().is_some_and(|extension| extension == "traineddata"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_library_comes_first_where_it_runs() {
        let (own, stock) = ("/c/lib/libtesseract-docmill.so", ["libtesseract.so.5", "libtesseract.so"]);
        let found = |named: Option<&str>, runs_own| {
            let names = candidates(named.map(OsString::from), Some(PathBuf::from("/c")), runs_own);
            names.iter().map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found(None, true), [own, stock[0], stock[1]]);
        assert_eq!(found(None, false), stock);
        assert_eq!(found(Some("/opt/t.so"), true), ["/opt/t.so", own, stock[0], stock[1]]);
        assert_eq!(found(Some("/opt/t.so"), false), ["/opt/t.so", stock[0], stock[1]]);
        // An image names it for all processors.
        assert_eq!(found(Some("/usr/local/lib/libtesseract-docmill.so"), false), stock);
        assert_eq!(candidates(None, None, true), stock);
    }
}
