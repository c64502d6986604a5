//! Concepts in text with spaces: names, acronyms, identifiers, and key phrases between function words.
//! It ranks within one text only; how rare a phrase is elsewhere is not known.

use std::collections::HashMap;

use super::scan::{Gap, Look, Scan, Token};
use super::{ConceptKind, Found};
use crate::language::Language;

/// Per mention of a long form that the text defines an abbreviation for.
pub(super) const WEIGHT_DEFINED: u64 = 112;
const WEIGHT_NAME: u64 = 80;
const WEIGHT_SINGLE: u64 = 48;
/// What a word weighs in a phrase that neither it nor others make more of.
const WEIGHT_WORD: u64 = 16;
/// Most words of a name, connectors not counted, and of a key phrase.
const NAME_WORDS_MAX: usize = 4;
const PHRASE_WORDS_MAX: usize = 3;
/// Lower-case words that stand inside names.
const CONNECTORS: [&str; 15] =
    ["of", "the", "der", "von", "van", "den", "de", "del", "da", "di", "du", "des", "la", "le", "für"];
const ROMAN: [&str; 12] = ["II", "III", "IV", "VI", "VII", "VIII", "IX", "XI", "XII", "XX", "XXI", "XIX"];

/// Finds concepts among the words of `scan`.
pub(super) fn find<'a>(text: &'a str, scan: &Scan, language: Language, found: &mut Found<'a>) {
    let mut finder =
        Finder { text, scan, german: language == Language::DE, taken: vec![false; scan.tokens.len()] };
    finder.names(found);
    finder.marked(found);
    finder.phrases(found);
}

struct Finder<'a, 's> {
    text: &'a str,
    scan: &'s Scan,
    german: bool,
    /// Tokens that belong to a name, which key phrases do not run through.
    taken: Vec<bool>,
}

impl<'a> Finder<'a, '_> {
    fn surface(&self, from: usize, to: usize) -> &'a str {
        &self.text[self.scan.tokens[from].range.start..self.scan.tokens[to].range.end]
    }

    fn starts_upper(&self, token: &Token) -> bool {
        match token.look {
            Look::Capital | Look::Acronym => true,
            Look::Identifier => self.text[token.range.clone()].starts_with(char::is_uppercase),
            Look::Plain | Look::Other => false,
        }
    }

    fn in_name(&self, at: usize) -> bool {
        let token = &self.scan.tokens[at];
        self.starts_upper(token) && !self.scan.words[token.word].stop
    }

    fn is_connector(&self, at: usize) -> bool {
        let token = &self.scan.tokens[at];
        token.look == Look::Plain && CONNECTORS.contains(&&self.text[token.range.clone()])
    }

    fn names(&mut self, found: &mut Found<'a>) {
        let tokens = &self.scan.tokens;
        let mut from = 0;
        while from < tokens.len() {
            if !self.in_name(from) {
                from += 1;
                continue;
            }
            let (mut last, mut words) = (from, 1);
            while let Some(next) = self.next_of_name(last) {
                words += 1;
                last = next;
            }
            // The whole run is passed; a run too long is a heading, of which the beginning may be a name.
            let passed = last + 1;
            let mut first = from;
            // "Using Kubernetes": a sentence's first word is no name if the text has it in lower case.
            let opener = &self.scan.words[tokens[first].word];
            if words >= 2
                && tokens[first].gap == Gap::Sentence
                && opener.count > opener.capital
                && tokens[first].look == Look::Capital
            {
                first += 1;
                words -= 1;
                while self.is_connector(first) {
                    first += 1;
                }
            }
            if words > NAME_WORDS_MAX {
                from = passed;
                continue;
            }
            if words >= 2 {
                found.add(self.surface(first, last), ConceptKind::Name, 1, WEIGHT_NAME);
                self.taken[first..=last].fill(true);
            } else {
                self.single_name(first, found);
            }
            from = passed;
        }
    }

    /// The next word of a name after `at`, perhaps beyond one or two connectors.
    fn next_of_name(&self, at: usize) -> Option<usize> {
        let tokens = &self.scan.tokens;
        for (next, token) in tokens.iter().enumerate().skip(at + 1).take(3) {
            if token.gap != Gap::Space {
                return None;
            }
            if self.in_name(next) {
                return Some(next);
            }
            if !self.is_connector(next) {
                return None;
            }
        }
        None
    }

    fn single_name(&mut self, at: usize, found: &mut Found<'a>) {
        let token = &self.scan.tokens[at];
        let word = &self.scan.words[token.word];
        if token.look != Look::Capital || token.letters < 3 {
            return;
        }
        if self.german {
            // Every German noun is capitalised: only long or repeated ones tell something.
            if word.capital >= 2 || (token.letters >= 8 && word.capital_inside >= 1) {
                let weight = if word.capital >= 2 { WEIGHT_WORD * 2 } else { WEIGHT_WORD };
                found.add(self.surface(at, at), ConceptKind::Term, 1, weight);
            }
            return;
        }
        let mostly_capital = word.capital * 2 > word.count;
        if mostly_capital && (word.capital_inside >= 1 || word.capital >= 2 && word.capital == word.count) {
            found.add(self.surface(at, at), ConceptKind::Name, 1, WEIGHT_SINGLE);
            self.taken[at] = true;
        }
    }

    /// Acronyms and identifiers, and in text without spaces every foreign word.
    fn marked(&mut self, found: &mut Found<'a>) {
        let cjk: usize = self.scan.cjk.iter().map(|run| run.len() / 3).sum();
        let letters: usize = self.scan.tokens.iter().map(|token| token.letters).sum();
        let foreign = cjk * 4 > letters;
        for (at, token) in self.scan.tokens.iter().enumerate() {
            if self.scan.words[token.word].stop {
                continue;
            }
            let surface = self.surface(at, at);
            match token.look {
                Look::Acronym if !ROMAN.contains(&surface) => {
                    let weight = if token.letters >= 3 { WEIGHT_SINGLE } else { WEIGHT_WORD * 2 };
                    found.add(super::canonical::without_plural(surface), ConceptKind::Acronym, 1, weight);
                    self.taken[at] = true;
                }
                Look::Identifier if surface.len() <= 40 => {
                    found.add(surface, ConceptKind::Term, 1, WEIGHT_SINGLE);
                    self.taken[at] = true;
                }
                Look::Plain | Look::Capital if foreign && token.letters >= 2 && !self.taken[at] => {
                    found.add(surface, ConceptKind::Term, 1, WEIGHT_WORD * 2);
                    self.taken[at] = true;
                }
                _ => {}
            }
        }
    }

    /// Runs of content words, weighed as RAKE does: words of long runs make good phrases.
    fn phrases(&self, found: &mut Found<'a>) {
        let words = &self.scan.words;
        let mut degree = vec![(0u64, 0u64); words.len()];
        let mut runs = Vec::new();
        let mut from = 0;
        while from < self.scan.tokens.len() {
            if !self.in_phrase(from) {
                from += 1;
                continue;
            }
            let mut to = from + 1;
            while to < self.scan.tokens.len()
                && self.scan.tokens[to].gap == Gap::Space
                && self.in_phrase(to)
            {
                to += 1;
            }
            for token in &self.scan.tokens[from..to] {
                degree[token.word].0 += (to - from).min(PHRASE_WORDS_MAX) as u64;
                degree[token.word].1 += 1;
            }
            runs.push((from, to));
            from = to;
        }
        let weight = |word: usize| WEIGHT_WORD * degree[word].0 / degree[word].1.max(1);

        // Windows of two and three words: how often, where first, and whether ever a whole run.
        let mut windows: HashMap<[usize; 3], Window> = HashMap::new();
        for &(from, to) in &runs {
            for length in 2..=PHRASE_WORDS_MAX.min(to - from) {
                for at in from..=to - length {
                    let entry = windows.entry(self.key(at, length)).or_insert(Window {
                        count: 0,
                        whole: false,
                        at,
                        length,
                    });
                    entry.count += 1;
                    entry.whole |= length == to - from;
                }
            }
        }
        let mut chosen: Vec<Window> = windows
            .values()
            .filter(|window| self.counts(window))
            // What is said once around a pair that repeats is the sentence, not the concept.
            .filter(|window| {
                window.count >= 2
                    || window.length == 2
                    || !self.pairs(window).any(|pair| {
                        windows.get(&pair).is_some_and(|pair| pair.count >= 2 && self.counts(pair))
                    })
            })
            .copied()
            .collect();
        chosen.sort_unstable_by_key(|window| (std::cmp::Reverse(window.length), window.at));
        // How often a word, or a pair, occurs within longer phrases that repeat.
        let mut covered: HashMap<[usize; 3], u32> = HashMap::new();
        let mut covered_words = vec![0u32; words.len()];
        for window in &chosen {
            if window.length == 2
                && covered.get(&self.key(window.at, 2)).is_some_and(|&times| times >= window.count)
            {
                continue;
            }
            let tokens = &self.scan.tokens[window.at..window.at + window.length];
            let sum: u64 = tokens.iter().map(|token| weight(token.word)).sum();
            let each = if window.count >= 2 { sum } else { sum / 3 };
            found.add(
                self.surface(window.at, window.at + window.length - 1),
                ConceptKind::Term,
                window.count,
                each,
            );
            if window.length == 3 {
                for pair in self.pairs(window) {
                    let times = covered.entry(pair).or_default();
                    *times = window.count.max(*times);
                }
            }
            for token in tokens {
                covered_words[token.word] = covered_words[token.word].max(window.count);
            }
        }
        for (at, word) in words.iter().enumerate() {
            let uses = degree[at].1 as u32;
            if uses >= 2
                && word.letters >= 5
                && uses > covered_words[at]
                && !(self.german && word.capital > 0)
            {
                let token = &self.scan.tokens[word.first];
                found.add(&self.text[token.range.clone()], ConceptKind::Term, uses, weight(at));
            }
        }
    }

    fn in_phrase(&self, at: usize) -> bool {
        let token = &self.scan.tokens[at];
        let plain = matches!(token.look, Look::Plain | Look::Capital);
        plain && !self.taken[at] && token.letters >= 2 && !self.scan.words[token.word].stop
    }

    fn key(&self, at: usize, length: usize) -> [usize; 3] {
        let mut key = [usize::MAX; 3];
        for (slot, token) in key.iter_mut().zip(&self.scan.tokens[at..at + length]) {
            *slot = token.word;
        }
        key
    }

    /// The pairs within three words.
    fn pairs(&self, window: &Window) -> impl Iterator<Item = [usize; 3]> {
        [window.at, window.at + 1].map(|at| self.key(at, 2)).into_iter()
    }

    /// Whether a window may be a key phrase.
    fn counts(&self, window: &Window) -> bool {
        let tokens = &self.scan.tokens[window.at..window.at + window.length];
        let long = |least: usize| tokens.iter().all(|token| token.letters >= least);
        (window.count >= 2 && long(3)) || (window.whole && long(4))
    }
}

/// Two or three words in a row.
#[derive(Clone, Copy)]
struct Window {
    count: u32,
    /// Whether they once stood between function words or punctuation with nothing else.
    whole: bool,
    /// The first of their tokens where they occur first.
    at: usize,
    length: usize,
}
