//! A timeline as pictures: blocks for a terminal, SVG for a page.

use std::fmt::Write as _;

use super::timeline::Point;

/// Widest plot in a terminal, in characters.
const COLUMNS: usize = 60;
/// Eighths of a line.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Size of one plot of the SVG.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;
/// Room left of it, for numbers, and between two.
const LEFT: f64 = 60.0;
const GAP: f64 = 46.0;

/// What is drawn: its name, its unit, its value at a point.
type Line = (&'static str, &'static str, fn(&Point) -> f64);

const LINES: [Line; 5] = [
    ("CPU of the machine", "%", |point| point.system.cpu_percent),
    ("memory of the machine", "GB", |point| point.system.memory_used_gb),
    ("disk, read and written", "MB/s", |point| {
        point.system.disk.read_mb_per_s + point.system.disk.write_mb_per_s
    }),
    ("CPU of the processes", "%", |point| point.processes.cpu),
    ("memory of the processes", "GB", |point| point.processes.memory),
];

/// A line of blocks for each quantity, with the highest value.
pub fn blocks(points: &[Point]) -> String {
    let mut drawn = String::new();
    for (name, unit, value) in LINES {
        let values: Vec<f64> = points.iter().map(value).collect();
        let columns = squeezed(&values);
        let most = top(&columns);
        let line: String = columns.iter().map(|value| block(*value, most)).collect();
        let _ = writeln!(drawn, "{name:<23} {line}  max {most:.1} {unit}");
    }
    drawn
}

fn block(value: f64, most: f64) -> char {
    let level = if most > 0.0 { (value / most * 8.0).ceil() as usize } else { 0 };
    BLOCKS[level.clamp(1, 8) - 1]
}

/// The values in at most as many columns as fit: the highest of those that share one.
fn squeezed(values: &[f64]) -> Vec<f64> {
    let share = values.len().div_ceil(COLUMNS).max(1);
    values.chunks(share).map(top).collect()
}

fn top(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// A plot for each quantity, one below the other.
pub fn svg(points: &[Point]) -> String {
    let (width, height) = (WIDTH + LEFT + 20.0, (HEIGHT + GAP) * LINES.len() as f64 + 20.0);
    let last = points.last().map_or(0.0, |point| point.elapsed_seconds).max(1e-3);
    let mut drawn = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (place, (name, unit, value)) in LINES.iter().enumerate() {
        let above = 24.0 + place as f64 * (HEIGHT + GAP);
        let most = top(&points.iter().map(value).collect::<Vec<_>>());
        let line: Vec<String> = points
            .iter()
            .map(|point| {
                let share = if most > 0.0 { value(point) / most } else { 0.0 };
                let x = LEFT + WIDTH * point.elapsed_seconds / last;
                format!("{x:.1},{:.1}", above + HEIGHT * (1.0 - share))
            })
            .collect();
        let (below, right) = (above + HEIGHT, LEFT + WIDTH);
        let _ = write!(
            drawn,
            "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{name}</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{most:.1} {unit}</text>\n\
             <path d=\"M{LEFT},{above} V{below} H{right}\" fill=\"none\" stroke=\"#999\"/>\n\
             <polyline points=\"{}\" fill=\"none\" stroke=\"#1565c0\" stroke-width=\"1.5\"/>\n\
             <text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{last:.1} s</text>\n",
            above - 8.0,
            LEFT - 4.0,
            above + 4.0,
            line.join(" "),
            below + 16.0,
        );
    }
    drawn.push_str("</svg>\n");
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_is_seen_however_long_it_took() {
        let mut values = vec![1.0; 1_000];
        values[333] = 9.0;
        let columns = squeezed(&values);
        assert!(columns.len() <= COLUMNS && top(&columns) == 9.0);
        assert_eq!(
            [block(0.0, 8.0), block(4.0, 8.0), block(8.0, 8.0), block(0.0, 0.0)],
            ['▁', '▄', '█', '▁']
        );
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(blocks(&[]).lines().count(), LINES.len());
        assert!(svg(&[]).ends_with("</svg>\n"));
    }
}
