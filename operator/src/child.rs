//! An object that belongs to a pipeline, as it is applied: plain data with its kind.

use k8s_openapi::serde::Serialize;
use kube::Resource;
use kube::core::ApiResource;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::names::Part;

/// Names an object among those of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey {
    /// Its kind. Kinds are known beforehand, and keys are many: none has a copy of its own.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

impl ChildKey {
    /// The object of that kind and name.
    pub fn new(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// The object of that kind that is named after a part.
    pub fn of_part(kind: &'static str, part: Part, pipeline: &str) -> Self {
        Self::new(kind, part.name(pipeline))
    }
}

/// An object as it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    key: ChildKey,
    /// Its kind, for the client.
    pub resource: ApiResource,
    /// All of it, with apiVersion and kind.
    pub object: Value,
}

impl Child {
    /// Of a typed object.
    pub fn of<K>(object: &K) -> Self
    where
        K: Resource<DynamicType = ()> + k8s_openapi::Resource + Serialize,
    {
        let object = serde_json::to_value(object).expect("an object of Kubernetes is JSON");
        Self::new(K::KIND, ApiResource::erase::<K>(&()), object)
    }

    /// Of an object of which there is no type.
    pub fn new(kind: &'static str, resource: ApiResource, object: Value) -> Self {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        Self { key: ChildKey::new(kind, name), resource, object }
    }

    /// What names it.
    pub fn key(&self) -> &ChildKey {
        &self.key
    }

    /// The same for the same content.
    pub fn hash(&self) -> u64 {
        hash(&self.object.to_string())
    }
}

/// Sixteen hexadecimal digits that stand for a text.
pub fn short_hash(text: &str) -> String {
    format!("{:016x}", hash(text))
}

fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0_u64, |hash, byte| (hash << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_hash_is_the_beginning_of_the_long_one() {
        // Names of ConfigMaps that are there have it in them. `printf docmill | sha256sum`.
        assert_eq!(short_hash("docmill"), "d420a39c75bb0bc1");
    }
}
