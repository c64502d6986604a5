//! Brings what is there to what is built: server-side apply of what differs, and removal of what is too much.
//!
//! What to write is decided by data alone ([`to_apply`], [`to_delete`]); an object that is as it was left is not
//! touched.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::ApiResource;
use kube::{Api, Client};

use crate::child::{Child, ChildKey};
use crate::live::{Children, Live, LiveState, live};
use crate::names::FIELD_MANAGER;
use crate::pipeline_key::PipelineKey;

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

/// An object to be applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apply<'a> {
    /// The object.
    pub child: &'a Child,
    /// Its hash, by which it is known again.
    hash: u64,
}

/// An object to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// What names it.
    pub key: ChildKey,
    /// Its UID, as it was seen.
    pub uid: Arc<str>,
}

/// How the objects of a pipeline were left.
pub type AllLeft = HashMap<ChildKey, Left>;

/// How an object was left: what was applied, and what the API server made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    hash: u64,
    uid: Arc<str>,
    version: Version,
}

/// What moves when somebody writes to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {
    /// Of kinds that count generations, only those speak of the spec: status moves the version all the time.
    OfSpec(i64),
    OfAll(String),
}

impl Left {
    /// What was applied has that hash, and is there like this.
    fn of(hash: u64, live: &Live) -> Self {
        let version = match live.generation {
            Some(generation) => Version::OfSpec(generation),
            None => Version::OfAll(live.resource_version.clone()),
        };
        Self { hash, uid: live.uid.clone(), version }
    }
}

/// Decides what to apply, in the order in which it is given.
pub fn to_apply<'a>(children: &'a [Child], live: &Children, left: &AllLeft) -> Vec<Apply<'a>> {
    let all = children.iter().map(|child| Apply { child, hash: child.hash() });
    all.filter(|apply| {
        let key = apply.child.key();
        !is_as_left(apply.hash, live.get(key), left.get(key))
    })
    .collect()
}

/// Decides what to delete: what nothing builds, and is not in `kept`. `owner` is the pipeline's UID; what it does not
/// own is not touched.
pub fn to_delete(
    children: &[Child],
    live: &Children,
    owner: &str,
    kept: &BTreeSet<ChildKey>,
) -> Vec<Delete> {
    let built: BTreeSet<&ChildKey> = children.iter().map(Child::key).collect();
    let is_too_much = |key: &ChildKey, live: &Live| {
        REMOVED.contains(&key.kind)
            && !built.contains(key)
            && !kept.contains(key)
            && live.owner.as_deref() == Some(owner)
            && !live.deleting
    };
    let all = live.iter().filter(|(key, live)| is_too_much(key, live));
    all.map(|(key, live)| Delete { key: key.clone(), uid: live.uid.clone() }).collect()
}

/// Whether an object is as it was left: the same was asked for, and nobody changed it since.
fn is_as_left(hash: u64, live: Option<&Live>, left: Option<&Left>) -> bool {
    live.is_some_and(|live| !live.deleting && left == Some(&Left::of(hash, live)))
}

/// Writes objects, and remembers how it left them.
#[derive(Default)]
pub struct Applier {
    left: Mutex<HashMap<PipelineKey, Arc<AllLeft>>>,
}

impl Applier {
    /// How the objects of a pipeline were left. What is written later does not change it.
    pub fn left(&self, pipeline: &PipelineKey) -> Arc<AllLeft> {
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
        apply: &Apply<'_>,
    ) -> Result<Live, kube::Error> {
        let Apply { child, hash } = *apply;
        let key = child.key();
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &pipeline.namespace, &child.resource);
        // Ours is the field or nobody's: what somebody else set there by hand is drift.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let answer = api.patch(&key.name, &params, &Patch::Apply(&child.object)).await?;
        let now = live(&answer, LiveState::of_new(key.kind));
        let left = Left::of(hash, &now);
        let mut all = self.lock();
        Arc::make_mut(all.entry(pipeline.clone()).or_default()).insert(key.clone(), left);
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
        resource: &ApiResource,
        delete: &Delete,
    ) -> Result<(), kube::Error> {
        let Delete { key, uid } = delete;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &pipeline.namespace, resource);
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_string()), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        if let Some(left) = self.lock().get_mut(pipeline) {
            Arc::make_mut(left).remove(key);
        }
        match api.delete(&key.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PipelineKey, Arc<AllLeft>>> {
        self.left.lock().expect("no code panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
            has_secret: false,
            state: LiveState::Plain,
        }
    }

    fn left(child: &Child, version: &str, generation: Option<i64>) -> Left {
        Left::of(child.hash(), &there(version, generation))
    }

    #[test]
    fn only_what_differs_is_written() {
        let child = child("a", "1");
        let same = |live: Live, left: Left| is_as_left(child.hash(), Some(&live), Some(&left));
        assert!(same(there("5", None), left(&child, "5", None)));
        assert!(!same(there("6", None), left(&child, "5", None)), "somebody wrote to it");
        assert!(same(there("6", Some(2)), left(&child, "5", Some(2))), "only its status moved");
        assert!(!same(there("6", Some(3)), left(&child, "5", Some(2))), "its spec moved");
        assert!(
            !same(Live { uid: "other".into(), ..there("5", None) }, left(&child, "5", None)),
            "another"
        );
        assert!(
            !is_as_left(0, Some(&there("5", None)), Some(&left(&child, "5", None))),
            "more is asked for"
        );
        assert!(!is_as_left(child.hash(), None, Some(&left(&child, "5", None))), "it is gone");
        assert!(!is_as_left(child.hash(), Some(&there("5", None)), None), "nobody knows how it was left");
        assert!(!same(Live { deleting: true, ..there("5", None) }, left(&child, "5", None)), "it goes");
    }

    #[test]
    fn only_what_it_owns_and_nothing_builds_is_deleted() {
        let children = [child("built", "1")];
        let foreign = Live { owner: Some("somebody".into()), ..there("1", None) };
        let going = Live { deleting: true, ..there("1", None) };
        let live = BTreeMap::from([
            (ChildKey::new("ConfigMap", "built"), there("1", None)),
            (ChildKey::new("ConfigMap", "old"), there("1", None)),
            (ChildKey::new("ConfigMap", "kept"), there("1", None)),
            (ChildKey::new("ConfigMap", "foreign"), foreign),
            (ChildKey::new("ConfigMap", "going"), going),
            (ChildKey::new("PersistentVolumeClaim", "data"), there("1", None)),
        ]);
        let kept = BTreeSet::from([ChildKey::new("ConfigMap", "kept")]);
        let old = Delete { key: ChildKey::new("ConfigMap", "old"), uid: "u".into() };
        assert_eq!(to_delete(&children, &live, "owner", &kept), [old]);
    }

    #[test]
    fn what_is_not_as_left_is_applied_in_order() {
        let children = [child("c", "1"), child("a", "1"), child("b", "1")];
        let live = BTreeMap::from([
            (ChildKey::new("ConfigMap", "a"), there("1", None)),
            (ChildKey::new("ConfigMap", "b"), there("2", None)),
        ]);
        let left = HashMap::from([
            (ChildKey::new("ConfigMap", "a"), left(&children[1], "1", None)),
            (ChildKey::new("ConfigMap", "b"), left(&children[2], "1", None)),
        ]);
        let writes = to_apply(&children, &live, &left);
        let names: Vec<&str> = writes.iter().map(|apply| apply.child.key().name.as_str()).collect();
        assert_eq!(names, ["c", "b"]);
    }
}
