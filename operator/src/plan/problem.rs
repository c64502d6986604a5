//! What is wrong with a pipeline, and the rules that say so. They need the catalogue or the cluster; rules that need
//! nothing but the resource are in its schema.

use docmill_core::sizing::{self, neo4j};

/// Something that is wrong with what was given: the rule, the field, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule's number in `docs/reference/validation.md`.
    pub rule: &'static str,
    /// The field, from `spec` on.
    pub path: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// What sizing says.
    pub(super) fn of_sizing(error: &sizing::Error) -> Self {
        match error {
            sizing::Error::Neo4j(error) => Self::of_neo4j(error),
            sizing::Error::DoesNotFit { .. } => Self {
                rule: "VP-10",
                path: "spec.instanceType",
                message: format!("{error}, or ask for less in resources"),
            },
        }
    }

    /// What is wrong with the memory of Neo4j.
    pub(super) fn of_neo4j(error: &neo4j::Error) -> Self {
        Self { rule: "VP-09", path: "spec.memory.neo4j", message: error.to_string() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.path, self.rule, self.message)
    }
}

/// A rule, for people: `docs/reference/validation.md` is written from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanRule {
    /// Its number. Numbers are never used again.
    pub id: &'static str,
    /// The fields that it is about.
    pub fields: &'static str,
    /// What it asks for.
    pub asks: &'static str,
    /// What to do.
    pub advice: &'static str,
}

const fn rule(
    id: &'static str,
    fields: &'static str,
    asks: &'static str,
    advice: &'static str,
) -> PlanRule {
    PlanRule { id, fields, asks, advice }
}

/// All rules.
pub const PLAN_RULES: &[PlanRule] = &[
    rule(
        "VP-01",
        "`spec.instanceType`",
        "The catalogue knows the type.",
        "Take one of the near names in the message, or give `spec.capacity` in its place.",
    ),
    rule(
        "VP-02",
        "`spec.capacity`",
        "`cpu` and `memory` of a node are above 0.",
        "Write what a node has, such as `\"16\"` and `32Gi`.",
    ),
    rule(
        "VP-03",
        "`spec.instanceType`, `spec.capacity`",
        "Without both, the cluster has a node that pods may run on.",
        "Give one of them. An operator for one namespace sees no nodes and always needs it.",
    ),
    rule(
        "VP-04",
        "`spec.autoscaling.*`, `spec.extract.limits.*Timeout`, `spec.ask.*`",
        "A time is one, and not too long to be counted.",
        "Write `300s`, `10m` or `1h30m`.",
    ),
    rule(
        "VP-05",
        "amounts of cores, memory, storage",
        "An amount is one, and not too large to be counted.",
        "Write `500m` or `2` for cores, `512Mi` or `2Gi` for memory and storage.",
    ),
    rule(
        "VP-06",
        "`…resources`",
        "Requests are not more than limits.",
        "Raise the limits or lower the requests.",
    ),
    rule("VP-07", "`…managed.storage`", "A volume has at least 64 MiB.", "Give more."),
    rule(
        "VP-08",
        "`spec.memory.neo4j`",
        "It is given only for a Neo4j that the operator runs.",
        "Remove it, and set the memory where your Neo4j is run.",
    ),
    rule(
        "VP-09",
        "`spec.memory.neo4j`",
        "Neo4j has 2 GiB at least, of which 512 MiB are left to the system; also where it gets what the node leaves.",
        "Give `total`, take a larger type of node, or keep the graph in PostgreSQL (`stores.graph.postgres: {}`).",
    ),
    rule(
        "VP-10",
        "`spec.instanceType`, `spec.capacity`, `…resources`",
        "One worker, the API pods and the managed stores fit a node.",
        "Take a larger type of node, or ask for less in `resources`.",
    ),
    rule(
        "VP-11",
        "`spec.extract.limits.maxFileMib`",
        "The largest file fits the scratch of a worker.",
        "Raise `spec.workers.scratch.tmpfs` or lower the limit.",
    ),
    rule(
        "VP-12",
        "`spec.workers.scratch.tmpfs`",
        "The scratch leaves 512 MiB of what a worker may take.",
        "Lower it, or raise `spec.workers.resources.limits.memory`.",
    ),
    rule(
        "VP-13",
        "`spec.extract.ocr.languages`",
        "The worker's image reads the languages.",
        "Take those in the message.",
    ),
    rule(
        "VP-14",
        "`spec.ask.model.url`",
        "It is an address with a host.",
        "Write `https://HOST[:PORT]/v1`, what clients call the base URL.",
    ),
    rule(
        "VP-15",
        "`spec.ask.model.name`",
        "It is a name: not of spaces alone, and without control characters.",
        "Take the one that the model's server lists.",
    ),
    rule(
        "VP-16",
        "`spec.classify.categories`",
        "A name has no spaces at its ends and no control characters; a text has more than spaces, up to 2048 bytes, and of control characters lines and tabs alone.",
        "Correct what the message names.",
    ),
    rule(
        "VP-17",
        "`spec.classify.categories`",
        "All of them have 512 KiB at most, as JSON: a ConfigMap holds them.",
        "Leave examples out, or shorten them.",
    ),
];
