//! Which lines of a page are rows of a table: those with wide gaps above each other. Knows nothing of PDF, only words and
//! where they stand.
//!
//! Lines without two such gaps, which nearly all are, cost one look at each of their words.

use std::ops::Range;

use super::lines::{Line, Lines, Word};

/// Rows that make a table; fewer may stand so by chance.
const ROWS_MIN: usize = 3;

/// Gaps that all rows have in common. One alone may be that between two columns of text.
const GAPS_MIN: usize = 2;

/// A gap is wider than so many characters of its line.
const GAP_CHARS: f32 = 2.0;

/// What is left of a gap that rows have in common is at least so many characters wide.
const COMMON_CHARS: f32 = 1.0;

/// Most lines between two rows that only go on with the text of some cells.
const CONTINUED_MAX: usize = 4;

/// Lines of a page that are a table.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    /// The lines, by their places in [`Lines::lines`].
    pub lines: Range<usize>,
    /// One a line, cells separated by a tab.
    pub rows: String,
}

/// The tables of a page, from the first line on.
pub(super) fn find(page: &Lines) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut at = 0;
    while at + ROWS_MIN <= page.lines.len() {
        match table(page, at) {
            Some(table) => {
                at = table.lines.end;
                tables.push(table);
            }
            None => at += 1,
        }
    }
    tables
}

/// Empty space between words, from left to right.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Gap {
    left: f32,
    right: f32,
}

/// The table that begins with this line, if one does.
fn table(page: &Lines, first: usize) -> Option<Table> {
    let (mut gaps, width) = wide_gaps(page, &page.lines[first])?;
    // Most lines with gaps stand alone: this ends them before anything is gathered.
    let (mut end, mut rows, mut at) = (first + 1, 1, first + 1);
    while let Some(line) = page.lines.get(at)
        && at - end <= CONTINUED_MAX
        && line.baselines.0 < page.lines[at - 1].baselines.0
        && !is_parted(page, line)
    {
        let common = common(page, line, &gaps, width * COMMON_CHARS);
        // The first rows say what the columns are; a heading may span some of them.
        let fits = common.len() >= GAPS_MIN && (rows < ROWS_MIN || common.len() == gaps.len());
        if !fits {
            break;
        }
        if filled_cells(page, line, &common) > GAPS_MIN {
            (gaps, rows, end) = (common, rows + 1, at + 1);
        } else if common.len() < gaps.len() {
            break;
        }
        at += 1;
    }
    (rows >= ROWS_MIN).then(|| Table { lines: first..end, rows: rows_of(page, first..end, &gaps) })
}

/// A line that ends within a word is none of a table's, and its end stands on the next.
fn is_parted(page: &Lines, line: &Line) -> bool {
    page.text[line.bytes.clone()].contains(['\u{2}', '\u{fffe}'])
}

/// The gaps of a line that are wide enough, if there are enough of them, and how wide its characters are.
fn wide_gaps(page: &Lines, line: &Line) -> Option<(Vec<Gap>, f32)> {
    let words = &page.words[line.words.clone()];
    if words.len() <= GAPS_MIN || is_parted(page, line) {
        return None;
    }
    let width = char_width(page, words);
    let is_wide = |pair: &&[Word]| {
        let gap = pair[1].place.left - pair[0].place.right;
        gap > width * GAP_CHARS && !is_leader(page, &pair[0]) && !is_leader(page, &pair[1])
    };
    if width <= 0.0 || words.windows(2).filter(is_wide).count() < GAPS_MIN {
        return None;
    }
    let gap = |pair: &[Word]| Gap { left: pair[0].place.right, right: pair[1].place.left };
    Some((words.windows(2).filter(is_wide).map(gap).collect(), width))
}

fn char_width(page: &Lines, words: &[Word]) -> f32 {
    let widths: f32 = words.iter().map(|word| word.place.right - word.place.left).sum();
    let chars: usize = words.iter().map(|word| page.text[word.bytes.clone()].chars().count()).sum();
    widths / chars.max(1) as f32
}

/// Dots that lead the eye to a number.
fn is_leader(page: &Lines, word: &Word) -> bool {
    let text = &page.text[word.bytes.clone()];
    let is_dot = |c| matches!(c, '.' | '·' | '…');
    // A dash alone is what stands in an empty cell.
    text.chars().all(is_dot)
        || (text.len() > 1 && text.chars().all(|c| is_dot(c) || matches!(c, '_' | '-')))
}

/// What is left of the gaps when the line's words are taken from them.
fn common(page: &Lines, line: &Line, gaps: &[Gap], width_min: f32) -> Vec<Gap> {
    let words = &page.words[line.words.clone()];
    let left_of = |gap: &Gap| {
        let mut gap = *gap;
        for Word { place, .. } in words {
            if place.right <= gap.left || place.left >= gap.right {
                continue;
            }
            // The larger side of a word that stands in it.
            if place.left - gap.left > gap.right - place.right {
                gap.right = place.left;
            } else {
                gap.left = place.right;
            }
        }
        gap
    };
    gaps.iter().map(left_of).filter(|gap| gap.right - gap.left >= width_min).collect()
}

/// The cell that a word is in, counted from the left.
fn cell_of(word: &Word, gaps: &[Gap]) -> usize {
    let middle = (word.place.left + word.place.right) / 2.0;
    gaps.iter().filter(|gap| gap.left <= middle).count()
}

fn filled_cells(page: &Lines, line: &Line, gaps: &[Gap]) -> usize {
    let mut cells: Vec<usize> =
        page.words[line.words.clone()].iter().map(|word| cell_of(word, gaps)).collect();
    cells.sort_unstable();
    cells.dedup();
    cells.len()
}

fn rows_of(page: &Lines, lines: Range<usize>, gaps: &[Gap]) -> String {
    let mut rows = String::new();
    for line in &page.lines[lines] {
        let mut cells = vec![String::new(); gaps.len() + 1];
        for word in &page.words[line.words.clone()] {
            let cell = &mut cells[cell_of(word, gaps)];
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(&page.text[word.bytes.clone()]);
        }
        if !rows.is_empty() {
            rows.push('\n');
        }
        rows.push_str(cells.join("\t").trim_end());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::page;
    use super::*;

    /// Lines, from the top, of words that each begin at a column of a type in which all characters are 5 points wide.
    fn typed(lines: &[&[(u8, &'static str)]]) -> Lines {
        let mut words = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            for &(column, text) in *line {
                let left = f32::from(column) * 5.0;
                let width = text.chars().count() as f32 * 5.0;
                words.push((700.0 - i as f32 * 14.0, left, left + width, text));
            }
        }
        page(&words)
    }

    fn rows(page: &Lines) -> Vec<(Range<usize>, String)> {
        find(page).into_iter().map(|table| (table.lines, table.rows)).collect()
    }

    #[test]
    fn aligned_lines_are_a_table_and_those_around_it_are_not() {
        let page = typed(&[
            &[(0, "Some"), (5, "words"), (11, "before"), (18, "it")],
            &[(0, "Fruit"), (20, "Count"), (30, "Price")],
            &[(0, "pears"), (24, "7"), (30, "12.00")],
            &[(0, "red"), (4, "apples"), (23, "12"), (31, "3.50")],
            &[(0, "And"), (4, "words"), (10, "that"), (15, "go"), (18, "on"), (21, "after"), (27, "it")],
        ]);
        let expected = "Fruit\tCount\tPrice\npears\t7\t12.00\nred apples\t12\t3.50".to_owned();
        assert_eq!(rows(&page), [(1..4, expected)]);
    }

    #[test]
    fn cells_may_be_empty_and_go_on_below() {
        let page = typed(&[
            &[(0, "Key"), (20, "Type"), (30, "Meaning")],
            &[(0, "a"), (20, "int"), (30, "the"), (34, "first")],
            &[(30, "of"), (33, "them")],
            &[(0, "b"), (20, "int"), (30, "the"), (34, "second")],
            &[(0, "c"), (20, "str"), (30, "x")],
            &[(0, "c"), (20, "str")],
        ]);
        let expected =
            "Key\tType\tMeaning\na\tint\tthe first\n\t\tof them\nb\tint\tthe second\nc\tstr\tx".to_owned();
        assert_eq!(rows(&page), [(0..5, expected)]);
    }

    #[test]
    fn a_heading_may_span_columns() {
        let page = typed(&[
            &[(0, "a"), (10, "b"), (20, "c"), (30, "d")],
            &[(0, "one"), (9, "a-wide-heading"), (30, "x")],
            &[(0, "2"), (10, "3"), (20, "4"), (30, "5")],
        ]);
        assert_eq!(rows(&page), [(0..3, "a\tb c\td\none\ta-wide-heading\tx\n2\t3 4\t5".to_owned())]);
    }

    #[test]
    fn what_only_looks_like_a_table_is_none() {
        // Two rows; two columns of text; words spread over the width; a list of contents; a column that goes up again.
        let two: [[(u8, &str); 3]; 2] =
            [[(0, "a"), (20, "b"), (40, "c")], [(0, "d"), (20, "e"), (40, "f")]];
        assert!(rows(&typed(&[&two[0], &two[1]])).is_empty());
        let columns: [(u8, &str); 4] = [(0, "left"), (5, "text"), (30, "right"), (36, "text")];
        assert!(rows(&typed(&[&columns, &columns, &columns, &columns])).is_empty());
        let spread: [&[(u8, &str)]; 3] = [
            &[(0, "one"), (8, "two"), (16, "three"), (26, "four")],
            &[(0, "seven"), (10, "eight"), (20, "nine")],
            &[(0, "a-longer"), (14, "word"), (23, "here")],
        ];
        assert!(rows(&typed(&spread)).is_empty());
        let contents: [(u8, &str); 7] =
            [(0, "Title"), (10, "."), (14, "."), (18, "."), (22, "."), (26, "."), (30, "5")];
        assert!(rows(&typed(&[&contents, &contents, &contents])).is_empty());
        let up = page(&[
            (700.0, 0.0, 10.0, "a"),
            (700.0, 100.0, 110.0, "b"),
            (700.0, 200.0, 210.0, "c"),
            (720.0, 0.0, 10.0, "a"),
            (720.0, 100.0, 110.0, "b"),
            (720.0, 200.0, 210.0, "c"),
            (740.0, 0.0, 10.0, "a"),
            (740.0, 100.0, 110.0, "b"),
            (740.0, 200.0, 210.0, "c"),
        ]);
        assert!(rows(&up).is_empty());
    }
}
