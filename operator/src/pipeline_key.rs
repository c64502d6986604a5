//! Names a pipeline among all, and what is named after it. What its objects are called is up to `names`.

use std::fmt;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::child::ChildKey;
use crate::names::Part;
use crate::resource::IngestionPipeline;

/// A pipeline, by namespace and name. One that is made anew has the same key, and another UID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl PipelineKey {
    /// The pipeline of that name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// Of a pipeline that is declared.
    pub fn of(pipeline: &IngestionPipeline) -> Self {
        Self::new(pipeline.namespace().unwrap_or_default(), pipeline.name_any())
    }

    /// What names its workers' Deployment.
    pub fn worker_deployment(&self) -> ChildKey {
        ChildKey::of_part("Deployment", Part::Worker, &self.name)
    }

    /// The pipeline, as a store of pipelines knows it.
    pub fn object_ref(&self) -> ObjectRef<IngestionPipeline> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

impl fmt::Display for PipelineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
