//! Documents of files.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// What the versions of our resources begin with.
const GROUP: &str = "docmill.dev/";

/// An object of a file.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file, as it was named.
    pub file: String,
    /// The object. What is null is left out, as the apiserver does.
    pub object: Value,
}

impl Document {
    /// Whether it is a pipeline, of whatever version.
    pub fn is_pipeline(&self) -> bool {
        self.kind() == "IngestionPipeline" && self.text("/apiVersion").starts_with(GROUP)
    }

    /// Its kind, where it has one.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its name, where it has one.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its namespace, where it has one.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.text("/metadata/namespace")).filter(|text| !text.is_empty())
    }

    /// The text at a place; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Documents of a file; `-` is standard input.
pub fn read(file: &Path) -> Result<Vec<Document>, Failure> {
    let name = file.to_string_lossy();
    let unreadable = |error: std::io::Error| {
        Failure::new("file_unreadable", format!("{name}: {error}"), "check the path and its permissions")
    };
    let mut text = String::new();
    let mut reader: Box<dyn Read> = match &*name {
        "-" => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(file).map_err(unreadable)?),
    };
    reader.by_ref().take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("{name} is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(Failure::new("file_unreadable", message, "split it"));
    }
    documents(&name, &text)
}

/// Documents of a text. Lists are taken apart.
pub fn documents(file: &str, text: &str) -> Result<Vec<Document>, Failure> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let message = format!("{file} is not YAML: {}", first_line(&error.to_string()));
        Failure::new("file_unreadable", message, "correct the line that is named")
    })?;
    let mut all = Vec::new();
    for mut object in objects {
        prune(&mut object);
        let is_list = object["kind"].as_str() == Some("List");
        let objects = match object.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) if is_list => items,
            Some(items) => {
                object["items"] = items;
                vec![object]
            }
            None => vec![object],
        };
        all.extend(objects.into_iter().map(|object| Document { file: file.to_owned(), object }));
    }
    Ok(all)
}

/// What comes after the first line is the text of the file again.
fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

/// Leaves out fields that are null: the apiserver does, and takes defaults for them.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_many_documents_and_lists() {
        let text =
            "---\nkind: ConfigMap\n---\n# nothing\n---\nkind: List\nitems:\n- {kind: A}\n- {kind: B}\n";
        let kinds: Vec<String> =
            documents("x", text).unwrap().iter().map(|document| document.kind().to_owned()).collect();
        assert_eq!(kinds, ["ConfigMap", "A", "B"]);
        assert!(documents("x", "").unwrap().is_empty());
        assert_eq!(documents("x", "a: [").unwrap_err().code, "file_unreadable");
    }

    #[test]
    fn json_is_yaml_too_and_null_is_nothing() {
        let text = r#"{"apiVersion": "docmill.dev/v1alpha1", "kind": "IngestionPipeline", "spec": {"workers": null}}"#;
        let all = documents("x", text).unwrap();
        assert!(all[0].is_pipeline() && all[0].namespace().is_none());
        assert_eq!(all[0].object["spec"], serde_json::json!({}));
    }
}
