//! What of an answer people may get: text and the numbers of its sources. A model repeats what hostile texts make it
//! say, so nothing that loads, links or hides leaves here, wherever the pieces of a stream were cut.
//!
//! An answer passes three steps, each of which holds back what it cannot tell yet: signs that are not seen,
//! marks of Markdown and HTML, addresses. A step sees what the one before made of the text, so
//! that taking something out cannot put something else together. Nothing but brackets with numbers of sources
//! comes out as brackets, hence no link can be written, and none defined.

mod addresses;
mod marks;

use std::collections::BTreeSet;

use super::Source;
use addresses::Addresses;
use marks::Marks;

/// Longest answer, in bytes; the rest goes.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Most that is held back until a mark is closed, in bytes; then only what opens it goes.
pub const HELD_BYTES_MAX: usize = 2_048;

/// Takes an answer piece by piece. Any pieces of a text give together what the whole text gives.
pub struct Sanitiser {
    marks: Marks,
    addresses: Addresses,
    written: usize,
    full: bool,
}

impl Sanitiser {
    /// For an answer that may cite these.
    pub fn new(sources: &[Source]) -> Self {
        let numbers = sources.iter().map(|source| source.n).collect();
        Self { marks: Marks::new(numbers), addresses: Addresses::default(), written: 0, full: false }
    }

    /// What may be shown after this piece.
    pub fn push(&mut self, delta: &str) -> String {
        let seen: String = delta.chars().filter_map(visible).collect();
        let marked = self.marks.push(&seen);
        let clean = self.addresses.push(&marked);
        self.limited(clean)
    }

    /// What may be shown of what was held back: there is no more to come.
    pub fn finish(&mut self) -> String {
        let marked = self.marks.finish();
        let mut clean = self.addresses.push(&marked);
        clean.push_str(&self.addresses.finish());
        self.limited(clean)
    }

    /// Numbers of the sources that the answer cited so far.
    pub fn cited(&self) -> &BTreeSet<u32> {
        self.marks.cited()
    }

    /// Whether the answer is as long as one may be, so that nothing more will come out.
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn limited(&mut self, mut clean: String) -> String {
        let left = ANSWER_BYTES_MAX - self.written;
        if self.full || clean.len() > left {
            // Once something did not fit, nothing that comes later may: it would stand in the wrong place.
            clean.truncate(if self.full { 0 } else { clean.floor_char_boundary(left) });
            self.full = true;
        }
        self.written += clean.len();
        clean
    }
}

/// The sign, unless it is one that steers or hides instead of being seen.
fn visible(sign: char) -> Option<char> {
    match sign {
        '\n' | '\t' => Some(sign),
        '\u{2028}' | '\u{2029}' => Some('\n'),
        _ if sign.is_control() => None,
        // Soft hyphen, marks and overrides of direction, joiners and spaces of no width, their invisible kin.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => None,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => None,
        '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => None,
        // Tags and further selectors of variants: whole sentences can be written in them.
        '\u{e0000}'..='\u{e0fff}' => None,
        _ => Some(sign),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DocumentId, TenantId};
    use proptest::prelude::*;

    fn sources(count: u32) -> Vec<Source> {
        let source = |n| Source {
            n,
            document: DocumentId::born(&TenantId::default(), "file:///a", n),
            title: String::new(),
            uri: String::new(),
            page: 1,
            heading: None,
            text: String::new(),
            snippet: String::new(),
        };
        (1..=count).map(source).collect()
    }

    fn clean_in<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, Vec<u32>) {
        let mut sanitiser = Sanitiser::new(&sources(3));
        let mut clean: String = pieces.into_iter().map(|piece| sanitiser.push(piece)).collect();
        clean.push_str(&sanitiser.finish());
        (clean, sanitiser.cited().iter().copied().collect())
    }

    #[test]
    fn only_text_and_known_numbers_are_left() {
        let cases: &[(&str, &str, &[u32])] = &[
            ("Plain text, 2 > 1; nothing else.", "Plain text, 2 > 1; nothing else.", &[]),
            ("Said [1]. And [2, 3], not [4].", "Said [1]. And [2][3], not .", &[1, 2, 3]),
            ("Said [ 1 ][2] [12345678901].", "Said [1][2] .", &[1, 2]),
            ("![p](https://evil.example/?q=1) after", " after", &[]),
            ("![p][ref] ![p] after", "  after", &[]),
            ("![a![b](c)](https://evil.example) x", " x", &[]),
            ("See [the manual](https://evil.example/a_(b)) now", "See the manual now", &[]),
            ("See [the manual](/relative \"title\") now", "See the manual now", &[]),
            ("See [the manual][ref] now", "See the manual now", &[]),
            ("A\n[ref]: https://evil.example 'x'\nB", "A\n\nB", &[]),
            ("A\n  [ref]: <javascript:alert(1)>\nB", "A\n  \nB", &[]),
            ("[1]: https://evil.example", "[1] ", &[1]),
            ("[1](https://evil.example) x", "[1] x", &[1]),
            ("[1]<b></b>(https://evil.example) x", "[1] () x", &[1]),
            ("<img src=\"https://evil.example/p.png\"> x", " x", &[]),
            ("<https://evil.example> <me@evil.example> x", "  x", &[]),
            ("a < b, a <= b, List<T>", "a ‹ b, a ‹= b, List", &[]),
            ("<script>alert(1)</script>", "alert(1)", &[]),
            ("<img src=x onerror=y", "img src=x onerror=y", &[]),
            ("Go to https://evil.example/x?y=z, now", "Go to  now", &[]),
            ("Go to (HTTPS://evil.example) now", "Go to () now", &[]),
            ("Go to www.evil.example now", "Go to  now", &[]),
            ("Go to gopher://evil.example now", "Go to gopher now", &[]),
            ("ht<b>tp://evil.example/</b> x", " x", &[]),
            ("ht\u{200b}tp://evil.example x", " x", &[]),
            ("&#104;ttps://evil.example x", " ttps x", &[]),
            ("![p](data:image/png;base64,AAAA) x", " x", &[]),
            ("data:text/html;base64,AAAA x", " x", &[]),
            (
                "the data: 5, the metadata:x, http headers, HTTP: yes",
                "the data: 5, the metadata:x, http headers, HTTP: yes",
                &[],
            ),
            ("AT&T & so; R&D", "AT&T & so; R&D", &[]),
            ("\u{202e}gnp\u{202c} \u{7}bell\r\n", "gnp bell\n", &[]),
            ("Great![1] ![2](https://evil.example)", "Great! [1] ! [2]", &[1, 2]),
            ("hidden\u{e0041}\u{e0042} text", "hidden text", &[]),
            ("an open [bracket and ![image and <tag", "an open bracket and image and tag", &[]),
        ];
        for (text, expected, cited) in cases {
            assert_eq!(clean_in([*text]), ((*expected).to_owned(), cited.to_vec()), "{text:?}");
        }
    }

    #[test]
    fn what_is_never_closed_is_not_held_for_ever() {
        let mut sanitiser = Sanitiser::new(&[]);
        for open in ["![", "<a ", "[x](", "x"] {
            let mut shown = sanitiser.push(open).len();
            for _ in 0..2 * HELD_BYTES_MAX / 8 {
                shown += sanitiser.push("12345678").len();
            }
            assert!(shown > HELD_BYTES_MAX, "{open}: {shown}");
        }
        let mut sanitiser = Sanitiser::new(&[]);
        assert_eq!(sanitiser.push("x "), "x ");
        assert_eq!(sanitiser.push(&"https://e/".repeat(100_000)), "", "an address is dropped as it comes");
        assert_eq!(sanitiser.push(" y") + &sanitiser.finish(), " y");
    }

    #[test]
    fn an_answer_has_an_end() {
        let mut sanitiser = Sanitiser::new(&[]);
        let shown: usize = (0..10_000).map(|_| sanitiser.push("wörter ").len()).sum();
        assert!(sanitiser.is_full() && shown <= ANSWER_BYTES_MAX && shown > ANSWER_BYTES_MAX - 4);
        assert_eq!(sanitiser.push("more") + &sanitiser.finish(), "");
    }

    /// Pieces of what hostile texts are made of.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "[",
                "]",
                "(",
                ")",
                "!",
                "<",
                ">",
                "&",
                ";",
                ":",
                "/",
                "//",
                "[1]",
                "[2](",
                "](",
                "]:",
                "![",
                "http",
                "https://e.example/x",
                "ht",
                "tp:",
                "www.",
                "data:",
                "a",
                "word ",
                " ",
                "\n",
                "\n[r]: ",
                "<b>",
                "</",
                "&#58;",
                "\u{200b}",
                "\u{202e}",
                "ü",
                "日本",
                "javascript:",
                "\"",
                "1",
                "2",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,6}",
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn pieces_give_what_the_whole_gives(text in hostile(), cuts in prop::collection::vec(0usize..400, 0..12)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(clean_in(pieces), clean_in([text.as_str()]));
        }

        #[test]
        fn nothing_comes_out_that_links(text in hostile()) {
            let (clean, _) = clean_in([text.as_str()]);
            prop_assert!(!clean.contains("](") && !clean.contains("]:") && !clean.contains('<'), "{clean:?}");
            prop_assert!(!clean.contains("!["), "{clean:?}");
            let followed = |by: &str| {
                clean.match_indices(by).any(|(at, _)| {
                    let next = clean[at + by.len()..].chars().next();
                    next.is_some_and(|next| next.is_ascii_graphic() && !['[', ']'].contains(&next))
                })
            };
            prop_assert!(!followed("://"), "{clean:?}");
            // Brackets hold numbers of sources and nothing else.
            for (at, _) in clean.match_indices('[') {
                let inside = clean[at + 1..].split(']').next().unwrap_or_default();
                prop_assert!(["1", "2", "3"].contains(&inside), "{clean:?}");
            }
        }
    }
}
