//! Watches, past every proxy, how many workers are asked for, and counts when it is fewer although nothing allows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, ResourceExt};
use tokio::task::AbortHandle;

/// See the module. It ends with its handle.
pub struct Recorder {
    seen: Arc<Mutex<Seen>>,
    watching: AbortHandle,
}

#[derive(Default)]
struct Seen {
    last: Option<i32>,
    is_forbidden: bool,
    lowerings: usize,
}

impl Seen {
    fn see(&mut self, replicas: i32) {
        if self.is_forbidden && self.last.is_some_and(|last| replicas < last) {
            self.lowerings += 1;
        }
        self.last = Some(replicas);
    }
}

impl Recorder {
    /// Watches that Deployment from now on.
    pub fn start(client: Client, namespace: &str, deployment: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let api: Api<Deployment> = Api::namespaced(client, namespace);
        let (sees, name) = (seen.clone(), deployment.to_owned());
        let watching = tokio::spawn(async move {
            let mut events = watch(api, watcher::Config::default()).default_backoff().boxed();
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(deployment) | Event::InitApply(deployment)) = event
                    && deployment.name_any() == name
                    && let Some(replicas) = deployment.spec.and_then(|spec| spec.replicas)
                {
                    lock(&sees).see(replicas);
                }
            }
        });
        Self { seen, watching: watching.abort_handle() }
    }

    /// From now on nothing allows fewer workers.
    pub fn forbid(&self) {
        lock(&self.seen).is_forbidden = true;
    }

    /// From now on there may be fewer.
    pub fn allow(&self) {
        lock(&self.seen).is_forbidden = false;
    }

    /// How often there were fewer although nothing allowed it.
    pub fn lowerings(&self) -> usize {
        lock(&self.seen).lowerings
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_counts_only_while_it_is_forbidden() {
        let mut seen = Seen::default();
        for replicas in [0, 3, 1] {
            seen.see(replicas);
        }
        assert_eq!(seen.lowerings, 0);
        seen.is_forbidden = true;
        for replicas in [3, 3, 0, 3, 2] {
            seen.see(replicas);
        }
        assert_eq!(seen.lowerings, 2);
    }
}
