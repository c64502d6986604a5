//! Whether there is anything to read on a picture: an empty page need not be recognised. Errs towards ink, as a page that
//! is recognised in vain costs time, and one that is not costs its text.

use crate::extract::tesseract::Grey;

/// Side of the squares that are looked at as one.
const SQUARE: usize = 16;

/// A square whose brightest and darkest points differ by less than this has no ink, however even the paper is.
const CONTRAST_MIN: u8 = 12;

/// Where three squares in four differ by more than this, the page is no paper but a picture.
const PAPER_CONTRAST_MAX: u8 = 64;

/// With more than one square in this many that has ink, the page has some: an empty one has dust.
const DUSTY_SQUARES: usize = 100;

/// Dust is smaller than one inch divided by this, 5 points at 200 dpi; a full stop of small print is that large, and the
/// smallest letter twice as high.
const DUST_PER_INCH: u32 = 40;

/// Whether there is ink on a picture of this resolution: something that stands out from the paper around it and is
/// larger than dust.
pub(super) fn is_there(picture: &Grey, dpi: u32) -> bool {
    let squares = Squares::of(picture);
    let paper = squares.paper_contrast();
    if paper > PAPER_CONTRAST_MAX {
        return true;
    }
    // Noise of a scanner is of one strength all over the page: what differs by half as much again is no noise.
    let enough = (paper + paper / 2 + CONTRAST_MIN / 2).max(CONTRAST_MIN);
    let mut inked: Vec<bool> = squares.ranges.iter().map(|range| range.contrast() > enough).collect();
    let count = inked.iter().filter(|&&is_inked| is_inked).count();
    if count * DUSTY_SQUARES > inked.len() {
        return true;
    }
    let dust = (dpi / DUST_PER_INCH).max(2) as usize;
    (0..inked.len()).any(|at| {
        let spot = squares.take_spot(at, &mut inked);
        !spot.is_empty() && squares.size_of(&spot, picture) >= dust
    })
}

/// The brightest and the darkest point of a square.
#[derive(Debug, Clone, Copy)]
struct Range {
    darkest: u8,
    brightest: u8,
}

impl Range {
    fn contrast(self) -> u8 {
        self.brightest.saturating_sub(self.darkest)
    }
}

/// A picture in squares, row by row.
struct Squares {
    columns: usize,
    ranges: Vec<Range>,
}

impl Squares {
    fn of(picture: &Grey) -> Self {
        let columns = picture.width.div_ceil(SQUARE);
        let mut ranges = Vec::with_capacity(columns * picture.height.div_ceil(SQUARE));
        // Of each column of points first: that is done many at a time.
        let (mut darkest, mut brightest) = (vec![0u8; picture.width], vec![0u8; picture.width]);
        for band in picture.pixels.chunks(SQUARE * picture.width.max(1)) {
            darkest.fill(u8::MAX);
            brightest.fill(0);
            for row in band.chunks_exact(picture.width.max(1)) {
                for ((darkest, brightest), &point) in darkest.iter_mut().zip(&mut brightest).zip(row) {
                    *darkest = point.min(*darkest);
                    *brightest = point.max(*brightest);
                }
            }
            let squares = darkest.chunks(SQUARE).zip(brightest.chunks(SQUARE));
            ranges.extend(squares.map(|(darkest, brightest)| Range {
                darkest: darkest.iter().copied().min().unwrap_or(0),
                brightest: brightest.iter().copied().max().unwrap_or(0),
            }));
        }
        Self { columns, ranges }
    }

    /// By how much points of bare paper differ: what the most even quarter of the squares stays below.
    fn paper_contrast(&self) -> u8 {
        let mut counts = [0usize; 256];
        for range in &self.ranges {
            counts[usize::from(range.contrast())] += 1;
        }
        let mut seen = 0;
        let below = counts.iter().position(|count| {
            seen += count;
            seen * 4 > self.ranges.len()
        });
        below.unwrap_or(0) as u8
    }

    /// Takes all squares with ink that hang together with this one, which may have none.
    fn take_spot(&self, at: usize, inked: &mut [bool]) -> Vec<usize> {
        let mut spot = Vec::new();
        if !std::mem::take(&mut inked[at]) {
            return spot;
        }
        let mut pending = vec![at];
        while let Some(at) = pending.pop() {
            spot.push(at);
            let (column, row) = (at % self.columns, at / self.columns);
            for near_row in row.saturating_sub(1)..=row + 1 {
                for near_column in column.saturating_sub(1)..=(column + 1).min(self.columns - 1) {
                    let near = near_row * self.columns + near_column;
                    if inked.get_mut(near).is_some_and(std::mem::take) {
                        pending.push(near);
                    }
                }
            }
        }
        spot
    }

    /// The longer side of what stands out in these squares.
    fn size_of(&self, spot: &[usize], picture: &Grey) -> usize {
        let darkest = spot.iter().map(|&at| self.ranges[at].darkest).min().unwrap_or(0);
        let brightest = spot.iter().map(|&at| self.ranges[at].brightest).max().unwrap_or(0);
        let middle = darkest + brightest.saturating_sub(darkest) / 2;
        let points = || spot.iter().flat_map(|&at| self.points(at, picture));
        // Ink is what there is less of: white letters on black are letters too.
        let dark = points().filter(|&(_, _, point)| point <= middle).count();
        let is_dark_ink = dark * 2 <= points().count();
        let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
        for (x, y, _) in points().filter(|&(_, _, point)| (point <= middle) == is_dark_ink) {
            (left, right) = (left.min(x), right.max(x + 1));
            (top, bottom) = (top.min(y), bottom.max(y + 1));
        }
        right.saturating_sub(left).max(bottom.saturating_sub(top))
    }

    /// The points of a square with their places.
    fn points<'a>(
        &self,
        at: usize,
        picture: &'a Grey,
    ) -> impl Iterator<Item = (usize, usize, u8)> + use<'a> {
        let (left, top) = (at % self.columns * SQUARE, at / self.columns * SQUARE);
        let (right, bottom) = ((left + SQUARE).min(picture.width), (top + SQUARE).min(picture.height));
        (top..bottom)
            .flat_map(move |y| (left..right).map(move |x| (x, y, picture.pixels[y * picture.width + x])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 1_654;
    const HEIGHT: usize = 2_339;

    /// Paper of this brightness with noise of up to so many steps either way, the same each time.
    fn paper(brightness: u8, noise: u8) -> Grey {
        let mut state = 1u32;
        let pixels = (0..WIDTH * HEIGHT)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let step = (state >> 16) % (2 * u32::from(noise) + 1);
                (u32::from(brightness) + step).saturating_sub(u32::from(noise)).min(255) as u8
            })
            .collect();
        Grey { width: WIDTH, height: HEIGHT, pixels }
    }

    fn draw(picture: &mut Grey, x: usize, y: usize, width: usize, height: usize, brightness: u8) {
        for row in y..y + height {
            picture.pixels[row * WIDTH + x..row * WIDTH + x + width].fill(brightness);
        }
    }

    #[test]
    fn empty_pages_have_no_ink() {
        for (brightness, noise) in [(255, 0), (250, 3), (230, 10), (0, 0), (128, 20)] {
            assert!(!is_there(&paper(brightness, noise), 200), "{brightness} {noise}");
        }
        let mut dusty = paper(245, 4);
        for speck in 0..60 {
            draw(&mut dusty, 20 + speck * 26, 40 + speck * 37, 1 + speck % 4, 1 + speck % 3, 90);
        }
        assert!(!is_there(&dusty, 200), "dust is no ink");
        assert!(!is_there(&Grey { width: 1, height: 1, pixels: vec![7] }, 200));
        assert!(!is_there(&Grey { width: 0, height: 0, pixels: Vec::new() }, 200));
    }

    #[test]
    fn the_least_of_text_is_ink() {
        // A page number: two strokes of ten points. Then a comma, pale print, pencil on grainy paper, white on black.
        let cases: &[(u8, u8, usize, usize, u8)] = &[
            (255, 0, 2, 10, 0),
            (250, 3, 4, 7, 60),
            (255, 0, 2, 12, 238),
            (225, 8, 3, 14, 170),
            (0, 0, 3, 14, 255),
        ];
        for &(brightness, noise, width, height, ink) in cases {
            let mut page = paper(brightness, noise);
            draw(&mut page, 800, 2_300, width, height, ink);
            assert!(is_there(&page, 200), "{brightness} {noise} {width} x {height} of {ink}");
        }
    }

    #[test]
    fn full_pages_and_pictures_have_ink() {
        let mut text = paper(255, 2);
        for line in 0..40 {
            for letter in 0..60 {
                draw(&mut text, 150 + letter * 22, 150 + line * 50, 3, 20, 20);
            }
        }
        assert!(is_there(&text, 200));
        // A photograph, which has no paper at all.
        assert!(is_there(&paper(128, 100), 200));
    }

    #[test]
    fn a_line_across_two_squares_is_one_spot() {
        // Three points in either square: dust, if each stood alone.
        let mut page = paper(255, 0);
        draw(&mut page, 13, 100, 6, 2, 0);
        assert!(is_there(&page, 200));
    }
}
