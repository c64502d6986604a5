//! Tables of contents: they name everything that a document speaks of and say nothing about it.

/// Dots of a leader, with or without spaces between them, from which it counts.
const LEADER_DOTS_MIN: usize = 4;
/// Share of a text's bytes that leaders take from which the text is a table of contents: one in this many.
/// Short entries have leaders of half a line; a list of figures with captions over two lines still has a third.
const ONE_IN: usize = 5;

/// Whether a text is mostly lines whose title and page number are joined by leaders (`Signals . . . . 12`).
pub fn is_contents(text: &str) -> bool {
    let mut leaders = 0;
    let (mut dots, mut from) = (0, 0);
    let mut closed = |dots: usize, bytes: usize| {
        if dots >= LEADER_DOTS_MIN {
            leaders += bytes;
        }
    };
    let mut last_dot = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'.' => {
                if dots == 0 {
                    from = at;
                }
                dots += 1;
                last_dot = at;
            }
            b' ' if dots > 0 && at == last_dot + 1 => {}
            _ if dots > 0 => {
                closed(dots, last_dot + 1 - from);
                dots = 0;
            }
            _ => {}
        }
    }
    if dots > 0 {
        closed(dots, last_dot + 1 - from);
    }
    leaders * ONE_IN >= text.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::is_contents;

    #[test]
    fn a_page_of_leaders_is_contents() {
        assert!(is_contents(
            "3.7 Executing Commands . . . . . . . . . . . . 41\n3.7.1 Simple Command Expansion . . . . . . . 42"
        ));
        assert!(is_contents(
            "第一章 概要 ......................... 3\n第二章 導入 .......................... 9"
        ));
        assert!(is_contents("Signals . . . . . . . . ."));
    }

    #[test]
    fn prose_code_and_ellipses_are_not() {
        for text in [
            "",
            "A sentence. Another one. And ... so on.",
            "for i in 1..10 { v[..].len() } // ....",
            "The prompt shows progress like ........ and then the name of each of the packages that it has \
             unpacked, until it is done with all of them.",
            "No. 1. 2. 3. 4.",
        ] {
            assert!(!is_contents(text), "{text}");
        }
    }
}
