//! One pass over a text: its words with what their letters look like, and its runs of CJK characters.
//! Which of them are concepts is decided elsewhere.

use std::collections::HashMap;
use std::ops::Range;

use unicode_normalization::char::is_combining_mark;

use super::canonical::singular;
use crate::segment::{is_cjk, is_stop_word};

/// Longer words are data (hashes, encoded bytes), not language.
const WORD_BYTES_MAX: usize = 64;

/// What stands between a word and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// Only space: the words may form a phrase.
    Space,
    /// Punctuation within a sentence.
    Phrase,
    /// The end of a sentence, or the beginning of the text.
    Sentence,
}

/// What a word looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Capital,
    /// Capitals and digits.
    Acronym,
    /// Inner capitals, digits, dots or underscores.
    Identifier,
    /// Numbers and such, which no concept contains.
    Other,
}

pub(super) struct Token {
    pub range: Range<usize>,
    /// Position in [`Scan::words`].
    pub word: usize,
    pub gap: Gap,
    pub look: Look,
    pub letters: usize,
}

/// A distinct word, singular and lower-case.
pub(super) struct Word {
    pub stop: bool,
    pub letters: usize,
    pub count: u32,
    /// How often it begins with a capital, and how often of these not at the start of a sentence.
    pub capital: u32,
    pub capital_inside: u32,
    /// Where it occurs first: a position in [`Scan::tokens`].
    pub first: usize,
}

#[derive(Default)]
pub(super) struct Scan {
    pub tokens: Vec<Token>,
    pub words: Vec<Word>,
    pub cjk: Vec<Range<usize>>,
    forms: HashMap<String, usize>,
}

impl Scan {
    pub fn of(text: &str) -> Self {
        let mut scan = Self::default();
        let mut folded = String::with_capacity(WORD_BYTES_MAX);
        let mut gap = Gap::Sentence;
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            if is_cjk(c) {
                let end = text[at..].find(|c| !is_cjk(c)).map_or(text.len(), |length| at + length);
                scan.cjk.push(at..end);
                gap = gap.max(Gap::Phrase);
                at = end;
            } else if c.is_alphanumeric() {
                let word = read_word(text, at);
                at = word.resume;
                if word.look == Look::Other || word.range.len() > WORD_BYTES_MAX {
                    gap = gap.max(Gap::Phrase);
                    continue;
                }
                scan.add(text, word, gap, &mut folded);
                gap = Gap::Space;
            } else {
                let after = at + c.len_utf8();
                gap = gap.max(gap_of(c, &text[after..], scan.tokens.last(), at));
                at = after;
            }
        }
        scan.calm_shouting();
        scan
    }

    fn add(&mut self, text: &str, read: Read, gap: Gap, folded: &mut String) {
        folded.clear();
        for c in text[read.range.clone()].chars().flat_map(char::to_lowercase) {
            match c {
                'ß' => folded.push_str("ss"),
                'ё' => folded.push('е'),
                '\u{ad}' => {}
                c => folded.push(c),
            }
        }
        let word = match self.forms.get(folded.as_str()) {
            Some(&word) => word,
            None => self.new_form(folded, read.letters),
        };
        let entry = &mut self.words[word];
        if entry.count == 0 {
            entry.first = self.tokens.len();
        }
        entry.count += 1;
        if matches!(read.look, Look::Capital) {
            entry.capital += 1;
            entry.capital_inside += u32::from(gap != Gap::Sentence);
        }
        self.tokens.push(Token { range: read.range, word, gap, look: read.look, letters: read.letters });
    }

    fn new_form(&mut self, form: &str, letters: usize) -> usize {
        let stop = is_stop_word(form);
        let (stem, ending) = if stop { (form, "") } else { singular(form) };
        if stem.len() != form.len() {
            let mut base = String::with_capacity(form.len());
            base.push_str(stem);
            base.push_str(ending);
            let word = match self.forms.get(&base) {
                Some(&word) => word,
                None => self.new_word(base, false, letters),
            };
            self.forms.insert(form.to_owned(), word);
            return word;
        }
        self.new_word(form.to_owned(), stop, letters)
    }

    fn new_word(&mut self, form: String, stop: bool, letters: usize) -> usize {
        let word = self.words.len();
        self.words.push(Word { stop, letters, count: 0, capital: 0, capital_inside: 0, first: 0 });
        self.forms.insert(form, word);
        word
    }

    /// The word of a folded, singular form, if the text has it.
    pub fn word(&self, form: &str) -> Option<&Word> {
        self.forms.get(form).map(|&word| &self.words[word])
    }

    /// Headings in capitals hold ordinary words, not acronyms.
    fn calm_shouting(&mut self) {
        let mut from = 0;
        while from < self.tokens.len() {
            let loud = |token: &Token| token.look == Look::Acronym || token.look == Look::Other;
            let mut to = from;
            while to < self.tokens.len()
                && loud(&self.tokens[to])
                && (to == from || self.tokens[to].gap == Gap::Space)
            {
                to += 1;
            }
            let run = &mut self.tokens[from..to];
            if run.len() >= 3 || (run.len() == 2 && run.iter().any(|token| token.letters >= 6)) {
                run.iter_mut().for_each(|token| token.look = Look::Plain);
            }
            from = to.max(from + 1);
        }
    }
}

fn gap_of(c: char, after: &str, last: Option<&Token>, at: usize) -> Gap {
    match c {
        '\n' if after.starts_with(['\n', '\r']) => Gap::Sentence,
        '\t' => Gap::Phrase,
        // "J. Smith", "Dr. Smith": a short capitalised word before the dot is abbreviated.
        '.' => match last {
            Some(last) if last.range.end == at && last.look == Look::Capital && last.letters <= 2 => {
                Gap::Space
            }
            _ => Gap::Sentence,
        },
        '!' | '?' | ':' | '…' | '。' | '！' | '？' | '#' | '•' => Gap::Sentence,
        c if c.is_whitespace() => Gap::Space,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => Gap::Space,
        _ => Gap::Phrase,
    }
}

struct Read {
    range: Range<usize>,
    /// Where reading goes on.
    resume: usize,
    look: Look,
    letters: usize,
}

#[derive(Default)]
struct Seen {
    letters: usize,
    upper: usize,
    lower: usize,
    digits: usize,
    /// Changes between letters and digits.
    switches: usize,
    inner_capital: bool,
    /// Joined by an underscore, a slash or a dot.
    joined: bool,
    hyphen: bool,
    /// Longest part between joiners, in characters.
    part_max: usize,
}

/// Reads the word that starts at `start`, where a letter or digit stands.
fn read_word(text: &str, start: usize) -> Read {
    let path = text[..start].ends_with('/');
    let mut seen = Seen::default();
    let mut first_upper = false;
    let mut part = 0;
    let (mut was_lower, mut was_digit) = (false, false);
    let mut end = start;
    let mut chars = text[start..].char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        let at = start + offset;
        if c.is_alphanumeric() && !is_cjk(c) {
            let (upper, digit) = (c.is_uppercase(), c.is_numeric());
            if at == start {
                first_upper = upper;
            } else {
                seen.switches += usize::from(part > 0 && digit != was_digit);
            }
            seen.inner_capital |= upper && was_lower;
            seen.upper += usize::from(upper);
            seen.lower += usize::from(!upper && !digit);
            seen.letters += usize::from(!digit);
            seen.digits += usize::from(digit);
            (was_lower, was_digit) = (!upper && !digit, digit);
            part += 1;
            seen.part_max = seen.part_max.max(part);
            end = at + c.len_utf8();
            continue;
        }
        if is_combining_mark(c) || matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}') {
            end = at + c.len_utf8();
            continue;
        }
        if c == ':' && text[at..].starts_with("://") {
            return address(text, start);
        }
        let next = chars.peek().map(|&(_, next)| next);
        let continues = next.is_some_and(|next| next.is_alphanumeric() && !is_cjk(next));
        match c {
            '@' if continues => return address(text, start),
            '+' | '#' => {
                // "C++", "C#", "F#".
                let marks = text[at..].bytes().take_while(|&byte| byte == c as u8).count();
                let closed = !text[at + marks..].starts_with(|c: char| c.is_alphanumeric());
                if closed && part <= 2 && seen.digits == 0 && first_upper && marks <= 2 {
                    seen.joined = true;
                    seen.letters += 1;
                    seen.part_max += 1;
                    end = at + marks;
                }
                break;
            }
            _ if !continues => break,
            '\'' | '’' => {
                // "'s" and its like are no part of the word.
                let clitic = &text[at + c.len_utf8()..];
                let length = clitic.find(|c: char| !c.is_alphanumeric()).unwrap_or(clitic.len());
                if length <= 2 || part <= 1 && was_lower {
                    let resume = if length <= 2 { at + c.len_utf8() + length } else { end };
                    return Read {
                        range: start..end,
                        resume,
                        look: look(&seen, first_upper),
                        letters: seen.letters,
                    };
                }
            }
            '-' | '\u{2010}' | '\u{2011}' => seen.hyphen = true,
            '_' => seen.joined = true,
            '.' => seen.joined = true,
            '/' if path => seen.joined = true,
            '&' if seen.lower == 0 && next.is_some_and(char::is_uppercase) => {}
            _ => break,
        }
        part = 0;
        was_lower = false;
    }
    if text[start..end].starts_with("www.") {
        return address(text, start);
    }
    Read { range: start..end, resume: end, look: look(&seen, first_upper), letters: seen.letters }
}

/// Skips a URL or e-mail address.
fn address(text: &str, start: usize) -> Read {
    let rest = &text[start..];
    let length = rest.find(|c: char| c.is_whitespace() || is_cjk(c) || matches!(c, ')' | '>' | '"'));
    let end = start + length.unwrap_or(rest.len());
    Read { range: start..end, resume: end, look: Look::Other, letters: 0 }
}

fn look(seen: &Seen, first_upper: bool) -> Look {
    let characters = seen.letters + seen.digits;
    if seen.letters == 0 || seen.switches > 3 {
        return Look::Other;
    }
    // "e.g", "U.S".
    if seen.joined && seen.part_max <= 1 {
        return Look::Other;
    }
    let starts_with_digit = seen.switches % 2 == 1 && seen.digits > 0 && !first_upper && seen.lower == 0;
    if seen.lower == 0 && seen.upper >= 2 && !seen.joined && characters <= 8 {
        // "16GB" is a quantity.
        return if starts_with_digit && seen.upper <= 2 { Look::Other } else { Look::Acronym };
    }
    // "PDFs".
    if seen.lower == 1
        && seen.upper >= 2
        && seen.digits == 0
        && !seen.inner_capital
        && characters <= 9
        && !seen.joined
        && !seen.hyphen
    {
        return Look::Acronym;
    }
    if seen.joined || (seen.inner_capital && !seen.hyphen) {
        return if seen.letters >= 2 { Look::Identifier } else { Look::Other };
    }
    if seen.digits > 0 {
        // "1st", "10px" and "5-fold" count or measure.
        let named = seen.letters >= 2 && (first_upper || !starts_with_count(seen));
        return if named { Look::Identifier } else { Look::Other };
    }
    if first_upper { Look::Capital } else { Look::Plain }
}

fn starts_with_count(seen: &Seen) -> bool {
    seen.letters <= 2 || seen.digits > seen.letters
}
