//! Pipelines that are declared, as they come and go.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::pipeline_key::PipelineKey;
use crate::resource::IngestionPipeline;
use crate::scaling::Pipelines;
use crate::watches::{self, Scope};

/// Time between two looks for pipelines that went without anybody having seen it.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Pipelines that are declared: the store of them, and those of which something but status changed.
pub fn watch(
    client: &Client,
    scope: &Scope,
    scaling: &Pipelines,
) -> (
    Store<IngestionPipeline>,
    impl Stream<Item = Result<IngestionPipeline, watcher::Error>> + Send + 'static,
) {
    let (store, writer) = reflector::store();
    let api: Api<IngestionPipeline> = scope.api(client.clone());
    let scaling = scaling.clone();
    let mut newest = Newest::default();
    let stream = watcher::watcher(api, watches::all())
        .default_backoff()
        .try_filter(move |event| std::future::ready(newest.is_news(event)))
        .modify(|pipeline| {
            // Of no use here, and more than half of each.
            pipeline.metadata.managed_fields = None;
            let last = "kubectl.kubernetes.io/last-applied-configuration";
            pipeline.annotations_mut().remove(last);
        })
        .inspect(move |event| {
            if let Ok(Event::Delete(pipeline)) = event {
                scaling.remove(&PipelineKey::of(pipeline));
            }
        })
        .reflect(writer)
        .applied_objects()
        // An annotation may ask for another try, see `rollback.rs`.
        .predicate_filter(
            predicates::generation.combine(predicates::annotations),
            PredicateConfig::default(),
        );
    (store, stream)
}

/// The newest version of each pipeline that was seen. A watch that goes back in time, as of an API server that fell
/// behind, shows what was declared before; only a list, which is read consistently, may do so.
#[derive(Default)]
struct Newest(HashMap<String, u128>);

impl Newest {
    fn is_news(&mut self, event: &Event<IngestionPipeline>) -> bool {
        match event {
            Event::Init => {
                self.0.clear();
                true
            }
            Event::InitDone => true,
            Event::InitApply(pipeline) | Event::Apply(pipeline) => {
                let version =
                    pipeline.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0);
                let newest = self.0.entry(pipeline.uid().unwrap_or_default()).or_default();
                let is_news = version >= *newest;
                *newest = version.max(*newest);
                is_news
            }
            Event::Delete(pipeline) => {
                self.0.remove(&pipeline.uid().unwrap_or_default());
                true
            }
        }
    }
}

/// Forgets pipelines that went while nobody watched.
pub async fn sweep(store: Store<IngestionPipeline>, context: Arc<Context>) {
    let mut known = BTreeSet::new();
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let now: BTreeSet<PipelineKey> =
            store.state().iter().map(|pipeline| PipelineKey::of(pipeline)).collect();
        for gone in known.difference(&now) {
            context.scaling.remove(gone);
            context.applier.forget(gone);
            context.meters.forget(gone);
        }
        known = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: u64) -> IngestionPipeline {
        let mut pipeline = IngestionPipeline::default();
        pipeline.metadata.uid = Some("u".into());
        pipeline.metadata.resource_version = Some(version.to_string());
        pipeline
    }

    #[test]
    fn a_watch_that_goes_back_in_time_is_not_believed() {
        let mut newest = Newest::default();
        assert!(newest.is_news(&Event::Apply(at(7))));
        assert!(!newest.is_news(&Event::Apply(at(6))) && newest.is_news(&Event::Apply(at(7))));
        // A list is believed, as of a cluster that was restored.
        assert!(newest.is_news(&Event::Init) && newest.is_news(&Event::InitApply(at(3))));
        assert!(
            newest.is_news(&Event::Delete(at(2))) && newest.is_news(&Event::Apply(at(1))),
            "another life"
        );
    }
}
