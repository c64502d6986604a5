//! Makes the Secrets that are not made yet, each once: of every managed store, and the first key of the API. They
//! cannot be looked at, so what a Secret was made for says that it was: the annotation is written after the Secret, and
//! one that is there already is kept.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Error, Look, cannot, volume_key};
use crate::build;
use crate::child::ChildKey;
use crate::live::Children;
use crate::names::{self, Part};

/// Random bytes of a password.
const PASSWORD_BYTES: usize = 24;
/// Random bytes of the two parts of an API key: what names it, and what is secret.
const API_KEY_BYTES: (usize, usize) = (6, 32);

impl Look<'_> {
    /// Makes the Secrets of managed stores that are not made yet.
    pub(super) async fn make_secrets(&self, input: &build::Input<'_>) -> Result<(), Error> {
        let mut failed = None;
        let secrets = build::secrets(input, &mut || {
            random(PASSWORD_BYTES).unwrap_or_else(|error| {
                failed = Some(error);
                String::new()
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        for (part, secret) in secrets {
            self.create(&secret).await?;
            let volume = volume_key(&self.key.name, part);
            self.mark::<PersistentVolumeClaim>(&volume, &secret.name_any()).await?;
        }
        Ok(())
    }

    /// Makes the first key of the API, where it is not made yet. It comes after what is applied, as that may just have
    /// made the ConfigMap that says so, and no watch tells of what an answer showed before.
    pub(super) async fn make_first_key(
        &self,
        input: &build::Input<'_>,
        live: &Children,
    ) -> Result<(), Error> {
        // The ConfigMap of the operator's keys says whether the first key of the API was made.
        let keys = ChildKey::new("ConfigMap", names::operator_keys(&self.key.name));
        let ledger_is_known =
            input.plan.ledger.managed().is_none() || input.volumes.contains_key(&Part::Postgres);
        if ledger_is_known && live.get(&keys).is_some_and(|keys| !keys.has_secret) {
            let (id, secret) = API_KEY_BYTES;
            let api_key = format!("docmill_{}_{}", random(id)?, random(secret)?);
            let secret = build::api_key_secret(input, api_key);
            self.create(&secret).await?;
            self.mark::<ConfigMap>(&keys, &secret.name_any()).await?;
        }
        Ok(())
    }

    async fn create(&self, secret: &Secret) -> Result<(), Error> {
        let api: Api<Secret> = Api::namespaced(self.context.client.clone(), &self.key.namespace);
        self.context.meters.writes.with_label_values(&["Secret"]).inc();
        let params =
            PostParams { field_manager: Some(names::FIELD_MANAGER.into()), ..PostParams::default() };
        match api.create(&params, secret).await {
            Ok(_) => Ok(()),
            // It was made before, and is kept.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(cannot(format!("create Secret {}", secret.name_any()))(error)),
        }
    }

    /// Notes on an object that its Secret was made. Under another manager than what is applied, which does not know of
    /// it.
    async fn mark<K>(&self, object: &ChildKey, secret: &str) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::namespaced(self.context.client.clone(), &self.key.namespace);
        let annotation = json!({"metadata": {"annotations": {names::SECRET_ANNOTATION: secret}}});
        let params =
            PatchParams { field_manager: Some(names::SECRETS_MANAGER.into()), ..PatchParams::default() };
        self.context.meters.writes.with_label_values(&[object.kind]).inc();
        let marking = api.patch_metadata(&object.name, &params, &Patch::Merge(&annotation)).await;
        marking.map_err(cannot(format!("note the Secret of {} {}", object.kind, object.name)))?;
        Ok(())
    }
}

/// So many random bytes, in hexadecimal.
fn random(bytes: usize) -> Result<String, Error> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(|error| Error::Random(error.to_string()))?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}
