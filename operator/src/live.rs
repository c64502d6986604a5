//! What is known to be there of a pipeline's objects: fed by watches, read by every reconcile. Nothing is asked for
//! twice, and of each object only what a decision needs is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use crate::child::ChildKey;
use crate::names;
use crate::pipeline_key::PipelineKey;

/// What is there of a pipeline.
pub type Children = BTreeMap<ChildKey, Live>;

/// An object that is there, as last shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its UID.
    pub uid: Arc<str>,
    /// Its version at all.
    pub resource_version: String,
    /// The version of its spec; absent for kinds that count none.
    pub generation: Option<i64>,
    /// UID of the object that owns it.
    pub owner: Option<Arc<str>>,
    /// It is being deleted.
    pub deleting: bool,
    /// A Secret was made for it.
    pub has_secret: bool,
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
    },
}

impl LiveState {
    /// Of an object that was just made, until a watch shows more.
    pub fn of_new(kind: &str) -> Self {
        match kind {
            // That it is there is enough for what is named after it.
            "PersistentVolumeClaim" => Self::Volume { asked_mib: 0 },
            _ => Self::Plain,
        }
    }
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
    pipelines: Mutex<BTreeMap<PipelineKey, Arc<Children>>>,
    /// UIDs of objects that were deleted last; none of them ever comes back.
    gone: Mutex<VecDeque<String>>,
}

/// What one watch has seen since it began anew; what it does not see again is gone.
#[derive(Debug, Default)]
pub struct Relist {
    seen: Option<Names>,
}

/// Names of objects of one kind, by pipeline.
type Names = BTreeMap<PipelineKey, BTreeSet<String>>;

impl Index {
    /// All objects of a pipeline that are known now. What comes later does not change them.
    pub fn of(&self, pipeline: &PipelineKey) -> Arc<Children> {
        self.lock().get(pipeline).cloned().unwrap_or_default()
    }

    /// Takes an event of a watch of one kind in. Pipelines whose objects changed are given back.
    pub fn take<K>(
        &self,
        kind: &'static str,
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
                relist.seen = Some(Names::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                if let (Some(seen), Some(pipeline)) = (&mut relist.seen, pipeline_of(object)) {
                    seen.entry(pipeline).or_default().insert(object.name_any());
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
        let answer = match children.get(key).filter(|known| known.uid == answer.uid) {
            Some(known) if version(known) >= version(&answer) => return,
            Some(known) => Live { state: known.state.clone(), ..answer },
            None => answer,
        };
        insert(children, key.clone(), answer);
    }

    fn put<K: Resource>(
        &self,
        kind: &'static str,
        object: &K,
        state: &impl Fn(&K) -> LiveState,
    ) -> Option<PipelineKey> {
        let pipeline = pipeline_of(object)?;
        let key = ChildKey::new(kind, object.name_any());
        let live = live(object, state(object));
        let mut pipelines = self.lock();
        let children = pipelines.entry(pipeline.clone()).or_default();
        match children.get(&key) {
            // A watch that fell behind an answer, or was rolled back.
            Some(known) if known.uid == live.uid && version(known) > version(&live) => None,
            Some(known) if *known == live => None,
            _ => {
                insert(children, key, live);
                Some(pipeline)
            }
        }
    }

    fn remove<K: Resource>(&self, kind: &'static str, object: &K) -> Option<PipelineKey> {
        let pipeline = pipeline_of(object)?;
        let key = ChildKey::new(kind, object.name_any());
        let mut pipelines = self.lock();
        self.note_gone(object.meta().uid.as_deref().unwrap_or_default());
        let children = pipelines.get_mut(&pipeline)?;
        // One of the same name that was made since is another.
        if children.get(&key).is_some_and(|known| Some(&*known.uid) == object.meta().uid.as_deref()) {
            Arc::make_mut(children).remove(&key);
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

    fn keep_only(&self, kind: &str, seen: &Names) -> Vec<PipelineKey> {
        let mut changed = Vec::new();
        let mut pipelines = self.lock();
        pipelines.retain(|pipeline, children| {
            let names = seen.get(pipeline);
            let is_gone =
                |key: &ChildKey| key.kind == kind && names.is_none_or(|names| !names.contains(&key.name));
            if children.keys().any(is_gone) {
                Arc::make_mut(children).retain(|key, _| !is_gone(key));
                changed.push(pipeline.clone());
            }
            !children.is_empty()
        });
        changed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PipelineKey, Arc<Children>>> {
        self.pipelines.lock().expect("no code panics while holding it")
    }
}

/// Takes an object in. Nearly all objects of a pipeline have the same owner, whose UID is kept once.
fn insert(children: &mut Arc<Children>, key: ChildKey, mut live: Live) {
    let mut owners = children.values().filter_map(|known| known.owner.as_ref());
    let same = owners.find(|owner| Some(*owner) == live.owner.as_ref()).cloned();
    live.owner = same.or(live.owner);
    Arc::make_mut(children).insert(key, live);
}

/// The pipeline that an object says it belongs to.
pub fn pipeline_of<K: Resource>(object: &K) -> Option<PipelineKey> {
    let meta = object.meta();
    let labels = meta.labels.as_ref()?;
    if labels.get(names::MANAGED_BY.0).map(String::as_str) != Some(names::MANAGED_BY.1) {
        return None;
    }
    Some(PipelineKey::new(meta.namespace.clone()?, labels.get(names::PIPELINE_LABEL)?.clone()))
}

/// What is kept of an object.
pub fn live<K: Resource>(object: &K, state: LiveState) -> Live {
    let meta = object.meta();
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    Live {
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        generation: meta.generation,
        owner: owner.map(|owner| owner.uid.as_str().into()),
        deleting: meta.deletion_timestamp.is_some(),
        has_secret: meta.annotations.as_ref().is_some_and(|all| all.contains_key(names::SECRET_ANNOTATION)),
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
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
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
        PipelineKey::new("n", "p")
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
        assert_eq!(index.of(&key()).values().next().map(|live| &*live.uid), Some("u2"));
        take(&index, &mut relist, Event::Delete(object("a", 12, "u2")));
        assert!(index.of(&key()).is_empty());
    }

    #[test]
    fn an_answer_changes_nothing_that_is_newer() {
        let rollout = |ready| LiveState::Pods(Rollout { ready, ..Rollout::default() });
        let (index, mut relist) = (Index::default(), Relist::default());
        let shown = |version| live(&object("a", version, "u1"), rollout(3));
        let child = ChildKey::new("ConfigMap", "a");
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
    fn an_answer_says_nothing_of_the_state() {
        let index = Index::default();
        let name = ChildKey::new("PersistentVolumeClaim", "a");
        let answer = |version, uid: &str| live(&object("a", version, uid), LiveState::of_new(name.kind));
        let asked_mib = || match index.of(&key()).get(&name).map(|live| live.state.clone()) {
            Some(LiveState::Volume { asked_mib }) => Some(asked_mib),
            _ => None,
        };
        index.put_answer(&key(), &name, answer(3, "u1"));
        assert_eq!(asked_mib(), Some(0), "it is there");
        let shown = Event::Apply(object("a", 3, "u1"));
        let state = |_: &ConfigMap| LiveState::Volume { asked_mib: 7 };
        assert_eq!(index.take(name.kind, &mut Relist::default(), &shown, state), [key()]);
        index.put_answer(&key(), &name, answer(4, "u1"));
        assert_eq!(asked_mib(), Some(7));
        index.put_answer(&key(), &name, answer(2, "u1"));
        assert_eq!(index.of(&key())[&name].resource_version, "4", "an answer that comes late");
        index.put_answer(&key(), &name, answer(5, "u2"));
        assert_eq!(asked_mib(), Some(0), "another one");
    }

    #[test]
    fn what_was_looked_at_does_not_change_and_owners_are_kept_once() {
        let index = Index::default();
        let owned = |name: &str| {
            let mut object = object(name, 1, name);
            let owner =
                OwnerReference { controller: Some(true), uid: "owner".into(), ..OwnerReference::default() };
            object.metadata.owner_references = Some(vec![owner]);
            object
        };
        let mut relist = Relist::default();
        take(&index, &mut relist, Event::Apply(owned("a")));
        let before = index.of(&key());
        take(&index, &mut relist, Event::Apply(owned("b")));
        let after = index.of(&key());
        assert_eq!((before.len(), after.len()), (1, 2));
        let owners: Vec<&Arc<str>> = after.values().filter_map(|live| live.owner.as_ref()).collect();
        assert_eq!(&**owners[0], "owner");
        assert!(Arc::ptr_eq(owners[0], owners[1]));
    }

    #[test]
    fn what_is_not_ours_is_not_seen() {
        let mut foreign = object("a", 1, "u1");
        foreign.metadata.labels = None;
        assert_eq!(pipeline_of(&foreign), None);
        assert_eq!(pipeline_of(&object("a", 1, "u")), Some(key()));
    }
}
