//! The versions of all objects: what was written in between is another version.

use std::collections::BTreeMap;

use anyhow::Result;
use docmill_operator::resource::IngestionPipeline;
use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Api, Client};

use crate::cluster::faults::state::{kinds, ours};

/// Versions by kind, namespace and name.
pub type Versions = BTreeMap<(String, String, String), String>;

/// Looks at all of them.
///
/// # Errors
/// The API server does not answer.
pub async fn look(client: &Client) -> Result<Versions> {
    let mut versions = Versions::new();
    let pipelines = (ApiResource::erase::<IngestionPipeline>(&()), ListParams::default());
    for (kind, which) in kinds().into_iter().map(|kind| (kind, ours())).chain([pipelines]) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        for object in api.list_metadata(&which).await? {
            let metadata = object.metadata;
            let key = (
                kind.kind.clone(),
                metadata.namespace.unwrap_or_default(),
                metadata.name.unwrap_or_default(),
            );
            versions.insert(key, metadata.resource_version.unwrap_or_default());
        }
    }
    Ok(versions)
}

/// Objects that are there in one of both only, or in another version. Some are named.
pub fn changed(before: &Versions, after: &Versions) -> usize {
    let other = |(key, version): &(&(String, String, String), &String)| before.get(*key) != Some(*version);
    let changed: Vec<_> = after.iter().filter(other).map(|(key, _)| key).collect();
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let all: Vec<_> = changed.into_iter().chain(gone).collect();
    for (kind, namespace, name) in all.iter().take(5) {
        eprintln!("scale: changed: {kind} {namespace}/{name}");
    }
    all.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_and_what_comes_or_goes_are_changes() {
        let of = |versions: &[(&str, &str)]| -> Versions {
            let key = |name: &str| ("Kind".to_owned(), "n".to_owned(), name.to_owned());
            versions.iter().map(|(name, version)| (key(name), (*version).to_owned())).collect()
        };
        let before = of(&[("a", "1"), ("b", "2")]);
        assert_eq!(changed(&before, &before), 0);
        assert_eq!(changed(&before, &of(&[("a", "1"), ("b", "3")])), 1);
        assert_eq!(changed(&before, &of(&[("a", "1"), ("c", "3")])), 2);
    }
}
