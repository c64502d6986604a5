//! Makes a picture smaller, whatever the ratio: each point is the mean of what it covers, with the share by which it covers
//! it. Whole numbers, and the same on every machine.

use crate::extract::tesseract::Grey;

/// What the weights of a point come to in one direction: with this, sums of a column fit 16 bits, of which a processor adds
/// eight or more at once.
const WHOLE: u16 = 256;

/// Less of a neighbour than this is the imprecision of the numbers.
const LITTLE: f64 = 1e-6;

/// A part of a picture, from its upper left, in points and parts of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::extract) struct Part {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// Makes a picture of this part of another one, of which there are `width * height` points.
pub(in crate::extract) fn smaller(
    points: &[u8],
    (width, height): (usize, usize),
    part: &Part,
    (wide, high): (usize, usize),
) -> Grey {
    let across = Axis::new(width, part.left, part.right, wide);
    let down = Axis::new(height, part.top, part.bottom, high);
    let mut pixels = vec![0; wide * high];
    let mut sums = vec![0u16; width];
    for (at, row) in pixels.chunks_exact_mut(wide.max(1)).enumerate() {
        sums.fill(0);
        for (line, &weight) in (down.first[at]..).zip(down.weights_of(at)) {
            if weight == 0 {
                continue;
            }
            for (sum, &point) in sums.iter_mut().zip(&points[line * width..(line + 1) * width]) {
                *sum += u16::from(point) * weight;
            }
        }
        across.write(&sums, row);
    }
    Grey { width: wide, height: high, pixels }
}

/// What each point is made of in one direction.
struct Axis {
    /// How many old points a new one touches at most.
    taps: usize,
    /// The first of them, for each new point.
    first: Vec<usize>,
    /// `taps` weights for each new point.
    weights: Vec<u16>,
}

impl Axis {
    /// `wanted` points of those from one place to another, of `length`.
    fn new(length: usize, from: f64, to: f64, wanted: usize) -> Self {
        let step = (to - from) / wanted.max(1) as f64;
        let ends = |at: usize| (from + at as f64 * step, (from + (at + 1) as f64 * step).min(to));
        let touched = |at: usize| {
            let (start, end) = ends(at);
            ((end - LITTLE).ceil() - (start + LITTLE).floor()).max(1.0) as usize
        };
        let taps = (0..wanted).map(touched).max().unwrap_or(1).min(length);
        let (mut first, mut weights) = (Vec::with_capacity(wanted), Vec::with_capacity(wanted * taps));
        for at in 0..wanted {
            let (start, end) = ends(at);
            let lowest = ((start + LITTLE).floor().max(0.0) as usize).min(length - taps);
            first.push(lowest);
            // Shares from the start on are rounded, not each weight: so they come to the whole.
            let mut before = 0;
            for tap in 1..=taps {
                let share = if tap == taps {
                    1.0
                } else {
                    (((lowest + tap) as f64).clamp(start, end) - start) / (end - start)
                };
                let until = (share * f64::from(WHOLE)).round() as u16;
                weights.push(until - before);
                before = until;
            }
        }
        Self { taps, first, weights }
    }

    fn weights_of(&self, at: usize) -> &[u16] {
        &self.weights[at * self.taps..(at + 1) * self.taps]
    }

    /// Writes a row of which the sums of all columns are known.
    fn write(&self, sums: &[u16], row: &mut [u8]) {
        // As the compiler knows these numbers it makes no loops of them: half the time.
        match self.taps {
            1 => self.write_of(1, sums, row),
            2 => self.write_of(2, sums, row),
            3 => self.write_of(3, sums, row),
            taps => self.write_of(taps, sums, row),
        }
    }

    #[inline(always)]
    fn write_of(&self, taps: usize, sums: &[u16], row: &mut [u8]) {
        const HALF: u32 = 1 << 15;
        for ((point, &first), weights) in
            row.iter_mut().zip(&self.first).zip(self.weights.chunks_exact(taps))
        {
            let covered = &sums[first..first + taps];
            let sum: u32 =
                covered.iter().zip(weights).map(|(&sum, &weight)| u32::from(sum) * u32::from(weight)).sum();
            *point = ((sum + HALF) >> 16) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole((width, height): (usize, usize)) -> Part {
        Part { left: 0.0, right: width as f64, top: 0.0, bottom: height as f64 }
    }

    fn made(points: &[u8], size: (usize, usize), part: &Part, wanted: (usize, usize)) -> Vec<u8> {
        let grey = smaller(points, size, part, wanted);
        assert_eq!((grey.width, grey.height), wanted);
        grey.pixels
    }

    #[test]
    fn points_are_means_of_what_they_cover() {
        let points = [0, 10, 100, 200, 20, 30, 100, 200];
        assert_eq!(made(&points, (4, 2), &whole((4, 2)), (2, 1)), [15, 150]);
        // As large as before: as before.
        assert_eq!(made(&points, (4, 2), &whole((4, 2)), (4, 2)), points);
        // Three for two: a whole one, and half of the one between.
        assert_eq!(made(&[0, 90, 180], (3, 1), &whole((3, 1)), (2, 1)), [30, 150]);
        assert_eq!(made(&[0, 90, 180], (1, 3), &whole((1, 3)), (1, 2)), [30, 150]);
        assert_eq!(made(&[7; 5], (5, 1), &whole((5, 1)), (1, 1)), [7]);
    }

    #[test]
    fn a_part_is_cut_out_with_shares_of_points() {
        let points = [0, 100, 200, 40];
        let part = |left, right| Part { left, right, top: 0.0, bottom: 1.0 };
        assert_eq!(made(&points, (4, 1), &part(1.0, 3.0), (2, 1)), [100, 200]);
        assert_eq!(made(&points, (4, 1), &part(0.5, 2.5), (2, 1)), [50, 150]);
        assert_eq!(made(&points, (4, 1), &part(2.0, 4.0), (1, 1)), [120]);
    }

    #[test]
    fn black_and_white_stay_what_they_are_at_any_ratio() {
        for (width, wide) in [(2_481, 1_654), (2_480, 1_653), (3_307, 1_654), (900, 7), (101, 100)] {
            for shade in [0, 1, 254, 255] {
                let points = vec![shade; width * 3];
                let part = Part { left: 0.3, right: width as f64 - 0.4, top: 0.1, bottom: 2.9 };
                let found = made(&points, (width, 3), &part, (wide, 2));
                assert!(found.iter().all(|&point| point == shade), "{width} to {wide}, {shade}");
            }
        }
    }

    #[test]
    fn no_point_is_left_out_and_none_counts_twice() {
        // The mean of all points stays what it is, but for rounding.
        let points: Vec<u8> = (0..1_000).map(|i| (i * 37 % 256) as u8).collect();
        let mean = |points: &[u8]| points.iter().map(|&p| f64::from(p)).sum::<f64>() / points.len() as f64;
        for wanted in [999, 667, 500, 501, 125, 3, 1] {
            let found = made(&points, (1_000, 1), &whole((1_000, 1)), (wanted, 1));
            assert!((mean(&found) - mean(&points)).abs() < 1.0, "{wanted}");
        }
    }
}
