//! The built-in classifier: a document has the category that it is nearest to, by the cosine of the vectors of what
//! stands for each, if it is near enough. No model but the index's embedding model is asked, and the same document gets
//! the same category wherever and whenever it is done.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::embed::{Batcher, Error};

// Their bounds are the operator's as well.
pub use docmill_core::classify::{CATEGORIES_MAX, Category, ClassifySettings, MIN_PERCENT};

/// How much of a document's beginning is looked at, in bytes: about what a vector sums up.
const BEGINNING_BYTES: usize = 1_024;
/// How much of its headings.
const HEADINGS_BYTES: usize = 512;
/// Likenesses are told in this many steps: what is beyond is noise of the machine's arithmetic.
const STEPS: f32 = 1_000.0;

/// What of a document is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// Its title.
    pub title: Option<String>,
    /// Its headings, each once.
    pub headings: String,
    /// What it begins with.
    pub beginning: String,
    /// The language of most of it.
    pub language: String,
}

impl Looks {
    /// Of a document with these chunks, each with the headings that it stands under.
    pub fn of<'a>(
        title: Option<&str>,
        language: &str,
        chunks: impl IntoIterator<Item = (Option<&'a str>, &'a str)>,
    ) -> Self {
        let (mut headings, mut beginning) = (String::new(), String::new());
        let mut before = None;
        for (heading, text) in chunks {
            if heading.is_some() && heading != before {
                add(&mut headings, heading.unwrap_or_default(), HEADINGS_BYTES);
                before = heading;
            }
            add(&mut beginning, text, BEGINNING_BYTES);
            if headings.len() >= HEADINGS_BYTES && beginning.len() >= BEGINNING_BYTES {
                break;
            }
        }
        let title = title.map(str::trim).filter(|title| !title.is_empty()).map(str::to_owned);
        Self { title, headings, beginning, language: language.to_owned() }
    }

    /// The texts that stand for it.
    fn texts(self) -> Vec<String> {
        let all = self.title.into_iter().chain([self.headings, self.beginning]);
        all.filter(|text| !text.is_empty()).collect()
    }
}

/// Adds a line, as far as there is room.
fn add(to: &mut String, text: &str, bytes_max: usize) {
    if !to.is_empty() && to.len() < bytes_max {
        to.push('\n');
    }
    let room = bytes_max.saturating_sub(to.len());
    to.push_str(&text[..text.floor_char_boundary(room)]);
}

/// A category, and how near the document is to it, from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    /// Its name.
    pub category: String,
    /// The likeness.
    pub confidence: f32,
}

/// Vectors of what stands for each category, by a model.
type Vectors = Arc<Vec<(usize, Vec<f32>)>>;

/// See the module.
pub struct Classifier {
    settings: ClassifySettings,
    recipe: String,
    /// By the fingerprint of the model.
    vectors: Mutex<HashMap<String, Vectors>>,
}

impl Classifier {
    /// By these settings; none where they have no categories.
    pub fn new(settings: ClassifySettings) -> Option<Self> {
        let recipe = settings.recipe()?;
        Some(Self { settings, recipe, vectors: Mutex::default() })
    }

    /// What tells its categories from those of others.
    pub fn recipe(&self) -> &str {
        &self.recipe
    }

    /// The nearest category; none where none is near enough, or the model does not know the document's language.
    ///
    /// # Errors
    /// The model's own.
    pub async fn classify(&self, model: &Batcher, looks: Looks) -> Result<Option<Classified>, Error> {
        if !model.model().declares(&looks.language) {
            return Ok(None);
        }
        let texts = looks.texts();
        if texts.is_empty() {
            return Ok(None);
        }
        let categories = self.vectors(model).await?;
        let document = model.embed(texts).await?;
        let mut best: Option<(usize, f32)> = None;
        for (category, vector) in categories.iter() {
            for look in &document {
                let likeness = likeness(vector, &look.vector);
                if best.is_none_or(|(_, most)| likeness > most) {
                    best = Some((*category, likeness));
                }
            }
        }
        let enough = self.settings.min_percent as f32 / 100.0;
        let best = best.filter(|(_, likeness)| *likeness >= enough);
        Ok(best.and_then(|(at, confidence)| {
            let category = self.settings.categories.get(at)?.name.clone();
            Some(Classified { category, confidence })
        }))
    }

    async fn vectors(&self, model: &Batcher) -> Result<Vectors, Error> {
        let fingerprint = model.model().fingerprint();
        // Held while they are made: whoever else needs them waits for these.
        let mut known = self.vectors.lock().await;
        if let Some(vectors) = known.get(fingerprint) {
            return Ok(vectors.clone());
        }
        let categories = self.settings.categories.iter().enumerate();
        let texts: Vec<(usize, String)> = categories
            .flat_map(|(at, category)| category.texts().map(move |text| (at, text.to_owned())))
            .collect();
        let made = model.embed(texts.iter().map(|(_, text)| text.clone()).collect()).await?;
        let of = texts.iter().zip(made).map(|((at, _), made)| (*at, made.vector.clone()));
        let vectors: Vectors = Arc::new(of.collect());
        known.insert(fingerprint.to_owned(), vectors.clone());
        Ok(vectors)
    }
}

/// The cosine of two vectors of unit length, as it is told; what points away is as unlike as what is apart.
fn likeness(one: &[f32], other: &[f32]) -> f32 {
    let cosine: f32 = one.iter().zip(other).map(|(a, b)| a * b).sum();
    (cosine.clamp(0.0, 1.0) * STEPS).round() / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::{BatcherOptions, Mock};

    fn mock() -> Batcher {
        let options =
            BatcherOptions { threads: 1, flush_after: std::time::Duration::ZERO, ..Default::default() };
        Batcher::new(Arc::new(Mock::new()), options).unwrap()
    }

    fn classifier(lines: &[&str]) -> Classifier {
        Classifier::new(ClassifySettings::of_lines(lines.iter().copied()).unwrap()).unwrap()
    }

    fn looks(title: &str, text: &str) -> Looks {
        Looks::of(Some(title), "en", [(None, text)])
    }

    #[tokio::test]
    async fn the_nearest_category_is_taken_if_it_is_near() {
        let (model, classifier) = (mock(), classifier(&["garden=Tomatoes", "shell=Bourne shell", "other"]));
        // Equal texts have equal vectors, and the mock's are near to nothing else.
        for (title, text, expected) in [
            ("Tomatoes", "want sun", Some("garden")),
            ("x", "Bourne shell", Some("shell")),
            ("other", "Tomatoes and more", Some("other")),
            ("x", "y", None),
        ] {
            let found = classifier.classify(&model, looks(title, text)).await.unwrap();
            assert_eq!(found.as_ref().map(|found| found.category.as_str()), expected, "{title}");
            assert!(found.is_none_or(|found| found.confidence == 1.0), "{title}");
        }
        let nothing =
            classifier.classify(&model, Looks { language: "en".into(), ..Looks::default() }).await;
        assert_eq!(nothing.unwrap(), None);
    }

    #[tokio::test]
    async fn of_two_that_are_as_near_the_first_is_taken() {
        let model = mock();
        for (lines, expected) in [(["a=same", "b=same"], "a"), (["b=same", "a=same"], "b")] {
            let found = classifier(&lines).classify(&model, looks("same", "same")).await.unwrap();
            assert_eq!(found.unwrap().category, expected);
        }
    }

    #[test]
    fn without_categories_there_is_no_classifier() {
        assert!(Classifier::new(ClassifySettings::default()).is_none());
    }

    #[test]
    fn a_document_looks_as_it_begins() {
        let long = "ä".repeat(BEGINNING_BYTES);
        let chunks = [(Some("One"), "first"), (Some("One"), "second"), (Some("Two"), long.as_str())];
        let looks = Looks::of(Some(" "), "de", chunks);
        assert_eq!((looks.title.as_deref(), looks.headings.as_str()), (None, "One\nTwo"));
        assert!(
            looks.beginning.starts_with("first\nsecond\nä") && looks.beginning.len() <= BEGINNING_BYTES
        );
        assert_eq!(looks.texts().len(), 2);
    }

    #[test]
    fn likeness_is_told_in_steps_from_none_to_all() {
        assert_eq!(likeness(&[1.0, 0.0], &[1.0, 0.0]), 1.0);
        assert_eq!(likeness(&[1.0, 0.0], &[-1.0, 0.0]), 0.0);
        assert_eq!(likeness(&[1.0, 0.0], &[0.123_44, 0.9]), 0.123);
    }
}
