//! What all pods have in common: rights (none), room, probes, volumes.

use std::collections::BTreeMap;

use docmill_core::sizing::Resources;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, ExecAction, HTTPGetAction, LocalObjectReference, PersistentVolumeClaimVolumeSource,
    PodSecurityContext, PodSpec, Probe, ResourceRequirements, SeccompProfile, SecretKeySelector,
    SecretVolumeSource, SecurityContext, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Input;
use crate::names::{self, Part};
use crate::plan::Bounds;
use crate::resource::Quantity;

/// Mode of the files of Secrets: the pod's group reads them.
pub(super) const SECRET_MODE: i32 = 0o440;

/// A container without rights, on a root file system that nobody writes to.
pub(super) fn container(input: &Input<'_>, name: &str, image: &str, bounds: &Bounds) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: input.images.pull_policy.clone(),
        resources: Some(resources(bounds)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        // The end of the log tells why it ended; status passes it on.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// A pod that runs as this user and group, without a token of its account.
pub(super) fn spec(input: &Input<'_>, user: i64, grace_s: i64, container: Container) -> PodSpec {
    let secrets = &input.images.pull_secrets;
    let pull_secrets = secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container],
        // Variables of Services look like settings to some images: NEO4J_… is one to Neo4j's.
        enable_service_links: Some(false),
        image_pull_secrets: (!secrets.is_empty()).then_some(pull_secrets),
        security_context: Some(PodSecurityContext {
            fs_group: Some(user),
            // A large volume is not walked through at each start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            run_as_group: Some(user),
            run_as_non_root: Some(true),
            run_as_user: Some(user),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(grace_s),
        ..PodSpec::default()
    }
}

/// Requests and limits. A limit of memory is always there; one of cores where the plan has it.
fn resources(bounds: &Bounds) -> ResourceRequirements {
    let Bounds { requests, limits } = bounds;
    let memory_mib = limits.memory_mib.max(requests.memory_mib);
    ResourceRequirements {
        requests: Some(amounts(requests)),
        limits: Some(amounts(&Resources { memory_mib, ..*limits })),
        ..ResourceRequirements::default()
    }
}

fn amounts(resources: &Resources) -> BTreeMap<String, resource::Quantity> {
    let cpu = Quantity::of_cpu_milli(resources.cpu_milli).to_kube();
    let memory = Quantity::of_mib(resources.memory_mib).to_kube();
    let mut amounts = BTreeMap::from([("memory".to_owned(), memory)]);
    if resources.cpu_milli > 0 {
        amounts.insert("cpu".to_owned(), cpu);
    }
    amounts
}

/// Selects the pods of a part.
pub(super) fn selector(input: &Input<'_>, part: Part) -> LabelSelector {
    labels(names::selector(input.name(), part))
}

/// Selects by labels.
pub(super) fn labels(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// A port with a name.
pub(super) fn port(name: &str, port: i32) -> ContainerPort {
    ContainerPort {
        container_port: port,
        name: Some(name.to_owned()),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// A variable.
pub(super) fn env(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

/// A variable from a Secret.
pub(super) fn env_of_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { key: key.to_owned(), name: secret.to_owned(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

/// How often a probe asks, and how often it may fail, in this order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Every(pub(super) i32, pub(super) i32);

fn probe(every: Every) -> Probe {
    Probe {
        period_seconds: Some(every.0),
        failure_threshold: Some(every.1),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// Asks over HTTP.
pub(super) fn http(path: &str, port: i32, every: Every) -> Probe {
    let action = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::Int(port),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(action), ..probe(every) }
}

/// Looks whether somebody listens.
pub(super) fn tcp(port: i32, every: Every) -> Probe {
    let action = TCPSocketAction { port: IntOrString::Int(port), host: None };
    Probe { tcp_socket: Some(action), ..probe(every) }
}

/// Runs a command in the container.
pub(super) fn exec(command: &[&str], every: Every) -> Probe {
    Probe { exec: Some(ExecAction { command: Some(words(command)) }), ..probe(every) }
}

/// Words of a command.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A folder that goes with the pod, with a bound.
pub(super) fn empty_dir(name: &str, mib: u64) -> Volume {
    empty_dir_on(name, mib, None)
}

/// The same in memory, which counts as the container's.
pub(super) fn memory_dir(name: &str, mib: u64) -> Volume {
    empty_dir_on(name, mib, Some("Memory".to_owned()))
}

fn empty_dir_on(name: &str, mib: u64, medium: Option<String>) -> Volume {
    let size_limit = Some(Quantity::of_mib(mib).to_kube());
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { medium, size_limit }),
        ..Volume::default()
    }
}

/// The files of a ConfigMap.
pub(super) fn config_volume(name: &str, config_map: &str) -> Volume {
    let source = ConfigMapVolumeSource { name: config_map.to_owned(), ..ConfigMapVolumeSource::default() };
    Volume { name: name.to_owned(), config_map: Some(source), ..Volume::default() }
}

/// The files of a Secret.
pub(super) fn secret_volume(name: &str, secret: &str) -> Volume {
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        default_mode: Some(SECRET_MODE),
        ..SecretVolumeSource::default()
    };
    Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() }
}

/// A volume that stays.
pub(super) fn claim_volume(name: &str, claim: &str) -> Volume {
    let source = PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), read_only: None };
    Volume { name: name.to_owned(), persistent_volume_claim: Some(source), ..Volume::default() }
}

/// Where a volume is in a container.
pub(super) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

/// The same, to read alone.
pub(super) fn mount_read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(name, path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_memory_is_always_there() {
        let requests = Resources { cpu_milli: 500, memory_mib: 2_048 };
        let found = resources(&Bounds { requests, limits: Resources::default() });
        let memory = BTreeMap::from([("memory".to_owned(), Quantity::of_mib(2_048).to_kube())]);
        assert_eq!(found.limits, Some(memory));
        let limits = Resources { cpu_milli: 1_500, memory_mib: 3_072 };
        let found = resources(&Bounds { requests, limits }).limits.unwrap();
        assert_eq!((found["cpu"].0.as_str(), found["memory"].0.as_str()), ("1500m", "3Gi"));
    }
}
