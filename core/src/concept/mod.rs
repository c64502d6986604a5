//! Built-in key phrases and names of a chunk, by rules alone: the same text gives the same concepts on
//! every machine. No model, no dictionary, and nothing about how concepts relate.

mod canonical;
mod cjk;
mod name;
mod phrase;
mod scan;

use std::collections::HashMap;

pub use canonical::{NAME_BYTES_MAX, aliases, block_key, edit_distance_at_most, normalise, resolve};
pub use name::Name;
use scan::Scan;

use crate::language::Language;
use crate::segment::is_stop_word;

/// Most concepts of one chunk.
pub const MENTIONS_MAX: usize = 16;
/// Longest text shown for a concept, in bytes.
const DISPLAY_BYTES_MAX: usize = 160;

/// What kind of concept a mention names, judged by its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConceptKind {
    /// Capitalised: a person, a place, an organisation, a product.
    Name,
    /// Capitals and digits.
    Acronym,
    /// Anything else that the text keeps talking about.
    Term,
}

impl ConceptKind {
    /// The kind as stores keep it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Acronym => "acronym",
            Self::Term => "term",
        }
    }
}

/// A concept that a chunk mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// As [`normalise`] gives it; never empty. Equal names are one concept.
    pub canonical_name: String,
    /// As the text has it first.
    pub display: String,
    /// Its kind.
    pub kind: ConceptKind,
    /// How often the text mentions it.
    pub count: u32,
}

/// The concepts of `text`, the most telling first, at most [`MENTIONS_MAX`].
pub fn extract(text: &str, language: Language) -> Vec<Mention> {
    let scan = Scan::of(text);
    let mut found = Found::default();
    phrase::find(text, &scan, language, &mut found);
    if !scan.cjk.is_empty() {
        cjk::find(text, &scan.cjk, language == Language::JA, &mut found);
    }
    found.into_mentions(text, &scan)
}

/// A concept on its way: what the text has, and how it scores.
struct Candidate<'a> {
    surface: &'a str,
    kind: ConceptKind,
    count: u32,
    /// Per mention.
    weight: u64,
    /// A single mention is not enough.
    repeated_only: bool,
}

/// Candidates by what the text has; canonical names are made once for each.
#[derive(Default)]
struct Found<'a> {
    by_surface: HashMap<&'a str, usize>,
    candidates: Vec<Candidate<'a>>,
}

impl<'a> Found<'a> {
    fn add(&mut self, surface: &'a str, kind: ConceptKind, count: u32, weight: u64) {
        self.put(Candidate { surface, kind, count, weight, repeated_only: false });
    }

    fn add_repeated(&mut self, surface: &'a str, kind: ConceptKind, weight: u64) {
        self.put(Candidate { surface, kind, count: 1, weight, repeated_only: true });
    }

    fn put(&mut self, new: Candidate<'a>) {
        match self.by_surface.get(new.surface) {
            Some(&at) => {
                let known = &mut self.candidates[at];
                known.count += new.count;
                known.weight = known.weight.max(new.weight);
                known.kind = known.kind.min(new.kind);
                known.repeated_only &= new.repeated_only;
            }
            None => {
                self.by_surface.insert(new.surface, self.candidates.len());
                self.candidates.push(new);
            }
        }
    }

    fn into_mentions(self, text: &'a str, scan: &Scan) -> Vec<Mention> {
        let mut by_name: HashMap<String, Candidate<'a>> = HashMap::with_capacity(self.candidates.len());
        for new in self.candidates {
            let name = normalise(new.surface);
            // The score takes the better weight, so that the order of merging does not matter.
            match by_name.get_mut(&name) {
                Some(known) => {
                    known.count += new.count;
                    known.weight = known.weight.max(new.weight);
                    known.kind = known.kind.min(new.kind);
                    known.repeated_only &= new.repeated_only;
                }
                None if is_name(&name) => {
                    by_name.insert(name, new);
                }
                None => {}
            }
        }
        by_name.retain(|_, candidate| !candidate.repeated_only || candidate.count >= 2);
        join_aliases(text, scan, &mut by_name);
        let mut ranked: Vec<(u64, String, Candidate<'a>)> = by_name
            .into_iter()
            .map(|(name, candidate)| (candidate.weight * u64::from(candidate.count), name, candidate))
            .collect();
        ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        ranked.truncate(MENTIONS_MAX);
        let mention = |(_, canonical_name, candidate): (u64, String, Candidate<'_>)| Mention {
            canonical_name,
            display: display(candidate.surface),
            kind: candidate.kind,
            count: candidate.count,
        };
        ranked.into_iter().map(mention).collect()
    }
}

/// Whether a canonical name may name a concept: more than a letter, a number or a function word.
fn is_name(name: &str) -> bool {
    name.chars().nth(1).is_some() && name.chars().any(char::is_alphabetic) && !is_stop_word(name)
}

/// A short form that the text defines is the concept of its long form.
fn join_aliases<'a>(text: &'a str, scan: &Scan, by_name: &mut HashMap<String, Candidate<'a>>) {
    for (short, long) in canonical::definitions(text) {
        let (short_name, long_name) = (normalise(short), normalise(long));
        if !is_name(&long_name) || short_name == long_name {
            continue;
        }
        // A short form may be a stop word in lower case (WHO), and is then no candidate of its own.
        let times = by_name.remove(&short_name).map(|candidate| candidate.count);
        let times = times.or_else(|| scan.word(&short_name).map(|word| word.capital.max(1))).unwrap_or(1);
        let capital = long.starts_with(char::is_uppercase);
        let kind = if capital { ConceptKind::Name } else { ConceptKind::Term };
        let joined = by_name.entry(long_name).or_insert(Candidate {
            surface: long,
            kind,
            count: 1,
            weight: 0,
            repeated_only: false,
        });
        joined.surface = long;
        joined.count += times;
        // What a text takes the trouble to define matters.
        joined.weight = joined.weight.max(phrase::WEIGHT_DEFINED);
    }
}

/// The text of a mention on one line.
fn display(surface: &str) -> String {
    let surface = &surface[..surface.floor_char_boundary(DISPLAY_BYTES_MAX)];
    let mut shown = String::with_capacity(surface.len());
    for word in surface.split_whitespace() {
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(word);
    }
    shown
}

#[cfg(test)]
mod tests;
