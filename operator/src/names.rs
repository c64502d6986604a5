//! Names and labels of what belongs to a pipeline. They are part of the user contract: scripts select by them.

use std::collections::BTreeMap;
use std::fmt;

/// The field manager of everything that the operator applies.
pub const FIELD_MANAGER: &str = "docmill-operator";
/// The field manager of `replicas`, which is decided and never applied.
pub const SCALING_MANAGER: &str = "docmill-scaling";
/// The field manager of [`SECRET_ANNOTATION`], which what is applied does not know of.
pub const SECRETS_MANAGER: &str = "docmill-secrets";
/// The label that names the pipeline.
pub const PIPELINE_LABEL: &str = "docmill.dev/pipeline";
/// The label that says who made it, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "docmill-operator");
/// The label that names the program: `docmill` for all parts of a pipeline.
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
/// The label that names the pipeline to selectors of pods: Kubernetes' own, as [`PIPELINE_LABEL`] is ours.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// The label that names the part.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// The annotation of an object that says which Secret was made for it. Secrets cannot be looked at, only made.
pub const SECRET_ANNOTATION: &str = "docmill.dev/secret";
/// The annotation with which a person has a pipeline try again what did not run: another value, another try.
pub const RETRY_ANNOTATION: &str = "docmill.dev/retry";
/// The external metric of a pipeline, which [`PIPELINE_LABEL`] selects: documents that wait, are in flight or due.
pub const METRIC: &str = "docmill-queue-demand";
/// Port of an API pod for people and programs.
pub const API_PORT: i32 = 8_080;
/// Port of an API pod for the operator.
pub const INTERNAL_PORT: i32 = 8_082;
/// Port of a worker's health and metrics.
pub const HEALTH_PORT: i32 = 8_081;

/// A part of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Pods that do the work.
    Worker,
    /// Pods that people and programs ask.
    Api,
    /// The managed queue.
    Redis,
    /// The managed ledger.
    Postgres,
    /// The managed graph.
    Neo4j,
    /// The managed store of objects.
    S3,
}

impl Part {
    /// Parts that keep something: each has a volume, and one pod.
    pub const STORES: [Self; 4] = [Self::Redis, Self::Postgres, Self::Neo4j, Self::S3];

    /// The part in names and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Api => "api",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Neo4j => "neo4j",
            Self::S3 => "s3",
        }
    }

    /// Name of the part's objects.
    pub fn name(self, pipeline: &str) -> String {
        format!("{pipeline}-{self}")
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Name of the Service on which API pods answer the operator.
pub fn internal_service(pipeline: &str) -> String {
    format!("{pipeline}-api-internal")
}

/// Name of the volume of a store.
pub fn volume(pipeline: &str, part: Part) -> String {
    format!("{pipeline}-{part}-data")
}

/// Name of the Secret with the password of a store. It lives as long as the volume, whose UID is in it: a volume that
/// is made anew never meets the password of the one before.
pub fn store_secret(pipeline: &str, part: Part, volume_uid: &str) -> String {
    format!("{pipeline}-{part}-{}", volume_uid.get(..8).unwrap_or(volume_uid))
}

/// Name of the Secret with the first key of the API, for people.
pub fn api_key_secret(pipeline: &str) -> String {
    format!("{pipeline}-api-key")
}

/// Name of the ConfigMap with the public keys that API pods check the operator's tokens with.
pub fn operator_keys(pipeline: &str) -> String {
    format!("{pipeline}-operator-keys")
}

/// Labels that select the pods of a part. They never change: a Deployment's selector cannot.
pub fn selector(pipeline: &str, part: Part) -> BTreeMap<String, String> {
    BTreeMap::from([
        (NAME_LABEL.to_owned(), "docmill".to_owned()),
        (INSTANCE_LABEL.to_owned(), pipeline.to_owned()),
        (COMPONENT_LABEL.to_owned(), part.as_str().to_owned()),
    ])
}

/// Labels of everything that belongs to a pipeline.
pub fn labels(pipeline: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (NAME_LABEL.to_owned(), "docmill".to_owned()),
        (INSTANCE_LABEL.to_owned(), pipeline.to_owned()),
        (MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()),
        (PIPELINE_LABEL.to_owned(), pipeline.to_owned()),
    ])
}

/// Labels of a part's objects and pods.
pub fn part_labels(pipeline: &str, part: Part) -> BTreeMap<String, String> {
    let mut all = labels(pipeline);
    all.insert(COMPONENT_LABEL.to_owned(), part.as_str().to_owned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_fits_a_label() {
        // The name of a pipeline has at most 40 letters; names of Services and values of labels at most 63.
        let pipeline = "p".repeat(40);
        let uid = "0123456789abcdef";
        for part in Part::STORES {
            assert!(store_secret(&pipeline, part, uid).len() <= 63);
            assert!(volume(&pipeline, part).len() <= 63);
        }
        assert!(internal_service(&pipeline).len() <= 63 && operator_keys(&pipeline).len() <= 63);
        assert!(store_secret("a", Part::S3, "short").ends_with("short"));
    }
}
