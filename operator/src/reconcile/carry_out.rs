//! Does what was decided: applies, begins and removes objects. It decides nothing itself, and ends as soon as this
//! process does not lead any more.

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::json;

use super::{Error, Look, cannot};
use crate::apply::{Apply, Delete};
use crate::child::Child;
use crate::names;

impl Look<'_> {
    /// Applies objects, one after another. What Kubernetes refuses for good is noted, and the others go on. A workers'
    /// Deployment that is not there yet begins with `fewest`.
    pub(super) async fn apply(
        &self,
        writes: &[Apply<'_>],
        fewest: Option<u32>,
        refused: &mut Vec<String>,
    ) -> Result<(), Error> {
        let Self { key, context, .. } = self;
        for write in writes {
            if !context.leads() {
                return Ok(());
            }
            let object = write.child.key();
            if let Some(fewest) = fewest
                && *object == key.worker_deployment()
            {
                self.begin_workers(write.child, fewest).await?;
            }
            context.meters.writes.with_label_values(&[object.kind]).inc();
            match context.applier.apply(&context.client, key, write).await {
                Ok(now) => context.known.index.put_answer(key, object, now),
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
                    refused.push(format!("{} {}: {}", object.kind, object.name, status.message));
                }
                Err(error) => return Err(cannot(format!("apply {} {}", object.kind, object.name))(error)),
            }
        }
        Ok(())
    }

    /// Makes the workers' Deployment with the fewest workers. A Deployment that is applied without `replicas` begins
    /// with one; so the field is applied once, handed to the manager that scales, and never applied again.
    async fn begin_workers(&self, child: &Child, fewest: u32) -> Result<(), Error> {
        let name = &child.key().name;
        let client = self.context.client.clone();
        let api: Api<DynamicObject> = Api::namespaced_with(client, &self.key.namespace, &child.resource);
        // Asked for, not believed: workers that run must not be set to the fewest because a watch is behind.
        let there =
            api.get_metadata_opt(name).await.map_err(cannot(format!("look for Deployment {name}")))?;
        if there.is_some() {
            return Ok(());
        }
        let mut first = child.object.clone();
        first["spec"]["replicas"] = json!(fewest);
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let making = api.patch(name, &params, &Patch::Apply(&first)).await;
        making.map_err(cannot(format!("make Deployment {name}")))?;
        let handed = json!({
            "apiVersion": child.object["apiVersion"],
            "kind": child.object["kind"],
            "metadata": {"name": name},
            "spec": {"replicas": fewest},
        });
        let params = PatchParams::apply(names::SCALING_MANAGER).force();
        let handing = api.patch(name, &params, &Patch::Apply(&handed)).await;
        handing.map_err(cannot(format!("hand the replicas of Deployment {name} to scaling")))?;
        Ok(())
    }

    /// Removes what nothing builds any more. `children` are what is built.
    pub(super) async fn remove(&self, children: &[Child], too_much: &[Delete]) -> Result<(), Error> {
        let Self { key, context, .. } = self;
        for delete in too_much {
            if !context.leads() {
                return Ok(());
            }
            let object = &delete.key;
            let Some(resource) = resource_of(children, object.kind) else { continue };
            context.meters.writes.with_label_values(&[object.kind]).inc();
            let deleting = context.applier.delete(&context.client, key, &resource, delete).await;
            deleting.map_err(cannot(format!("delete {} {}", object.kind, object.name)))?;
        }
        Ok(())
    }
}

/// The client's name of a kind that is removed.
fn resource_of(children: &[Child], kind: &str) -> Option<ApiResource> {
    use k8s_openapi::api::{apps, autoscaling, core, networking, policy};
    let known = children.iter().find(|child| child.key().kind == kind);
    known.map(|child| child.resource.clone()).or_else(|| {
        Some(match kind {
            "ConfigMap" => ApiResource::erase::<core::v1::ConfigMap>(&()),
            "Deployment" => ApiResource::erase::<apps::v1::Deployment>(&()),
            "HorizontalPodAutoscaler" => {
                ApiResource::erase::<autoscaling::v2::HorizontalPodAutoscaler>(&())
            }
            "NetworkPolicy" => ApiResource::erase::<networking::v1::NetworkPolicy>(&()),
            "PodDisruptionBudget" => ApiResource::erase::<policy::v1::PodDisruptionBudget>(&()),
            "Service" => ApiResource::erase::<core::v1::Service>(&()),
            "StatefulSet" => ApiResource::erase::<apps::v1::StatefulSet>(&()),
            _ => return None,
        })
    })
}
