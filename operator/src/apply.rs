//! Brings what is there to what is built: server-side apply of what differs, and removal of what is too much.
//!
//! What to write is decided by data alone ([`decide`]); an object that is as it was left is not touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Api, Client};

use crate::child::{Child, ChildKey};
use crate::live::{Live, LiveState, PipelineKey, live};
use crate::names::FIELD_MANAGER;

/// Kinds that are removed when nothing builds them any more. Volumes and Secrets are not: they hold data.
const REMOVED: [&str; 9] = [
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PodMonitor",
    "Service",
    "ServiceMonitor",
    "StatefulSet",
];

/// How an object was left: what was applied, and what the API server made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    hash: String,
    uid: String,
    resource_version: String,
    generation: Option<i64>,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
pub struct Writes<'a> {
    /// To apply, in this order.
    pub apply: Vec<&'a Child>,
    /// To delete: name and UID as it was seen.
    pub delete: Vec<(ChildKey, String)>,
}

/// Decides what to write. `owner` is the pipeline's UID; only what it owns is ever deleted, and of that nothing in
/// `kept`.
pub fn decide<'a>(
    children: &'a [Child],
    live: &BTreeMap<ChildKey, Live>,
    left: &HashMap<ChildKey, Left>,
    owner: &str,
    kept: &BTreeSet<ChildKey>,
) -> Writes<'a> {
    let apply = children
        .iter()
        .filter(|child| {
            let key = child.key();
            !is_as_left(&child.hash(), live.get(&key), left.get(&key))
        })
        .collect();
    let built: BTreeSet<ChildKey> = children.iter().map(Child::key).collect();
    let delete = live
        .iter()
        .filter(|(key, live)| {
            REMOVED.contains(&key.kind.as_str())
                && !built.contains(key)
                && !kept.contains(key)
                && live.owner.as_deref() == Some(owner)
                && !live.deleting
        })
        .map(|(key, live)| (key.clone(), live.uid.clone()))
        .collect();
    Writes { apply, delete }
}

/// Whether an object is as it was left: the same was asked for, and nobody changed it since.
fn is_as_left(hash: &str, live: Option<&Live>, left: Option<&Left>) -> bool {
    let (Some(live), Some(left)) = (live, left) else { return false };
    let is_same = left.hash == hash && left.uid == live.uid && !live.deleting;
    // Of kinds that count generations, only those speak of the spec: status moves the version all the time.
    let is_untouched = left.resource_version == live.resource_version
        || (live.generation.is_some() && left.generation == live.generation);
    is_same && is_untouched
}

/// Writes objects, and remembers how it left them.
#[derive(Default)]
pub struct Applier {
    left: Mutex<HashMap<PipelineKey, HashMap<ChildKey, Left>>>,
}

impl Applier {
    /// How the objects of a pipeline were left.
    pub fn left(&self, pipeline: &PipelineKey) -> HashMap<ChildKey, Left> {
        self.lock().get(pipeline).cloned().unwrap_or_default()
    }

    /// Forgets a pipeline that is gone.
    pub fn forget(&self, pipeline: &PipelineKey) {
        self.lock().remove(pipeline);
    }

    /// Applies one object, and gives back how it is then.
    ///
    /// # Errors
    ///
    /// What the API server says.
    pub async fn apply(
        &self,
        client: &Client,
        pipeline: &PipelineKey,
        child: &Child,
    ) -> Result<Live, kube::Error> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &pipeline.namespace, &child.resource);
        let key = child.key();
        // Ours is the field or nobody's: what somebody else set there by hand is drift.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let answer = api.patch(&key.name, &params, &Patch::Apply(&child.object)).await?;
        let now = live(&answer, LiveState::Plain);
        let left = Left {
            hash: child.hash(),
            uid: now.uid.clone(),
            resource_version: now.resource_version.clone(),
            generation: now.generation,
        };
        self.lock().entry(pipeline.clone()).or_default().insert(key, left);
        Ok(now)
    }

    /// Deletes one object, if it is still the one that was seen.
    ///
    /// # Errors
    ///
    /// What the API server says; that it is gone, or another by now, is none.
    pub async fn delete(
        &self,
        client: &Client,
        pipeline: &PipelineKey,
        resource: &kube::core::ApiResource,
        name: &str,
        uid: &str,
    ) -> Result<(), kube::Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &pipeline.namespace, resource);
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let key = ChildKey { kind: resource.kind.clone(), name: name.to_owned() };
        if let Some(left) = self.lock().get_mut(pipeline) {
            left.remove(&key);
        }
        match api.delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PipelineKey, HashMap<ChildKey, Left>>> {
        self.left.lock().expect("no code panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    use super::*;

    fn child(name: &str, text: &str) -> Child {
        Child::of(&ConfigMap {
            metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([("text".to_owned(), text.to_owned())])),
            ..ConfigMap::default()
        })
    }

    fn there(version: &str, generation: Option<i64>) -> Live {
        Live {
            uid: "u".into(),
            resource_version: version.into(),
            generation,
            owner: Some("owner".into()),
            deleting: false,
            secret: None,
            state: LiveState::Plain,
        }
    }

    fn left(child: &Child, version: &str, generation: Option<i64>) -> Left {
        Left { hash: child.hash(), uid: "u".into(), resource_version: version.into(), generation }
    }

    #[test]
    fn only_what_differs_is_written() {
        let child = child("a", "1");
        let same = |live: Live, left: Left| is_as_left(&child.hash(), Some(&live), Some(&left));
        assert!(same(there("5", None), left(&child, "5", None)));
        assert!(!same(there("6", None), left(&child, "5", None)), "somebody wrote to it");
        assert!(same(there("6", Some(2)), left(&child, "5", Some(2))), "only its status moved");
        assert!(!same(there("6", Some(3)), left(&child, "5", Some(2))), "its spec moved");
        assert!(
            !same(Live { uid: "other".into(), ..there("5", None) }, left(&child, "5", None)),
            "another"
        );
        assert!(
            !is_as_left("0", Some(&there("5", None)), Some(&left(&child, "5", None))),
            "more is asked for"
        );
        assert!(!is_as_left(&child.hash(), None, Some(&left(&child, "5", None))), "it is gone");
    }

    #[test]
    fn only_what_it_owns_and_nothing_builds_is_deleted() {
        let children = [child("built", "1")];
        let key = |kind: &str, name: &str| ChildKey { kind: kind.into(), name: name.into() };
        let foreign = Live { owner: Some("somebody".into()), ..there("1", None) };
        let going = Live { deleting: true, ..there("1", None) };
        let live = BTreeMap::from([
            (key("ConfigMap", "built"), there("1", None)),
            (key("ConfigMap", "old"), there("1", None)),
            (key("ConfigMap", "kept"), there("1", None)),
            (key("ConfigMap", "foreign"), foreign),
            (key("ConfigMap", "going"), going),
            (key("PersistentVolumeClaim", "data"), there("1", None)),
        ]);
        let kept = BTreeSet::from([key("ConfigMap", "kept")]);
        let writes = decide(&children, &live, &HashMap::new(), "owner", &kept);
        assert_eq!(writes.apply.len(), 1);
        assert_eq!(writes.delete, [(key("ConfigMap", "old"), "u".to_owned())]);
    }
}
