//! Why a decision is as it is: a reason for every bound that took effect, with a sentence for people.
//!
//! Variants are part of the user contract (status, Events, `explain-scaling`): never renamed, only added. Their
//! numbers may change with every look; whoever writes status compares [`Reason::code`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why nothing is known of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all_fields = "camelCase")]
pub enum Unknown {
    /// No observation came yet.
    NeverObserved,
    /// The last one is too old to go by.
    TooOld {
        /// Its age in milliseconds.
        age_ms: u64,
    },
    /// Observations come, but the queue does not answer.
    QueueUnreachable,
}

/// What lacks for a model's budget to bound anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missing {
    /// How many documents a worker makes in a minute was not measured yet.
    DocumentsPerMinute,
    /// Nobody said how many tokens a document takes.
    TokensPerDocument,
}

/// A reason, in the order in which a decision is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum Reason {
    /// What waits, is in flight and is due asks for so many workers.
    Demand {
        /// Entries that nobody has.
        waiting: u64,
        /// Entries under a lease.
        in_flight: u64,
        /// Delayed entries whose time is near.
        due: u64,
        /// Documents meant for one worker.
        depth_per_replica: u32,
        /// Workers that this asks for.
        asked: u32,
    },
    /// More were asked for than are allowed.
    Maximum {
        /// Workers asked for.
        asked: u32,
        /// Most workers.
        max: u32,
    },
    /// More were asked for than the model's requests feed.
    RequestBudget {
        /// Whose account.
        provider: String,
        /// Requests a minute.
        requests_per_minute: u32,
        /// Requests of a document.
        calls_per_document: u32,
        /// Documents that one worker makes in a minute.
        documents_per_minute: f64,
        /// Workers asked for.
        asked: u32,
        /// Workers that the budget feeds.
        fed: u32,
    },
    /// More were asked for than the model's tokens feed.
    TokenBudget {
        /// Whose account.
        provider: String,
        /// Tokens a minute.
        tokens_per_minute: u64,
        /// Tokens of a document.
        tokens_per_document: u64,
        /// Documents that one worker makes in a minute.
        documents_per_minute: f64,
        /// Workers asked for.
        asked: u32,
        /// Workers that the budget feeds.
        fed: u32,
    },
    /// A model's budget bounds nothing yet, as something is not known.
    BudgetUnmeasured {
        /// Whose account.
        provider: String,
        /// What is not known.
        missing: Missing,
    },
    /// Fewer were asked for than there must be.
    Minimum {
        /// Workers asked for.
        asked: u32,
        /// Fewest workers.
        min: u32,
    },
    /// Nothing is known of the queue, so all stays as it is.
    Unknown {
        /// Why.
        #[serde(flatten)]
        why: Unknown,
        /// Workers that stay.
        held: u32,
    },
    /// Fewer would do, but more were wanted a moment ago.
    Window {
        /// The most that were wanted within the window.
        highest: u32,
        /// Time until that is forgotten, in milliseconds.
        left_ms: u64,
    },
    /// Nothing is there, but not for long enough to do without any worker.
    ZeroWaits {
        /// Time until the last worker may go, in milliseconds.
        left_ms: u64,
    },
    /// There are more workers from now on.
    Raised {
        /// Workers before.
        from: u32,
        /// Workers from now on.
        to: u32,
    },
    /// What is known is too old for a worker to go.
    NotFresh {
        /// Its age in milliseconds.
        age_ms: u64,
    },
    /// Pods are there of which nothing is known, so no worker goes.
    PodsUnseen {
        /// How many.
        unseen: u32,
    },
    /// A new revision is being rolled out, so no worker goes.
    RollingOut,
    /// Workers were ordered to take no new work, so that they may go.
    Draining {
        /// Workers that are to stay.
        to: u32,
        /// Workers chosen to go.
        chosen: u32,
        /// Of those, ones that have nothing left.
        empty: u32,
    },
    /// Workers that were to go had work for too long, and went on.
    BusyWorkers {
        /// How long they may take, in milliseconds.
        max_busy_wait_ms: u64,
        /// Busy workers that are tried at once from now on.
        at_once: u32,
    },
    /// Workers that were to go stay.
    Resumed {
        /// How many.
        workers: u32,
    },
    /// There are fewer workers from now on: all that go have nothing left.
    Lowered {
        /// Workers before.
        from: u32,
        /// Workers from now on.
        to: u32,
    },
}

/// Reasons of the condition `ScalingLimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScalingLimited {
    /// A model's budget.
    RateLimit,
    /// The most workers allowed.
    MaxReplicas,
    /// Workers that do not get empty.
    BusyWorkers,
}

impl ScalingLimited {
    /// The reason's name in the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "RateLimit",
            Self::MaxReplicas => "MaxReplicas",
            Self::BusyWorkers => "BusyWorkers",
        }
    }
}

impl Reason {
    /// The reason's name in status and Events: the same whatever its numbers.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Demand { .. } => "Demand",
            Self::Maximum { .. } => "Maximum",
            Self::RequestBudget { .. } => "RequestBudget",
            Self::TokenBudget { .. } => "TokenBudget",
            Self::BudgetUnmeasured { .. } => "BudgetUnmeasured",
            Self::Minimum { .. } => "Minimum",
            Self::Unknown { .. } => "Unknown",
            Self::Window { .. } => "Window",
            Self::ZeroWaits { .. } => "ZeroWaits",
            Self::Raised { .. } => "Raised",
            Self::NotFresh { .. } => "NotFresh",
            Self::PodsUnseen { .. } => "PodsUnseen",
            Self::RollingOut => "RollingOut",
            Self::Draining { .. } => "Draining",
            Self::BusyWorkers { .. } => "BusyWorkers",
            Self::Resumed { .. } => "Resumed",
            Self::Lowered { .. } => "Lowered",
        }
    }

    /// The reason of the condition `ScalingLimited`, where it is one.
    pub fn scaling_limited(&self) -> Option<ScalingLimited> {
        match self {
            Self::Maximum { .. } => Some(ScalingLimited::MaxReplicas),
            Self::RequestBudget { .. } | Self::TokenBudget { .. } => Some(ScalingLimited::RateLimit),
            Self::BusyWorkers { .. } => Some(ScalingLimited::BusyWorkers),
            _ => None,
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverObserved => write!(f, "no observation came yet"),
            Self::TooOld { age_ms } => write!(f, "the last observation is {} old", Seconds(*age_ms)),
            Self::QueueUnreachable => write!(f, "the queue does not answer"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demand { waiting, in_flight, due, depth_per_replica, asked } => write!(
                f,
                "{waiting} waiting + {in_flight} in flight + {due} due, at {depth_per_replica} a worker, ask for {}",
                Workers(*asked)
            ),
            Self::Maximum { asked, max } => {
                write!(f, "{} asked for, at most {max} allowed", Workers(*asked))
            }
            Self::RequestBudget {
                provider,
                requests_per_minute,
                calls_per_document,
                documents_per_minute,
                asked,
                fed,
            } => write!(
                f,
                "{} asked for, {fed} fed: {provider} allows {requests_per_minute} requests a minute, a document makes \
                 {calls_per_document}, and a worker does {documents_per_minute:.1} documents a minute",
                Workers(*asked)
            ),
            Self::TokenBudget {
                provider,
                tokens_per_minute,
                tokens_per_document,
                documents_per_minute,
                asked,
                fed,
            } => write!(
                f,
                "{} asked for, {fed} fed: {provider} allows {tokens_per_minute} tokens a minute, a document takes \
                 {tokens_per_document}, and a worker does {documents_per_minute:.1} documents a minute",
                Workers(*asked)
            ),
            Self::BudgetUnmeasured { provider, missing } => {
                let missing = match missing {
                    Missing::DocumentsPerMinute => "how many documents a worker does in a minute",
                    Missing::TokensPerDocument => "how many tokens a document takes",
                };
                write!(f, "the budget of {provider} bounds nothing yet: {missing} is not known")
            }
            Self::Minimum { asked, min } => write!(f, "{} asked for, at least {min} kept", Workers(*asked)),
            Self::Unknown { why, held } => write!(f, "{why}, so all stays: {}", Workers(*held)),
            Self::Window { highest, left_ms } => write!(
                f,
                "{} wanted a moment ago: fewer only when nothing asks for as many for {}",
                Workers(*highest),
                Seconds(*left_ms)
            ),
            Self::ZeroWaits { left_ms } => {
                write!(f, "nothing to do: the last worker goes in {} if it stays so", Seconds(*left_ms))
            }
            Self::Raised { from, to } => write!(f, "raised from {from} to {}", Workers(*to)),
            Self::NotFresh { age_ms } => {
                write!(f, "no worker goes on an observation that is {} old", Seconds(*age_ms))
            }
            Self::PodsUnseen { unseen } => {
                write!(f, "no worker goes while nothing is known of {unseen} of the pods")
            }
            Self::RollingOut => write!(f, "no worker goes while a new revision is rolled out"),
            Self::Draining { to, chosen, empty } => write!(
                f,
                "{} chosen to go, {empty} of them empty; {to} to stay in the end",
                Workers(*chosen)
            ),
            Self::BusyWorkers { max_busy_wait_ms, at_once } => write!(
                f,
                "workers that were to go had work for {} and went on; {} tried at once now",
                Seconds(*max_busy_wait_ms),
                Workers(*at_once)
            ),
            Self::Resumed { workers } => write!(f, "{} told to stay and take work", Workers(*workers)),
            Self::Lowered { from, to } => {
                write!(f, "lowered from {from} to {}: those that go have nothing left", Workers(*to))
            }
        }
    }
}

/// So many workers.
struct Workers(u32);

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => write!(f, "1 worker"),
            n => write!(f, "{n} workers"),
        }
    }
}

/// So many milliseconds, told in whole seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.div_ceil(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_data_and_a_sentence() {
        let cases = [
            (
                Reason::Demand { waiting: 40, in_flight: 8, due: 2, depth_per_replica: 20, asked: 3 },
                "40 waiting + 8 in flight + 2 due, at 20 a worker, ask for 3 workers",
                r#"{"reason":"Demand","waiting":40,"inFlight":8,"due":2,"depthPerReplica":20,"asked":3}"#,
            ),
            (
                Reason::Unknown { why: Unknown::TooOld { age_ms: 61_500 }, held: 1 },
                "the last observation is 62 s old, so all stays: 1 worker",
                r#"{"reason":"Unknown","why":"TooOld","ageMs":61500,"held":1}"#,
            ),
            (
                Reason::RollingOut,
                "no worker goes while a new revision is rolled out",
                r#"{"reason":"RollingOut"}"#,
            ),
        ];
        for (reason, sentence, json) in cases {
            assert_eq!(reason.to_string(), sentence);
            assert_eq!(serde_json::to_string(&reason).unwrap(), json);
            assert_eq!(serde_json::from_str::<Reason>(json).unwrap(), reason);
            assert!(json.contains(reason.code()));
        }
    }
}
