//! How near a text is to another: token F1, and bigram F1, which punishes what is out of order, glued together or cut apart.
//! Knows no document and no program.
//!
//! The same rules for both sides: NFKC, soft hyphens and byte order marks away, a word that a hyphen cuts at the end of a
//! line made whole where the next line goes on in lower case. A token is then a run of letters and digits in lower case; a
//! Chinese or Japanese character is a token by itself. White space and all else only separate.

use std::collections::HashMap;
use std::hash::Hash;

use unicode_normalization::UnicodeNormalization;

/// How near a text is to another, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct F1 {
    /// Of its tokens.
    pub token: f64,
    /// Of its pairs of tokens that follow each other.
    pub bigram: f64,
}

impl F1 {
    /// Of a text against what it should be.
    pub fn of(found: &str, truth: &str) -> Self {
        let (found, truth) = (tokens(found), tokens(truth));
        Self { token: overlap(found.iter(), truth.iter()), bigram: overlap(pairs(&found), pairs(&truth)) }
    }

    /// The mean of many; not a number of none.
    pub fn mean(all: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        Self { token: mean(|f1| f1.token), bigram: mean(|f1| f1.bigram) }
    }
}

/// The tokens of a text, in order.
pub fn tokens(text: &str) -> Vec<String> {
    let text: String = text.chars().filter(|c| !matches!(c, '\u{ad}' | '\u{feff}')).nfkc().collect();
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            tokens.push(std::mem::take(word));
        }
    };
    for c in whole_words(&text).chars() {
        let alone = stands_alone(c);
        if alone || !c.is_alphanumeric() {
            end(&mut word);
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        if alone {
            end(&mut word);
        }
    }
    end(&mut word);
    tokens
}

/// Words that a hyphen cuts at the end of a line.
pub fn cut_words(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.windows(2).filter(|pair| ends_in_hyphen(pair[0]) && goes_on(pair[1])).count()
}

/// Letters and digits of a text: a page with few of them is as good as blank.
pub fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

/// Written without spaces between words: Han, Hiragana, Katakana.
fn stands_alone(c: char) -> bool {
    let is_such = matches!(c, '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
    is_such && c.is_alphanumeric()
}

fn whole_words(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for line in text.lines().map(str::trim) {
        if goes_on(line) && ends_in_hyphen(&whole) {
            whole.pop();
        } else if !whole.is_empty() {
            whole.push('\n');
        }
        whole.push_str(line);
    }
    whole
}

fn goes_on(line: &str) -> bool {
    line.chars().next().is_some_and(char::is_lowercase)
}

fn ends_in_hyphen(line: &str) -> bool {
    let mut back = line.chars().rev();
    matches!(back.next(), Some('-' | '\u{2010}')) && back.next().is_some_and(char::is_alphabetic)
}

fn pairs(tokens: &[String]) -> impl Iterator<Item = (&String, &String)> {
    tokens.windows(2).map(|pair| (&pair[0], &pair[1]))
}

/// F1 of two bags; two empty ones are equal.
fn overlap<T: Eq + Hash>(found: impl Iterator<Item = T>, truth: impl Iterator<Item = T>) -> f64 {
    let mut left: HashMap<T, usize> = HashMap::new();
    let (mut all, mut shared) = (0_usize, 0_usize);
    for item in truth {
        *left.entry(item).or_default() += 1;
        all += 1;
    }
    for item in found {
        all += 1;
        if let Some(count) = left.get_mut(&item)
            && *count > 0
        {
            *count -= 1;
            shared += 1;
        }
    }
    if all == 0 { 1.0 } else { 2.0 * shared as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_and_characters_without_spaces_are_alone() {
        assert_eq!(tokens("The ﬁle-name, 2nd\tTIME"), ["the", "file", "name", "2nd", "time"]);
        assert_eq!(tokens("日本語のOCRテスト。"), ["日", "本", "語", "の", "ocr", "テ", "ス", "ト"]);
        assert_eq!(tokens("한국어 문서"), ["한국어", "문서"]);
        assert_eq!(tokens(" \n— …\u{c}"), [""; 0]);
    }

    #[test]
    fn words_cut_at_the_end_of_a_line_are_made_whole() {
        let text = "soft\u{ad}hy\u{ad}phens and docu-\n  ments, user\u{2010}\r\nfriendly";
        assert_eq!(tokens(text), ["softhyphens", "and", "documents", "userfriendly"]);
        // Neither a name, nor a range, nor what a new paragraph begins with.
        assert_eq!(
            tokens("Anna-\nLena 3-\nfold end-\n\nnext"),
            ["anna", "lena", "3", "fold", "end", "next"]
        );
        assert_eq!(cut_words("docu-\nments, Anna-\nLena, user-\nfriendly"), 2);
    }

    #[test]
    fn order_counts_for_bigrams_alone() {
        let same = F1::of("one two three", "One,  two\nthree");
        assert_eq!((same.token, same.bigram), (1.0, 1.0));
        let turned = F1::of("three two one", "one two three");
        assert_eq!((turned.token, turned.bigram), (1.0, 0.0));
        let glued = F1::of("onetwo three", "one two three");
        assert_eq!((glued.token, glued.bigram), (2.0 / 5.0, 0.0));
        // What is there too often helps as little as what is not there.
        assert_eq!(F1::of("one one one", "one two").token, 2.0 / 5.0);
        assert_eq!(F1::of("", "one two").token, 0.0);
        assert_eq!(F1::of("", "").token, 1.0);
    }

    #[test]
    fn a_mean_is_of_both() {
        let mean = F1::mean(&[F1 { token: 1.0, bigram: 0.5 }, F1 { token: 0.5, bigram: 0.0 }]);
        assert_eq!(mean, F1 { token: 0.75, bigram: 0.25 });
        assert!(F1::mean(&[]).token.is_nan());
    }
}
