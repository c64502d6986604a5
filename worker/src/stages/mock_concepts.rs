//! Concepts without a model, for load runs: equal texts have equal ones. Costs microseconds a text.

use std::sync::Arc;

use docmill_core::id::TextHash;

use crate::sink::MentionRow;

/// Concepts that texts share.
const HUBS: u64 = 50;
/// Concepts of a text that others mention too.
const HUBS_A_TEXT: usize = 2;
/// Concepts of a text that hardly any other mentions.
const OWN_A_TEXT: usize = 3;

/// Two of the hubs, and three of the text's own.
pub fn mentions(text: TextHash) -> Arc<[MentionRow]> {
    let part = |n: usize| {
        text.0.iter().skip(4 * n).take(4).fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let hubs = (0..HUBS_A_TEXT).map(|n| {
        // In halves, so that the two differ.
        let half = HUBS / HUBS_A_TEXT as u64;
        ("hub", n as u64 * half + part(n) % half)
    });
    let own = (0..OWN_A_TEXT).map(|n| ("own", part(HUBS_A_TEXT + n)));
    hubs.chain(own)
        .map(|(kind, number)| {
            let name = format!("{kind} {number:08x}");
            MentionRow { canonical_name: name.clone(), display: name, kind: "term", count: 1 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn texts_share_hubs_and_nothing_else() {
        let mut hubs = BTreeSet::new();
        let mut own = BTreeSet::new();
        for n in 0..1_000 {
            let mentions = mentions(TextHash::of(format!("text {n}").as_bytes()));
            let names: BTreeSet<String> = mentions.iter().map(|one| one.canonical_name.clone()).collect();
            assert_eq!(names.len(), 5);
            for name in names {
                if name.starts_with("hub") {
                    hubs.insert(name)
                } else {
                    own.insert(name)
                };
            }
        }
        assert_eq!((hubs.len(), own.len()), (50, 3_000));
    }
}
