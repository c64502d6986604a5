//! An answer without a model: the sentences of the sources that say most of what the question asks for.

use std::collections::HashSet;

use unicode_segmentation::UnicodeSegmentation;

use super::{Sanitiser, Source};
use crate::search::{Highlighter, snippet};
use crate::segment::{QueryTerm, is_stop_word, segment_query};

/// Sentences of an answer at most.
const SENTENCES_MAX: usize = 4;
/// Longest sentence that is taken whole, in bytes; of a longer one the part that fits.
const SENTENCE_BYTES_MAX: usize = 400;
/// Shorter ones are numbers and names of sections, in bytes.
const SENTENCE_BYTES_MIN: usize = 12;
/// Sentences looked at: bounds the work on tables. As many as rows of [`SENTENCE_BYTES_MIN`] fit into all sources together.
const LOOKED_AT_MAX: usize = 1_000;
/// What a term counts in a further sentence, when one that was taken has it.
const AGAIN: f64 = 0.3;
/// A sentence with less than this share of the best one's score adds nothing.
const WORTH: f64 = 0.4;
/// What the best source counts more than one far down.
const FIRST: f64 = 0.5;
/// What a sentence of [`SENTENCE_BYTES_MAX`] counts less than a word: of a long list with all that was asked for nobody reads
/// an answer.
const LONG: f64 = 0.5;
/// What a term counts that only the heading above a paragraph has, in its first sentence; in the next half of that, then a
/// third, as it says more about what comes first.
const ABOVE: f64 = 0.5;
/// Longest heading within a text, in bytes.
const HEADING_BYTES_MAX: usize = 120;
/// What sentences end with.
const ENDS: [char; 8] = ['.', '!', '?', ';', '。', '！', '？', '…'];
/// What is said where nothing was found.
const NOTHING: &str = "Nothing was found that answers this.";

struct Sentence {
    n: u32,
    text: String,
    /// Places of the question's terms that it has.
    terms: Vec<usize>,
    /// Of those that the heading right above its paragraph has, and it has not.
    above: Vec<usize>,
    /// Its place in its paragraph, from 1.
    nth: usize,
}

/// What stands between blank lines, or a row of a table.
#[derive(Debug, PartialEq, Eq)]
struct Paragraph {
    text: String,
    /// Lines that it had.
    lines: usize,
    is_row: bool,
}

/// An answer without a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// Sentences, each with its `[n]`.
    pub text: String,
    /// Whether some that belong to it did not fit.
    pub cut: bool,
}

/// The sentences with the most of the question's rare terms, in the order of the sources, each with its `[n]`; the best
/// of them in at most `bytes_max` bytes.
pub fn extractive(question: &str, sources: &[Source], bytes_max: usize) -> Extract {
    let mut terms = Highlighter::of(telling(segment_query(question)));
    let sentences = sentences_of(sources, &mut terms);
    let total = sentences.len() as f64;
    let weights: Vec<f64> = (0..terms.count())
        .map(|term| {
            let with = sentences.iter().filter(|sentence| sentence.terms.contains(&term)).count();
            (1.0 + total / with.max(1) as f64).ln()
        })
        .collect();
    let chosen = best(&sentences, &weights);
    let mut said: Vec<(usize, String)> = chosen
        .into_iter()
        .map(|place| {
            let Sentence { n, text, .. } = &sentences[place];
            (place, format!("{} [{n}]", shortened(text, question)))
        })
        .collect();
    if said.is_empty() {
        // Found by meaning alone: the best text's own beginning has to do.
        let beginning = sources.iter().find_map(|source| beginning(source, question));
        said.push((0, beginning.unwrap_or_else(|| NOTHING.to_owned())));
    }
    within(said, bytes_max)
}

/// The first of these that fit, in the order of their places; of a first that does not fit, its beginning.
fn within(said: Vec<(usize, String)>, bytes_max: usize) -> Extract {
    let mut left = bytes_max;
    let mut fitting: Vec<(usize, &str)> = Vec::new();
    let mut cut = false;
    for (place, text) in &said {
        let needed = text.len() + usize::from(!fitting.is_empty());
        if needed > left {
            cut = true;
            break;
        }
        left -= needed;
        fitting.push((*place, text.as_str()));
    }
    if let (true, Some((place, text))) = (fitting.is_empty(), said.first()) {
        fitting.push((*place, beginning_of(text, bytes_max)));
    }
    fitting.sort_unstable();
    let text = fitting.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(" ");
    Extract { text, cut }
}

/// Whole words of it, where there is a whole one.
fn beginning_of(text: &str, bytes_max: usize) -> &str {
    let end = text.floor_char_boundary(bytes_max);
    let words = text[..end].rfind(char::is_whitespace).filter(|_| end < text.len());
    &text[..words.filter(|words| *words > 0).unwrap_or(end)]
}

fn telling(terms: Vec<QueryTerm>) -> Vec<QueryTerm> {
    let is_stop = |term: &QueryTerm| term.alternatives.iter().all(|form| is_stop_word(form));
    if terms.iter().all(is_stop) {
        return terms;
    }
    terms.into_iter().filter(|term| !is_stop(term)).collect()
}

fn sentences_of(sources: &[Source], terms: &mut Highlighter) -> Vec<Sentence> {
    // Chunks overlap.
    let mut seen = HashSet::new();
    let mut sentences = Vec::new();
    for source in sources {
        let path = source.heading.as_deref().unwrap_or_default();
        let paragraphs = paragraphs(&clean(&source.text));
        let mut above = Vec::new();
        for (place, paragraph) in paragraphs.iter().enumerate() {
            // A heading says where one is, and answers nothing: what stands below it does.
            if path.contains(&paragraph.text) || is_heading(paragraph, paragraphs.get(place + 1)) {
                above = terms.terms_in(&paragraph.text);
                continue;
            }
            for (nth, text) in (1..).zip(paragraph.text.unicode_sentences().map(str::trim)) {
                if sentences.len() == LOOKED_AT_MAX {
                    return sentences;
                }
                if text.len() >= SENTENCE_BYTES_MIN && seen.insert(text.to_owned()) {
                    let terms = terms.terms_in(text);
                    let above = above.iter().copied().filter(|term| !terms.contains(term)).collect();
                    sentences.push(Sentence { n: source.n, text: text.to_owned(), terms, above, nth });
                }
            }
            above.clear();
        }
    }
    sentences
}

/// Without links, and without numbers in brackets that would pass for ours.
fn clean(text: &str) -> String {
    let mut sanitiser = Sanitiser::new(&[]);
    let mut clean = sanitiser.push(text);
    clean.push_str(&sanitiser.finish());
    clean
}

/// Whether it is a short line without an end, above a text of sentences. A short line with a value is an answer.
fn is_heading(paragraph: &Paragraph, below: Option<&Paragraph>) -> bool {
    let text = &paragraph.text;
    let is_line = paragraph.lines == 1 && !paragraph.is_row && text.len() <= HEADING_BYTES_MAX;
    let says_something = text.ends_with(ENDS) || text.contains([':', '=']);
    is_line && !says_something && below.is_some_and(|below| !below.is_row && below.text.contains(ENDS))
}

/// What blank lines divide, and each row of a table; other line ends are where a page was too narrow.
fn paragraphs(text: &str) -> Vec<Paragraph> {
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    // Whether the next line goes on with the last paragraph.
    let mut is_open = false;
    for line in text.lines() {
        let (is_row, line) = (line.contains('\t'), line.trim());
        if is_row {
            let cells: Vec<&str> =
                line.split('\t').map(str::trim).filter(|cell| !cell.is_empty()).collect();
            paragraphs.push(Paragraph { text: cells.join(" – "), lines: 1, is_row });
        } else if let (true, false, Some(last)) = (is_open, line.is_empty(), paragraphs.last_mut()) {
            last.text.extend([" ", line]);
            last.lines += 1;
        } else if !line.is_empty() {
            paragraphs.push(Paragraph { text: line.to_owned(), lines: 1, is_row });
        }
        is_open = !is_row && !line.is_empty();
    }
    paragraphs
}

/// Places of the sentences to take: each time the one that adds most.
fn best(sentences: &[Sentence], weights: &[f64]) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut covered: HashSet<usize> = HashSet::new();
    let mut enough = f64::MIN_POSITIVE;
    while chosen.len() < SENTENCES_MAX {
        let score = |sentence: &Sentence| {
            let of = |term: &usize| weights[*term] * if covered.contains(term) { AGAIN } else { 1.0 };
            let length = sentence.text.len().min(SENTENCE_BYTES_MAX) as f64 / SENTENCE_BYTES_MAX as f64;
            let own: f64 = sentence.terms.iter().map(of).sum();
            // What goes on below a heading says nothing again.
            let above: f64 = sentence.above.iter().map(|term| weights[*term]).sum();
            let found = own + ABOVE * above / sentence.nth as f64;
            found * (1.0 + FIRST / f64::from(sentence.n)) * (1.0 - LONG * length)
        };
        let left = sentences.iter().enumerate().filter(|(place, _)| !chosen.contains(place));
        // Of equals the first.
        let next = left
            .map(|(place, sentence)| (place, score(sentence)))
            .reduce(|best, other| if other.1 > best.1 { other } else { best });
        let Some((place, score)) = next.filter(|(_, score)| *score >= enough) else { break };
        if chosen.is_empty() {
            enough = score * WORTH;
        }
        covered.extend(sentences[place].terms.iter().chain(&sentences[place].above));
        chosen.push(place);
    }
    chosen
}

fn shortened(text: &str, question: &str) -> String {
    match text.len() > SENTENCE_BYTES_MAX {
        true => snippet(text, question, SENTENCE_BYTES_MAX).text,
        false => text.to_owned(),
    }
}

fn beginning(source: &Source, question: &str) -> Option<String> {
    let text = clean(if source.snippet.trim().is_empty() { &source.text } else { &source.snippet });
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then(|| format!("{} [{}]", shortened(&text, question), source.n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DocumentId, TenantId};

    /// As long as it may be.
    fn extractive(question: &str, sources: &[Source]) -> String {
        let extract = super::extractive(question, sources, usize::MAX);
        assert!(!extract.cut);
        extract.text
    }

    fn source(n: u32, text: &str) -> Source {
        Source {
            n,
            document: DocumentId::born(&TenantId::default(), "file:///a", n),
            title: "A".to_owned(),
            uri: "file:///a".to_owned(),
            page: 1,
            heading: None,
            text: text.to_owned(),
            snippet: String::new(),
        }
    }

    #[test]
    fn sentences_that_answer_are_cited() {
        let sources = [
            source(1, "Shells are programs. The zebra\nshell was written in 1987. It has no history."),
            source(2, "Many animals live here. A zebra eats grass all day long."),
        ];
        let answer = extractive("When was the zebra shell written?", &sources);
        assert!(answer.starts_with("The zebra shell was written in 1987. [1]"), "{answer}");
        assert!(!answer.contains("Many animals"), "{answer}");
    }

    #[test]
    fn headings_and_long_rows_are_no_answer() {
        let row = format!("zebra\tshell\twritten\t{}", "of many things ".repeat(30));
        let text = format!("The zebra shell\n\n{row}\nname\tzebra\nThe zebra shell was written by Ada.");
        let source = Source { heading: Some("Shells › The zebra shell".to_owned()), ..source(1, &text) };
        let answer = extractive("Who wrote the zebra shell?", std::slice::from_ref(&source));
        assert!(answer.contains("The zebra shell was written by Ada. [1]"), "{answer}");
        assert!(!answer.contains("The zebra shell [1]"), "{answer}");
        let found = paragraphs("a\tb\n\tc\t\td\ne\nf\n\n\ng");
        let seen: Vec<_> =
            found.iter().map(|found| (found.text.as_str(), found.lines, found.is_row)).collect();
        assert_eq!(seen, [("a – b", 1, true), ("c – d", 1, true), ("e f", 2, false), ("g", 1, false)]);
    }

    #[test]
    fn what_stands_below_a_heading_answers_for_it() {
        let text = "Zebras are striped.\n\nThe stable is on fire\n\nOpen all doors and lead them out. \
            Call for help.\n\nThe stable is painted every second year.";
        let answer = extractive("What to do when the stable is on fire?", &[source(1, text)]);
        assert!(answer.starts_with("Open all doors and lead them out. [1] Call for help. [1]"), "{answer}");
        assert!(!answer.contains("on fire"), "{answer}");
        // One with a value, or with nothing below it, is a sentence as others are.
        let facts = "Colour of the stable: green\n\nIt is old.\n\nStable behind the house";
        let answer = |question: &str| extractive(question, &[source(1, facts)]);
        assert_eq!(answer("colour of the stable"), "Colour of the stable: green [1]");
        assert_eq!(answer("What is behind the house?"), "Stable behind the house [1]");
        let japanese = "馬小屋が火事\n\nすべての戸を開ける。";
        assert_eq!(extractive("馬小屋の火事", &[source(1, japanese)]), "すべての戸を開ける。 [1]");
    }

    #[test]
    fn a_long_table_does_not_hide_what_comes_after_it() {
        let rows: String = (0..160).map(|row| format!("some word\t{row:05}\n")).collect();
        let mut sources: Vec<Source> = (1..=3).map(|n| source(n, &format!("{n}{rows}"))).collect();
        sources.push(source(4, "The zebra shell was written by Ada."));
        let answer = extractive("Who wrote the zebra shell?", &sources);
        assert_eq!(answer, "The zebra shell was written by Ada. [4]");
    }

    #[test]
    fn what_is_said_twice_is_taken_once() {
        let text = "The zebra shell was written in 1987.";
        assert_eq!(extractive("zebra shell", &[source(1, text), source(2, text)]), format!("{text} [1]"));
    }

    #[test]
    fn found_by_meaning_alone_the_best_text_begins_the_answer() {
        let sources = [source(1, "Striped horses graze in the evening."), source(2, "Something else.")];
        assert_eq!(extractive("zebra", &sources), "Striped horses graze in the evening. [1]");
        assert_eq!(extractive("zebra", &[]), NOTHING);
    }

    #[test]
    fn sources_bring_no_links_and_no_numbers_of_their_own() {
        let text =
            "The zebra shell [7] is at https://evil.example/x and ![p](https://evil.example/p.png) here.";
        let answer = extractive("zebra shell", &[source(1, text)]);
        assert!(!answer.contains("evil") && !answer.contains("[7]") && answer.ends_with("[1]"), "{answer}");
    }

    #[test]
    fn a_sentence_without_an_end_is_shortened() {
        let text = format!("{} zebra {}", "cell ".repeat(300), "cell ".repeat(300));
        let answer = extractive("zebra", &[source(1, &text)]);
        assert!(answer.len() < SENTENCE_BYTES_MAX + 20 && answer.contains("zebra"), "{answer}");
    }

    #[test]
    fn text_without_spaces_is_answered_from_too() {
        let answer = extractive("日本語", &[source(1, "これは日本語の文書です。別の文があります。")]);
        assert_eq!(answer, "これは日本語の文書です。 [1]");
    }

    #[test]
    fn the_best_sentence_stays_where_not_all_fit() {
        let sources = [
            source(1, "The zebra has stripes of all kinds."),
            source(2, "The zebra shell was written in 1987 by Ada."),
        ];
        let question = "When was the zebra shell written?";
        let whole = super::extractive(question, &sources, usize::MAX);
        assert!(whole.text.ends_with("by Ada. [2]") && !whole.cut, "{whole:?}");
        let best = "The zebra shell was written in 1987 by Ada. [2]";
        let cut = super::extractive(question, &sources, best.len());
        assert_eq!((cut.text.as_str(), cut.cut), (best, whole.text != best));
        let shorter = super::extractive(question, &sources, 20);
        assert_eq!((shorter.text.as_str(), shorter.cut), ("The zebra shell was", true));
        let two = || vec![(1, "best".to_owned()), (0, "next".to_owned())];
        assert_eq!(within(two(), 9), Extract { text: "next best".to_owned(), cut: false });
        assert_eq!(within(two(), 8), Extract { text: "best".to_owned(), cut: true });
        assert_eq!(super::extractive(question, &sources, 2).text, "Th");
        assert_eq!(super::extractive(question, &[], 0), Extract { text: String::new(), cut: true });
    }
}
