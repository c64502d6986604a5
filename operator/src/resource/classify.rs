//! The categories that documents are told apart by. Bounds are those of workers.

use docmill_core::classify::{
    self, CATEGORIES_MAX, ClassifySettings, MIN_PERCENT, NAME_CHARS_MAX, TEXT_BYTES_MAX, TEXTS_MAX,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How documents get their categories. Without any, they have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Classify {
    /// What documents are told apart by; of two that are as near, the first is taken. After a change all documents are
    /// classified again, from what is kept of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = CATEGORIES_MAX, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub categories: Vec<Category>,
    /// Least likeness of a document to its category, in percent; one that is like none so much has none.
    #[serde(default = "usual_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub min_percent: u32,
}

fn usual_percent() -> u32 {
    MIN_PERCENT
}

impl Default for Classify {
    fn default() -> Self {
        Self { categories: Vec::new(), min_percent: usual_percent() }
    }
}

impl Classify {
    /// As workers have them.
    pub fn settings(&self) -> ClassifySettings {
        let categories = self.categories.iter().map(|category| classify::Category {
            name: category.name.clone(),
            description: category.description.clone(),
            examples: category.examples.clone(),
        });
        ClassifySettings { categories: categories.collect(), min_percent: self.min_percent }
    }
}

/// What documents may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.examples) ? self.examples.size() : 0) + (has(self.description) ? 1 : 0) <= 20")
        .message("IP-33: a category has up to 20 texts, its description among them").field_path(".examples"),
)]
pub struct Category {
    /// As filters and facets name it.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX))]
    #[x_kube(validation = Rule::new(
        r#"!self.contains(',') && !self.contains('=') && !self.contains('"') && !self.contains('\\')"#)
        .message("IP-32: a name has no quotes, backslashes, commas and equals signs"))]
    pub name: String,
    /// What such documents are about, in a sentence of up to 2048 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
    /// Texts such as they begin with, or their titles, of up to 2048 bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = TEXTS_MAX), inner(length(min = 1, max = TEXT_BYTES_MAX)))]
    pub examples: Vec<String>,
}
