//! Whether somebody may read a metric. Kubernetes leaves that to the server that it passes requests on to, which asks
//! it in return: a `SubjectAccessReview`. A verdict counts for ten seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::{GROUP, VERSION};
use crate::certificates::identity::Identity;

/// How long a verdict counts.
const VERDICT_LIFE: Duration = Duration::from_secs(10);
/// How many verdicts are kept.
const VERDICTS_MAX: usize = 1024;
/// How long Kubernetes may take.
const REVIEW_MAX: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Who wants it.
    pub identity: Identity,
    /// In which namespace.
    pub namespace: String,
    /// Which metric.
    pub metric: String,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Kubernetes did not answer as it should.
    #[error("cannot ask Kubernetes who may read metrics")]
    Kube(#[from] kube::Error),
    /// It took too long.
    #[error("Kubernetes did not say in time who may read metrics")]
    Late,
}

/// Who decides.
pub trait Access: Send + Sync {
    /// Whether they may.
    fn may_read<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<bool, AccessError>>;
}

/// Kubernetes decides.
pub struct Reviewed {
    client: Client,
    verdicts: Mutex<Verdicts>,
}

impl Reviewed {
    /// With a client that may create `SubjectAccessReview`s.
    pub fn new(client: Client) -> Self {
        Self { client, verdicts: Mutex::default() }
    }

    async fn ask(&self, question: &Question) -> Result<bool, AccessError> {
        if question.identity.is_master() {
            return Ok(true);
        }
        let known =
            self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).get(question, Instant::now());
        if let Some(known) = known {
            return Ok(known);
        }
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let (parameters, asked) = (PostParams::default(), review(question));
        let answer = tokio::time::timeout(REVIEW_MAX, reviews.create(&parameters, &asked)).await;
        let allowed = verdict(answer.map_err(|_| AccessError::Late)??.status.as_ref());
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.put(question.clone(), allowed, Instant::now());
        Ok(allowed)
    }
}

impl Access for Reviewed {
    fn may_read<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<bool, AccessError>> {
        self.ask(question).boxed()
    }
}

/// What is asked, as Kubernetes itself asks it of such a path: a list of a resource named like the metric.
fn review(question: &Question) -> SubjectAccessReview {
    let identity = &question.identity;
    let attributes = ResourceAttributes {
        namespace: Some(question.namespace.clone()),
        verb: Some("list".to_owned()),
        group: Some(GROUP.to_owned()),
        version: Some(VERSION.to_owned()),
        resource: Some(question.metric.clone()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(identity.user.clone()),
        uid: identity.uid.clone(),
        groups: Some(identity.groups.clone()),
        extra: Some(identity.extra.clone()).filter(|extra| !extra.is_empty()),
        resource_attributes: Some(attributes),
        non_resource_attributes: None,
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

/// Nothing said is no.
fn verdict(status: Option<&SubjectAccessReviewStatus>) -> bool {
    status.is_some_and(|status| status.allowed && !status.denied.unwrap_or_default())
}

/// Verdicts that still count.
#[derive(Default)]
struct Verdicts(HashMap<Question, (bool, Instant)>);

impl Verdicts {
    fn get(&self, question: &Question, now: Instant) -> Option<bool> {
        let (allowed, at) = self.0.get(question)?;
        (now.saturating_duration_since(*at) < VERDICT_LIFE).then_some(*allowed)
    }

    fn put(&mut self, question: Question, allowed: bool, now: Instant) {
        if self.0.len() >= VERDICTS_MAX {
            self.0.retain(|_, (_, at)| now.saturating_duration_since(*at) < VERDICT_LIFE);
        }
        if self.0.len() >= VERDICTS_MAX {
            self.0.clear();
        }
        self.0.insert(question, (allowed, now));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn question(metric: &str) -> Question {
        let identity = Identity {
            user: "jane".to_owned(),
            uid: None,
            groups: vec!["a".to_owned()],
            extra: BTreeMap::new(),
        };
        Question { identity, namespace: "shop".to_owned(), metric: metric.to_owned() }
    }

    #[test]
    fn kubernetes_is_asked_as_it_asks_itself() {
        let expected = serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {
                "user": "jane",
                "groups": ["a"],
                "resourceAttributes": {
                    "namespace": "shop", "verb": "list", "resource": "m",
                    "group": "external.metrics.k8s.io", "version": "v1beta1",
                },
            },
        });
        assert_eq!(serde_json::to_value(review(&question("m"))).unwrap(), expected);
    }

    #[test]
    fn nothing_said_is_no() {
        let said = |allowed, denied| {
            verdict(Some(&SubjectAccessReviewStatus {
                allowed,
                denied,
                ..SubjectAccessReviewStatus::default()
            }))
        };
        assert!(said(true, None) && said(true, Some(false)));
        assert!(!said(true, Some(true)) && !said(false, None) && !verdict(None));
    }

    #[test]
    fn a_verdict_counts_for_ten_seconds() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        verdicts.put(question("m"), true, now);
        verdicts.put(question("n"), false, now);
        let after = |metric, seconds| verdicts.get(&question(metric), now + Duration::from_secs(seconds));
        assert_eq!((after("m", 9), after("n", 9), after("o", 0)), (Some(true), Some(false), None));
        assert_eq!(after("m", 10), None);
    }

    #[test]
    fn verdicts_are_bounded() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        for number in 0..VERDICTS_MAX {
            verdicts.put(question(&number.to_string()), true, now);
        }
        assert_eq!(verdicts.0.len(), VERDICTS_MAX);
        verdicts.put(question("m"), true, now);
        assert_eq!(verdicts.0.len(), 1);
    }
}
