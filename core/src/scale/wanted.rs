//! The one formula: how many workers the depth of the queue asks for, and what bounds that.
//!
//! It knows nothing of the past and of pods: what may be done about its answer is for `window` and `descent`.

use serde::{Deserialize, Serialize};

use super::observation::Depth;
use super::policy::{ModelBudget, Policy};
use super::reason::{Missing, Reason};

/// How many workers are wanted, and every bound that took effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// Workers.
    pub replicas: u32,
    /// Why, in the order in which it came about.
    pub reasons: Vec<Reason>,
}

/// `ceil(demand / depth a worker)`, at most `max` and what the models feed, at least `min`.
///
/// `documents_per_minute` is what one worker makes where no model holds it back. While it is unknown, budgets bound
/// nothing, and a reason says so: an unknown rate is not a rate of zero, nor one without end.
///
/// The fewest workers win over a model's budget: they are what a person asked for, and the limiter keeps the budget.
pub fn wanted(policy: &Policy, depth: Depth, documents_per_minute: Option<f64>) -> Wanted {
    let depth_per_replica = policy.depth_per_replica.get();
    let asked = depth.demand().div_ceil(u64::from(depth_per_replica));
    let mut replicas = u32::try_from(asked).unwrap_or(u32::MAX);
    let Depth { waiting, in_flight, due } = depth;
    let mut reasons = vec![Reason::Demand { waiting, in_flight, due, depth_per_replica, asked: replicas }];

    if replicas > policy.max {
        reasons.push(Reason::Maximum { asked: replicas, max: policy.max });
        replicas = policy.max;
    }
    let rate = documents_per_minute.filter(|rate| rate.is_finite() && *rate > 0.0);
    for budget in &policy.budgets {
        replicas = within_requests(budget, rate, replicas, &mut reasons);
        replicas = within_tokens(budget, rate, replicas, &mut reasons);
    }
    if replicas < policy.min {
        reasons.push(Reason::Minimum { asked: replicas, min: policy.min });
        replicas = policy.min;
    }
    Wanted { replicas, reasons }
}

fn within_requests(budget: &ModelBudget, rate: Option<f64>, asked: u32, reasons: &mut Vec<Reason>) -> u32 {
    let Some(requests_per_minute) = budget.requests_per_minute else { return asked };
    let Some(documents_per_minute) = rate else {
        unmeasured(budget, Missing::DocumentsPerMinute, asked, reasons);
        return asked;
    };
    let documents = f64::from(requests_per_minute.get()) / f64::from(budget.calls_per_document.get());
    within(workers_fed(documents, documents_per_minute), asked, reasons, |fed| Reason::RequestBudget {
        provider: budget.provider.clone(),
        requests_per_minute: requests_per_minute.get(),
        calls_per_document: budget.calls_per_document.get(),
        documents_per_minute,
        asked,
        fed,
    })
}

fn within_tokens(budget: &ModelBudget, rate: Option<f64>, asked: u32, reasons: &mut Vec<Reason>) -> u32 {
    let Some(tokens_per_minute) = budget.tokens_per_minute else { return asked };
    let Some(tokens_per_document) = budget.tokens_per_document else {
        unmeasured(budget, Missing::TokensPerDocument, asked, reasons);
        return asked;
    };
    let Some(documents_per_minute) = rate else {
        unmeasured(budget, Missing::DocumentsPerMinute, asked, reasons);
        return asked;
    };
    let documents = tokens_per_minute.get() as f64 / tokens_per_document.get() as f64;
    within(workers_fed(documents, documents_per_minute), asked, reasons, |fed| Reason::TokenBudget {
        provider: budget.provider.clone(),
        tokens_per_minute: tokens_per_minute.get(),
        tokens_per_document: tokens_per_document.get(),
        documents_per_minute,
        asked,
        fed,
    })
}

/// What a budget leaves of the workers asked for, with the reason where that is fewer.
fn within(fed: u32, asked: u32, reasons: &mut Vec<Reason>, because: impl FnOnce(u32) -> Reason) -> u32 {
    if fed >= asked {
        return asked;
    }
    reasons.push(because(fed));
    fed
}

/// One worker is always fed, so what is not known matters only above that.
fn unmeasured(budget: &ModelBudget, missing: Missing, asked: u32, reasons: &mut Vec<Reason>) {
    let reason = Reason::BudgetUnmeasured { provider: budget.provider.clone(), missing };
    if asked > 1 && !reasons.contains(&reason) {
        reasons.push(reason);
    }
}

/// The fewest workers that use a budget of so many documents a minute up. One more would only wait; one fewer would
/// leave some of it. That the sum stays within the budget is the limiter's business.
fn workers_fed(documents_per_minute: f64, of_one_worker: f64) -> u32 {
    // What division leaves behind the point must not cost a worker: 50 / (50 / 3) is 3, not 4.
    let workers = (documents_per_minute / of_one_worker - 1e-9).ceil();
    // A cast of a float ends at the bounds of the number.
    (workers as u32).max(1)
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use proptest::prelude::*;

    use super::*;

    fn policy(min: u32, max: u32, depth_per_replica: u32) -> Policy {
        let depth_per_replica = NonZeroU32::new(depth_per_replica).unwrap();
        Policy { min, max, depth_per_replica, ..Policy::default() }
    }

    fn requests(requests_per_minute: u32, calls_per_document: u32) -> ModelBudget {
        ModelBudget {
            provider: "OpenAI".into(),
            requests_per_minute: NonZeroU32::new(requests_per_minute),
            calls_per_document: NonZeroU32::new(calls_per_document).unwrap(),
            tokens_per_minute: None,
            tokens_per_document: None,
        }
    }

    fn waiting(waiting: u64) -> Depth {
        Depth { waiting, in_flight: 0, due: 0 }
    }

    fn codes(wanted: &Wanted) -> Vec<&'static str> {
        wanted.reasons.iter().map(Reason::code).collect()
    }

    #[test]
    fn demand_within_bounds() {
        let cases = [
            (policy(0, 50, 100), Depth::default(), 0, vec!["Demand"]),
            (policy(0, 50, 100), waiting(1), 1, vec!["Demand"]),
            (policy(0, 50, 100), waiting(100), 1, vec!["Demand"]),
            (policy(0, 50, 100), Depth { waiting: 99, in_flight: 1, due: 1 }, 2, vec!["Demand"]),
            (policy(2, 50, 100), waiting(0), 2, vec!["Demand", "Minimum"]),
            (policy(0, 50, 100), waiting(5_001), 50, vec!["Demand", "Maximum"]),
            (policy(0, 50, 1), waiting(u64::MAX), 50, vec!["Demand", "Maximum"]),
        ];
        for (policy, depth, replicas, reasons) in cases {
            let wanted = wanted(&policy, depth, None);
            assert_eq!((wanted.replicas, codes(&wanted)), (replicas, reasons), "{depth:?}");
        }
    }

    #[test]
    fn a_models_requests_feed_so_many_workers() {
        // 500 requests at 10 a document are 50 documents a minute.
        let budgets = vec![requests(500, 10)];
        let cases = [
            (Some(25.0), 2, vec!["Demand", "RequestBudget"]),
            (Some(50.0 / 3.0), 3, vec!["Demand", "RequestBudget"]),
            (Some(20.0), 3, vec!["Demand", "RequestBudget"]),
            (Some(1_000.0), 1, vec!["Demand", "RequestBudget"]),
            (Some(5.0), 10, vec!["Demand"]),
            (None, 10, vec!["Demand", "BudgetUnmeasured"]),
            (Some(0.0), 10, vec!["Demand", "BudgetUnmeasured"]),
            (Some(f64::NAN), 10, vec!["Demand", "BudgetUnmeasured"]),
        ];
        for (rate, replicas, reasons) in cases {
            let wanted =
                wanted(&Policy { budgets: budgets.clone(), ..policy(0, 50, 100) }, waiting(1_000), rate);
            assert_eq!((wanted.replicas, codes(&wanted)), (replicas, reasons), "{rate:?}");
        }
        let floor = wanted(&Policy { budgets, ..policy(4, 50, 100) }, waiting(1_000), Some(25.0));
        assert_eq!(floor.replicas, 4, "the fewest workers win");
        assert_eq!(codes(&floor), ["Demand", "RequestBudget", "Minimum"]);
    }

    #[test]
    fn a_models_tokens_feed_so_many_workers() {
        let tokens = |per_document| ModelBudget {
            tokens_per_minute: NonZeroU64::new(90_000),
            tokens_per_document: NonZeroU64::new(per_document),
            ..requests(500, 10)
        };
        // 90,000 tokens at 9,000 a document are 10 documents a minute: less than the requests allow.
        let policy = |budget| Policy { budgets: vec![budget], ..policy(0, 50, 100) };
        let both = wanted(&policy(tokens(9_000)), waiting(1_000), Some(5.0));
        assert_eq!((both.replicas, codes(&both)), (2, vec!["Demand", "TokenBudget"]));
        let unsaid = wanted(&policy(tokens(0)), waiting(1_000), Some(25.0));
        assert_eq!(codes(&unsaid), ["Demand", "RequestBudget", "BudgetUnmeasured"]);
        let unmeasured = wanted(&policy(tokens(9_000)), waiting(1_000), None);
        assert_eq!(codes(&unmeasured), ["Demand", "BudgetUnmeasured"], "said once");
    }

    prop_compose! {
        fn any_policy()(
            min in 0u32..20, more in 0u32..80, depth in 1u32..200,
            rpm in prop::option::of(1u32..10_000), calls in 1u32..50,
        ) -> Policy {
            let budgets = rpm.map(|rpm| requests(rpm, calls)).into_iter().collect();
            Policy { budgets, ..policy(min, (min + more).max(1), depth) }
        }
    }

    proptest! {
        #[test]
        fn it_stays_within_bounds_and_says_why(
            policy in any_policy(), waiting in 0u64..100_000, in_flight in 0u64..1_000, due in 0u64..1_000,
            rate in prop::option::of(0.01f64..1_000.0),
        ) {
            let depth = Depth { waiting, in_flight, due };
            let wanted = wanted(&policy, depth, rate);
            prop_assert!((policy.min..=policy.max).contains(&wanted.replicas));
            let asked = depth.demand().div_ceil(u64::from(policy.depth_per_replica.get()));
            let bound = codes(&wanted).iter().any(|code| !matches!(*code, "Demand" | "BudgetUnmeasured"));
            prop_assert!(bound || u64::from(wanted.replicas) == asked);
            prop_assert!(asked == 0 || wanted.replicas >= 1, "what is there is worked on");
        }

        #[test]
        fn more_demand_never_wants_fewer(
            policy in any_policy(), less in 0u64..100_000, more in 0u64..100_000,
            rate in prop::option::of(0.01f64..1_000.0),
        ) {
            let low = wanted(&policy, waiting(less), rate).replicas;
            let high = wanted(&policy, waiting(less + more), rate).replicas;
            prop_assert!(low <= high);
        }

        #[test]
        fn the_budget_is_used_up_and_no_worker_only_waits(
            rpm in 1u32..10_000, calls in 1u32..50, rate in 0.01f64..1_000.0,
        ) {
            let policy = Policy { budgets: vec![requests(rpm, calls)], ..policy(0, u32::MAX, 1) };
            let fed = f64::from(wanted(&policy, waiting(u64::from(u32::MAX)), Some(rate)).replicas);
            let documents = f64::from(rpm) / f64::from(calls);
            prop_assert!(fed * rate >= documents * (1.0 - 1e-6));
            prop_assert!(fed == 1.0 || (fed - 1.0) * rate < documents);
        }
    }
}
