//! What every reconcile shares: clients, what is known, and who leads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::sync::watch;

use crate::apply::Applier;
use crate::build::Images;
use crate::certificates::stored::Material;
use crate::meters::Meters;
use crate::metrics_api::registration::Registration;
use crate::names::FIELD_MANAGER;
use crate::pipeline_key::PipelineKey;
use crate::scaling::Pipelines;
use crate::watches::Known;

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the operator runs.
    pub namespace: String,
    /// Images of all parts.
    pub images: Images,
    /// Whether the cluster knows ServiceMonitor and PodMonitor.
    pub has_service_monitors: bool,
}

/// See the module.
pub struct Context {
    /// To Kubernetes.
    pub client: Client,
    /// What does not change.
    pub settings: Settings,
    /// What watches know.
    pub known: Known,
    /// Writes, and knows how it left objects.
    pub applier: Applier,
    /// How many workers there are to be.
    pub scaling: Pipelines,
    /// The operator's keys; none until they are there.
    pub material: watch::Receiver<Option<Arc<Material>>>,
    /// Whether autoscalers ask us.
    pub registration: watch::Receiver<Option<Registration>>,
    /// Whether this process leads. Nothing is written while it does not.
    pub is_leader: watch::Receiver<bool>,
    /// Tells people.
    pub recorder: Recorder,
    /// Counts.
    pub meters: Meters,
    /// Since when the workers or API pods of a pipeline are in lasting trouble.
    pub failing: Mutex<HashMap<PipelineKey, Instant>>,
}

impl Context {
    /// Whether this process leads.
    pub fn leads(&self) -> bool {
        *self.is_leader.borrow()
    }

    /// Since when a pipeline's pods are in lasting trouble, given whether they are now.
    pub fn failing_since(&self, key: &PipelineKey, is_failing: bool) -> Option<Instant> {
        let mut failing = self.failing.lock().expect("no code panics while holding it");
        match is_failing {
            true => Some(*failing.entry(key.clone()).or_insert_with(Instant::now)),
            false => {
                failing.remove(key);
                None
            }
        }
    }
}

/// Who writes Events, by the pod's name.
pub fn recorder(client: Client, pod: &str) -> Recorder {
    Recorder::new(client, Reporter { controller: FIELD_MANAGER.into(), instance: Some(pod.to_owned()) })
}
