//! Tells Kubernetes' API server that we serve external metrics: one APIService, which a cluster has only once. So it is
//! made by the operator and not by the chart, only where nobody else has it, without force, and it belongs to the
//! chart's ClusterRole: one that outlives its server would block the deletion of every namespace. The one of another
//! provider, KEDA for example, is never touched, whatever has become of that provider.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceSpec, ServiceReference,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use tokio::sync::watch;

use super::{GROUP, VERSION};
use crate::certificates::causes;
use crate::certificates::secret::Materials;
use crate::names::{FIELD_MANAGER, MANAGED_BY};

/// The name that the API server derives from version and group.
pub const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";
/// How often somebody looks whether it is still as it should be.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Low: nobody asks for this group without saying so.
const PRIORITY: i32 = 100;

/// Whose the cluster's external metrics are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// Ours: autoscalers ask us.
    Ours,
    /// Another provider's, named by its Service or by what keeps us from ours.
    Foreign(String),
    /// This installation does not touch what belongs to the whole cluster.
    Disabled,
}

/// Our Service as the API server reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Keep,
    Apply,
    Leave(String),
}

#[derive(Debug, thiserror::Error)]
enum RegistrationError {
    #[error("ClusterRole {0}, to which the APIService belongs, is not there")]
    NoOwner(String),
    #[error("Kubernetes refused")]
    Kube(#[from] kube::Error),
}

/// Keeps the APIService.
pub struct Registrar {
    client: Client,
    target: Target,
    owner_role: String,
    published: watch::Sender<Option<Registration>>,
}

/// What an installation for one namespace publishes.
pub fn disabled() -> watch::Receiver<Option<Registration>> {
    watch::channel(Some(Registration::Disabled)).1
}

impl Registrar {
    /// One for this Service; the APIService will belong to the ClusterRole of this name.
    pub fn new(
        client: Client,
        target: Target,
        owner_role: &str,
    ) -> (Self, watch::Receiver<Option<Registration>>) {
        let (published, registration) = watch::channel(None);
        (Self { client, target, owner_role: owner_role.to_owned(), published }, registration)
    }

    /// Goes on until one of the senders is gone. Only the leader acts; nothing is published before it did.
    pub async fn run(self, mut leads: watch::Receiver<bool>, mut materials: Materials) {
        loop {
            let leading = *leads.borrow_and_update();
            let material = materials.borrow_and_update().clone();
            if let Some(material) = material.filter(|_| leading) {
                match self.look(material.bundle()).await {
                    Ok(registration) => self.publish(registration),
                    Err(error) => {
                        tracing::warn!(error = causes(&error), "cannot register external metrics")
                    }
                }
            }
            let changed = tokio::select! {
                changed = leads.changed() => changed,
                changed = materials.changed() => changed,
                () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn look(&self, bundle: &str) -> Result<Registration, RegistrationError> {
        let services: Api<APIService> = Api::all(self.client.clone());
        let found = services.get_opt(API_SERVICE).await?;
        // Before anything else: what is somebody else's needs no owner of ours.
        if let Some(provider) = found.as_ref().and_then(|found| foreign(found, &self.target)) {
            return Ok(Registration::Foreign(provider));
        }
        let wanted = wanted(&self.target, self.owner().await?, bundle);
        match decide(found.as_ref(), &wanted, &self.target) {
            Step::Keep => Ok(Registration::Ours),
            Step::Leave(provider) => Ok(Registration::Foreign(provider)),
            Step::Apply => {
                let parameters = PatchParams::apply(FIELD_MANAGER);
                match services.patch(API_SERVICE, &parameters, &Patch::Apply(&wanted)).await {
                    Ok(_) => Ok(Registration::Ours),
                    // Somebody was faster, or wrote into ours: both are theirs to take back.
                    Err(kube::Error::Api(status)) if status.code == 409 => {
                        Ok(Registration::Foreign(status.message.clone()))
                    }
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    async fn owner(&self) -> Result<OwnerReference, RegistrationError> {
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let uid = roles.get_metadata_opt(&self.owner_role).await?.and_then(|role| role.metadata.uid);
        let uid = uid.ok_or_else(|| RegistrationError::NoOwner(self.owner_role.clone()))?;
        Ok(OwnerReference {
            api_version: "rbac.authorization.k8s.io/v1".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: self.owner_role.clone(),
            uid,
            ..OwnerReference::default()
        })
    }

    fn publish(&self, registration: Registration) {
        self.published.send_if_modified(|published| {
            let new = Some(registration);
            let changed = *published != new;
            if changed {
                tracing::info!(registration = ?new, "whose the cluster's external metrics are");
                *published = new;
            }
            changed
        });
    }
}

/// The APIService as it should be.
fn wanted(target: &Target, owner: OwnerReference, bundle: &str) -> APIService {
    APIService {
        metadata: ObjectMeta {
            name: Some(API_SERVICE.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(APIServiceSpec {
            ca_bundle: Some(ByteString(bundle.as_bytes().to_vec())),
            group: Some(GROUP.to_owned()),
            group_priority_minimum: PRIORITY,
            service: Some(ServiceReference {
                name: Some(target.name.clone()),
                namespace: Some(target.namespace.clone()),
                port: Some(i32::from(target.port)),
            }),
            version: Some(VERSION.to_owned()),
            version_priority: PRIORITY,
            ..APIServiceSpec::default()
        }),
        status: None,
    }
}

fn decide(found: Option<&APIService>, wanted: &APIService, target: &Target) -> Step {
    let Some(found) = found else { return Step::Apply };
    if let Some(provider) = foreign(found, target) {
        return Step::Leave(provider);
    }
    let owners = found.metadata.owner_references.iter().flatten();
    let owned = |owner: &OwnerReference| owners.clone().any(|found| found.uid == owner.uid);
    let same_owners = wanted.metadata.owner_references.iter().flatten().all(owned);
    let same_spec = match (&found.spec, &wanted.spec) {
        (Some(found), Some(wanted)) => {
            let insecure = found.insecure_skip_tls_verify.filter(|skip| *skip);
            let found = APIServiceSpec { insecure_skip_tls_verify: insecure, ..found.clone() };
            found == *wanted
        }
        _ => false,
    };
    if same_owners && same_spec { Step::Keep } else { Step::Apply }
}

/// Whose it is, where it is not ours. Another installation of docmill is somebody else too.
fn foreign(found: &APIService, target: &Target) -> Option<String> {
    let labelled = found.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY.0));
    let service = found.spec.as_ref().and_then(|spec| spec.service.as_ref());
    let (namespace, name) =
        service.map_or((None, None), |service| (service.namespace.as_deref(), service.name.as_deref()));
    let at_us = (namespace, name) == (Some(&*target.namespace), Some(&*target.name));
    let ours = at_us && labelled.is_some_and(|by| by == MANAGED_BY.1);
    let provider = || format!("{}/{}", namespace.unwrap_or("?"), name.unwrap_or("?"));
    (!ours).then(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { namespace: "docmill".to_owned(), name: "docmill-operator".to_owned(), port: 443 }
    }

    fn ours(bundle: &str) -> APIService {
        let owner =
            OwnerReference { name: "role".to_owned(), uid: "u-1".to_owned(), ..OwnerReference::default() };
        wanted(&target(), owner, bundle)
    }

    #[test]
    fn it_is_as_kubernetes_wants_it() {
        let expected = serde_json::json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {
                "name": "v1beta1.external.metrics.k8s.io",
                "labels": {"app.kubernetes.io/managed-by": "docmill-operator"},
                "ownerReferences": [{"apiVersion": "", "kind": "", "name": "role", "uid": "u-1"}],
            },
            "spec": {
                "caBundle": "Y2E=",
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": {"namespace": "docmill", "name": "docmill-operator", "port": 443},
            },
        });
        assert_eq!(serde_json::to_value(ours("ca")).unwrap(), expected);
    }

    #[test]
    fn it_is_made_once_and_kept_current() {
        let wanted = ours("ca");
        assert_eq!(decide(None, &wanted, &target()), Step::Apply);
        assert_eq!(decide(Some(&ours("ca")), &wanted, &target()), Step::Keep);
        assert_eq!(decide(Some(&ours("old")), &wanted, &target()), Step::Apply);
        let mut lost = ours("ca");
        lost.metadata.owner_references = None;
        assert_eq!(decide(Some(&lost), &wanted, &target()), Step::Apply);
        let mut defaulted = ours("ca");
        defaulted.spec.as_mut().unwrap().insecure_skip_tls_verify = Some(false);
        assert_eq!(decide(Some(&defaulted), &wanted, &target()), Step::Keep);
    }

    #[test]
    fn what_is_somebody_elses_is_left_alone() {
        let found = |change: fn(&mut APIService)| {
            let mut found = ours("ca");
            change(&mut found);
            decide(Some(&found), &ours("ca"), &target())
        };
        let leave = |provider: &str| Step::Leave(provider.to_owned());
        let keda = found(|service| {
            service.metadata.labels = None;
            let reference = service.spec.as_mut().unwrap().service.as_mut().unwrap();
            (reference.namespace, reference.name) =
                (Some("keda".to_owned()), Some("keda-metrics".to_owned()));
        });
        assert_eq!(keda, leave("keda/keda-metrics"));
        let other_docmill = found(|service| {
            service.spec.as_mut().unwrap().service.as_mut().unwrap().namespace = Some("other".to_owned());
        });
        assert_eq!(other_docmill, leave("other/docmill-operator"));
        assert_eq!(found(|service| service.metadata.labels = None), leave("docmill/docmill-operator"));
        assert_eq!(found(|service| service.spec = None), leave("?/?"));
    }

    #[test]
    fn one_namespace_touches_nothing() {
        assert_eq!(*disabled().borrow(), Some(Registration::Disabled));
    }
}
