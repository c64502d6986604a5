//! What came of a run, and where it falls short.

/// Most memory of a reader with its child, in MiB: the address space of a child, and what a worker needs beside it.
pub const MEMORY_MIB_MAX: f64 = 2_048.0 + 512.0;

/// Differences that are printed; more say the same.
const SHOWN: usize = 200;

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Files that were read.
    pub files: usize,
    /// Files of which something else came than what is expected, a line each.
    pub wrong: Vec<String>,
    /// Files that took longer than any may.
    pub hangs: usize,
    /// Ends of the process that reads: what a worker would have to be restarted for.
    pub restarts: usize,
    /// Files that were read without a text, and nothing says so.
    pub silent_empty: usize,
    /// Connections to the address that files name.
    pub connections: u64,
    /// Files that ended a child: it is there for that.
    pub child_ends: usize,
    /// Healthy documents that were read in between.
    pub healthy: usize,
    /// Most memory of one reader with its child, in MiB.
    pub peak_mib: f64,
}

impl Outcome {
    /// Adds what another reader counted.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.wrong.extend(other.wrong);
        self.hangs += other.hangs;
        self.restarts += other.restarts;
        self.silent_empty += other.silent_empty;
        self.connections += other.connections;
        self.child_ends += other.child_ends;
        self.healthy += other.healthy;
        self.peak_mib = self.peak_mib.max(other.peak_mib);
    }

    /// What is not judged.
    pub fn beside(&self) -> String {
        let Self { child_ends, healthy, peak_mib, .. } = self;
        format!("child_ends={child_ends} healthy={healthy} peak_rss_mib={peak_mib:.0}")
    }

    /// The closing line.
    pub fn line(&self) -> String {
        let Self { files, hangs, restarts, silent_empty, connections, .. } = self;
        format!(
            "hostile: files={files} wrong_class={} hangs={hangs} restarts={restarts} silent_empty={silent_empty} \
             connections={connections}",
            self.wrong.len()
        )
    }

    /// What is wrong, a line each.
    pub fn differences(&self) -> String {
        let shown = self.wrong.iter().take(SHOWN).map(|wrong| format!("{wrong}\n"));
        let more = self.wrong.len().saturating_sub(SHOWN);
        let more = (more > 0).then(|| format!("and {more} more\n"));
        shown.chain(more).collect()
    }

    /// Where it falls short; nothing where it does not.
    pub fn short(&self) -> Vec<&'static str> {
        let checks = [
            (self.files > 0, "no file was read"),
            (self.wrong.is_empty(), "files have other classes than expected"),
            (self.hangs == 0, "files took longer than allowed"),
            (self.restarts == 0, "files ended the process that reads them"),
            (self.silent_empty == 0, "files were read without a text, and nothing says so"),
            (self.connections == 0, "something was fetched"),
            (self.peak_mib <= MEMORY_MIB_MAX, "too much memory was needed"),
        ];
        checks.into_iter().filter(|(is_so, _)| !is_so).map(|(_, short)| short).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_files_falls_short() {
        let good = Outcome { files: 1, peak_mib: 500.0, ..Outcome::default() };
        assert_eq!(good.short(), [""; 0]);
        assert_eq!(
            good.line(),
            "hostile: files=1 wrong_class=0 hangs=0 restarts=0 silent_empty=0 connections=0"
        );
        let bad = [
            Outcome::default(),
            Outcome { wrong: vec!["a".to_owned()], ..good.clone() },
            Outcome { hangs: 1, ..good.clone() },
            Outcome { restarts: 1, ..good.clone() },
            Outcome { silent_empty: 1, ..good.clone() },
            Outcome { connections: 1, ..good.clone() },
            Outcome { peak_mib: 4_000.0, ..good.clone() },
        ];
        for bad in &bad {
            assert_eq!(bad.short().len(), 1, "{bad:?}");
        }
        let mut sum = good.clone();
        sum.add(bad[1].clone());
        assert_eq!((sum.files, sum.wrong.len(), sum.peak_mib), (2, 1, 500.0));
    }
}
