//! What came of it, and where it falls short.

use crate::cluster::sandbox::InPod;

/// Fewest attempts of extractors to get out.
const TRIED_MIN: u64 = 25;
/// The user of docmill's image.
const USER: u64 = 10_001;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Documents that were taken in.
    pub documents: u64,
    /// Documents that PostgreSQL has as committed.
    pub committed: u64,
    /// Most workers that were asked for.
    pub max_workers: u32,
    /// Workers went while there was work.
    pub lowered_under_load: bool,
    /// What came of the attempts of extractors to get out.
    pub sandbox: InPod,
    /// How often a document was taken up that had been taken up before.
    pub interrupted: u64,
    /// No worker was left when nothing was to do.
    pub back_to_zero: bool,
    /// A document after that brought one back.
    pub came_back: bool,
    /// What the audit found.
    pub verify: u64,
    /// Chunks that the ledger expects, and that PostgreSQL has.
    pub chunks_expected: u64,
    /// See `chunks_expected`.
    pub chunks: u64,
    /// Chunks that the ledger expects in the graph, and that Neo4j has.
    pub graph_expected: u64,
    /// See `graph_expected`.
    pub graph: u64,
    /// Concepts that Neo4j has.
    pub concepts: u64,
    /// Volumes were the same before and after the pipeline was deleted.
    pub volumes_stay: bool,
    /// Documents that the same pipeline found when it was applied again.
    pub found_again: u64,
    /// Namespaces and docmill went without anything that hung.
    pub all_gone: bool,
    /// How long all of it took.
    pub seconds: u64,
}

impl Outcome {
    /// The closing line.
    pub fn line(&self) -> String {
        format!(
            "cluster_e2e: documents={} committed={} max_workers={} lowered_under_load={} interrupted={} \
             escapes_tried={} escaped={} landlock_abi={} back_to_zero={} came_back={} verify={} chunks={} \
             graph_chunks={} concepts={} found_again={} all_gone={} seconds={}",
            self.documents,
            self.committed,
            self.max_workers,
            u8::from(self.lowered_under_load),
            self.interrupted,
            self.sandbox.tried,
            self.sandbox.escaped.len(),
            self.sandbox.landlock_abi,
            u8::from(self.back_to_zero),
            u8::from(self.came_back),
            self.verify,
            self.chunks,
            self.graph,
            self.concepts,
            self.found_again,
            u8::from(self.all_gone),
            self.seconds,
        )
    }

    /// Where it falls short; nothing where it does not.
    pub fn short(&self) -> Vec<String> {
        let checks = [
            (self.committed == self.documents && self.documents > 0, "not all documents are committed"),
            (self.max_workers > 1, "workers did not scale up"),
            (self.lowered_under_load, "no workers went under load"),
            (self.interrupted == 0, "documents were interrupted"),
            (self.sandbox.tried >= TRIED_MIN && self.sandbox.escaped.is_empty(), "extractors got out"),
            (self.sandbox.landlock_abi > 0 && self.sandbox.seccomp, "extractors are not held in a pod"),
            (self.sandbox.user == USER, "extractors were tried as another user"),
            (self.back_to_zero, "workers were left when idle"),
            (self.came_back, "no worker came back"),
            (self.verify == 0, "the audit found something"),
            (
                self.chunks == self.chunks_expected && self.chunks > 0,
                "PostgreSQL has other chunks than the ledger",
            ),
            (self.graph == self.graph_expected && self.graph > 0, "Neo4j has other chunks than the ledger"),
            (self.concepts > 0, "Neo4j has no concepts"),
            (self.volumes_stay, "volumes did not stay"),
            (self.found_again == self.documents, "documents were not found again"),
            (self.all_gone, "something is left"),
        ];
        checks.into_iter().filter(|(is_so, _)| !is_so).map(|(_, short)| short.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        Outcome {
            documents: 213,
            committed: 213,
            max_workers: 4,
            lowered_under_load: true,
            sandbox: InPod { tried: 43, escaped: Vec::new(), landlock_abi: 7, seccomp: true, user: 10_001 },
            back_to_zero: true,
            came_back: true,
            chunks_expected: 900,
            chunks: 900,
            graph_expected: 880,
            graph: 880,
            concepts: 70,
            volumes_stay: true,
            found_again: 213,
            all_gone: true,
            seconds: 300,
            ..Outcome::default()
        }
    }

    #[test]
    fn what_is_good_is_not_short() {
        assert_eq!(good().short(), [""; 0]);
        assert!(good().line().starts_with("cluster_e2e: documents=213 committed=213 max_workers=4 "));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut bad = Outcome { interrupted: 1, graph: 879, ..good() };
        bad.sandbox.escaped.push("start a program".to_owned());
        let short =
            ["documents were interrupted", "extractors got out", "Neo4j has other chunks than the ledger"];
        assert_eq!(bad.short(), short);
        assert!(Outcome::default().short().len() > 9);
    }
}
