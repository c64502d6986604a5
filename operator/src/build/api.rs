//! Pods that people and programs ask, and their two Services: one for all, one for the operator.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Container, Lifecycle, LifecycleHandler, Service, ServicePort, ServiceSpec, SleepAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pods::{self, Every};
use super::worker::{HISTORY, args, pod, rolling};
use super::{Input, access, int, pod_template};
use crate::child::Child;
use crate::names::{self, API_PORT, INTERNAL_PORT, Part};

/// Name of the port for all.
pub(super) const PORT_NAME: &str = "http";
/// Name of the port for the operator, and for metrics.
pub(super) const INTERNAL_PORT_NAME: &str = "internal";

/// The variable of the file with the model's key: the configuration is the workers' as well, who have no such file and
/// refuse to start with one that is not there.
const MODEL_KEY_VARIABLE: &str = "DOCMILL_ASK_API_KEY_FILE";

/// How long a pod that is to go still answers, in seconds: so long others may send to it, as they do not know yet.
const LEAVING_S: i64 = 5;

/// Both Services, and the Deployment as soon as the Secrets that it mounts have names.
pub(super) fn children(input: &Input<'_>) -> Vec<Child> {
    let mut all = vec![service(input), internal_service(input)];
    all.extend(deployment(input));
    all
}

fn deployment(input: &Input<'_>) -> Option<Child> {
    let part = Part::Api;
    // Nothing large: uploads go through to the store of objects.
    let scratch = pods::empty_dir("scratch", input.plan.scratch_mib.max(1));
    let container = |container: Container| Container {
        args: Some(args("api")),
        env: access::model_key(input).map(|_| vec![pods::env(MODEL_KEY_VARIABLE, access::MODEL_KEY_FILE)]),
        ports: Some(vec![pods::port(PORT_NAME, API_PORT), pods::port(INTERNAL_PORT_NAME, INTERNAL_PORT)]),
        startup_probe: Some(pods::http("/healthz", API_PORT, Every(2, 60))),
        liveness_probe: Some(pods::http("/healthz", API_PORT, Every(10, 6))),
        readiness_probe: Some(pods::http("/readyz", API_PORT, Every(2, 3))),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: LEAVING_S }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        ..container
    };
    let spec = pod(input, part, &input.plan.api, scratch, container)?;
    let strategy = RollingUpdateDeployment {
        max_surge: Some(IntOrString::Int(1)),
        max_unavailable: Some(IntOrString::Int(0)),
    };
    let template = pod_template::merged(input, part, &input.pipeline.spec.api.pod_template, spec);
    Some(Child::of(&Deployment {
        metadata: input.meta_of_part(part),
        spec: Some(DeploymentSpec {
            replicas: Some(int(input.plan.api_replicas)),
            revision_history_limit: Some(HISTORY),
            selector: pods::selector(input, part),
            strategy: Some(rolling(strategy)),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }))
}

fn service(input: &Input<'_>) -> Child {
    Child::of(&Service {
        metadata: input.meta_of_part(Part::Api),
        spec: Some(ServiceSpec {
            ports: Some(vec![service_port(PORT_NAME, API_PORT)]),
            selector: Some(names::selector(input.name(), Part::Api)),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}

/// Leads to pods that are not ready as well. One that cannot take documents, as the store of objects is away,
/// still knows the queue, and scaling is to go on; one that does not answer at all costs the operator another
/// try.
fn internal_service(input: &Input<'_>) -> Child {
    let labels = names::part_labels(input.name(), Part::Api);
    Child::of(&Service {
        metadata: input.meta(names::internal_service(input.name()), labels),
        spec: Some(ServiceSpec {
            ports: Some(vec![service_port(INTERNAL_PORT_NAME, INTERNAL_PORT)]),
            publish_not_ready_addresses: Some(true),
            selector: Some(names::selector(input.name(), Part::Api)),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}

/// A port of a Service that leads to the port of the same name.
pub(super) fn service_port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::build::fixture;
    use crate::resource::SecretKey;

    fn named<'a>(all: &'a [Child], kind: &str, name: &str) -> &'a Child {
        all.iter().find(|child| child.key().kind == kind && child.key().name == name).unwrap()
    }

    /// The template of API pods.
    fn template(world: &fixture::World) -> Value {
        let all = children(&world.input());
        named(&all, "Deployment", "knowbase-api").object["spec"]["template"].clone()
    }

    #[test]
    fn the_operator_asks_pods_that_are_not_ready_too() {
        let all = children(&fixture::managed().input());
        let spec = |name| &named(&all, "Service", name).object["spec"];
        assert!(spec("knowbase-api").get("publishNotReadyAddresses").is_none());
        assert_eq!(spec("knowbase-api-internal")["publishNotReadyAddresses"], true);
        assert_eq!(spec("knowbase-api-internal")["ports"][0]["port"], 8_082);
    }

    #[test]
    fn the_number_of_api_pods_is_applied() {
        let all = children(&fixture::managed().input());
        let deployment = &named(&all, "Deployment", "knowbase-api").object["spec"];
        assert_eq!(deployment["replicas"], 2);
        assert_eq!(deployment["template"]["spec"]["containers"][0]["args"][0], "api");
    }

    #[test]
    fn the_models_key_is_named_by_its_file() {
        let mut world = fixture::managed();
        let env = |template: &Value| template["spec"]["containers"][0].get("env").cloned();
        world.pipeline.spec.ask.model = Some(fixture::model());
        assert_eq!(env(&template(&world)), None);
        let mut of = |name: &str, key: Option<&str>| {
            let mut model = fixture::model();
            let key = key.map(str::to_owned);
            model.key_secret_ref = Some(SecretKey { name: name.to_owned(), key });
            world.pipeline.spec.ask.model = Some(model);
            template(&world)
        };
        let before = of("models", None);
        let file = json!([{"name": "DOCMILL_ASK_API_KEY_FILE", "value": "/run/secrets/docmill/model/key"}]);
        assert_eq!(env(&before), Some(file));
        assert_eq!(before, of("models", Some("apiKey")), "the default");
        // Read at the start alone: another one is another pod.
        assert_ne!(before, of("models", Some("token")));
        assert_ne!(before, of("vault", None));
    }

    #[test]
    fn passwords_of_documents_are_there_to_read_and_no_more() {
        let mut world = fixture::managed();
        let without = template(&world);
        assert!(!without.to_string().contains("documents/passwords"));
        let mut of = |name: &str, key: Option<&str>| {
            world.pipeline.spec.extract.passwords_secret_ref =
                Some(SecretKey { name: name.to_owned(), key: key.map(str::to_owned) });
            template(&world)
        };
        let before = of("vault", None);
        let mounts = before["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
        let secrets: Vec<&Value> = mounts.iter().filter(|mount| mount["name"] == "secrets").collect();
        assert_eq!(
            secrets,
            [&json!({"name": "secrets", "mountPath": "/run/secrets/docmill", "readOnly": true})]
        );
        assert_eq!(before, of("vault", Some("passwords")), "the default");
        // Read at the start alone: another one is another pod.
        assert_ne!(before, of("vault", Some("pdf.txt")));
        assert_ne!(before, of("safe", None));
    }

    #[test]
    fn its_address_is_there_before_it() {
        let mut world = fixture::managed();
        world.volumes.clear();
        let kinds: Vec<&str> = children(&world.input()).iter().map(|child| child.key().kind).collect();
        assert_eq!(kinds, ["Service", "Service"]);
    }
}
