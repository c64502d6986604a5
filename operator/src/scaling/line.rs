//! A line of a pipeline's observation stream, read into what scaling and status need of it.

use docmill_core::scale::Depth;
use serde::{Deserialize, Serialize};

/// Longest line, in bytes: a worker takes about 200 of them.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Most of a problem's text that is kept.
const PROBLEM_CHARS_MAX: usize = 300;

/// What makes a line useless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than any line is.
    #[error("a line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It is no observation.
    #[error("a line is no observation: {0}")]
    Malformed(String),
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// What is known.
    Line(Line),
    /// Why nothing is known, in the API's words.
    Problem(String),
}

/// What was known at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// The ledger's time, in milliseconds since the Unix epoch. Only differences mean anything here.
    pub at_ms: u64,
    /// All lanes together; absent where the queue did not answer for one of them.
    pub depth: Option<Depth>,
    /// Unsettled documents, as the ledger knows them.
    pub unsettled: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long the oldest unsettled document is there, in milliseconds; absent where there is none.
    pub oldest_age_ms: Option<u64>,
    /// Commits a second since the line before; absent in a stream's first.
    pub rate_per_s: Option<f64>,
    /// Workers that live.
    pub workers: Vec<LiveWorker>,
    /// What Neo4j has in force; absent while it does not answer, and where there is none.
    pub neo4j_memory: Option<GraphMemory>,
}

impl Line {
    /// Whether the other says the same about what is to be done. Times and rates differ in every line.
    pub fn is_like(&self, other: &Self) -> bool {
        let same_depth =
            self.depth == other.depth && self.unsettled == other.unsettled && self.dead == other.dead;
        let same_workers = self.workers.len() == other.workers.len()
            && self.workers.iter().zip(&other.workers).all(|(one, two)| one.is_like(two));
        same_depth && same_workers && self.neo4j_memory == other.neo4j_memory
    }

    /// Documents in work.
    pub fn busy(&self) -> u32 {
        self.workers.iter().fold(0, |sum, worker| sum.saturating_add(worker.busy))
    }
}

/// A worker that lives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveWorker {
    /// Its name: the pod's, and what tells its starts apart.
    pub name: String,
    /// Its pod.
    pub pod: String,
    /// Documents in work.
    pub busy: u32,
    /// It is ordered to take no new work.
    pub draining: bool,
    /// It is ordered to, and has none left.
    pub drained: bool,
    /// When it started, by the ledger's time.
    pub since_ms: u64,
    /// For how long it has been at its longest document, in milliseconds; absent where it has none.
    #[serde(default)]
    pub longest_document_ms: Option<u64>,
}

impl LiveWorker {
    fn is_like(&self, other: &Self) -> bool {
        let all = |worker: &Self| (worker.busy, worker.draining, worker.drained, worker.since_ms);
        all(self) == all(other) && self.name == other.name && self.pod == other.pod
    }
}

/// The memory that a Neo4j server has in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GraphMemory {
    /// Heap in force, in bytes; absent where it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_bytes: Option<u64>,
    /// Heap as it is set, in bytes; absent where it is not set or cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_set_bytes: Option<u64>,
    /// Page cache as it is set, in bytes; absent where it is not set or cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_cache_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    at_ms: u64,
    queue_reachable: bool,
    lanes: Vec<WireLane>,
    #[serde(default)]
    rate_per_s: Option<f64>,
    workers: Vec<LiveWorker>,
    #[serde(default)]
    neo4j_memory: Option<GraphMemory>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLane {
    #[serde(default)]
    waiting: Option<u64>,
    #[serde(default)]
    in_flight: Option<u64>,
    #[serde(default)]
    due: Option<u64>,
    unsettled: u64,
    dead: u64,
    #[serde(default)]
    oldest_age_ms: Option<u64>,
}

#[derive(Deserialize)]
struct WireProblem {
    problem: serde_json::Value,
}

/// Reads a line, without what ends it. What a newer API adds is not looked at.
///
/// # Errors
/// It is too long, or no observation.
pub fn read(text: &[u8]) -> Result<Said, Error> {
    if text.len() > LINE_BYTES_MAX {
        return Err(Error::TooLong);
    }
    let error = match serde_json::from_slice::<Wire>(text) {
        Ok(wire) => return Ok(Said::Line(wire.into())),
        Err(error) => error,
    };
    match serde_json::from_slice::<WireProblem>(text) {
        Ok(WireProblem { problem }) => Ok(Said::Problem(words(&problem))),
        Err(_) => Err(Error::Malformed(error.to_string())),
    }
}

impl From<Wire> for Line {
    fn from(wire: Wire) -> Self {
        let mut line = Self {
            at_ms: wire.at_ms,
            depth: None,
            unsettled: 0,
            dead: 0,
            oldest_age_ms: None,
            rate_per_s: wire.rate_per_s.filter(|rate| rate.is_finite() && *rate >= 0.0),
            workers: wire.workers,
            neo4j_memory: wire.neo4j_memory,
        };
        // No lane at all is nothing known, not nothing there.
        let mut depth = (wire.queue_reachable && !wire.lanes.is_empty()).then(Depth::default);
        for lane in &wire.lanes {
            depth = depth.and_then(|sum| {
                Some(Depth {
                    waiting: sum.waiting.saturating_add(lane.waiting?),
                    in_flight: sum.in_flight.saturating_add(lane.in_flight?),
                    due: sum.due.saturating_add(lane.due?),
                })
            });
            line.unsettled = line.unsettled.saturating_add(lane.unsettled);
            line.dead = line.dead.saturating_add(lane.dead);
            line.oldest_age_ms = line.oldest_age_ms.max(lane.oldest_age_ms);
        }
        line.depth = depth;
        line
    }
}

/// A problem of the API, in its words.
fn words(problem: &serde_json::Value) -> String {
    let named = ["detail", "title", "code"].iter().find_map(|field| problem.get(field)?.as_str());
    let text = named.or_else(|| problem.as_str()).map_or_else(|| problem.to_string(), str::to_owned);
    text.chars().take(PROBLEM_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn observation() -> serde_json::Value {
        json!({
            "atMs": 5_000, "queueReachable": true,
            "lanes": [
                {"lane": "small", "waiting": 7, "inFlight": 2, "delayed": 9, "due": 1, "unsettled": 19, "dead": 1,
                 "oldestAgeMs": 10},
                {"lane": "large", "waiting": 3, "inFlight": 1, "delayed": 0, "due": 0, "unsettled": 4, "dead": 2},
            ],
            "ratePerS": 1.5,
            "workers": [{"name": "w-1.x", "pod": "w-1", "busy": 3, "draining": true, "drained": false,
                         "sinceMs": 1_000, "longestDocumentMs": 50}],
            "neo4jMemory": {"heapBytes": 1_024},
            "added": "by a newer one",
        })
    }

    fn line(value: &serde_json::Value) -> Line {
        match read(value.to_string().as_bytes()).unwrap() {
            Said::Line(line) => line,
            Said::Problem(problem) => panic!("{problem}"),
        }
    }

    #[test]
    fn lanes_are_summed() {
        let line = line(&observation());
        assert_eq!(line.depth, Some(Depth { waiting: 10, in_flight: 3, due: 1 }));
        assert_eq!((line.unsettled, line.dead, line.oldest_age_ms), (23, 3, Some(10)));
        assert_eq!((line.rate_per_s, line.busy(), line.at_ms), (Some(1.5), 3, 5_000));
        assert_eq!((line.workers[0].pod.as_str(), line.workers[0].draining), ("w-1", true));
        assert_eq!(line.neo4j_memory.and_then(|memory| memory.heap_bytes), Some(1_024));
    }

    #[test]
    fn unknown_is_never_zero() {
        let mut away = observation();
        away["queueReachable"] = false.into();
        assert_eq!(line(&away).depth, None);
        let mut half = observation();
        half["lanes"][1].as_object_mut().unwrap().remove("due");
        assert_eq!(line(&half).depth, None, "one lane is missing");
        assert_eq!(line(&half).unsettled, 23);
        let mut none = observation();
        none["lanes"] = json!([]);
        assert_eq!(line(&none).depth, None);
    }

    #[test]
    fn problems_and_nonsense() {
        let problem =
            br#"{"problem": {"code": "ledger_away", "title": "no", "detail": "the ledger is away"}}"#;
        assert_eq!(read(problem).unwrap(), Said::Problem("the ledger is away".into()));
        assert_eq!(read(br#"{"problem": [1]}"#).unwrap(), Said::Problem("[1]".into()));
        for nonsense in ["", "{}", "[]", "<html>", r#"{"atMs": -1}"#] {
            assert!(matches!(read(nonsense.as_bytes()), Err(Error::Malformed(_))), "{nonsense}");
        }
        assert_eq!(read(&vec![b' '; LINE_BYTES_MAX + 1]), Err(Error::TooLong));
    }

    #[test]
    fn times_do_not_make_another_line() {
        let (one, mut later) = (line(&observation()), observation());
        later["atMs"] = 6_000.into();
        later["ratePerS"] = 9.into();
        later["workers"][0]["longestDocumentMs"] = 77.into();
        assert!(one.is_like(&line(&later)));
        later["workers"][0]["drained"] = true.into();
        assert!(!one.is_like(&line(&later)));
    }
}
