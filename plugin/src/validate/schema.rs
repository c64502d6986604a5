//! A value against the resource's own schema: what the apiserver would refuse or leave out.

use regex::Regex;
use serde_json::Value;

use super::Problem;
use super::check::SCHEMA;

/// Most known fields that a message names.
const KNOWN_MAX: usize = 16;

/// Notes all that is wrong with a value.
pub fn check(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    let mut wrong = |message: String| problems.push(Problem::new(SCHEMA, path, message));
    if !is_of_type(schema, value) {
        let wanted = schema["type"].as_str().unwrap_or("integer or string");
        let quoted = match (wanted, value) {
            ("string", Value::Number(_) | Value::Bool(_)) => format!("; write \"{value}\", in quotes"),
            _ => String::new(),
        };
        return wrong(format!("it must be a value of type {wanted} and is {}{quoted}", kind(value)));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let allowed: Vec<String> =
            allowed.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
        wrong(format!("{value} is not known; there are {}", allowed.join(", ")));
    }
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
                wrong(format!("{value} is too small; the least is {least}"));
            }
            if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
                wrong(format!("{value} is too large; the most is {most}"));
            }
        }
        Value::String(text) => {
            bounds(schema, ["minLength", "maxLength"], text.chars().count(), "letters", &mut wrong);
            if let Some(pattern) = schema["pattern"].as_str()
                && Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
            {
                wrong(format!("{value} is not of the form {pattern}"));
            }
        }
        Value::Array(items) => {
            bounds(schema, ["minItems", "maxItems"], items.len(), "entries", &mut wrong);
            if let Some(twice) = twice(schema, items) {
                wrong(format!("{twice} stands there twice; leave one out"));
            }
            if let Some(known) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    check(known, item, &format!("{path}[{index}]"), problems);
                }
            }
        }
        Value::Object(fields) => {
            bounds(schema, ["minProperties", "maxProperties"], fields.len(), "entries", &mut wrong);
            object(schema, fields, path, problems);
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Fields of an object: those that must be there, those that are known, and what each is.
fn object(
    schema: &Value,
    fields: &serde_json::Map<String, Value>,
    path: &str,
    problems: &mut Vec<Problem>,
) {
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            problems.push(Problem::new(SCHEMA, format!("{path}.{required}"), "it is missing"));
        }
    }
    let is_open = schema["x-kubernetes-preserve-unknown-fields"].as_bool() == Some(true);
    let others = schema.get("additionalProperties").filter(|others| *others != &Value::Bool(false));
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), others) {
            (Some(known), _) => check(known, field, &path, problems),
            (None, Some(other)) if other.is_object() => check(other, field, &path, problems),
            (None, Some(_)) => {}
            (None, None) if is_open => {}
            (None, None) => {
                let known = schema["properties"].as_object().into_iter().flat_map(|known| known.keys());
                let known: Vec<&str> = known.map(String::as_str).take(KNOWN_MAX).collect();
                let message = match known.is_empty() {
                    true => "there is no such field; nothing is said here".to_owned(),
                    false => format!("there is no such field; known here: {}", known.join(", ")),
                };
                problems.push(Problem::new(SCHEMA, path, message));
            }
        }
    }
}

/// Whether the value is of the schema's type; where none is said, everything is.
fn is_of_type(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"].as_bool() == Some(true) {
        return value.is_i64() || value.is_u64() || value.is_string();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

/// What a value is, for people.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// How many there may be.
fn bounds(
    schema: &Value,
    [least, most]: [&str; 2],
    count: usize,
    what: &str,
    wrong: &mut impl FnMut(String),
) {
    let count = count as u64;
    if let Some(least) = schema[least].as_u64().filter(|least| count < *least) {
        wrong(format!("it has {count} {what}; the least is {least}"));
    }
    if let Some(most) = schema[most].as_u64().filter(|most| count > *most) {
        wrong(format!("it has {count} {what}; the most is {most}"));
    }
}

/// What a list has twice that may be there once: an entry of a set, or the keys of an entry of a map.
fn twice(schema: &Value, items: &[Value]) -> Option<String> {
    let identity = |item: &Value| match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Some(item.to_string()),
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array()?;
            let values = keys.iter().filter_map(Value::as_str).map(|key| format!("{key} {}", item[key]));
            Some(values.collect::<Vec<_>>().join(", "))
        }
        _ => None,
    };
    let mut seen = std::collections::HashSet::new();
    items.iter().filter_map(identity).find(|identity| !seen.insert(identity.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(schema: &Value, value: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        check(schema, value, "spec", &mut problems);
        problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn types_and_bounds() {
        let integer = json!({"type": "integer", "minimum": 1.0, "maximum": 9.0});
        assert_eq!(problems(&integer, &json!(5)), Vec::<String>::new());
        assert_eq!(problems(&integer, &json!(0)), ["spec: 0 is too small; the least is 1"]);
        assert_eq!(problems(&integer, &json!(10)), ["spec: 10 is too large; the most is 9"]);
        assert_eq!(problems(&integer, &json!(1.5)).len(), 1);
        let text = json!({"type": "string", "maxLength": 3, "pattern": "^[a-z]+$"});
        assert_eq!(problems(&text, &json!("abcd")), ["spec: it has 4 letters; the most is 3"]);
        assert_eq!(problems(&text, &json!("A")), ["spec: \"A\" is not of the form ^[a-z]+$"]);
        let quoted = "spec: it must be a value of type string and is a number; write \"16\", in quotes";
        assert_eq!(problems(&text, &json!(16)), [quoted]);
        let either = json!({"x-kubernetes-int-or-string": true});
        assert!(problems(&either, &json!(1)).is_empty() && problems(&either, &json!("1%")).is_empty());
        assert_eq!(problems(&either, &json!({})).len(), 1);
        let words = json!({"type": "string", "enum": ["Retain", "Delete"]});
        assert_eq!(
            problems(&words, &json!("Keep")),
            ["spec: \"Keep\" is not known; there are Retain, Delete"]
        );
    }

    #[test]
    fn fields_and_entries() {
        let schema = json!({
            "type": "object", "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        });
        let value = json!({"nam": 1, "labels": {"a": "b", "c": 1}});
        let found = problems(&schema, &value);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0] == "spec.name: it is missing" && found[1].starts_with("spec.labels.c: it must"));
        assert_eq!(found[2], "spec.nam: there is no such field; known here: labels, name");
    }

    #[test]
    fn what_may_be_there_once() {
        let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        assert_eq!(
            problems(&set, &json!(["a", "b", "a"])),
            ["spec: \"a\" stands there twice; leave one out"]
        );
        let map = json!({
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["provider"],
        });
        assert!(problems(&map, &json!([{"provider": "a"}, {"provider": "b"}])).is_empty());
        let twice = problems(&map, &json!([{"provider": "a"}, {"provider": "a"}]));
        assert_eq!(twice, ["spec: provider \"a\" stands there twice; leave one out"]);
    }
}
