//! `kubectl docmill events`: what was decided for a pipeline, the newest last.

use std::collections::HashMap;

use futures::StreamExt;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::output::{self, Screen, age, escaped};
use crate::watch;

/// Most Events that are read; the cluster forgets them after an hour.
const EVENTS_MAX: u32 = 5_000;

/// Shows them, and those that come.
pub async fn execute(cluster: &Cluster, name: &str, watch: bool, json: bool) -> Result<(), Failure> {
    // Events outlive what they are about; but a name that nobody knows is more likely misspelt.
    cluster.pipeline(name).await?;
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let selector = format!("regarding.kind=IngestionPipeline,regarding.name={name}");
    let mut events = api.list(&ListParams::default().fields(&selector).limit(EVENTS_MAX)).await?.items;
    events.sort_by_key(time);
    let screen = Screen::stdout();
    match (json, watch) {
        (true, false) => {
            return output::json(&json!({ "events": events.iter().map(facts).collect::<Vec<_>>() }));
        }
        (true, true) => events.iter().try_for_each(|event| output::json(&facts(event)))?,
        (false, _) if events.is_empty() => {
            output::print("no events; the cluster forgets them after an hour")?
        }
        (false, _) => output::print(&table(&events, Timestamp::now(), screen))?,
    }
    if !watch {
        return Ok(());
    }
    let mut seen: HashMap<String, Option<String>> =
        events.iter().map(|event| (event.name_any(), event.resource_version())).collect();
    let mut more = watch::events(api, watcher::Config::default().fields(&selector));
    while let Some(event) = more.next().await {
        let (watcher::Event::Apply(event) | watcher::Event::InitApply(event)) = event? else { continue };
        let version = event.resource_version();
        if seen.insert(event.name_any(), version.clone()) == Some(version) {
            continue;
        }
        if json {
            output::json(&facts(&event))?;
        } else {
            output::print(&line(&event))?;
        }
    }
    Ok(())
}

/// When it was last so.
fn time(event: &Event) -> Option<Timestamp> {
    let of_series = event.series.as_ref().map(|series| series.last_observed_time.0);
    of_series
        .or_else(|| event.deprecated_last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// How often it was so.
fn count(event: &Event) -> i32 {
    event.series.as_ref().map(|series| series.count).or(event.deprecated_count).unwrap_or(1).max(1)
}

/// What it says, and how often where that is more than once.
fn note(event: &Event) -> String {
    let note = event.note.clone().unwrap_or_default();
    match count(event) {
        1 => note,
        count => format!("{note} ({count} times)"),
    }
}

fn table(events: &[Event], now: Timestamp, screen: Screen) -> String {
    let row = |event: &Event| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![age(time(event), now), text(&event.type_), text(&event.reason), note(event)]
    };
    screen.table(&["AGO", "TYPE", "REASON", "MESSAGE"], events.iter().map(row).collect())
}

/// One that came just now.
fn line(event: &Event) -> String {
    let (kind, reason) =
        (event.type_.as_deref().unwrap_or_default(), event.reason.as_deref().unwrap_or_default());
    let at = time(event).map(|time| Timestamp::from_second(time.as_second()).unwrap_or(time).to_string());
    format!("{}  {}  {}  {}", at.unwrap_or_default(), escaped(kind), escaped(reason), escaped(&note(event)))
}

/// The same for programs.
fn facts(event: &Event) -> Value {
    json!({
        "time": time(event).map(|time| time.to_string()),
        "type": event.type_,
        "reason": event.reason,
        "action": event.action,
        "note": event.note,
        "count": count(event),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{now, squeezed};

    fn event(reason: &str, at: &str, more: Value) -> Event {
        let mut all = json!({
            "metadata": {"name": reason}, "type": "Normal", "reason": reason, "action": "Scale",
            "note": "2 to 3: more to do", "eventTime": at,
        });
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn the_newest_comes_last() {
        let series = json!({"series": {"count": 4, "lastObservedTime": "2026-01-01T00:59:00.000000Z"}});
        let mut events = vec![
            event("Again", "2026-01-01T00:10:00.000000Z", series),
            event("Once", "2026-01-01T00:50:00.000000Z", json!({})),
        ];
        events.sort_by_key(time);
        let expected = "AGO TYPE REASON MESSAGE
10m Normal Once 2 to 3: more to do
60s Normal Again 2 to 3: more to do (4 times)";
        assert_eq!(squeezed(&table(&events, now(), Screen::plain())), expected);
        assert_eq!(line(&events[0]), "2026-01-01T00:50:00Z  Normal  Once  2 to 3: more to do");
        assert_eq!(facts(&events[1])["count"], 4);
    }
}
