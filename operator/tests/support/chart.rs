//! The table of the chart's values: a row for each comment that begins with `# --`.

use std::fmt::Write as _;

use serde_json::Value;

use super::{cell, read};

/// What stands before the table; all before it is written by hand.
const MARK: &str = "<!-- Generated from values.yaml: a row for each comment that begins with \"# --\", with the lines \
                    that follow it. -->";

/// `helm/docmill/README.md` with the table as the values are.
pub fn page() -> String {
    let readme = read("helm/docmill/README.md");
    let (head, _) = readme.split_once(MARK).expect("the table has a mark before it");
    let values = read("helm/docmill/values.yaml");
    let mut page = format!("{head}{MARK}\n\n| key | default | meaning |\n|---|---|---|\n");
    for (path, meaning) in commented(&values) {
        let default = inline(at(&serde_saphyr::from_str(&values).unwrap(), &path));
        writeln!(page, "| `{}` | `{default}` | {} |", path.join("."), cell(&meaning)).unwrap();
    }
    page
}

/// Keys that have a comment, in the order of the file, each with it.
pub fn commented(values: &str) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    let mut comment: Option<String> = None;
    for line in values.lines() {
        let text = line.trim_start();
        if let Some(begun) = text.strip_prefix("# -- ") {
            comment = Some(begun.to_owned());
        } else if let Some(more) = text.strip_prefix("# ") {
            if let Some(comment) = &mut comment {
                comment.push(' ');
                comment.push_str(more);
            }
        } else if let Some((key, _)) = text.split_once(':') {
            let indent = line.len() - text.len();
            parents.retain(|(parent, _)| *parent < indent);
            parents.push((indent, key.to_owned()));
            if let Some(comment) = comment.take() {
                found.push((parents.iter().map(|(_, key)| key.clone()).collect(), comment));
            }
        }
    }
    found
}

fn at<'a>(values: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(values, |value, key| &value[key.as_str()])
}

/// JSON on one line, with spaces where people put them and names in order.
pub fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields = fields.iter().map(|(name, value)| format!("\"{name}\": {}", inline(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
