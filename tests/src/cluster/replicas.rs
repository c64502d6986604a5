//! The number of workers that is asked for, as it changes: a watch of a Deployment, each change with the moment at
//! which it came.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Cluster;
use super::following::Following;

/// Longest time until a watch says how it is now.
const FIRST_MAX: Duration = Duration::from_secs(30);

/// A number that came, and when.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// When the API server had told it.
    pub at: Instant,
    /// The Deployment's `spec.replicas`.
    pub replicas: u32,
}

/// A watch that goes on until it is dropped.
pub struct Replicas {
    following: Following<u32>,
}

impl Replicas {
    /// Watches a Deployment, and returns as soon as it is known how it is now.
    ///
    /// # Errors
    /// There is no such Deployment.
    pub fn watch(cluster: &Cluster, namespace: &str, deployment: &str) -> Result<Self> {
        let path = "--output=jsonpath={.spec.replicas}{\"\\n\"}";
        let args = ["--namespace", namespace, "get", "deployment", deployment, "--watch", path];
        let watch = Self { following: Following::start(cluster, &args, |line| line.parse().ok()) };
        watch.wait(0, FIRST_MAX, |_| true).with_context(|| format!("nothing is told of {deployment}"))?;
        Ok(watch)
    }

    /// A place in what came, for [`Replicas::wait`]: what comes from now on.
    pub fn mark(&self) -> usize {
        self.following.look(<[_]>::len)
    }

    /// The newest number.
    pub fn now(&self) -> u32 {
        self.following.look(|seen| seen.last().map_or(0, |seen| seen.value))
    }

    /// The largest of all since a mark, the number at that time included.
    pub fn max_since(&self, mark: usize) -> u32 {
        let from = mark.saturating_sub(1);
        self.following.look(|seen| seen.iter().skip(from).map(|seen| seen.value).max()).unwrap_or(0)
    }

    /// The smallest of all since a mark, the number at that time included.
    pub fn min_since(&self, mark: usize) -> u32 {
        let from = mark.saturating_sub(1);
        self.following.look(|seen| seen.iter().skip(from).map(|seen| seen.value).min()).unwrap_or(0)
    }

    /// Waits for a number since the mark that is as wanted.
    ///
    /// # Errors
    /// None came in time.
    pub fn wait(&self, mark: usize, limit: Duration, is_wanted: impl Fn(u32) -> bool) -> Result<Change> {
        let found = self.following.wait(mark, limit, |replicas| is_wanted(*replicas));
        let found = found.with_context(|| {
            format!("not within {} s: {} replicas are asked for", limit.as_secs(), self.now())
        })?;
        Ok(Change { at: found.at, replicas: found.value })
    }
}
