//! The section `classify`: the categories that documents are told apart by.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Problem;
use super::resolve::Judge;
use super::types::section;
use crate::classify::{CATEGORIES_MAX, Category, ClassifySettings, MIN_PERCENT};

const FIELDS: &str = "a mapping with name, description, examples";
const CATEGORIES: &str = "classify.categories";

section! {
    /// How documents get their categories.
    Classify {
        /// The categories; without any, documents have none.
        categories: Vec<Category> = Vec::new(),
        /// Least likeness, in percent.
        min_percent: u32 = MIN_PERCENT,
    }
}

/// Notes what is wrong with the items of a list; that it is a list is judged elsewhere.
pub(super) fn judge(path: &str, value: &Value, problems: &mut Vec<Problem>) {
    let Some(items) = value.as_array() else { return };
    if items.len() > CATEGORIES_MAX {
        let allowed = format!("up to {CATEGORIES_MAX} items");
        problems.push(Problem::new(path, "is too long", allowed, "leave some out"));
        return;
    }
    for (number, item) in items.iter().enumerate() {
        // What the reader says may quote a text that is long: only the place is told.
        if serde_json::from_value::<Category>(item.clone()).is_err() {
            let at = format!("{path}[{number}]");
            problems.push(Problem::new(
                &at,
                "is not a category",
                FIELDS,
                "correct its keys and their values",
            ));
        }
    }
}

impl Judge<'_> {
    /// None: there is a problem.
    pub(super) fn classify(&mut self, given: &Classify) -> Option<ClassifySettings> {
        let settings =
            ClassifySettings { categories: given.categories.clone(), min_percent: given.min_percent };
        match settings.check() {
            Ok(()) => Some(settings),
            Err(what) => {
                self.wrong(CATEGORIES, None, &what, "change it");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, load};
    use crate::classify::ClassifySettings;

    fn classify(section: &str) -> Result<ClassifySettings, Vec<String>> {
        let text = format!(
            "queue: {{redis: {{url: 'redis://h'}}}}\nledger: {{postgres: {{url: 'postgresql://h/d'}}}}\n\
             classify: {section}"
        );
        load(&text, &Environment::new(), &|_| Ok(String::new()))
            .map(|settings| settings.classify)
            .map_err(|problems| problems.iter().map(|problem| problem.path.clone()).collect())
    }

    #[test]
    fn categories_have_names_and_what_stands_for_them() {
        assert_eq!(classify("").unwrap(), ClassifySettings::default());
        let settings = classify(
            "{minPercent: 30, categories: [{name: invoice, description: Bills, examples: [Amount due]}, {name: letter}]}",
        );
        let settings = settings.unwrap();
        let texts: Vec<&str> = settings.categories[0].texts().collect();
        assert_eq!((texts, settings.min_percent), (vec!["invoice", "Bills", "Amount due"], 30));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        for (section, path) in [
            ("{categories: invoice}", "classify.categories"),
            ("{categories: [invoice]}", "classify.categories[0]"),
            ("{categories: [{name: a}, {description: b}]}", "classify.categories[1]"),
            ("{categories: [{name: a, colour: b}]}", "classify.categories[0]"),
            ("{categories: [{name: 'a,b'}]}", "classify.categories"),
            ("{categories: [{name: a}, {name: a}]}", "classify.categories"),
            ("{minPercent: 101}", "classify.minPercent"),
        ] {
            assert_eq!(classify(section).unwrap_err(), [path], "{section}");
        }
    }
}
