//! The few functions of libjpeg-turbo's TurboJPEG interface that are used, loaded at run time. Knows nothing of pages.

use std::ffi::{c_int, c_uchar, c_ulong, c_void};

use libloading::Library;

type Handle = *mut c_void;
type Create = unsafe extern "C" fn() -> Handle;
type Destroy = unsafe extern "C" fn(Handle) -> c_int;
/// The file; its width, height, sampling and colours.
type ReadHeader = unsafe extern "C" fn(
    Handle,
    *const c_uchar,
    c_ulong,
    *mut c_int,
    *mut c_int,
    *mut c_int,
    *mut c_int,
) -> c_int;
/// The file; the points, their width, bytes of a row, height and kind; flags.
type Decode = unsafe extern "C" fn(
    Handle,
    *const c_uchar,
    c_ulong,
    *mut c_uchar,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
) -> c_int;

/// The distribution's library, found where the system looks for libraries. Its versions 2 and 3 both have this name.
const NAME: &str = "libturbojpeg.so.0";

/// Into how much less the library decodes as fast as into all points. For other shares, as 6/8, it has no code for the
/// processor's wide registers: those take it twice as long as all points do.
pub(super) const DIVISORS: [usize; 4] = [8, 4, 2, 1];

/// One byte a point, as the interface numbers kinds of points.
const POINTS_GREY: c_int = 6;

/// Kinds of colours in a file, as the interface numbers them.
const COLOURS_RGB: c_int = 0;
const COLOURS_YCC: c_int = 1;
const COLOURS_GREY: c_int = 2;

/// Whatever is doubtful is an error, and a file with thousands of passes over its points is one too.
const STRICT: c_int = 8_192 | 32_768;

/// The loaded library with its one decoder; kept for the life of the process.
pub(super) struct TurboJpeg {
    handle: Handle,
    header: ReadHeader,
    decode: Decode,
    destroy: Destroy,
    // Last, so that it goes after everything that points into it.
    _library: Library,
}

/// What the colours of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    /// Red, green and blue, or brightness and two differences of colour.
    Three,
    /// Those of printers.
    Other,
}

/// What a file says of itself before its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub width: usize,
    pub height: usize,
    pub colours: Colours,
}

impl Header {
    /// Width and height when it is decoded into so much less.
    pub fn divided(&self, divisor: usize) -> (usize, usize) {
        (self.width.div_ceil(divisor), self.height.div_ceil(divisor))
    }
}

impl TurboJpeg {
    /// Loads the library, if there is one.
    pub fn load() -> Option<Self> {
        // SAFETY: the library's constructors only set up its own tables; names and types are those of turbojpeg.h.
        unsafe {
            let library = Library::new(NAME).ok()?;
            let create: Create = *library.get(b"tjInitDecompress").ok()?;
            let header: ReadHeader = *library.get(b"tjDecompressHeader3").ok()?;
            let decode: Decode = *library.get(b"tjDecompress2").ok()?;
            let destroy: Destroy = *library.get(b"tjDestroy").ok()?;
            let handle = create();
            if handle.is_null() {
                return None;
            }
            Some(Self { handle, header, decode, destroy, _library: library })
        }
    }

    /// What a file says of itself; nothing of one that the library would not decode.
    pub fn header(&self, jpeg: &[u8]) -> Option<Header> {
        let (mut width, mut height, mut sampling, mut colours) = (0, 0, 0, 0);
        // SAFETY: the bytes are as many as is said, and all four numbers are valid for writing.
        let outcome = unsafe {
            (self.header)(
                self.handle,
                jpeg.as_ptr(),
                jpeg.len() as c_ulong,
                &mut width,
                &mut height,
                &mut sampling,
                &mut colours,
            )
        };
        if outcome != 0 || width < 1 || height < 1 {
            return None;
        }
        let colours = match colours {
            COLOURS_GREY => Colours::Grey,
            COLOURS_RGB | COLOURS_YCC => Colours::Three,
            _ => Colours::Other,
        };
        Some(Header { width: width as usize, height: height as usize, colours })
    }

    /// Decodes a file to grey into as many points as it has divided by one of `DIVISORS`. False where anything about it is
    /// doubtful.
    pub fn decode(&self, jpeg: &[u8], header: &Header, divisor: usize, points: &mut Vec<u8>) -> bool {
        let (width, height) = header.divided(divisor);
        // What was there is written over; only what was not is cleared first.
        points.resize(width * height, 0);
        // SAFETY: the bytes are as many as is said, and there is room for all rows of this width, one after another. Of a
        // file that is larger than its header said the library decodes less, or refuses it.
        let outcome = unsafe {
            (self.decode)(
                self.handle,
                jpeg.as_ptr(),
                jpeg.len() as c_ulong,
                points.as_mut_ptr(),
                width as c_int,
                width as c_int,
                height as c_int,
                POINTS_GREY,
                STRICT,
            )
        };
        outcome == 0
    }
}

impl Drop for TurboJpeg {
    fn drop(&mut self) {
        // SAFETY: the decoder is this one's own, and nobody has it afterwards.
        unsafe {
            (self.destroy)(self.handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_at_the_edges_is_kept() {
        let header = Header { width: 2_481, height: 3_508, colours: Colours::Three };
        assert_eq!(header.divided(1), (2_481, 3_508));
        assert_eq!(header.divided(8), (311, 439));
    }

    #[test]
    fn what_is_no_jpeg_has_no_header() {
        let library = TurboJpeg::load().expect("libturbojpeg is there: run `make setup`");
        assert_eq!(library.header(b""), None);
        assert_eq!(library.header(b"%PDF-1.4"), None);
        assert_eq!(library.header(b"\xff\xd8\xff\xd9"), None);
    }
}
