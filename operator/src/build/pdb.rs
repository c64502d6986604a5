//! How many pods may be taken away at once for the sake of a node. None of these stops a drain for ever, so
//! stores have none: of one pod, a budget either holds the node or says nothing.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Input, pods};
use crate::child::Child;
use crate::names::Part;

/// A quarter of the workers, at least one; one API pod where there are several.
pub(super) fn children(input: &Input<'_>) -> Vec<Child> {
    let mut all = vec![budget(input, Part::Worker, IntOrString::String("25%".to_owned()))];
    if input.plan.api_replicas > 1 {
        all.push(budget(input, Part::Api, IntOrString::Int(1)));
    }
    all
}

fn budget(input: &Input<'_>, part: Part, max_unavailable: IntOrString) -> Child {
    Child::of(&PodDisruptionBudget {
        metadata: input.meta_of_part(part),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(max_unavailable),
            min_available: None,
            selector: Some(pods::selector(input, part)),
            // A pod that does not work is in nobody's way.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        ..PodDisruptionBudget::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::fixture;

    #[test]
    fn a_single_api_pod_holds_no_node() {
        let mut world = fixture::managed();
        assert_eq!(children(&world.input()).len(), 2);
        world.plan.api_replicas = 1;
        let left = children(&world.input());
        assert_eq!(
            left.iter().map(|child| child.key().name.as_str()).collect::<Vec<_>>(),
            ["knowbase-worker"]
        );
    }
}
