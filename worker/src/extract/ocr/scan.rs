//! Pages that are one JPEG and nothing else, as scanners write them. The JPEG is decoded to grey and made as large as
//! recognition wants it, in a third of the time that drawing the page in colour takes. Where anything is doubtful there is
//! no picture, and the page is drawn.
//!
//! Two things that pdfium heeds are not looked at, as it does not tell them: a layer that is switched off, of which the text
//! is then there although it cannot be seen, and a curve by which a printer's colours are made darker or brighter.

use pdfium_render::prelude::*;

use super::plain::plain_jpeg;
use super::render::{PIXELS_MAX, Size};
use super::smaller::{Part, smaller};
use super::{Dictionaries, Picture};
use crate::extract::turbojpeg::{Colours, DIVISORS, Header, TurboJpeg};

/// So much of a page may stay uncovered at each side, in points: widths are rounded when they are written.
const SLACK: f64 = 1.0;

/// How much of a picture's size there must be: what has to be made larger is drawn.
const ENOUGH: f64 = 0.99;

/// Largest room that is kept for the next page: an A4 page at 350 dpi has 12 MB.
const POINTS_KEPT: usize = 16 << 20;

/// The library and the room to decode in, kept from page to page.
#[derive(Default)]
pub(super) struct Scans {
    library: Option<Option<TurboJpeg>>,
    points: Vec<u8>,
}

impl Scans {
    /// The picture of a page at this size, if it is such a page.
    pub fn picture(
        &mut self,
        page: &PdfPage<'_>,
        size: &Size,
        dictionaries: &Dictionaries<'_>,
    ) -> Option<Picture> {
        let library = self.library.get_or_insert_with(TurboJpeg::load).as_ref()?;
        let objects = page.objects();
        // A caption, a stamp, a line: whatever is there beside it would be missed.
        if objects.len() != 1 || !page.annotations().is_empty() {
            return None;
        }
        if page.rotation().ok()? != PdfPageRenderRotation::None {
            return None;
        }
        let object = objects.first().ok()?;
        let image = object.as_image_object()?;
        let is_cut = object.get_clip_path().is_some_and(|path| !path.is_empty());
        if is_cut || object.has_transparency() {
            return None;
        }
        let sheet = page.boundaries().bounding().ok()?.bounds;
        let sheet = Edges {
            left: sheet.left().value.into(),
            right: sheet.right().value.into(),
            bottom: sheet.bottom().value.into(),
            top: sheet.top().value.into(),
        };
        let shown = shown(&Edges::of(&image.matrix().ok()?)?, &sheet)?;
        let jpeg = image.get_raw_image_data().ok()?;
        let said = plain_jpeg(&dictionaries(&jpeg)?)?;
        let header = library.header(&jpeg)?;
        if (header.width, header.height) != said || !fits(header.colours, image.color_space().ok()?) {
            return None;
        }
        let wanted = (usize::try_from(size.width).ok()?, usize::try_from(size.height).ok()?);
        let divisor = divisor(&header, &shown, wanted)?;
        let is_sound = library.decode(&jpeg, &header, divisor, &mut self.points);
        let picture = is_sound.then(|| {
            let decoded = header.divided(divisor);
            let grey = smaller(&self.points, decoded, &part(&shown, decoded), wanted);
            Picture { grey, dpi: size.dpi }
        });
        if self.points.capacity() > POINTS_KEPT {
            self.points = Vec::new();
        }
        picture
    }
}

/// Where something lies, in points from the page's origin.
#[derive(Debug, Clone, Copy)]
struct Edges {
    left: f64,
    right: f64,
    bottom: f64,
    top: f64,
}

impl Edges {
    /// Of a picture that stands upright; none of one that is turned, mirrored or skewed.
    fn of(matrix: &PdfMatrix) -> Option<Self> {
        const STRAIGHT: f32 = 1e-3;
        let is_upright = matrix.b().abs() < STRAIGHT
            && matrix.c().abs() < STRAIGHT
            && matrix.a() >= 1.0
            && matrix.d() >= 1.0;
        let (left, bottom) = (f64::from(matrix.e()), f64::from(matrix.f()));
        is_upright.then(|| Self {
            left,
            right: left + f64::from(matrix.a()),
            bottom,
            top: bottom + f64::from(matrix.d()),
        })
    }
}

/// What can be seen of a picture on a sheet, in shares of its width and height from its upper left; none where it does not
/// cover the sheet.
fn shown(picture: &Edges, sheet: &Edges) -> Option<Part> {
    let covers = picture.left <= sheet.left + SLACK
        && picture.right >= sheet.right - SLACK
        && picture.bottom <= sheet.bottom + SLACK
        && picture.top >= sheet.top - SLACK;
    let (wide, high) = (picture.right - picture.left, picture.top - picture.bottom);
    let part = Part {
        left: ((sheet.left - picture.left) / wide).clamp(0.0, 1.0),
        right: ((sheet.right - picture.left) / wide).clamp(0.0, 1.0),
        top: ((picture.top - sheet.top) / high).clamp(0.0, 1.0),
        bottom: ((picture.top - sheet.bottom) / high).clamp(0.0, 1.0),
    };
    (covers && part.left < part.right && part.top < part.bottom).then_some(part)
}

/// The same in points of a picture that was decoded.
fn part(shares: &Part, (width, height): (usize, usize)) -> Part {
    let (width, height) = (width as f64, height as f64);
    Part {
        left: shares.left * width,
        right: shares.right * width,
        top: shares.top * height,
        bottom: shares.bottom * height,
    }
}

/// Into how much less a picture is decoded: the least that has as many points as are wanted, if it may have so many.
fn divisor(header: &Header, shown: &Part, wanted: (usize, usize)) -> Option<usize> {
    let has_enough = |divisor: &usize| {
        let part = part(shown, header.divided(*divisor));
        part.right - part.left >= wanted.0 as f64 * ENOUGH
            && part.bottom - part.top >= wanted.1 as f64 * ENOUGH
    };
    let divisor = DIVISORS.into_iter().find(has_enough)?;
    let (width, height) = header.divided(divisor);
    ((width * height) as f32 <= PIXELS_MAX).then_some(divisor)
}

/// Whether the colours of a JPEG are those that the document takes them for. How exactly a profile means them makes no
/// letter of another one.
fn fits(colours: Colours, space: PdfColorSpace) -> bool {
    use PdfColorSpace as Space;
    match colours {
        Colours::Grey => {
            matches!(space, Space::DeviceGray | Space::CalibratedCIEGray | Space::CalibratedICCProfile)
        }
        Colours::Three => {
            matches!(space, Space::DeviceRGB | Space::CalibratedCIERGB | Space::CalibratedICCProfile)
        }
        Colours::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(left: f64, bottom: f64, right: f64, top: f64) -> Edges {
        Edges { left, right, bottom, top }
    }

    #[test]
    fn a_picture_that_covers_its_sheet_is_shown_as_far_as_the_sheet_goes() {
        let sheet = edges(0.0, 0.0, 600.0, 800.0);
        let whole = Part { left: 0.0, right: 1.0, top: 0.0, bottom: 1.0 };
        assert_eq!(shown(&sheet, &sheet), Some(whole));
        assert_eq!(shown(&edges(0.9, 0.9, 599.1, 799.1), &sheet), Some(whole));
        for picture in [
            edges(2.0, 0.0, 600.0, 800.0),
            edges(0.0, 2.0, 600.0, 800.0),
            edges(0.0, 0.0, 598.0, 800.0),
            edges(0.0, 0.0, 600.0, 798.0),
        ] {
            assert_eq!(shown(&picture, &sheet), None);
        }
        // The right half of two pages, and the upper quarter of that.
        let upper = edges(600.0, 600.0, 1_200.0, 800.0);
        let quarter = Part { left: 0.5, right: 1.0, top: 0.0, bottom: 0.25 };
        assert_eq!(shown(&edges(0.0, 0.0, 1_200.0, 800.0), &upper), Some(quarter));
        // A sheet that is none, and one that nobody can measure.
        assert_eq!(shown(&sheet, &edges(5.0, 5.0, 5.0, 5.0)), None);
        assert_eq!(shown(&sheet, &edges(f64::NAN, 0.0, 600.0, 800.0)), None);
    }

    #[test]
    fn only_what_stands_upright_is_taken() {
        let of = |a, b, c, d| Edges::of(&PdfMatrix::new(a, b, c, d, 7.0, 9.0));
        let found = of(600.0, 0.0, 0.0, 800.0).unwrap();
        assert_eq!((found.left, found.right, found.bottom, found.top), (7.0, 607.0, 9.0, 809.0));
        for (a, b, c, d) in [
            (-600.0, 0.0, 0.0, 800.0),
            (600.0, 0.0, 0.0, -800.0),
            (0.0, 600.0, -800.0, 0.0),
            (600.0, 6.0, -6.0, 800.0),
            (f32::NAN, 0.0, 0.0, 800.0),
        ] {
            assert!(of(a, b, c, d).is_none(), "{a} {b} {c} {d}");
        }
    }

    #[test]
    fn no_more_is_decoded_than_is_wanted_and_never_less() {
        let whole = Part { left: 0.0, right: 1.0, top: 0.0, bottom: 1.0 };
        let of = |width, height, shown: &Part| {
            divisor(&Header { width, height, colours: Colours::Three }, shown, (1_654, 2_339))
        };
        assert_eq!(of(1_654, 2_339, &whole), Some(1));
        assert_eq!(of(1_653, 2_338, &whole), Some(1), "a point less is enough");
        assert_eq!(of(2_481, 3_508, &whole), Some(1));
        assert_eq!(of(3_307, 4_677, &whole), Some(2));
        assert_eq!(of(4_961, 7_016, &whole), Some(2));
        assert_eq!(of(20_000, 28_000, &whole), Some(8));
        assert_eq!(of(1_240, 1_754, &whole), None, "it would have to be made larger");
        assert_eq!(of(3_307, 1_754, &whole), None);
        // Half of it is seen.
        let left = Part { right: 0.5, ..whole };
        assert_eq!(of(3_307, 4_677, &left), Some(1));
        // A corner of a picture that is too large to be decoded for it.
        let corner = Part { right: 0.1, bottom: 0.1, ..whole };
        assert_eq!(of(17_000, 24_000, &corner), None);
    }

    #[test]
    fn colours_are_those_that_the_document_says() {
        use PdfColorSpace as Space;
        assert!(fits(Colours::Grey, Space::DeviceGray) && fits(Colours::Three, Space::DeviceRGB));
        assert!(fits(Colours::Three, Space::CalibratedICCProfile));
        for (colours, space) in [
            (Colours::Grey, Space::DeviceRGB),
            (Colours::Grey, Space::Indexed),
            (Colours::Three, Space::DeviceGray),
            (Colours::Three, Space::CalibratedCIELab),
            (Colours::Other, Space::DeviceCMYK),
            (Colours::Other, Space::CalibratedICCProfile),
        ] {
            assert!(!fits(colours, space), "{colours:?} {space:?}");
        }
    }
}
