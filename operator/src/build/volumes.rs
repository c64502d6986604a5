//! Volumes of managed stores. They are made before all else, and outlive the pipeline unless it says
//! otherwise.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Input;
use crate::child::Child;
use crate::names::{self, Part};
use crate::plan::ManagedStore;
use crate::resource::{DeletionPolicy, Quantity};

/// Volumes of the managed stores, to be applied before [`super::children`]. One that is there is never asked
/// to shrink.
pub fn volumes(input: &Input<'_>) -> Vec<Child> {
    input.managed().into_iter().map(|(part, store)| volume(input, part, store)).collect()
}

fn volume(input: &Input<'_>, part: Part, store: &ManagedStore) -> Child {
    let there_mib = input.volumes.get(&part).map_or(0, |volume| volume.storage_mib);
    let storage = Quantity::of_mib(store.storage_mib.max(there_mib)).to_kube();
    // An owner that is not applied any more is removed: so a pipeline that changes its mind keeps its data.
    let owner_references = match input.pipeline.spec.deletion_policy {
        DeletionPolicy::Retain => None,
        DeletionPolicy::Delete => Some(vec![input.owner()]),
    };
    let name = names::volume(input.name(), part);
    let meta = input.meta_without_owner(name, names::part_labels(input.name(), part));
    Child::of(&PersistentVolumeClaim {
        metadata: ObjectMeta { owner_references, ..meta },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), storage)])),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: store.storage_class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::fixture;

    fn storage(child: &Child) -> &str {
        child.object["spec"]["resources"]["requests"]["storage"].as_str().unwrap()
    }

    #[test]
    fn a_volume_grows_and_never_shrinks() {
        let mut world = fixture::managed();
        world.volumes.clear();
        let fresh = volumes(&world.input());
        assert_eq!(fresh.iter().map(storage).collect::<Vec<_>>(), ["10Gi", "20Gi", "20Gi", "50Gi"]);
        assert_eq!(fresh[0].key().name, "knowbase-redis-data");
        let mut world = fixture::managed();
        world.volumes.get_mut(&Part::Redis).unwrap().storage_mib = 30 * 1_024;
        world.volumes.get_mut(&Part::S3).unwrap().storage_mib = 1_024;
        let grown = volumes(&world.input());
        assert_eq!(grown.iter().map(storage).collect::<Vec<_>>(), ["30Gi", "20Gi", "20Gi", "50Gi"]);
    }

    #[test]
    fn it_goes_with_the_pipeline_only_where_that_says_so() {
        let mut world = fixture::managed();
        for child in volumes(&world.input()) {
            assert!(child.object["metadata"].get("ownerReferences").is_none(), "{child:?}");
        }
        world.pipeline.spec.deletion_policy = DeletionPolicy::Delete;
        for child in volumes(&world.input()) {
            assert_eq!(child.object["metadata"]["ownerReferences"][0]["uid"], fixture::UID, "{child:?}");
        }
        assert!(volumes(&fixture::external().input()).is_empty());
    }
}
