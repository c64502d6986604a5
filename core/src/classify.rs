//! The categories that documents are told apart by: their names and what stands for them, from lines or from a
//! configuration, and the recipe by which old categories are known from new ones.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Categories at most.
pub const CATEGORIES_MAX: usize = 100;
/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Texts that stand for a category at most, its description among them.
pub const TEXTS_MAX: usize = 20;
/// Longest of them, in bytes.
pub const TEXT_BYTES_MAX: usize = 2_048;
/// Least likeness, in percent, from which on a document has its nearest category.
pub const MIN_PERCENT: u32 = 25;
/// Names the rules by which documents are compared with categories; a change of them is another.
const RULES: &str = "nearest-1";
/// Bytes of a recipe's hash that are kept: it tells a few recipes apart, not an attacker's.
const RECIPE_BYTES: usize = 8;
/// What a name may be, in words.
const NAMES: &str = "1 to 64 characters, without spaces at its ends, quotes, backslashes, commas, '=' and control \
                     characters";

/// What documents may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Category {
    /// As filters and facets name it.
    pub name: String,
    /// What such documents are about, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Texts such as they begin with, or their titles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// All categories, and how near a document has to be to one. Without categories nothing is classified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassifySettings {
    /// In this order: of two that are as near, the first is taken.
    pub categories: Vec<Category>,
    /// Least likeness, in percent.
    pub min_percent: u32,
}

impl Default for ClassifySettings {
    fn default() -> Self {
        Self { categories: Vec::new(), min_percent: MIN_PERCENT }
    }
}

impl ClassifySettings {
    /// From lines of `NAME` or `NAME=TEXT`; the name again adds another text. Empty lines and those that begin with
    /// `#` say nothing.
    ///
    /// # Errors
    /// The first line that cannot be used, and why.
    pub fn of_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut categories: Vec<Category> = Vec::new();
        for line in
            lines.into_iter().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (name, text) = match line.split_once('=') {
                Some((name, text)) => {
                    (name.trim(), Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
                }
                None => (line, None),
            };
            match categories.iter_mut().find(|known| known.name == name) {
                Some(known) => known.examples.extend(text),
                None => categories.push(Category {
                    name: name.to_owned(),
                    description: text,
                    examples: Vec::new(),
                }),
            }
        }
        let settings = Self { categories, ..Self::default() };
        settings.check()?;
        Ok(settings)
    }

    /// Whether they can be used.
    ///
    /// # Errors
    /// A sentence with the first category that cannot, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.categories.len() > CATEGORIES_MAX {
            let count = self.categories.len();
            return Err(format!("there are {count} categories: up to {CATEGORIES_MAX} are allowed"));
        }
        for (at, category) in self.categories.iter().enumerate() {
            category.check()?;
            if self.categories.iter().take(at).any(|before| before.name == category.name) {
                return Err(format!("the category {:?} is there twice", category.name));
            }
        }
        Ok(())
    }

    /// What tells categories that these settings gave from others; none where they give none.
    pub fn recipe(&self) -> Option<String> {
        if self.categories.is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        // Framed by JSON: no two lists of categories are written alike.
        hash.update(serde_json::to_vec(&(RULES, self)).unwrap_or_default());
        let digest = hash.finalize();
        Some(digest.iter().take(RECIPE_BYTES).map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Category {
    /// Whether it can be used.
    ///
    /// # Errors
    /// A sentence with what is wrong, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        // What filters and stores read again: lists have commas, and the server looks for the name in JSON.
        let wrong = |c: char| c.is_control() || is_no_character(c) || matches!(c, '"' | '\\' | ',' | '=');
        let name = &self.name;
        let chars = name.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&chars) || name.trim() != name || name.chars().any(wrong) {
            return Err(format!("{name:?} cannot be a category: a name has {NAMES}"));
        }
        let texts = self.description.iter().chain(&self.examples);
        if texts.clone().count() > TEXTS_MAX {
            return Err(format!("the category {name:?} has more than {TEXTS_MAX} texts"));
        }
        if texts.clone().any(|text| text.trim().is_empty() || text.len() > TEXT_BYTES_MAX) {
            return Err(format!(
                "a text of the category {name:?} is empty or too long: 1 to {TEXT_BYTES_MAX} bytes are allowed"
            ));
        }
        // No file of settings can hold these.
        let wrong = |c: char| (c.is_control() && !c.is_whitespace()) || is_no_character(c);
        if let Some(c) = texts.flat_map(|text| text.chars()).find(|&c| wrong(c)) {
            return Err(format!(
                "a text of the category {name:?} has the character {c:?}, which none can have"
            ));
        }
        Ok(())
    }

    /// What stands for it: its name, its description, its examples.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let more = self.description.iter().chain(&self.examples);
        std::iter::once(self.name.as_str()).chain(more.map(String::as_str))
    }
}

/// What Unicode gives no meaning, and YAML no place.
fn is_no_character(c: char) -> bool {
    matches!(c, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_categories_and_add_to_them() {
        let text = "# what we have\ninvoice = Bills that ask for payment\n\nletter\ninvoice=Amount due within 30 days";
        let settings = ClassifySettings::of_lines(text.lines()).unwrap();
        let invoice: Vec<&str> = settings.categories[0].texts().collect();
        assert_eq!(invoice, ["invoice", "Bills that ask for payment", "Amount due within 30 days"]);
        assert_eq!((settings.categories[1].name.as_str(), settings.categories.len()), ("letter", 2));
        assert_eq!(ClassifySettings::of_lines([]).unwrap(), ClassifySettings::default());
    }

    #[test]
    fn what_cannot_be_a_category_is_said() {
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        for wrong in ["=text", "a,b", "a\"b", "a\\b", long.as_str()] {
            let said = ClassifySettings::of_lines([wrong]).unwrap_err();
            assert!(said.contains("cannot be a category"), "{said}");
        }
        let spaced = Category { name: "a ".into(), description: None, examples: Vec::new() };
        assert!(spaced.check().unwrap_err().contains("spaces at its ends"));
        let text = format!("a={}", "x".repeat(TEXT_BYTES_MAX + 1));
        assert!(ClassifySettings::of_lines([text.as_str()]).unwrap_err().contains("too long"));
        for text in ["it\u{92}s due", "\u{ffff}", "bell\u{7}"] {
            let described =
                Category { name: "a".into(), description: Some(text.into()), examples: Vec::new() };
            assert!(described.check().unwrap_err().contains("which none can have"), "{text:?}");
        }
        let lines =
            Category { name: "a".into(), description: Some("one\n\ttwo".into()), examples: Vec::new() };
        assert_eq!(lines.check(), Ok(()));
        let many: Vec<String> = (0..=CATEGORIES_MAX).map(|n| format!("c{n}")).collect();
        assert!(ClassifySettings::of_lines(many.iter().map(String::as_str)).unwrap_err().contains("101"));
        let twice = Category { name: "a".into(), description: None, examples: Vec::new() };
        let settings = ClassifySettings { categories: vec![twice.clone(), twice], ..Default::default() };
        assert!(settings.check().unwrap_err().contains("twice"));
    }

    #[test]
    fn every_part_changes_the_recipe() {
        let of = |line: &str| ClassifySettings::of_lines([line]).unwrap();
        let base = of("a=b");
        assert_eq!(ClassifySettings::default().recipe(), None);
        assert_eq!(base.recipe(), of("a = b").recipe());
        for other in [of("a=c"), of("b=b"), of("a"), ClassifySettings { min_percent: 26, ..base.clone() }] {
            assert_ne!(other.recipe(), base.recipe(), "{other:?}");
        }
    }
}
