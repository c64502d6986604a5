//! Looking at pipelines again whenever one changes.

use std::collections::BTreeMap;
use std::time::Duration;

use docmill_operator::resource::IngestionPipeline;
use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use tokio::time::{Instant, sleep_until};

use crate::failure::Failure;
use crate::output::Screen;

/// Shortest time between two looks: what changes together is shown together.
const TOGETHER: Duration = Duration::from_millis(250);

/// Pipelines by namespace and name.
pub type Pipelines = BTreeMap<(String, String), IngestionPipeline>;

/// Shows the pipelines that a selector selects at once and after every change, until interrupted.
pub async fn pipelines(
    api: Api<IngestionPipeline>,
    selector: watcher::Config,
    mut show: impl FnMut(&Pipelines) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut events = events(api, selector);
    let mut known = Known::default();
    let mut due: Option<Instant> = None;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    if known.take(event?) {
                        due.get_or_insert_with(|| Instant::now() + TOGETHER);
                    }
                }
                None => return Ok(()),
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                show(&known.now)?;
            }
        }
    }
}

/// What happens to objects, for as long as the cluster allows it: what breaks is tried again.
pub fn events<K>(
    api: Api<K>,
    selector: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, Failure>> + Unpin
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut is_told = false;
    let stream = watcher(api, selector).default_backoff().filter_map(move |event| {
        let item = match event {
            Ok(event) => {
                is_told = false;
                Some(Ok(event))
            }
            Err(error) => {
                let failure = Failure::from(error);
                match failure.code {
                    "cluster_unreachable" | "refused" => {
                        if !is_told {
                            eprintln!(
                                "{}",
                                Screen::stderr().bad("the cluster does not answer; it is asked again")
                            );
                        }
                        is_told = true;
                        None
                    }
                    _ => Some(Err(failure)),
                }
            }
        };
        std::future::ready(item)
    });
    Box::pin(stream)
}

/// What is there, and what a list that is being read again makes of it.
#[derive(Debug, Default)]
struct Known {
    now: Pipelines,
    next: Pipelines,
}

impl Known {
    /// Whether what is there may be another now.
    fn take(&mut self, event: Event<IngestionPipeline>) -> bool {
        let is_change = !matches!(event, Event::Init | Event::InitApply(_));
        let key =
            |pipeline: &IngestionPipeline| (pipeline.namespace().unwrap_or_default(), pipeline.name_any());
        match event {
            Event::Init => self.next = Pipelines::new(),
            Event::InitApply(pipeline) => drop(self.next.insert(key(&pipeline), pipeline)),
            Event::InitDone => self.now = std::mem::take(&mut self.next),
            Event::Apply(pipeline) => drop(self.now.insert(key(&pipeline), pipeline)),
            Event::Delete(pipeline) => drop(self.now.remove(&key(&pipeline))),
        }
        is_change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn named(name: &str) -> IngestionPipeline {
        let mut pipeline = sample::pipeline();
        pipeline.metadata.name = Some(name.to_owned());
        pipeline
    }

    #[test]
    fn what_a_list_does_not_have_any_more_is_gone() {
        let mut known = Known::default();
        let mut take = |event| {
            let changed = known.take(event);
            (changed, known.now.keys().map(|(_, name)| name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(take(Event::Init), (false, vec![]));
        assert_eq!(take(Event::InitApply(named("a"))), (false, vec![]), "not before the list ends");
        take(Event::InitApply(named("b")));
        assert_eq!(take(Event::InitDone), (true, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(take(Event::Delete(named("a"))), (true, vec!["b".to_owned()]));
        assert_eq!(take(Event::Apply(named("c"))).1, ["b", "c"]);
        take(Event::Init);
        take(Event::InitApply(named("c")));
        assert_eq!(take(Event::InitDone), (true, vec!["c".to_owned()]));
    }
}
