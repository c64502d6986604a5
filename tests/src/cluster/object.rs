//! Objects as the API server shows them.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Cluster;

/// A condition of an object: whether it is true, and what is said of it.
pub fn condition(object: &Value, kind: &str) -> Option<(bool, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    let text = |name: &str| found[name].as_str().unwrap_or_default();
    Some((found["status"] == "True", format!("{}: {}", text("reason"), text("message"))))
}

/// Puts what a patch says into an object, as a merge patch does (RFC 7386).
pub fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(serde_json::Map::new());
    }
    for (name, value) in fields {
        if !value.is_null() {
            merge(&mut object[name.as_str()], value);
        } else if let Some(object) = object.as_object_mut() {
            object.remove(name);
        }
    }
}

impl Cluster {
    /// What `kubectl get … --output=json` gives.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn object(&self, args: &[&str]) -> Result<Value> {
        let said = self.kubectl(&[args, &["--output=json"][..]].concat())?;
        serde_json::from_str(&said).context("kubectl gives JSON")
    }

    /// Succeeds when what `kubectl get` is asked for is not there.
    ///
    /// # Errors
    /// It is there, or the API server does not answer.
    pub fn is_gone(&self, args: &[&str]) -> Result<()> {
        let said = self.kubectl(&[args, &["--ignore-not-found", "--output=name"][..]].concat())?;
        match said.trim() {
            "" => Ok(()),
            there => bail!("there is {}", there.replace('\n', ", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_adds_changes_and_removes() {
        let mut object = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut object, &json!({"a": {"b": null, "e": {"f": 3}}, "d": [2]}));
        assert_eq!(object, json!({"a": {"c": 2, "e": {"f": 3}}, "d": [2]}));
    }

    #[test]
    fn a_condition_is_found_by_its_type() {
        let conditions = json!([{"type": "Ready", "status": "True", "reason": "R", "message": "m"}]);
        let object = json!({"status": {"conditions": conditions}});
        assert_eq!(condition(&object, "Ready"), Some((true, "R: m".to_owned())));
        assert_eq!(condition(&object, "Stalled"), None);
    }
}
