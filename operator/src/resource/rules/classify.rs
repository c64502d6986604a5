//! What the rules of `spec.classify` take and refuse.

use docmill_core::classify::{NAME_CHARS_MAX, TEXTS_MAX};
use serde_json::{Value, json};

use super::{Case, refused, taken};

/// A pipeline with this category alone.
fn category(category: Value) -> Value {
    json!({"classify": {"categories": [category]}})
}

pub(super) fn names() -> Vec<Case> {
    let of = |name: &str| category(json!({"name": name}));
    let mut all =
        vec![taken(of("invoice")), taken(of("счёт & co")), taken(of(&"n".repeat(NAME_CHARS_MAX)))];
    all.extend(["a,b", "a=b", "a\"b", "a\\b"].map(|name| refused(of(name))));
    all
}

pub(super) fn texts() -> Vec<Case> {
    let of = |examples: usize| json!({"name": "letter", "examples": vec!["Dear Sir"; examples]});
    let described = |examples: usize| {
        let mut of = of(examples);
        of["description"] = json!("Mail to people");
        category(of)
    };
    vec![
        taken(category(json!({"name": "letter"}))),
        taken(category(of(TEXTS_MAX))),
        taken(described(TEXTS_MAX - 1)),
        refused(described(TEXTS_MAX)),
    ]
}
