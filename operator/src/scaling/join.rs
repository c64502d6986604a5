//! What the stream says and what Kubernetes shows, joined into what core's scaling goes by.
//!
//! Both are late, each in its own way. Where they contradict each other, somebody is unseen, and nobody goes.

use std::collections::HashMap;

use docmill_core::scale::{Observation, Worker};

use super::line::{Line, LiveWorker};
use super::seen::{DeploymentSeen, Seen};

/// Joins the last line, if one came, with what is seen of the workers. None without a Deployment.
pub fn join(
    line: Option<(&Line, u64)>,
    documents_per_minute: Option<f64>,
    seen: &Seen,
) -> Option<Observation> {
    let deployment = seen.deployment.as_ref()?;
    let live = line.map_or(&[][..], |(line, _)| &line.workers[..]);
    let by_pod = newest_by_pod(live);
    let workers = seen
        .pods
        .iter()
        .map(|(pod, shown)| {
            let worker = by_pod.get(pod.as_str());
            Worker {
                pod: pod.clone(),
                name: worker.map(|worker| worker.name.clone()),
                busy: worker.map(|worker| worker.busy),
                ready: shown.ready,
                draining: worker.is_some_and(|worker| worker.draining),
                drained: worker.is_some_and(|worker| worker.drained),
                marked: shown.marked,
                terminating: shown.gone,
            }
        })
        .collect();
    Some(Observation {
        at_ms: line.map(|(_, came_at_ms)| came_at_ms),
        depth: line.and_then(|(line, _)| line.depth),
        documents_per_minute,
        replicas: deployment.replicas,
        workers,
        unseen: unseen(deployment, &by_pod, seen),
        rolling_out: is_rolling_out(deployment, seen),
    })
}

/// A container that started again in its pod has a new name; the one before may live on in the ledger for a while.
fn newest_by_pod(live: &[LiveWorker]) -> HashMap<&str, &LiveWorker> {
    let mut by_pod: HashMap<&str, &LiveWorker> = HashMap::with_capacity(live.len());
    for worker in live {
        let known = by_pod.entry(&worker.pod).or_insert(worker);
        if worker.since_ms > known.since_ms {
            *known = worker;
        }
    }
    by_pod
}

/// Pods that must be there and are not shown: counted by the Deployment, or named by a worker that lives. The same one
/// may be both, so the larger number counts.
fn unseen(deployment: &DeploymentSeen, by_pod: &HashMap<&str, &LiveWorker>, seen: &Seen) -> u32 {
    let shown = seen.pods.values().filter(|pod| !pod.gone).count() as u32;
    let named = by_pod.keys().filter(|pod| !seen.pods.contains_key(**pod)).count() as u32;
    deployment.counted.saturating_sub(shown).max(named)
}

/// Whether pods of more than one revision are there, or are about to be.
fn is_rolling_out(deployment: &DeploymentSeen, seen: &Seen) -> bool {
    let mut revisions = seen.pods.values().filter(|pod| !pod.gone).map(|pod| &pod.revision);
    let first = revisions.next();
    let differ = revisions.any(|revision| Some(revision) != first);
    differ || deployment.is_behind || deployment.updated < deployment.counted
}

#[cfg(test)]
mod tests {
    use docmill_core::scale::Depth;

    use super::super::seen::PodSeen;
    use super::*;

    const AT_MS: u64 = 77;

    fn pod() -> PodSeen {
        PodSeen { ready: true, revision: Some("r1".into()), ..PodSeen::default() }
    }

    fn seen(replicas: u32, counted: u32, pods: &[(&str, PodSeen)]) -> Seen {
        Seen {
            deployment: Some(DeploymentSeen {
                resource_version: "1".into(),
                replicas,
                counted,
                updated: counted,
                is_behind: false,
            }),
            pods: pods.iter().map(|(name, pod)| ((*name).to_owned(), pod.clone())).collect(),
        }
    }

    fn live(pod: &str, start: u64, busy: u32) -> LiveWorker {
        LiveWorker {
            name: format!("{pod}.{start}"),
            pod: pod.into(),
            busy,
            since_ms: start,
            ..LiveWorker::default()
        }
    }

    fn line(workers: Vec<LiveWorker>) -> Line {
        let depth = Some(Depth { waiting: 4, in_flight: 2, due: 1 });
        Line { depth, workers, ..Line::default() }
    }

    fn joined(line: &Line, seen: &Seen) -> Observation {
        join(Some((line, AT_MS)), Some(3.0), seen).unwrap()
    }

    #[test]
    fn a_pod_and_its_worker_become_one() {
        let worker = LiveWorker { draining: true, drained: true, ..live("a", 1, 0) };
        let marked = PodSeen { ready: false, marked: true, ..pod() };
        let observation = joined(&line(vec![worker]), &seen(1, 1, &[("a", marked)]));
        let expected = Observation {
            at_ms: Some(AT_MS),
            depth: Some(Depth { waiting: 4, in_flight: 2, due: 1 }),
            documents_per_minute: Some(3.0),
            replicas: 1,
            workers: vec![Worker {
                pod: "a".into(),
                name: Some("a.1".into()),
                busy: Some(0),
                ready: false,
                draining: true,
                drained: true,
                marked: true,
                terminating: false,
            }],
            unseen: 0,
            rolling_out: false,
        };
        assert_eq!(observation, expected);
    }

    #[test]
    fn a_pod_without_a_worker_says_nothing() {
        let observation = joined(&line(vec![]), &seen(1, 1, &[("a", pod())]));
        let worker = &observation.workers[0];
        assert_eq!((&worker.name, worker.busy, worker.is_empty()), (&None, None, false));
    }

    #[test]
    fn the_newest_start_in_a_pod_counts() {
        for workers in [vec![live("a", 5, 0), live("a", 9, 3)], vec![live("a", 9, 3), live("a", 5, 0)]] {
            let observation = joined(&line(workers), &seen(1, 1, &[("a", pod())]));
            assert_eq!(observation.workers[0].name.as_deref(), Some("a.9"));
            assert_eq!((observation.workers[0].busy, observation.unseen), (Some(3), 0));
        }
    }

    #[test]
    fn nothing_is_known_without_a_line_or_a_deployment() {
        let there = seen(2, 1, &[("a", pod())]);
        let silent = join(None, None, &there).unwrap();
        assert_eq!((silent.at_ms, silent.depth, silent.replicas), (None, None, 2));
        assert_eq!(silent.workers.len(), 1);
        assert_eq!(join(None, None, &Seen { deployment: None, ..there }), None);
        let unreachable = Line { depth: None, ..line(vec![]) };
        assert_eq!(joined(&unreachable, &seen(0, 0, &[])).depth, None);
    }

    #[test]
    fn who_is_unseen() {
        let going = PodSeen { gone: true, ..pod() };
        let cases = [
            (
                "all are seen",
                seen(2, 2, &[("a", pod()), ("b", pod())]),
                vec![live("a", 1, 0), live("b", 1, 0)],
                0,
            ),
            ("one is counted and hidden", seen(2, 2, &[("a", pod())]), vec![live("a", 1, 0)], 1),
            (
                "one lives and is hidden",
                seen(1, 1, &[("a", pod())]),
                vec![live("a", 1, 0), live("b", 1, 0)],
                1,
            ),
            ("the same one both ways", seen(2, 2, &[("a", pod())]), vec![live("b", 1, 0)], 1),
            ("two live, one is counted", seen(1, 1, &[]), vec![live("a", 1, 0), live("b", 1, 0)], 2),
            (
                "one goes and still lives",
                seen(1, 1, &[("a", pod()), ("b", going.clone())]),
                vec![live("b", 1, 0)],
                0,
            ),
            ("one goes and is counted", seen(1, 2, &[("a", pod()), ("b", going)]), vec![], 1),
            ("more are seen than counted", seen(2, 1, &[("a", pod()), ("b", pod())]), vec![], 0),
        ];
        for (what, seen, workers, unseen) in cases {
            assert_eq!(joined(&line(workers), &seen).unseen, unseen, "{what}");
        }
    }

    #[test]
    fn what_is_a_rollout() {
        let other = PodSeen { revision: Some("r2".into()), ..pod() };
        let going = PodSeen { gone: true, ..other.clone() };
        let nameless = PodSeen { revision: None, ..pod() };
        let cases = [
            ("one revision", seen(2, 2, &[("a", pod()), ("b", pod())]), false),
            ("none", seen(0, 0, &[]), false),
            ("two revisions", seen(2, 2, &[("a", pod()), ("b", other)]), true),
            ("the other one goes", seen(1, 1, &[("a", pod()), ("b", going)]), false),
            ("one does not say", seen(2, 2, &[("a", pod()), ("b", nameless)]), true),
        ];
        for (what, seen, expected) in cases {
            assert_eq!(joined(&line(vec![]), &seen).rolling_out, expected, "{what}");
        }
        let with = |change: fn(&mut DeploymentSeen)| {
            let mut seen = seen(1, 1, &[("a", pod())]);
            change(seen.deployment.as_mut().unwrap());
            joined(&line(vec![]), &seen).rolling_out
        };
        assert!(with(|deployment| deployment.is_behind = true));
        assert!(with(|deployment| deployment.updated = 0), "the new revision has no pods yet");
    }
}
