//! Pods that do the work. How many there are is never applied: scaling alone decides it.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pods::{self, Every};
use super::{Input, access, config, pod_template};
use crate::child::Child;
use crate::names::{HEALTH_PORT, Part};
use crate::plan::Bounds;

/// User and group of docmill's image.
pub(super) const USER: i64 = 10_001;
/// Where there is room for files; the image's home and place for temporary files.
const SCRATCH: &str = "/scratch";
/// Where documents are while they are worked on.
pub(super) const SCRATCH_FILES: &str = "/scratch/documents";
/// Room beside documents, in MiB: they may fill theirs to the last byte, and not all is a document.
const SCRATCH_BESIDE_MIB: u64 = 32;
/// Time to end, in seconds: the grace of documents, and 10 to hand back what is left.
pub(super) const END_S: i64 = (config::GRACE_MS / 1_000) as i64 + 10;
/// Old ReplicaSets that stay.
pub(super) const HISTORY: i32 = 3;

/// The Deployment; none while a Secret that it mounts has no name yet.
pub(super) fn child(input: &Input<'_>) -> Option<Child> {
    let part = Part::Worker;
    let scratch = pods::memory_dir("scratch", input.plan.scratch_mib + SCRATCH_BESIDE_MIB);
    let container = |container: Container| Container {
        args: Some(args("run")),
        ports: Some(vec![pods::port("health", HEALTH_PORT)]),
        // The model is read at the start: two minutes on a machine that has other work.
        startup_probe: Some(pods::http("/healthz", HEALTH_PORT, Every(2, 60))),
        liveness_probe: Some(pods::http("/healthz", HEALTH_PORT, Every(10, 6))),
        // Often: a worker that is drained is to be seen as such at once.
        readiness_probe: Some(pods::http("/readyz", HEALTH_PORT, Every(2, 3))),
        ..container
    };
    let spec = pod(input, part, &input.plan.worker, scratch, container)?;
    let strategy = RollingUpdateDeployment {
        max_surge: Some(IntOrString::String("25%".to_owned())),
        max_unavailable: Some(IntOrString::Int(0)),
    };
    let template = pod_template::merged(input, part, &input.pipeline.spec.workers.pod_template, spec);
    Some(Child::of(&Deployment {
        metadata: input.meta_of_part(part),
        spec: Some(DeploymentSpec {
            replicas: None,
            revision_history_limit: Some(HISTORY),
            selector: pods::selector(input, part),
            strategy: Some(rolling(strategy)),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }))
}

/// What pods of workers and API have in common. The image's entry point stays, which reaps what extractors
/// leave.
pub(super) fn pod(
    input: &Input<'_>,
    part: Part,
    bounds: &Bounds,
    scratch: Volume,
    with: impl FnOnce(Container) -> Container,
) -> Option<PodSpec> {
    let secrets = access::volume(input, part)?;
    let volumes = vec![pods::config_volume("config", &config::name(input)), secrets, scratch];
    let mounts = vec![
        pods::mount_read_only("config", config::FOLDER),
        access::mount(),
        pods::mount("scratch", SCRATCH),
    ];
    let container = pods::container(input, part.as_str(), &input.images.worker, bounds);
    let container = with(Container { volume_mounts: Some(mounts), ..container });
    Some(PodSpec {
        service_account_name: Some(input.name().to_owned()),
        volumes: Some(volumes),
        ..pods::spec(input, USER, END_S, container)
    })
}

/// Arguments of a command of the image.
pub(super) fn args(command: &str) -> Vec<String> {
    let file = format!("{}/{}", config::FOLDER, config::FILE);
    pods::words(&[command, "--config", &file])
}

/// One after another, as the bounds say.
pub(super) fn rolling(bounds: RollingUpdateDeployment) -> DeploymentStrategy {
    DeploymentStrategy { type_: Some("RollingUpdate".to_owned()), rolling_update: Some(bounds) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::fixture;
    use crate::resource::SecretKey;

    #[test]
    fn the_number_of_workers_is_not_applied() {
        let child = child(&fixture::managed().input()).unwrap();
        assert!(child.object["spec"].get("replicas").is_none());
        let pod = &child.object["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["args"][0], "run");
        assert_eq!(pod["terminationGracePeriodSeconds"], 35);
        assert_eq!(pod["serviceAccountName"], "knowbase");
    }

    #[test]
    fn another_configuration_rolls_workers() {
        let mut world = fixture::managed();
        let template =
            |world: &fixture::World| child(&world.input()).unwrap().object["spec"]["template"].clone();
        let before = template(&world);
        assert_eq!(before, template(&world));
        world.pipeline.spec.extract.ocr.dpi = 300;
        assert_ne!(before, template(&world));
    }

    #[test]
    fn another_secret_of_passwords_rolls_workers() {
        let mut world = fixture::managed();
        let mut of = |name: &str, key: Option<&str>| {
            world.pipeline.spec.extract.passwords_secret_ref =
                Some(SecretKey { name: name.to_owned(), key: key.map(str::to_owned) });
            child(&world.input()).unwrap().object["spec"]["template"].clone()
        };
        let before = of("vault", None);
        assert_eq!(before, of("vault", Some("passwords")), "the default");
        assert_ne!(before, of("vault", Some("pdf.txt")));
        assert_ne!(before, of("safe", None));
    }

    #[test]
    fn documents_fill_scratch_to_the_last_byte() {
        let child = child(&fixture::managed().input()).unwrap();
        let volumes = child.object["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
        let scratch = volumes.iter().find(|volume| volume["name"] == "scratch").unwrap();
        assert_eq!(scratch["emptyDir"], serde_json::json!({"medium": "Memory", "sizeLimit": "2080Mi"}));
    }

    #[test]
    fn there_are_none_before_the_stores_secrets_have_names() {
        let mut world = fixture::managed();
        world.volumes.remove(&Part::Redis);
        assert_eq!(child(&world.input()), None);
    }
}
