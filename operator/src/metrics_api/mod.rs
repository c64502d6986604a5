//! The external metrics API, `external.metrics.k8s.io/v1beta1`: how a HorizontalPodAutoscaler learns what a pipeline
//! needs.
//!
//! Kubernetes' API server passes requests for this group on to us (`registration` tells it so), shows a certificate of
//! its front proxy and says who asks (`certificates::front_proxy`). It leaves it to us whether they may: `access` asks
//! it in return. The answers come from memory ([`Values`]), so that they are there within milliseconds whatever the
//! queue does; what is not known is answered with 404, never with 0, and the autoscaler then changes nothing.
//! `answers`, `accept` and `selector` say what is answered, `server` sends it.

pub mod accept;
pub mod access;
pub mod answers;
pub mod registration;
pub mod selector;
pub mod server;

/// The API group.
pub const GROUP: &str = "external.metrics.k8s.io";
/// Its one version.
pub const VERSION: &str = "v1beta1";

/// What is served of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// The demand.
    pub value: u64,
    /// When it was worked out, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Where the values come from: memory. It decides itself what is too old to be served.
pub trait Values: Send + Sync {
    /// What is served of this pipeline; none where it is not known.
    fn desired_metric(&self, namespace: &str, pipeline: &str) -> Option<Value>;
}
