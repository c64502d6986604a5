//! Whether vanished documents may be removed. A look that proves nothing removes nothing.

use super::Sync;

/// From this many documents on, losing more than half is taken for a mistake.
const GUARDED_DOCUMENTS_MIN: usize = 20;

/// What a scan says of the documents under its paths.
#[derive(Debug, Clone)]
pub struct Vanished<'a> {
    /// Documents under the paths given now.
    pub known: usize,
    /// Of them, those that the scan did not see.
    pub vanished: usize,
    /// Why the scan proves nothing, if so.
    pub incomplete: Option<&'a str>,
}

/// What becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// They stay, counted as vanished.
    Keep,
    /// They are removed.
    Remove,
    /// They stay, and the run says why it refuses.
    Refuse(String),
}

/// Decides.
pub fn decide(sync: Sync, scan: &Vanished<'_>) -> Removal {
    if sync == Sync::Off {
        return Removal::Keep;
    }
    if let Some(reason) = scan.incomplete {
        return Removal::Refuse(format!("not everything could be looked at: {reason}"));
    }
    let most = scan.known >= GUARDED_DOCUMENTS_MIN && 2 * scan.vanished > scan.known;
    if most && sync != Sync::Force {
        return Removal::Refuse(format!(
            "{} of {} documents would be removed, more than half",
            scan.vanished, scan.known
        ));
    }
    Removal::Remove
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sure_look_removes() {
        let scan = |known, vanished, incomplete| Vanished { known, vanished, incomplete };
        let removes = |sync, scan: Vanished<'_>| decide(sync, &scan) == Removal::Remove;
        assert_eq!(decide(Sync::Off, &scan(9, 9, None)), Removal::Keep);
        assert!(removes(Sync::On, scan(19, 19, None)));
        assert!(removes(Sync::On, scan(20, 10, None)));
        assert!(!removes(Sync::On, scan(20, 11, None)));
        assert!(removes(Sync::Force, scan(20, 20, None)));
        assert!(!removes(Sync::Force, scan(20, 1, Some("denied"))));
    }
}
