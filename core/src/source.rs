//! Where documents come from: what a look at a file says, and when that look proves it unchanged.

use serde::{Deserialize, Serialize};

/// What `stat` says of a file; times in nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub inode: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Last change of the content.
    pub mtime_ns: i64,
    /// Last change of content or inode.
    pub ctime_ns: i64,
}

/// A change so short after a look may share its time stamp: file systems round, clocks step.
pub const RACY_NS: i64 = 2_000_000_000;

impl FileStat {
    /// Whether the file is surely what it was when `before` was taken during the scan begun at
    /// `scanned_at_ns`. False means: hash it again.
    pub fn proves_unchanged(&self, before: &FileStat, scanned_at_ns: i64) -> bool {
        let youngest = self.mtime_ns.max(self.ctime_ns);
        self == before && youngest.saturating_add(RACY_NS) < scanned_at_ns
    }
}

/// A document that was looked for and is gone: a candidate for having moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone<D> {
    /// The document.
    pub document: D,
    /// Where it was.
    pub uri: String,
    /// What the last look at it said.
    pub stat: FileStat,
}

/// Which of the candidates (all with the new file's content hash) moved to the new file: the same
/// device and inode if there is one, else the lowest URI.
pub fn moved_from<'a, D>(candidates: &'a [Gone<D>], new: &FileStat) -> Option<&'a Gone<D>> {
    let same_inode = |gone: &&Gone<D>| gone.stat.dev == new.dev && gone.stat.inode == new.inode;
    let lowest = |gones: &mut dyn Iterator<Item = &'a Gone<D>>| gones.min_by(|a, b| a.uri.cmp(&b.uri));
    lowest(&mut candidates.iter().filter(same_inode)).or_else(|| lowest(&mut candidates.iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: FileStat = FileStat { dev: 1, inode: 2, bytes: 3, mtime_ns: 100, ctime_ns: 100 };

    #[test]
    fn only_an_old_and_equal_stat_proves_anything() {
        let later = 100 + RACY_NS + 1;
        assert!(STAT.proves_unchanged(&STAT, later));
        assert!(!STAT.proves_unchanged(&STAT, later - 1));
        assert!(!FileStat { ctime_ns: 101, ..STAT }.proves_unchanged(&STAT, later + 9));
        assert!(!FileStat { bytes: 4, ..STAT }.proves_unchanged(&STAT, later));
    }

    #[test]
    fn a_move_prefers_the_inode_then_the_lowest_uri() {
        let gone =
            |uri: &str, inode| Gone { document: (), uri: uri.into(), stat: FileStat { inode, ..STAT } };
        let candidates = [gone("c", 7), gone("b", 8), gone("a", 9)];
        let pick = |inode| moved_from(&candidates, &FileStat { inode, ..STAT }).unwrap().uri.as_str();
        assert_eq!(pick(8), "b");
        assert_eq!(pick(1), "a");
        assert!(moved_from::<()>(&[], &STAT).is_none());
    }
}
