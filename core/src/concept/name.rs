//! Finding the concept that a person means by a name: whatever its case and number, and with one letter wrong.

use super::{block_key, normalise, resolve};

/// A name as somebody typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    typed: String,
    canonical: String,
    lower: String,
    block: String,
}

impl Name {
    /// What was typed.
    pub fn new(typed: &str) -> Self {
        let canonical = normalise(typed);
        let block = block_key(&canonical);
        Self { typed: typed.to_owned(), lower: typed.to_lowercase(), canonical, block }
    }

    /// Canonical names that are meant without a doubt: as it was typed, and normalised.
    pub fn exact(&self) -> [&str; 2] {
        [&self.typed, &self.canonical]
    }

    /// What was typed, in lower case.
    pub fn lower(&self) -> &str {
        &self.lower
    }

    /// How the canonical name of every concept begins that differs by a letter only.
    pub fn beginning(&self) -> &str {
        self.block.split(' ').next().unwrap_or_default()
    }

    /// Which of the concepts, each with its form to show and its canonical name, is meant: the one that is shown so,
    /// else the one that is nearest in spelling.
    pub fn pick<'a>(&self, among: impl Iterator<Item = (&'a str, &'a str)>) -> Option<usize> {
        let (mut places, mut alike) = (Vec::new(), Vec::new());
        for (at, (display, canonical)) in among.enumerate() {
            if display.to_lowercase() == self.lower {
                return Some(at);
            }
            if block_key(canonical) == self.block {
                places.push(at);
                alike.push(canonical);
            }
        }
        // The end of a misspelt name may look like that of a plural.
        let found = resolve(&self.canonical, &alike).or_else(|| resolve(&self.lower, &alike));
        found.and_then(|at| places.get(at).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_form_and_with_a_letter_wrong() {
        let known = [("Rust", "rust"), ("Kubernetes", "kubernetes"), ("Object Store", "object store")];
        let pick = |typed: &str| Name::new(typed).pick(known.into_iter());
        assert_eq!(pick("OBJECT STORE"), Some(2));
        assert_eq!(pick("kubernites"), Some(1));
        assert_eq!((pick("kafka"), pick("")), (None, None));
    }

    #[test]
    fn what_differs_by_a_letter_begins_alike() {
        assert_eq!(Name::new("Object Stores").beginning(), "obj");
        assert_eq!(Name::new("Object Stores").exact(), ["Object Stores", "object store"]);
        assert_eq!(Name::new("").beginning(), "");
    }
}
