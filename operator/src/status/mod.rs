//! What is told back: made from what is known, by data alone, and written only where it differs.
//!
//! Once ready, a pipeline stays ready whatever happens to it at run time: a store that is away for a minute is
//! `Degraded`, not a pipeline that tools should take for broken. What was declared and cannot be is `Stalled`.

use std::sync::Arc;

use docmill_core::sizing::Fit;
use docmill_core::sizing::neo4j::Memory;

use crate::child::ChildKey;
use crate::live::{Children, LiveState, Rollout};
use crate::names::{self, Part};
use crate::pipeline_key::PipelineKey;
use crate::plan::{Plan, Problem};
use crate::resource::{
    DepthStatus, IngestionPipeline, IngestionPipelineStatus, LastGood, Neo4jStatus, PlanStatus, Quantity,
    ReasonStatus, ScalingStatus, WorkersStatus,
};
use crate::scaling::Scaled;
use crate::trouble::Trouble;

mod conditions;

pub use conditions::{Facts, Found};

/// What scaling knows of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// The last decision, and what it went by.
    pub scaled: Arc<Scaled>,
    /// When it was made, in RFC 3339.
    pub observed_at: String,
}

impl Scaling {
    /// What Neo4j has in force, in MiB: heap and page cache.
    fn neo4j_in_force_mib(&self) -> Option<(u64, u64)> {
        let memory = self.scaled.neo4j_memory?;
        Some((memory.heap_bytes? >> 20, memory.page_cache_bytes? >> 20))
    }
}

/// All that a status is made from.
pub struct Input<'a> {
    /// The pipeline.
    pub pipeline: &'a IngestionPipeline,
    /// The plan, or what is wrong.
    pub plan: Result<&'a Plan, &'a [Problem]>,
    /// What is there.
    pub live: &'a Children,
    /// Pods that do not run.
    pub troubles: &'a [Trouble],
    /// What scaling knows; absent where it never knew anything.
    pub scaling: Option<&'a Scaling>,
    /// Who scales: `Builtin` or `Direct`.
    pub provider: &'static str,
    /// What could not be written, where something could not.
    pub refused: Option<&'a str>,
    /// The ConfigMap and the image that are asked for now.
    pub config: &'a str,
    /// The image that is asked for now.
    pub image: &'a str,
    /// The last good state is in force in place of what is declared, for this reason.
    pub rolled_back: Option<&'a str>,
    /// Now, in RFC 3339.
    pub now: &'a str,
}

/// Makes the status.
pub fn make(input: &Input<'_>) -> IngestionPipelineStatus {
    let before = input.pipeline.status.clone().unwrap_or_default();
    let generation = input.pipeline.metadata.generation;
    let name = input.pipeline.metadata.name.as_deref().unwrap_or_default();
    let facts = conditions::facts(input);
    let conditions = conditions::make(input, &facts, &before.conditions);
    let workers = rollout(input.live, &PipelineKey::of(input.pipeline).worker_deployment());
    let selector: Vec<String> =
        names::selector(name, Part::Worker).iter().map(|(key, value)| format!("{key}={value}")).collect();
    let last_good = match facts.is_good {
        true => Some(LastGood {
            generation: generation.unwrap_or_default(),
            config: input.config.to_owned(),
            image: input.image.to_owned(),
        }),
        false => before.last_good,
    };
    IngestionPipelineStatus {
        observed_generation: generation,
        conditions,
        plan: input.plan.ok().map(plan_status).or(before.plan),
        workers: Some(WorkersStatus {
            replicas: workers.map_or(0, |rollout| rollout.there),
            ready: workers.map_or(0, |rollout| rollout.ready),
            selector: selector.join(","),
        }),
        depth: input.scaling.and_then(|scaling| scaling.scaled.depth).map(|depth| DepthStatus {
            total: depth.demand(),
            waiting: depth.waiting,
            in_flight: depth.in_flight,
            due: depth.due,
        }),
        rate: input.scaling.and_then(|scaling| scaling.scaled.throughput_per_min).map(rounded),
        scaling: input.scaling.map(|scaling| scaling_status(scaling, input.provider)).or(before.scaling),
        neo4j: input.plan.ok().and_then(|plan| plan.neo4j).map(|memory| Neo4jStatus {
            asked: asked(&memory),
            in_force: input.scaling.and_then(Scaling::neo4j_in_force_mib).map(in_force),
        }),
        last_good,
    }
}

/// Whether a status is worth a write: `observedAt` alone is not.
pub fn differs(one: &IngestionPipelineStatus, other: &IngestionPipelineStatus) -> bool {
    let without_time = |status: &IngestionPipelineStatus| {
        let mut status = status.clone();
        if let Some(scaling) = &mut status.scaling {
            scaling.observed_at = None;
        }
        status
    };
    without_time(one) != without_time(other)
}

/// How far the pods of a Deployment or StatefulSet are.
pub(crate) fn rollout<'a>(live: &'a Children, key: &ChildKey) -> Option<&'a Rollout> {
    match live.get(key).map(|live| &live.state) {
        Some(LiveState::Pods(rollout)) => Some(rollout),
        _ => None,
    }
}

fn plan_status(plan: &Plan) -> PlanStatus {
    let (fit, nodes) = match plan.fit {
        Fit::OneNode => ("OneNode", 1),
        Fit::SpreadNeeded { nodes } => ("SpreadNeeded", nodes),
    };
    let bounds = |bounds: &crate::plan::Bounds| {
        let side = |resources: &docmill_core::sizing::Resources| {
            let cpu = Quantity::of_cpu_milli(resources.cpu_milli).0;
            format!("{cpu}/{}", Quantity::of_mib(resources.memory_mib).0)
        };
        format!("{}, at most {}", side(&bounds.requests), side(&bounds.limits))
    };
    PlanStatus {
        node: plan.node_name.clone(),
        fit: fit.to_owned(),
        nodes,
        workers: plan.workers_sized,
        worker: bounds(&plan.worker),
        concurrency: plan.slots,
        api: bounds(&plan.api),
        api_workers: plan.api_workers,
    }
}

fn scaling_status(scaling: &Scaling, provider: &str) -> ScalingStatus {
    let reasons = scaling
        .scaled
        .reasons
        .iter()
        .take(32)
        .map(|reason| ReasonStatus { code: reason.code().to_owned(), message: reason.to_string() })
        .collect();
    ScalingStatus {
        desired: scaling.scaled.desired,
        metric: scaling.scaled.metric_value,
        provider: provider.to_owned(),
        observed_at: Some(scaling.observed_at.clone()),
        reasons,
    }
}

/// Two digits that mean something: a rate that trembles is not news.
fn rounded(rate: f64) -> String {
    match rate {
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => {
            let digits = 10_f64.powf(rate.log10().floor() - 1.0);
            format!("{:.0}", (rate / digits).round() * digits)
        }
    }
}

fn asked(memory: &Memory) -> String {
    format!(
        "total {}, heap {} (initial {}), page cache {}",
        Quantity::of_mib(memory.total_mib).0,
        Quantity::of_mib(memory.heap_max_mib).0,
        Quantity::of_mib(memory.heap_initial_mib).0,
        Quantity::of_mib(memory.page_cache_mib).0
    )
}

fn in_force((heap_mib, page_cache_mib): (u64, u64)) -> String {
    format!("heap {}, page cache {}", Quantity::of_mib(heap_mib).0, Quantity::of_mib(page_cache_mib).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_to_what_they_mean() {
        for (rate, text) in
            [(0.0, "0.0"), (1.23, "1.2"), (12.3, "12"), (123.4, "120"), (98_765.0, "99000"), (9.96, "10.0")]
        {
            assert_eq!(rounded(rate), text);
        }
    }

    #[test]
    fn a_time_alone_is_not_worth_a_write() {
        let at = |time: &str, desired| IngestionPipelineStatus {
            scaling: Some(ScalingStatus {
                desired,
                observed_at: Some(time.into()),
                ..ScalingStatus::default()
            }),
            ..IngestionPipelineStatus::default()
        };
        assert!(!differs(&at("1", 3), &at("2", 3)));
        assert!(differs(&at("1", 3), &at("1", 4)));
    }
}
