//! What is answered: documents of discovery, values, and errors in the shape of Kubernetes' `Status`.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::selector::{self, SelectorError};
use super::{GROUP, VERSION, Value};
use crate::names::{METRIC, PIPELINE_LABEL};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Whether the process lives.
    Alive,
    /// Whether it can answer for metrics.
    Ready,
    /// A document that is the same for everybody.
    Document(Document),
    /// A metric of a namespace.
    Metric {
        /// The namespace.
        namespace: &'a str,
        /// The metric.
        metric: &'a str,
    },
    /// Nothing of ours.
    Unknown,
}

/// A document that is the same for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// `/apis`
    Groups,
    /// `/apis/external.metrics.k8s.io`
    Group,
    /// `/apis/external.metrics.k8s.io/v1beta1`
    Resources,
    /// `/openapi/v2`: without it the API server notes an error every minute.
    OpenApi2,
    /// `/openapi/v3`
    OpenApi3,
}

/// What went wrong, as HTTP says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 406
    NotAcceptable,
    /// 503
    Unavailable,
}

impl Refusal {
    /// Its number.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::Unavailable => 503,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::Unavailable => "ServiceUnavailable",
        }
    }
}

/// What a path is for.
pub fn route(path: &str) -> Route<'_> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts[..] {
        ["healthz" | "livez"] => Route::Alive,
        ["readyz"] => Route::Ready,
        ["apis"] => Route::Document(Document::Groups),
        ["apis", GROUP] => Route::Document(Document::Group),
        ["apis", GROUP, VERSION] => Route::Document(Document::Resources),
        ["openapi", "v2"] => Route::Document(Document::OpenApi2),
        ["openapi", "v3"] => Route::Document(Document::OpenApi3),
        ["apis", GROUP, VERSION, "namespaces", namespace, metric] if !namespace.is_empty() => {
            Route::Metric { namespace, metric }
        }
        _ => Route::Unknown,
    }
}

/// A document that is the same for everybody.
pub fn document(document: Document) -> Json {
    let group = || {
        let version = json!({"groupVersion": group_version(), "version": VERSION});
        json!({"name": GROUP, "versions": [version], "preferredVersion": version})
    };
    match document {
        Document::Groups => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}),
        Document::Group => {
            let mut of_kind = group();
            of_kind["kind"] = "APIGroup".into();
            of_kind["apiVersion"] = "v1".into();
            of_kind
        }
        Document::Resources => json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version(),
            "resources": [{
                "name": "externalmetrics",
                "singularName": "",
                "namespaced": true,
                "kind": "ExternalMetricValueList",
                "verbs": ["get"],
            }],
        }),
        Document::OpenApi2 => {
            json!({"swagger": "2.0", "info": {"title": "docmill-operator", "version": VERSION}, "paths": {}})
        }
        Document::OpenApi3 => json!({"paths": {}}),
    }
}

/// Which pipeline a metric is asked for; none: no pipeline has all these labels.
///
/// # Errors
/// The selector cannot be read, or names no pipeline: one value for several makes no sense.
pub fn pipeline_of(label_selector: &str) -> Result<Option<String>, SelectorProblem> {
    let mut labels = selector::parse(label_selector)?;
    let pipeline = labels.remove(PIPELINE_LABEL).filter(|name| !name.is_empty());
    let pipeline = pipeline.ok_or(SelectorProblem::NoPipeline)?;
    Ok(labels.is_empty().then_some(pipeline))
}

/// Why a selector says no pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorProblem {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] SelectorError),
    /// It names none.
    #[error("the label selector must name one pipeline: docmill.dev/pipeline=NAME")]
    NoPipeline,
}

/// The list with one value.
pub fn value_list(pipeline: &str, value: Value) -> Json {
    json!({
        "kind": "ExternalMetricValueList",
        "apiVersion": group_version(),
        "metadata": {},
        "items": [{
            "metricName": METRIC,
            "metricLabels": {PIPELINE_LABEL: pipeline},
            "timestamp": time_text(value.at_ms),
            // A quantity; a whole number is one as it stands.
            "value": value.value.to_string(),
        }],
    })
}

/// An error in the shape that every client of Kubernetes reads.
pub fn status(refusal: Refusal, message: &str) -> Json {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": refusal.reason(),
        "code": refusal.code(),
    })
}

fn group_version() -> String {
    format!("{GROUP}/{VERSION}")
}

/// RFC 3339, in whole seconds.
fn time_text(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_somewhere() {
        let metric = Route::Metric { namespace: "shop", metric: METRIC };
        let cases = [
            ("/healthz", Route::Alive),
            ("/livez", Route::Alive),
            ("/readyz", Route::Ready),
            ("/apis", Route::Document(Document::Groups)),
            ("/apis/external.metrics.k8s.io", Route::Document(Document::Group)),
            ("/apis/external.metrics.k8s.io/", Route::Document(Document::Group)),
            ("/apis/external.metrics.k8s.io/v1beta1", Route::Document(Document::Resources)),
            ("/openapi/v2", Route::Document(Document::OpenApi2)),
            ("/openapi/v3", Route::Document(Document::OpenApi3)),
            ("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/docmill-queue-demand", metric),
            ("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop", Route::Unknown),
            ("/apis/external.metrics.k8s.io/v1beta1/namespaces//docmill-queue-demand", Route::Unknown),
            ("/apis/external.metrics.k8s.io/v1", Route::Unknown),
            ("/apis/custom.metrics.k8s.io", Route::Unknown),
            ("/", Route::Unknown),
        ];
        for (path, expected) in cases {
            assert_eq!(route(path), expected, "{path}");
        }
    }

    #[test]
    fn discovery_says_what_there_is() {
        let version = json!({"groupVersion": "external.metrics.k8s.io/v1beta1", "version": "v1beta1"});
        let name = "external.metrics.k8s.io";
        let group = json!({"name": name, "versions": [version], "preferredVersion": version});
        let groups = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]});
        assert_eq!(document(Document::Groups), groups);
        let group = json!({
            "kind": "APIGroup", "apiVersion": "v1",
            "name": name, "versions": [version], "preferredVersion": version,
        });
        assert_eq!(document(Document::Group), group);
        let resources = json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "external.metrics.k8s.io/v1beta1",
            "resources": [{
                "name": "externalmetrics", "singularName": "", "namespaced": true,
                "kind": "ExternalMetricValueList", "verbs": ["get"],
            }],
        });
        assert_eq!(document(Document::Resources), resources);
        assert_eq!(document(Document::OpenApi2)["swagger"], "2.0");
        assert_eq!(document(Document::OpenApi3), json!({"paths": {}}));
    }

    #[test]
    fn a_value_is_a_quantity_with_its_time() {
        let expected = json!({
            "kind": "ExternalMetricValueList",
            "apiVersion": "external.metrics.k8s.io/v1beta1",
            "metadata": {},
            "items": [{
                "metricName": "docmill-queue-demand",
                "metricLabels": {"docmill.dev/pipeline": "books"},
                "timestamp": "2026-09-21T14:13:20Z",
                "value": "30",
            }],
        });
        assert_eq!(value_list("books", Value { value: 30, at_ms: 1_790_000_000_999 }), expected);
        let largest = value_list("books", Value { value: u64::MAX, at_ms: u64::MAX });
        assert_eq!(largest["items"][0]["value"], "18446744073709551615");
    }

    #[test]
    fn an_error_is_a_status() {
        let expected = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "no", "reason": "Forbidden", "code": 403,
        });
        assert_eq!(status(Refusal::Forbidden, "no"), expected);
    }

    #[test]
    fn a_selector_names_one_pipeline() {
        assert_eq!(pipeline_of("docmill.dev/pipeline=books"), Ok(Some("books".to_owned())));
        assert_eq!(pipeline_of("docmill.dev/pipeline=books,a=b"), Ok(None));
        assert_eq!(pipeline_of("a=b"), Err(SelectorProblem::NoPipeline));
        assert_eq!(pipeline_of(""), Err(SelectorProblem::NoPipeline));
        assert!(matches!(pipeline_of("docmill.dev/pipeline"), Err(SelectorProblem::Unreadable(_))));
    }
}
