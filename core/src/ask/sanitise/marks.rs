//! Takes the marks of Markdown and HTML out of text: images go, links leave their words, tags and definitions go.
//! What may become one is held back, at most [`HELD_BYTES_MAX`].

use std::collections::BTreeSet;

use super::HELD_BYTES_MAX;

/// Longest bracket with numbers of sources, in bytes: a dozen of them.
const CITATION_BYTES_MAX: usize = 64;
/// What is shown for a `<` that opens no tag.
const LESS_THAN: &str = "‹";

/// See the module.
pub(super) struct Marks {
    numbers: BTreeSet<u32>,
    cited: BTreeSet<u32>,
    held: String,
    /// A bracket closed right before: what follows may be where its link leads.
    closed: bool,
    /// Nothing but space stands before in this line.
    line_start: bool,
    /// The rest of this line goes.
    skipping: bool,
}

/// What becomes of the beginning of a text.
enum Step {
    /// Nothing before more has come.
    Wait,
    /// So many bytes are shown.
    Pass(usize),
    /// So many bytes go; whether they close a bracket.
    Gone(usize, bool),
    /// So many bytes are a bracket with these numbers.
    Cite(usize, Vec<u32>),
    /// So many bytes are shown as something else.
    Instead(usize, &'static str),
    /// The line goes.
    Line,
}

/// Where something ends that was opened.
enum End {
    Wait,
    At(usize),
    Never,
}

/// What a bracket holds.
enum Bracket {
    Wait,
    /// Its bytes, and its numbers.
    Numbers(usize, Vec<u32>),
    Other,
}

impl Marks {
    /// With the numbers that may be cited.
    pub(super) fn new(numbers: BTreeSet<u32>) -> Self {
        let (cited, held) = (BTreeSet::new(), String::new());
        Self { numbers, cited, held, closed: false, line_start: true, skipping: false }
    }

    /// See [`super::Sanitiser::cited`].
    pub(super) fn cited(&self) -> &BTreeSet<u32> {
        &self.cited
    }

    /// What may be shown after this piece.
    pub(super) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        self.run(false)
    }

    /// What may be shown of what was held.
    pub(super) fn finish(&mut self) -> String {
        self.run(true)
    }

    fn run(&mut self, ended: bool) -> String {
        let held = std::mem::take(&mut self.held);
        let mut out = String::with_capacity(held.len());
        let mut rest = held.as_str();
        while !rest.is_empty() {
            if self.skipping {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
                self.skipping = rest.is_empty();
                continue;
            }
            let bytes = match self.step(rest, ended) {
                Step::Wait => break,
                Step::Pass(bytes) => {
                    let passed = &rest[..bytes];
                    out.push_str(passed);
                    let line = passed.rsplit('\n').next().unwrap_or_default();
                    self.line_start &= line.len() == bytes;
                    self.line_start |= line.len() < bytes;
                    self.line_start &= line.trim().is_empty();
                    self.closed = false;
                    bytes
                }
                Step::Gone(bytes, closed) => {
                    (self.closed, self.line_start) = (closed, false);
                    bytes
                }
                Step::Cite(bytes, numbers) => {
                    for number in numbers.into_iter().filter(|number| self.numbers.contains(number)) {
                        self.cited.insert(number);
                        out.push_str(&format!("[{number}]"));
                    }
                    (self.closed, self.line_start) = (true, false);
                    bytes
                }
                Step::Instead(bytes, text) => {
                    out.push_str(text);
                    (self.closed, self.line_start) = (false, false);
                    bytes
                }
                Step::Line => {
                    (self.closed, self.skipping) = (false, true);
                    0
                }
            };
            rest = &rest[bytes..];
        }
        self.held = rest.to_owned();
        out
    }

    fn step(&self, rest: &str, ended: bool) -> Step {
        const MARKS: [char; 5] = ['[', ']', '(', '!', '<'];
        let Some(first) = rest.chars().next() else { return Step::Wait };
        match first {
            '[' => self.bracket(rest, ended),
            // Every bracket but those of sources goes, so that what is left of a link is its words.
            ']' => Step::Gone(1, true),
            '(' if self.closed => match closing(rest, 0, Some('('), ')', ended) {
                End::Wait => Step::Wait,
                End::At(bytes) => Step::Gone(bytes, false),
                End::Never => Step::Gone(1, false),
            },
            '!' => self.image(rest, ended),
            '<' => tag(rest, ended),
            _ => {
                let after = first.len_utf8();
                Step::Pass(rest[after..].find(MARKS).map_or(rest.len(), |next| after + next))
            }
        }
    }

    fn bracket(&self, rest: &str, ended: bool) -> Step {
        match inside(rest, ended) {
            Bracket::Wait => return Step::Wait,
            Bracket::Numbers(bytes, numbers) => return Step::Cite(bytes, numbers),
            Bracket::Other => {}
        }
        if self.closed {
            // The name of a link's address.
            return match closing(rest, 0, Some('['), ']', ended) {
                End::Wait => Step::Wait,
                End::At(bytes) => Step::Gone(bytes, true),
                End::Never => Step::Gone(1, false),
            };
        }
        if !self.line_start {
            return Step::Gone(1, false);
        }
        // `[name]: address` at the beginning of a line.
        let window = window(rest);
        match window.find([']', '\n']) {
            Some(at) if window.as_bytes()[at] == b'\n' => Step::Gone(1, false),
            Some(at) => match rest[at + 1..].chars().next() {
                Some(':') => Step::Line,
                None if !ended => Step::Wait,
                _ => Step::Gone(1, false),
            },
            None if ended || rest.len() >= HELD_BYTES_MAX => Step::Gone(1, false),
            None => Step::Wait,
        }
    }

    fn image(&self, rest: &str, ended: bool) -> Step {
        let label = &rest[1..];
        if label.is_empty() {
            return if ended { Step::Pass(1) } else { Step::Wait };
        }
        if !label.starts_with('[') {
            return Step::Pass(1);
        }
        match inside(label, ended) {
            Bracket::Wait => return Step::Wait,
            // A cry, and where it is from.
            Bracket::Numbers(_, numbers) if numbers.iter().any(|number| self.numbers.contains(number)) => {
                return Step::Pass(1);
            }
            _ => {}
        }
        let after = match closing(rest, 1, Some('['), ']', ended) {
            End::Wait => return Step::Wait,
            End::At(after) => after,
            End::Never => return Step::Gone(2, false),
        };
        match rest[after..].chars().next() {
            None if !ended => Step::Wait,
            Some('(') => match closing(rest, after, Some('('), ')', ended) {
                End::Wait => Step::Wait,
                End::At(bytes) => Step::Gone(bytes, false),
                End::Never => Step::Gone(after, true),
            },
            _ => Step::Gone(after, true),
        }
    }
}

/// A tag or an address in pointed brackets goes; any other `<` is one.
fn tag(rest: &str, ended: bool) -> Step {
    match rest[1..].chars().next() {
        None if !ended => Step::Wait,
        Some(next) if next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?') => {
            match closing(rest, 1, None, '>', ended) {
                End::Wait => Step::Wait,
                End::At(bytes) => Step::Gone(bytes, false),
                End::Never => Step::Gone(1, false),
            }
        }
        _ => Step::Instead(1, LESS_THAN),
    }
}

/// What is looked at to find an end: the same however much more is there already.
fn window(rest: &str) -> &str {
    &rest[..rest.floor_char_boundary(HELD_BYTES_MAX)]
}

/// Where what opens at `from` is closed.
fn closing(rest: &str, from: usize, open: Option<char>, close: char, ended: bool) -> End {
    let mut depth = 0_usize;
    for (at, sign) in window(rest).get(from..).unwrap_or_default().char_indices() {
        if Some(sign) == open {
            depth += 1;
        } else if sign == close {
            if depth <= 1 {
                return End::At(from + at + close.len_utf8());
            }
            depth -= 1;
        }
    }
    if ended || rest.len() >= HELD_BYTES_MAX { End::Never } else { End::Wait }
}

/// What the bracket holds that a text begins with.
fn inside(rest: &str, ended: bool) -> Bracket {
    for (at, sign) in rest.char_indices().skip(1) {
        if at > CITATION_BYTES_MAX {
            return Bracket::Other;
        }
        match sign {
            '0'..='9' | ' ' | ',' | ';' => {}
            ']' => {
                let parts = rest[1..at].split([' ', ',', ';']).filter(|part| !part.is_empty());
                // A number too large for one is that of no source.
                let numbers: Vec<u32> = parts.map(|part| part.parse().unwrap_or(0)).collect();
                let any = !numbers.is_empty();
                return if any { Bracket::Numbers(at + 1, numbers) } else { Bracket::Other };
            }
            _ => return Bracket::Other,
        }
    }
    if ended { Bracket::Other } else { Bracket::Wait }
}
