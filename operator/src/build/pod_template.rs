//! What of a pod is a person's to choose, put beside what is docmill's. Where both say something of the same
//! label or annotation, docmill's holds: selectors, policies and the metric read it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Input, pods};
use crate::names::{self, Part};
use crate::resource::PodTemplate;

/// The pods of a part, with what a person chose.
pub(super) fn merged(
    input: &Input<'_>,
    part: Part,
    chosen: &PodTemplate,
    spec: PodSpec,
) -> PodTemplateSpec {
    let mut labels = chosen.labels.clone();
    labels.extend(names::part_labels(input.name(), part));
    let spread = match chosen.topology_spread_constraints.is_empty() {
        true => vec![over_nodes(input, part)],
        false => chosen.topology_spread_constraints.clone(),
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: some(&chosen.annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            node_selector: some(&chosen.node_selector),
            tolerations: (!chosen.tolerations.is_empty()).then(|| chosen.tolerations.clone()),
            topology_spread_constraints: Some(spread),
            priority_class_name: chosen.priority_class_name.clone(),
            ..spec
        }),
    }
}

/// Pods on as many nodes as there are; where that cannot be, they run all the same.
fn over_nodes(input: &Input<'_>, part: Part) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        label_selector: Some(pods::selector(input, part)),
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        ..TopologySpreadConstraint::default()
    }
}

fn some(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Toleration;

    use super::*;
    use crate::build::fixture;

    fn one(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn docmills_labels_hold() {
        let world = fixture::managed();
        let mut labels = one(names::COMPONENT_LABEL, "mine");
        labels.extend(one("team", "letters"));
        let chosen = PodTemplate { labels, annotations: one("note", "x"), ..PodTemplate::default() };
        let found = merged(&world.input(), Part::Worker, &chosen, PodSpec::default());
        let meta = found.metadata.unwrap();
        let labels = meta.labels.unwrap();
        assert_eq!(labels["team"], "letters");
        assert_eq!(labels[names::COMPONENT_LABEL], "worker");
        for (key, value) in names::selector("knowbase", Part::Worker) {
            assert_eq!(labels[&key], value);
        }
        assert_eq!(meta.annotations, Some(one("note", "x")));
    }

    #[test]
    fn what_is_chosen_replaces_the_default_spread() {
        let world = fixture::managed();
        let spread = |chosen: &PodTemplate| {
            let found = merged(&world.input(), Part::Api, chosen, PodSpec::default()).spec.unwrap();
            found.topology_spread_constraints.unwrap()
        };
        let default = spread(&PodTemplate::default());
        assert_eq!((default.len(), default[0].when_unsatisfiable.as_str()), (1, "ScheduleAnyway"));
        let mine =
            TopologySpreadConstraint { max_skew: 2, topology_key: "zone".into(), ..default[0].clone() };
        let chosen =
            PodTemplate { topology_spread_constraints: vec![mine.clone()], ..PodTemplate::default() };
        assert_eq!(spread(&chosen), [mine]);
    }

    #[test]
    fn where_pods_run_is_a_persons_to_choose() {
        let world = fixture::managed();
        let toleration = Toleration { key: Some("spot".into()), ..Toleration::default() };
        let chosen = PodTemplate {
            node_selector: one("pool", "work"),
            tolerations: vec![toleration.clone()],
            priority_class_name: Some("low".into()),
            ..PodTemplate::default()
        };
        let found = merged(&world.input(), Part::Worker, &chosen, PodSpec::default()).spec.unwrap();
        assert_eq!(found.node_selector, Some(one("pool", "work")));
        assert_eq!(found.tolerations, Some(vec![toleration]));
        assert_eq!(found.priority_class_name.as_deref(), Some("low"));
    }
}
