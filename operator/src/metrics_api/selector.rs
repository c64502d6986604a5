//! Label selectors of one kind: keys that equal values, which is all that an autoscaler of ours sends.

use std::collections::BTreeMap;

/// What is wrong with a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot read {part:?} in the label selector: only key=value is supported, several joined with a comma"
)]
pub struct SelectorError {
    part: String,
}

/// Reads a selector: `key=value`, `key==value`, joined with commas.
///
/// # Errors
/// It says something else.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, SelectorError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| requirement(part).ok_or_else(|| SelectorError { part: part.to_owned() })).collect()
}

fn requirement(part: &str) -> Option<(String, String)> {
    let (key, value) = part.split_once('=')?;
    let (key, value) = (key.trim(), value.strip_prefix('=').unwrap_or(value).trim());
    (is_key(key) && is_value(value)).then(|| (key.to_owned(), value.to_owned()))
}

/// Letters of a label's key; `a!=b` has one that is none.
fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter))
}

fn is_value(value: &str) -> bool {
    value.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_read() {
        let cases = [
            "docmill.dev/pipeline=books",
            "docmill.dev/pipeline==books",
            " docmill.dev/pipeline = books ,",
        ];
        for case in cases {
            let read = parse(case).unwrap();
            assert_eq!(
                read,
                BTreeMap::from([("docmill.dev/pipeline".to_owned(), "books".to_owned())]),
                "{case}"
            );
        }
        assert_eq!(parse("a=b,c=d").unwrap().len(), 2);
        assert_eq!(parse("").unwrap().len(), 0);
        assert_eq!(parse("a=").unwrap()["a"], "");
    }

    #[test]
    fn all_else_is_refused() {
        for case in
            ["a", "!a", "a!=b", "a in (b)", "a in (b,c)", "a notin (b)", "a>1", "=b", "a=b=c", "a===b"]
        {
            assert!(parse(case).is_err(), "{case}");
        }
        let error = parse("a=b,c").unwrap_err().to_string();
        assert!(error.starts_with("cannot read \"c\" in the label selector"));
    }
}
