//! An object that belongs to a pipeline, as it is applied: plain data with its kind.

use k8s_openapi::serde::Serialize;
use kube::Resource;
use kube::core::ApiResource;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Names an object among those of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// An object as it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// Its kind, for the client.
    pub resource: ApiResource,
    /// All of it, with apiVersion and kind.
    pub object: Value,
}

impl Child {
    /// Of a typed object.
    pub fn of<K>(object: &K) -> Self
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let object = serde_json::to_value(object).expect("an object of Kubernetes is JSON");
        Self { resource: ApiResource::erase::<K>(&()), object }
    }

    /// What names it.
    pub fn key(&self) -> ChildKey {
        let name = self.object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        ChildKey { kind: self.resource.kind.clone(), name }
    }

    /// The same for the same content.
    pub fn hash(&self) -> String {
        short_hash(&self.object.to_string())
    }
}

/// Sixteen hexadecimal digits that stand for a text.
pub fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
