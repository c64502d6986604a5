//! What is known to be there of a pipeline's objects: fed by watches, read by every reconcile. Nothing is asked for
//! twice, and of each object only what a decision needs is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use crate::child::ChildKey;
use crate::names;

/// A pipeline, by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// An object that is there, as last shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its UID.
    pub uid: String,
    /// Its version at all.
    pub resource_version: String,
    /// The version of its spec; absent for kinds that count none.
    pub generation: Option<i64>,
    /// UID of the object that owns it.
    pub owner: Option<String>,
    /// It is being deleted.
    pub deleting: bool,
    /// The Secret that was made for it.
    pub secret: Option<String>,
    /// What a decision needs of its kind.
    pub state: LiveState,
}

/// What a decision needs of an object, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LiveState {
    /// Nothing more.
    #[default]
    Plain,
    /// Pods that something runs.
    Pods(Rollout),
    /// A volume.
    Volume {
        /// Size that it was asked to have, in MiB.
        asked_mib: u64,
        /// Size that it has, in MiB; 0 while it has none.
        has_mib: u64,
        /// `Pending`, `Bound`, `Lost`.
        phase: String,
    },
}

/// How far the pods of a Deployment or StatefulSet are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// The generation that the numbers speak of.
    pub observed_generation: i64,
    /// Pods that there are to be.
    pub wanted: i32,
    /// Pods that there are.
    pub there: i32,
    /// Pods of the newest revision.
    pub updated: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are ready for long enough.
    pub available: i32,
    /// Why it does not get on, where its controller gave up.
    pub stuck: Option<String>,
}

impl Rollout {
    /// Whether all pods are of the newest revision, as far as its controller has seen the newest.
    pub fn is_done(&self, generation: Option<i64>) -> bool {
        generation.is_none_or(|generation| self.observed_generation >= generation)
            && self.updated >= self.wanted
            && self.there <= self.updated
    }
}

/// Objects that were deleted last, of which is remembered that they are gone: an answer on its way may still show one.
const GONE_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub struct Index {
    pipelines: Mutex<BTreeMap<PipelineKey, BTreeMap<ChildKey, Live>>>,
    /// UIDs of objects that were deleted last; none of them ever comes back.
    gone: Mutex<VecDeque<String>>,
}

/// What one watch has seen since it began anew; what it does not see again is gone.
#[derive(Debug, Default)]
pub struct Relist {
    seen: Option<BTreeSet<(PipelineKey, String)>>,
}

impl Index {
    /// All objects of a pipeline that are known.
    pub fn of(&self, pipeline: &PipelineKey) -> BTreeMap<ChildKey, Live> {
        self.lock().get(pipeline).cloned().unwrap_or_default()
    }

    /// Takes an event of a watch of one kind in. Pipelines whose objects changed are given back.
    pub fn take<K>(
        &self,
        kind: &str,
        relist: &mut Relist,
        event: &Event<K>,
        state: impl Fn(&K) -> LiveState,
    ) -> Vec<PipelineKey>
    where
        K: Resource,
    {
        match event {
            Event::Apply(object) => self.put(kind, object, &state).into_iter().collect(),
            Event::Delete(object) => self.remove(kind, object).into_iter().collect(),
            Event::Init => {
                relist.seen = Some(BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                if let (Some(seen), Some(pipeline)) = (&mut relist.seen, pipeline_of(object)) {
                    seen.insert((pipeline, object.name_any()));
                }
                self.put(kind, object, &state).into_iter().collect()
            }
            Event::InitDone => match relist.seen.take() {
                Some(seen) => self.keep_only(kind, &seen),
                None => Vec::new(),
            },
        }
    }

    /// Takes in what an answer of the API server shows, so that nobody waits for the watch to show it. An answer says
    /// nothing of an object's state: what the watch showed of that stays, and may be newer than what was asked for.
    pub fn put_answer(&self, pipeline: &PipelineKey, key: &ChildKey, answer: Live) {
        let mut pipelines = self.lock();
        if self.is_gone(&answer.uid) {
            return;
        }
        let children = pipelines.entry(pipeline.clone()).or_default();
        let state = match children.get(key) {
            Some(known) if known.uid == answer.uid => {
                if version(known) >= version(&answer) {
                    return;
                }
                known.state.clone()
            }
            _ => answer.state,
        };
        children.insert(key.clone(), Live { state, ..answer });
    }

    fn put<K: Resource>(
        &self,
        kind: &str,
        object: &K,
        state: &impl Fn(&K) -> LiveState,
    ) -> Option<PipelineKey> {
        let pipeline = pipeline_of(object)?;
        let key = ChildKey { kind: kind.to_owned(), name: object.name_any() };
        let live = live(object, state(object));
        let mut pipelines = self.lock();
        let children = pipelines.entry(pipeline.clone()).or_default();
        match children.get(&key) {
            // A watch that fell behind an answer, or was rolled back.
            Some(known) if known.uid == live.uid && version(known) > version(&live) => None,
            Some(known) if *known == live => None,
            _ => {
                children.insert(key, live);
                Some(pipeline)
            }
        }
    }

    fn remove<K: Resource>(&self, kind: &str, object: &K) -> Option<PipelineKey> {
        let pipeline = pipeline_of(object)?;
        let key = ChildKey { kind: kind.to_owned(), name: object.name_any() };
        let mut pipelines = self.lock();
        self.note_gone(object.meta().uid.as_deref().unwrap_or_default());
        let children = pipelines.get_mut(&pipeline)?;
        // One of the same name that was made since is another.
        if children.get(&key).is_some_and(|known| Some(&known.uid) == object.meta().uid.as_ref()) {
            children.remove(&key);
        }
        if children.is_empty() {
            pipelines.remove(&pipeline);
        }
        Some(pipeline)
    }

    fn is_gone(&self, uid: &str) -> bool {
        let gone = self.gone.lock().expect("no code panics while holding it");
        gone.iter().any(|one| one == uid)
    }

    fn note_gone(&self, uid: &str) {
        let mut gone = self.gone.lock().expect("no code panics while holding it");
        if gone.len() == GONE_MAX {
            gone.pop_front();
        }
        gone.push_back(uid.to_owned());
    }

    fn keep_only(&self, kind: &str, seen: &BTreeSet<(PipelineKey, String)>) -> Vec<PipelineKey> {
        let mut changed = Vec::new();
        let mut pipelines = self.lock();
        pipelines.retain(|pipeline, children| {
            let before = children.len();
            children
                .retain(|key, _| key.kind != kind || seen.contains(&(pipeline.clone(), key.name.clone())));
            if children.len() != before {
                changed.push(pipeline.clone());
            }
            !children.is_empty()
        });
        changed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PipelineKey, BTreeMap<ChildKey, Live>>> {
        self.pipelines.lock().expect("no code panics while holding it")
    }
}

/// The pipeline that an object says it belongs to.
pub fn pipeline_of<K: Resource>(object: &K) -> Option<PipelineKey> {
    let meta = object.meta();
    let labels = meta.labels.as_ref()?;
    if labels.get(names::MANAGED_BY.0).map(String::as_str) != Some(names::MANAGED_BY.1) {
        return None;
    }
    Some(PipelineKey {
        namespace: meta.namespace.clone()?,
        name: labels.get(names::PIPELINE_LABEL)?.clone(),
    })
}

/// What is kept of an object.
pub fn live<K: Resource>(object: &K, state: LiveState) -> Live {
    let meta = object.meta();
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    Live {
        uid: meta.uid.clone().unwrap_or_default(),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        generation: meta.generation,
        owner: owner.map(|owner| owner.uid.clone()),
        deleting: meta.deletion_timestamp.is_some(),
        secret: meta.annotations.as_ref().and_then(|all| all.get(names::SECRET_ANNOTATION)).cloned(),
        state,
    }
}

/// Resource versions of Kubernetes are numbers that grow (KEP-5504); one that is none compares as the oldest.
fn version(live: &Live) -> u128 {
    live.resource_version.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    use super::*;

    fn object(name: &str, version: u64, uid: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.into()),
                namespace: Some("n".into()),
                uid: Some(uid.into()),
                resource_version: Some(version.to_string()),
                labels: Some(names::labels("p")),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn key() -> PipelineKey {
        PipelineKey { namespace: "n".into(), name: "p".into() }
    }

    fn take(index: &Index, relist: &mut Relist, event: Event<ConfigMap>) -> usize {
        index.take("ConfigMap", relist, &event, |_| LiveState::Plain).len()
    }

    #[test]
    fn what_a_watch_says_late_changes_nothing() {
        let (index, mut relist) = (Index::default(), Relist::default());
        assert_eq!(take(&index, &mut relist, Event::Apply(object("a", 9, "u1"))), 1);
        assert_eq!(take(&index, &mut relist, Event::Apply(object("a", 9, "u1"))), 0, "the same again");
        assert_eq!(take(&index, &mut relist, Event::Apply(object("a", 7, "u1"))), 0, "rolled back");
        // Made anew under the same name: the end of the first is not its end.
        take(&index, &mut relist, Event::Apply(object("a", 10, "u2")));
        take(&index, &mut relist, Event::Delete(object("a", 11, "u1")));
        assert_eq!(index.of(&key()).values().next().map(|live| live.uid.as_str()), Some("u2"));
        take(&index, &mut relist, Event::Delete(object("a", 12, "u2")));
        assert!(index.of(&key()).is_empty());
    }

    #[test]
    fn an_answer_changes_nothing_that_is_newer() {
        let rollout = |ready| LiveState::Pods(Rollout { ready, ..Rollout::default() });
        let (index, mut relist) = (Index::default(), Relist::default());
        let shown = |version| live(&object("a", version, "u1"), rollout(3));
        let child = ChildKey { kind: "ConfigMap".into(), name: "a".into() };
        let known = || index.of(&key()).get(&child).cloned();
        index.take("ConfigMap", &mut relist, &Event::Apply(object("a", 5, "u1")), |_| rollout(3));
        // A write that changed nothing is answered with the version that the watch showed meanwhile.
        for version in [4, 5] {
            index.put_answer(&key(), &child, Live { state: rollout(0), ..shown(version) });
            assert_eq!(known(), Some(shown(5)), "{version}");
        }
        index.put_answer(&key(), &child, Live { state: rollout(0), ..shown(6) });
        assert_eq!(known(), Some(shown(6)), "its state is the watch's");
        // An answer that is on its way while the object is deleted.
        take(&index, &mut relist, Event::Delete(object("a", 7, "u1")));
        index.put_answer(&key(), &child, shown(6));
        assert_eq!(known(), None);
    }

    #[test]
    fn what_is_not_listed_again_is_gone() {
        let (index, mut relist) = (Index::default(), Relist::default());
        take(&index, &mut relist, Event::Apply(object("a", 1, "u1")));
        take(&index, &mut relist, Event::Apply(object("b", 2, "u2")));
        take(&index, &mut relist, Event::Init);
        take(&index, &mut relist, Event::InitApply(object("b", 2, "u2")));
        assert_eq!(index.of(&key()).len(), 2, "until the list is whole");
        assert_eq!(take(&index, &mut relist, Event::InitDone), 1);
        assert_eq!(index.of(&key()).len(), 1);
    }

    #[test]
    fn what_is_not_ours_is_not_seen() {
        let mut foreign = object("a", 1, "u1");
        foreign.metadata.labels = None;
        assert_eq!(pipeline_of(&foreign), None);
        assert_eq!(pipeline_of(&object("a", 1, "u")), Some(key()));
    }
}
