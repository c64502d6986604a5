//! Hits, answers and concepts for people: the same from this machine and from a server.

use std::fmt::Write as _;

use docmill_core::search::{Explain, Hit, Mode, SearchAnswer};
use serde_json::Value;

use crate::output::{self, Style, escaped, highlighted, one_line};

/// Terms shown of what a hit was scored by: the rarest.
const TERMS_SHOWN: usize = 6;

/// Prints what a search found.
pub fn hits(found: &SearchAnswer) {
    let style = Style::stdout();
    for (place, hit) in found.results.iter().enumerate() {
        print(place + 1, hit, style);
    }
    if found.results.is_empty() {
        println!("nothing found");
    }
    for (name, counts) in &found.facets {
        let counts: Vec<String> =
            counts.iter().map(|count| format!("{} {}", escaped(&count.value), count.documents)).collect();
        println!(
            "{}: {}",
            style.strong(name),
            if counts.is_empty() { "-".into() } else { counts.join(", ") }
        );
    }
    if let (Mode::FullText, Some(reason)) = (found.mode, &found.reason) {
        println!("{}", style.dim(&format!("full text only: {}", escaped(reason))));
    }
}

fn print(place: usize, hit: &Hit, style: Style) {
    let file = hit.document.uri.rsplit('/').next().unwrap_or(&hit.document.uri);
    let title = hit.document.title.as_deref().unwrap_or(file);
    println!("{place}. {}  {}", style.strong(&one_line(title)), style.dim(&format!("{:.4}", hit.score)));
    let heading = hit.heading.as_deref().map(|heading| format!("  {}", one_line(heading)));
    println!("   p. {}{}", hit.page, heading.unwrap_or_default());
    println!("   {}", style.dim(&escaped(&hit.document.uri)));
    for twin in &hit.also_at {
        println!("   {}", style.dim(&format!("also at {}", escaped(twin))));
    }
    if let Some(explain) = &hit.explain {
        println!("   {}", style.dim(&explained(explain)));
    }
    println!("   {}\n", highlighted(&hit.snippet, style));
}

/// How a score came about, on one line.
fn explained(explain: &Explain) -> String {
    let Explain { words, words_best, words_share, meaning, meaning_best, terms, .. } = explain;
    let mut said = format!("{words_share:.2} × words {words:.3} of {words_best:.3}");
    if let Some(meaning) = meaning {
        let _ = write!(said, " + {:.2} × meaning {meaning:.3} of {meaning_best:.3}", 1.0 - words_share);
    }
    let mut rarest: Vec<_> = terms.iter().collect();
    rarest.sort_by(|one, other| other.rarity.total_cmp(&one.rarity));
    let rarest = rarest.iter().take(TERMS_SHOWN);
    let rarest: Vec<String> =
        rarest.map(|term| format!("{} in {}", one_line(&term.term), term.chunks)).collect();
    if !rarest.is_empty() {
        let _ = write!(said, "; {}", rarest.join(", "));
    }
    said
}

/// The text of an answer as a terminal may show it: line ends stay, nothing else steers it.
pub fn shown(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// What an answer cites, and what else to know about it. The value is the API's `FinalAnswer`.
pub fn sources(answer: &Value) {
    let style = Style::stdout();
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default());
    for source in answer["citations"].as_array().into_iter().flatten() {
        println!("\n[{}] {}  p. {}", source["n"], style.strong(&text(&source["title"])), source["page"]);
        println!("    {}", style.dim(&text(&source["uri"])));
    }
    if let Some(note) = answer["note"].as_str() {
        println!("\n{}", style.dim(&one_line(note)));
    }
}

/// The way between two concepts. The value is the API's list of steps.
pub fn way(steps: &Value) {
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default());
    let steps = steps.as_array().map(Vec::as_slice).unwrap_or_default();
    if steps.is_empty() {
        println!("no way leads there in so many steps");
        return;
    }
    let rows = steps.iter().map(|step| {
        let via = &step["via"];
        let page = if via.is_null() { String::new() } else { via["page"].to_string() };
        vec![text(&step["concept"]), text(&via["uri"]), page]
    });
    println!("{}", output::table(&["concept", "together with the one before in", "page"], rows.collect()));
}

#[cfg(test)]
mod tests {
    use docmill_core::search::ExplainedTerm;

    use super::*;

    #[test]
    fn a_score_says_how_it_came_about() {
        let term = |term: &str, chunks, rarity| ExplainedTerm { term: term.into(), chunks, rarity };
        let mut explain = Explain {
            words: 1.5,
            words_best: 3.0,
            words_share: 0.4,
            meaning: Some(0.5),
            meaning_best: 0.8,
            terms: vec![term("often", 900, 0.1), term("rare", 2, 5.0)],
            question: String::new(),
        };
        let both = "0.40 × words 1.500 of 3.000 + 0.60 × meaning 0.500 of 0.800; rare in 2, often in 900";
        assert_eq!(explained(&explain), both);
        explain.meaning = None;
        explain.terms.clear();
        assert_eq!(explained(&explain), "0.40 × words 1.500 of 3.000");
    }

    #[test]
    fn answers_keep_their_lines_and_steer_no_terminal() {
        assert_eq!(shown("a\n\u{1b}[2Jb"), "a\n\\u{1b}[2Jb");
    }
}
