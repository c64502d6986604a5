//! `kubectl docmill top`: what is to do, who does it, and how fast.

use docmill_operator::resource::IngestionPipeline;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::args::Which;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::output::{self, Screen, age};
use crate::view::View;
use crate::watch::{self, Pipelines};

/// Goes to the upper left corner and clears what is below.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Shows it, once or again and again.
pub async fn execute(cluster: &Cluster, which: &Which, watch: bool, json: bool) -> Result<(), Failure> {
    let found = match &which.pipeline {
        Some(name) => vec![cluster.pipeline(name).await?],
        None => cluster.list(which.all_namespaces).await?,
    };
    let screen = Screen::stdout();
    if !watch {
        return show(&found.iter().collect::<Vec<_>>(), which.all_namespaces, json, screen);
    }
    let selector = match &which.pipeline {
        Some(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
        None => watcher::Config::default(),
    };
    watch::pipelines(cluster.pipelines_in(which.all_namespaces), selector, |all: &Pipelines| {
        if screen.is_terminal() && !json {
            print!("{CLEAR}");
        }
        show(&all.values().collect::<Vec<_>>(), which.all_namespaces, json, screen)
    })
    .await
}

fn show(
    all: &[&IngestionPipeline],
    with_namespace: bool,
    json: bool,
    screen: Screen,
) -> Result<(), Failure> {
    match json {
        true => {
            output::json(&json!({ "pipelines": all.iter().map(|one| numbers(one)).collect::<Vec<_>>() }))
        }
        false if all.is_empty() => output::print("no pipelines"),
        false => output::print(&table(all, with_namespace, Timestamp::now(), screen)),
    }
}

fn table(all: &[&IngestionPipeline], with_namespace: bool, now: Timestamp, screen: Screen) -> String {
    let mut header = vec!["NAME", "WAITING", "IN-FLIGHT", "DUE", "WANTED", "READY", "RATE/MIN", "AGE"];
    if with_namespace {
        header.insert(0, "NAMESPACE");
    }
    let row = |pipeline: &&IngestionPipeline| {
        let view = View::of(pipeline);
        let ([_, waiting, in_flight, due], [_, ready, wanted]) = (view.depth(), view.workers());
        let age = age(view.created(), now);
        let mut row = vec![view.name(), waiting, in_flight, due, wanted, ready, view.rate(), age];
        if with_namespace {
            row.insert(0, view.namespace());
        }
        row
    };
    screen.table(&header, all.iter().map(row).collect())
}

/// The same for programs.
fn numbers(pipeline: &IngestionPipeline) -> Value {
    let view = View::of(pipeline);
    let status = view.status();
    json!({
        "namespace": view.namespace(),
        "name": view.name(),
        "depth": status.and_then(|status| status.depth),
        "desired": status.and_then(|status| status.scaling.as_ref()).map(|scaling| scaling.desired),
        "workers": status.and_then(|status| status.workers.as_ref()).map(|workers| workers.replicas),
        "ready": status.and_then(|status| status.workers.as_ref()).map(|workers| workers.ready),
        "rate": status.and_then(|status| status.rate.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, now, squeezed};

    #[test]
    fn a_line_a_pipeline() {
        let (one, unseen) = (sample::pipeline(), sample::unseen());
        let text = squeezed(&table(&[&one, &unseen], false, now(), Screen::plain()));
        let expected = "NAME WAITING IN-FLIGHT DUE WANTED READY RATE/MIN AGE
knowbase 400 8 12 3 1 120 60m
knowbase - - - - - - 60m";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_not_known_is_null_for_programs() {
        let numbers = numbers(&sample::unseen());
        assert_eq!((&numbers["name"], &numbers["depth"]), (&json!("knowbase"), &Value::Null));
        assert_eq!(super::numbers(&sample::pipeline())["depth"]["inFlight"], 8);
    }
}
