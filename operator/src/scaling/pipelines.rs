//! All pipelines that are scaled: a task for each while this process leads, and what they publish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::Clock;
use super::api::PipelineApi;
use super::driver::{Driver, Surroundings};
use super::hands::{Hands, Target};
use super::scaled::{News, PipelineScaling, Scaled};
use super::seen::{Index, Touched};
use super::stream::{Heard, follow};
use crate::pipeline_key::PipelineKey;

/// The registry. Clones are the same one.
#[derive(Clone)]
pub struct Pipelines(Arc<Registry>);

struct Registry {
    around: Surroundings,
    api: PipelineApi,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// Tasks run.
    leads: bool,
    entries: HashMap<PipelineKey, Entry>,
}

struct Entry {
    scaling: watch::Sender<PipelineScaling>,
    touched: Arc<Notify>,
    published: watch::Sender<Option<Arc<Scaled>>>,
    task: Option<Task>,
}

/// Ends with its handle.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pipelines {
    /// None is known yet, and nothing is done before [`Pipelines::run`].
    pub fn new(api: PipelineApi, hands: Arc<dyn Hands>, is_leader: watch::Receiver<bool>) -> Self {
        let around = Surroundings {
            clock: Clock::start(),
            index: Arc::new(Index::default()),
            news: Arc::new(News::default()),
            hands,
            is_leader,
        };
        Self(Arc::new(Registry { around, api, table: Mutex::default() }))
    }

    /// Runs the tasks while this process leads, until its sender is gone. What they published is gone with them:
    /// who stands by knows nothing of its own.
    pub async fn run(&self) {
        let mut is_leader = self.0.around.is_leader.clone();
        loop {
            let leads = *is_leader.borrow_and_update();
            self.0.lead(leads);
            if is_leader.changed().await.is_err() {
                self.0.lead(false);
                return;
            }
        }
    }

    /// Scales that pipeline from now on, or as it is said now. Within a runtime, as it may start a task.
    pub fn set(&self, scaling: PipelineScaling) {
        let mut table = self.0.table();
        let leads = table.leads;
        if let Some(entry) = table.entries.get(&scaling.key) {
            let is_same = entry.scaling.borrow().uid == scaling.uid;
            if is_same {
                entry.scaling.send_if_modified(|known| {
                    let changed = *known != scaling;
                    *known = scaling;
                    changed
                });
                return;
            }
        }
        let key = scaling.key.clone();
        let mut entry = Entry {
            scaling: watch::Sender::new(scaling),
            touched: Arc::default(),
            published: watch::Sender::new(None),
            task: None,
        };
        if leads {
            self.0.start(&mut entry);
        }
        // One of the same name and another UID was another pipeline: its task ends here.
        if let Some(before) = table.entries.insert(key, entry) {
            self.0.api.tokens().forget(&before.scaling.borrow().uid);
        }
    }

    /// Scales it no more; its workers stay as they are.
    pub fn remove(&self, key: &PipelineKey) {
        if let Some(entry) = self.0.table().entries.remove(key) {
            self.0.api.tokens().forget(&entry.scaling.borrow().uid);
        }
    }

    /// What was decided last; none for a pipeline that is not known, has no workers' Deployment yet, or while this
    /// process does not lead.
    pub fn get(&self, key: &PipelineKey) -> Option<Arc<Scaled>> {
        let table = self.0.table();
        let entry = table.entries.get(key).filter(|_| table.leads)?;
        entry.published.borrow().clone()
    }

    /// The same as it changes; none for a pipeline that is not known. It ends when the pipeline is removed.
    pub fn subscribe(&self, key: &PipelineKey) -> Option<watch::Receiver<Option<Arc<Scaled>>>> {
        self.0.table().entries.get(key).map(|entry| entry.published.subscribe())
    }

    /// The clock by which times in [`Scaled`] go, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.0.around.clock.now_ms()
    }

    /// Pipelines of which there is news: another decision, or other numbers after a while. Each waits there once,
    /// however often it is told, so no more wait than there are pipelines. For one reader.
    pub fn news(&self) -> impl Stream<Item = PipelineKey> + Send + Unpin + use<> {
        let news = self.0.around.news.clone();
        stream::unfold(news, |news| async move {
            let key = news.next().await;
            Some((key, news))
        })
        .boxed()
    }

    /// Takes in an event of the watch of workers' pods, those of `Init` and `InitDone` included.
    pub fn pod_event(&self, event: &Event<Pod>) {
        let touched = self.0.around.index.pod_event(event);
        self.0.touch(touched);
    }

    /// Takes in an event of the watch of workers' Deployments, those of `Init` and `InitDone` included.
    pub fn deployment_event(&self, event: &Event<Deployment>) {
        let touched = self.0.around.index.deployment_event(event);
        self.0.touch(touched);
    }
}

impl Registry {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lead(&self, leads: bool) {
        let mut table = self.table();
        if table.leads == leads {
            return;
        }
        table.leads = leads;
        for entry in table.entries.values_mut() {
            entry.task = None;
            entry.published.send_replace(None);
            if leads {
                self.start(entry);
            }
        }
    }

    fn start(&self, entry: &mut Entry) {
        let (heard, hears) = watch::channel(Heard::default());
        let target = {
            let scaling = entry.scaling.borrow();
            Target { key: scaling.key.clone(), uid: scaling.uid.clone() }
        };
        let (around, published) = (self.around.clone(), entry.published.clone());
        let (api, clock) = (self.api.clone(), self.around.clock);
        let driver =
            Driver::new(around, entry.scaling.subscribe(), hears, entry.touched.clone(), published);
        let following = Box::pin(async move { follow(&api, &target, clock, &heard).await });
        let driving = Box::pin(driver.run());
        let task = tokio::spawn(async move {
            tokio::select! {
                () = following => {}
                () = driving => {}
            }
        });
        entry.task = Some(Task(task.abort_handle()));
    }

    fn touch(&self, touched: Touched) {
        match touched {
            Touched::None => {}
            Touched::One(key) => {
                if let Some(entry) = self.table().entries.get(&key) {
                    entry.touched.notify_one();
                }
            }
            Touched::All => self.table().entries.values().for_each(|entry| entry.touched.notify_one()),
        }
    }
}
