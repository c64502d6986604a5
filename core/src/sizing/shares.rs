//! How the memory of a worker is shared: what its own process keeps, and what each extractor may take. The worker keeps
//! to it, and the operator writes what comes of it.

/// Memory of a worker that is no extractor's, in MiB: the model, what is in work, texts that are read without an extractor.
pub const OWN_MIB: u64 = 512;
/// Of it, what is kept for such texts, in MiB.
pub const TEXTS_MIB: u64 = 256;
/// Least address space of an extractor, in MiB.
pub const EXTRACTOR_MIB_MIN: u64 = 512;

/// Who gets how much. All of them together have no more than there is, unless there is not enough for one extractor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Extractors that work at once: as many as are wanted, or as there is room for, and always one.
    pub extractors: u32,
    /// Address space of each, in MiB.
    pub extractor_mib: u64,
    /// For texts that are read without an extractor, in MiB: what nobody else gets is theirs.
    pub texts_mib: u64,
}

/// Least address space of an extractor that may have at most so much, in MiB.
pub fn least_extractor_mib(extractor_mib_max: u64) -> u64 {
    EXTRACTOR_MIB_MIN.min(extractor_mib_max).max(1)
}

/// Shares this memory, in MiB, among so many extractors: fewer where it would be too little for each.
pub fn shares(memory_mib: u64, extractors: u32, extractor_mib_max: u64) -> Shares {
    let least = least_extractor_mib(extractor_mib_max);
    let left = memory_mib.saturating_sub(OWN_MIB);
    let room_for = u32::try_from(left / least).unwrap_or(u32::MAX);
    let extractors = room_for.min(extractors).max(1);
    let extractor_mib = (left / u64::from(extractors)).clamp(least, extractor_mib_max.max(least));
    let beside = left.saturating_sub(extractor_mib.saturating_mul(u64::from(extractors)));
    Shares { extractors, extractor_mib, texts_mib: TEXTS_MIB.saturating_add(beside) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_shares() {
        let of = |memory_mib, extractors| {
            let Shares { extractors, extractor_mib, texts_mib } = shares(memory_mib, extractors, 2_048);
            (extractors, extractor_mib, texts_mib)
        };
        assert_eq!(of(3_072, 4), (4, 640, 256));
        assert_eq!(of(2_048, 4), (3, 512, 256), "fewer in place of too little for each");
        // Four in 4 GB, as many bytes as the smallest node promises: 256 for the process itself, 3,300 for them, 258 for texts.
        assert_eq!(of(4_000_000_000 >> 20, 4), (4, 825, 258));
        assert_eq!(of(65_536, 1), (1, 2_048, 256 + 65_536 - 512 - 2_048));
        assert_eq!(of(8_192, 0), (1, 2_048, 256 + 8_192 - 512 - 2_048));
        assert_eq!(of(256, 4), (1, 512, 256), "one there is always");
        assert_eq!(shares(4_096, 2, 200).extractor_mib, 200, "never more than is allowed");
    }

    proptest! {
        #[test]
        fn shares_fit_what_there_is(
            memory_mib in OWN_MIB + EXTRACTOR_MIB_MIN..1 << 21,
            extractors in 0u32..600,
            most in 1u64..1 << 21,
        ) {
            let found = shares(memory_mib, extractors, most);
            let all = OWN_MIB - TEXTS_MIB
                + found.texts_mib
                + found.extractor_mib * u64::from(found.extractors);
            prop_assert!(all <= memory_mib, "{found:?}");
            prop_assert!(found.extractors >= 1 && found.extractors <= extractors.max(1));
            prop_assert!(found.extractor_mib >= least_extractor_mib(most));
            prop_assert!(found.extractor_mib <= most);
        }
    }
}
