//! Blocks of the documentation that tests run.

/// The blocks of the page that are marked so, in order.
///
/// # Panics
/// There is none.
pub fn blocks<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let opening = format!("```{kind}\n");
    let found: Vec<&str> =
        page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!found.is_empty(), "no block is marked {kind}");
    found
}
