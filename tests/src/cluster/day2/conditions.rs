//! What a pipeline says of itself, as it changes: a watch of `Ready` and `Stalled`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cluster::following::{Following, Seen};
use crate::cluster::{Cluster, Pipeline};

/// Longest time until a watch says how it is now.
const FIRST_MAX: Duration = Duration::from_secs(30);
/// `Ready`, since when, and why it is stalled, if it is.
const PATH: &str = "--output=jsonpath={.status.conditions[?(@.type==\"Ready\")].status}|\
                    {.status.conditions[?(@.type==\"Ready\")].lastTransitionTime}|\
                    {.status.conditions[?(@.type==\"Stalled\")].reason}{\"\\n\"}";

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    ready: String,
    since: String,
    /// Why what is declared cannot be; empty where it can.
    pub(super) stalled: String,
}

/// A watch that goes on until it is dropped.
pub(super) struct Conditions {
    following: Following<Said>,
}

impl Conditions {
    /// Watches a pipeline, and returns as soon as it is known how it is now.
    pub(super) fn watch(pipeline: &Pipeline<'_>, cluster: &Cluster) -> Result<Self> {
        let (namespace, name) = (pipeline.namespace(), pipeline.name());
        let args = ["--namespace", namespace, "get", "ingestionpipeline", name, "--watch", PATH];
        let watch = Self { following: Following::start(cluster, &args, read) };
        watch
            .following
            .wait(0, FIRST_MAX, |_| true)
            .with_context(|| format!("nothing is told of {name}"))?;
        Ok(watch)
    }

    /// A place in what came: what comes from now on.
    pub(super) fn mark(&self) -> usize {
        self.following.look(<[_]>::len)
    }

    /// How often it was ready since a mark and then was not, were it between two looks.
    pub(super) fn turns(&self, mark: usize) -> usize {
        self.following.look(|seen| turns(&seen[mark.saturating_sub(1).min(seen.len())..]))
    }

    /// When it first said after a mark what is wanted.
    pub(super) fn wait(
        &self,
        mark: usize,
        limit: Duration,
        is_wanted: fn(&Said) -> bool,
    ) -> Result<Instant> {
        let found = self.following.wait(mark, limit, is_wanted);
        let now = || self.following.look(|seen| seen.last().map(|seen| seen.value.clone()));
        let found =
            found.with_context(|| format!("not within {} s: it says {:?}", limit.as_secs(), now()))?;
        Ok(found.at)
    }
}

/// The time of the last change tells of a turn that was over before anybody looked.
fn turns(seen: &[Seen<Said>]) -> usize {
    let is_turn = |pair: &&[Seen<Said>]| {
        let (before, after) = (&pair[0].value, &pair[1].value);
        before.ready == "True" && (after.ready != "True" || after.since != before.since)
    };
    seen.windows(2).filter(is_turn).count()
}

fn read(line: &str) -> Option<Said> {
    let mut parts = line.split('|').map(str::to_owned);
    Some(Said { ready: parts.next()?, since: parts.next()?, stalled: parts.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(lines: &[&str]) -> usize {
        let seen: Vec<_> =
            lines.iter().map(|line| Seen { at: Instant::now(), value: read(line).unwrap() }).collect();
        turns(&seen)
    }

    #[test]
    fn what_was_ready_and_then_was_not_has_turned() {
        assert_eq!(turned(&["False|1|", "True|2|", "True|2|VP01"]), 0);
        assert_eq!(turned(&["True|2|", "False|3|VP01", "True|4|"]), 1);
        assert_eq!(turned(&["True|2|", "True|4|"]), 1, "between two looks");
        assert_eq!(turned(&[]), 0);
    }
}
