//! Print that is paler than the rest of its page, as programs in colours have it: the recogniser takes one threshold for a
//! page, and what is paler is no ink to it. On such a page all ink is made dark before it is read.

use crate::extract::tesseract::Grey;

/// One row of points in so many is looked at.
const ROWS: usize = 8;
/// Points on either side of one that belong to the same stroke, whose edges are pale in all print.
const EDGE: usize = 2;
/// No stroke is wider, in points: what has no paper so near is a shaded box.
const STROKE_MAX: usize = 8;
/// Points above and below one that are pale where it is part of a rule beside columns or quotations, which no letter's stroke
/// reaches.
const RULE: usize = 24;
/// With more than one pale point to so many dark ones a page has pale print: edges and noise have one in 120 at most, half a page
/// of pale print one in 25 to 45.
const PALE_ONE_IN: usize = 100;
/// Least distance of paper and ink that can be told from noise.
const CONTRAST_MIN: u8 = 48;

/// The picture with its pale print as dark as the rest, where it has some.
pub(super) fn darkened(picture: &Grey) -> Option<Grey> {
    let levels = Levels::of(&histogram(picture))?;
    if !Counts::of(picture, levels).have_pale_print() {
        return None;
    }
    let table = levels.table();
    let pixels = picture.pixels.iter().map(|&point| table[usize::from(point)]).collect();
    Some(Grey { width: picture.width, height: picture.height, pixels })
}

/// Rows that are looked at, with a margin that has others above and below.
fn rows(picture: &Grey) -> impl Iterator<Item = usize> {
    (RULE..picture.height.saturating_sub(RULE)).step_by(ROWS)
}

fn row(picture: &Grey, y: usize) -> &[u8] {
    &picture.pixels[y * picture.width..(y + 1) * picture.width]
}

fn histogram(picture: &Grey) -> [u64; 256] {
    let mut counts = [0; 256];
    for y in rows(picture) {
        for &point in row(picture, y) {
            counts[usize::from(point)] += 1;
        }
    }
    counts
}

/// What is how bright on a page of dark print.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Levels {
    /// The brightest point that the recogniser takes for ink.
    ink: u8,
    /// The brightest point that is pale print.
    pale: u8,
    /// The darkest point of paper.
    paper: u8,
}

impl Levels {
    /// `None` where most is not paper.
    fn of(counts: &[u64; 256]) -> Option<Self> {
        let all: u64 = counts.iter().sum();
        let mut below = 0;
        let middle = counts.iter().position(|count| {
            below += count;
            below * 2 > all
        })? as u8;
        let ink = threshold(counts, all);
        let contrast = middle.saturating_sub(ink);
        let levels = Self { ink, pale: middle - contrast / 3, paper: middle - contrast / 6 };
        (contrast >= CONTRAST_MIN).then_some(levels)
    }

    /// What each brightness becomes: what was ink is black, paper white, and all between spread over what lies between them.
    fn table(self) -> [u8; 256] {
        let (from, to) = (u32::from(self.ink), u32::from(self.paper));
        std::array::from_fn(|level| {
            let above = (level as u32).clamp(from, to) - from;
            (above * 255 / (to - from)) as u8
        })
    }
}

/// The threshold that tells two classes of points apart best, as the recogniser finds it (Otsu, "A threshold selection method
/// from gray-level histograms", 1979).
fn threshold(counts: &[u64; 256], all: u64) -> u8 {
    let weigh = |(level, count): (usize, &u64)| level as f64 * *count as f64;
    let total: f64 = counts.iter().enumerate().map(weigh).sum();
    let (mut dark, mut sum) = (0.0, 0.0);
    let (mut best, mut at) = (0.0, 0);
    for (level, &count) in (0..=u8::MAX).zip(counts) {
        dark += count as f64;
        sum += f64::from(level) * count as f64;
        let bright = all as f64 - dark;
        if dark == 0.0 || bright == 0.0 {
            continue;
        }
        let between = dark * bright * (sum / dark - (total - sum) / bright).powi(2);
        if between > best {
            (best, at) = (between, level);
        }
    }
    at
}

/// Points of the rows that are looked at.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    dark: usize,
    /// In strokes of their own, which touch nothing dark.
    pale: usize,
    /// In areas that are wider than strokes.
    shaded: usize,
}

impl Counts {
    fn of(picture: &Grey, levels: Levels) -> Self {
        let mut counts = Self::default();
        for y in rows(picture) {
            let near = [row(picture, y - 1), row(picture, y), row(picture, y + 1)];
            let far = [row(picture, y - RULE), row(picture, y + RULE)];
            counts.count(near, far, levels);
        }
        counts
    }

    fn count(&mut self, near: [&[u8]; 3], far: [&[u8]; 2], Levels { ink, pale, paper }: Levels) {
        let [above, row, below] = near;
        self.dark += row.iter().filter(|&&point| point <= ink).count();
        for x in STROKE_MAX..row.len().saturating_sub(STROKE_MAX) {
            let is_pale = |point: u8| point > ink && point <= pale;
            // Two that touch: one alone is noise.
            if !is_pale(row[x]) || !(is_pale(above[x]) || is_pale(below[x])) {
                continue;
            }
            let is_edge = near.iter().any(|row| row[x - EDGE..=x + EDGE].iter().any(|&point| point <= ink));
            if is_edge || far.iter().all(|row| is_pale(row[x])) {
                continue;
            }
            let is_paper = |points: &[u8]| points.iter().any(|&point| point >= paper);
            match is_paper(&row[x - STROKE_MAX..x]) && is_paper(&row[x + 1..=x + STROKE_MAX]) {
                true => self.pale += 1,
                false => self.shaded += 1,
            }
        }
    }

    /// Where more is shaded, making it dark would hide what is printed on it.
    fn have_pale_print(&self) -> bool {
        self.pale * PALE_ONE_IN > self.dark && self.shaded < self.pale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 800;
    const HEIGHT: usize = 600;
    const DARK: u8 = 20;
    const PALE: u8 = 185;

    fn paper(brightness: u8) -> Grey {
        Grey { width: WIDTH, height: HEIGHT, pixels: vec![brightness; WIDTH * HEIGHT] }
    }

    fn draw(picture: &mut Grey, (x, y): (usize, usize), (width, height): (usize, usize), ink: u8) {
        for row in y..y + height {
            picture.pixels[row * WIDTH + x..row * WIDTH + x + width].fill(ink);
        }
    }

    /// Lines of letters, each of them a stroke, with edges as every scanner and renderer makes them.
    fn print(picture: &mut Grey, lines: std::ops::Range<usize>, ink: u8) {
        let edge = ink + (picture.pixels[0].saturating_sub(ink)) / 2;
        for line in lines {
            for letter in 0..40 {
                let (x, y) = (40 + letter * 18, 20 + line * 30);
                draw(picture, (x - 1, y), (5, 20), edge);
                draw(picture, (x, y), (3, 20), ink);
            }
        }
    }

    #[test]
    fn pale_print_becomes_dark_and_paper_stays_white() {
        let mut page = paper(250);
        print(&mut page, 0..16, DARK);
        print(&mut page, 16..18, PALE);
        let darker = darkened(&page).unwrap();
        let at = |x: usize, y: usize| darker.pixels[y * WIDTH + x];
        let (dark, pale, paper) = (at(41, 25), at(41, 25 + 16 * 30), at(5, 5));
        assert!(dark == 0 && pale < 160 && paper == 255, "{dark} {pale} {paper}");
        assert_eq!((darker.width, darker.height), (WIDTH, HEIGHT));
    }

    #[test]
    fn other_pages_stay_as_they_are() {
        let mut plain = paper(255);
        print(&mut plain, 0..18, DARK);
        assert!(darkened(&plain).is_none(), "print of one shade");
        let mut all_pale = paper(255);
        print(&mut all_pale, 0..18, PALE);
        assert!(darkened(&all_pale).is_none(), "all of it is above the threshold");
        let mut shaded = paper(255);
        draw(&mut shaded, (20, 10), (760, 300), 190);
        print(&mut shaded, 0..18, DARK);
        assert!(darkened(&shaded).is_none(), "a shaded box");
        let mut ruled = paper(255);
        print(&mut ruled, 0..18, DARK);
        for column in 0..4 {
            draw(&mut ruled, (31 + column * 180, 10), (2, 580), PALE);
        }
        assert!(darkened(&ruled).is_none(), "rules between columns");
        let mut turned_round = paper(0);
        print(&mut turned_round, 0..18, 250);
        assert!(darkened(&turned_round).is_none(), "white on black");
        assert!(darkened(&paper(255)).is_none() && darkened(&paper(0)).is_none());
        for (width, height) in [(0, 0), (1, 1), (3, 40), (40, 3)] {
            assert!(darkened(&Grey { width, height, pixels: vec![200; width * height] }).is_none());
        }
    }

    #[test]
    fn edges_and_noise_are_no_print() {
        let mut page = paper(255);
        // As a scanner sees a stroke: pale on either side.
        for line in 0..18 {
            for letter in 0..40 {
                draw(&mut page, (39 + letter * 18, 20 + line * 30), (5, 20), PALE);
                draw(&mut page, (40 + letter * 18, 20 + line * 30), (3, 20), DARK);
            }
        }
        for speck in 0..400 {
            draw(&mut page, (9 + speck * 37 % 780, 1 + speck * 53 % 590), (1, 1), PALE);
        }
        assert!(darkened(&page).is_none());
    }

    #[test]
    fn brightness_is_spread_between_ink_and_paper() {
        let levels = Levels { ink: 150, pale: 220, paper: 235 };
        let table = levels.table();
        assert_eq!((table[0], table[150], table[235], table[255]), (0, 0, 255, 255));
        assert!(table[190] > 90 && table[190] < 150);
        assert!(table.is_sorted());
    }
}
