//! The memory that extractors, and texts that need none, may take together. Promises it before it is taken; measures
//! nothing.

use std::sync::Arc;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use docmill_core::sizing::shares::{self, Shares, least_extractor_mib};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A text takes so many times its bytes while it is read: as it stands, decoded, with other ends of lines, and as blocks.
const TEXT_TIMES: u64 = 4;

/// Room for texts where nobody knows how much memory there is, in MiB.
const TEXTS_MIB_UNKNOWN: u64 = 1_024;

/// Shares this memory. Says where fewer extractors work than were asked for.
pub(super) fn share(memory_mib: Option<u64>, slots: usize, limits: &Limits) -> (Shares, Option<String>) {
    let (asked, most) = (u32::try_from(slots).unwrap_or(u32::MAX).max(1), limits.extractor_mib);
    let Some(memory_mib) = memory_mib else {
        let unknown = Shares { extractors: asked, extractor_mib: most, texts_mib: TEXTS_MIB_UNKNOWN };
        return (unknown, None);
    };
    let found = shares::shares(memory_mib, asked, most);
    let (own, least) = (shares::OWN_MIB, least_extractor_mib(most));
    let said = if memory_mib < own + least {
        Some(format!(
            "there are {memory_mib} MiB of memory, less than the {} for one extractor: give more, or it may be ended \
             without a word",
            own + least
        ))
    } else if found.extractors < asked {
        Some(format!(
            "{} of {asked} extractors work at once: of {memory_mib} MiB of memory {own} are for what is not theirs, and \
             each needs {least}",
            found.extractors
        ))
    } else {
        None
    };
    (found, said)
}

/// Memory for texts that are read in this process.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    mib: u32,
    room: Arc<Semaphore>,
}

impl Texts {
    /// So much, in MiB.
    pub fn new(mib: u64) -> Self {
        let mib = u32::try_from(mib).unwrap_or(u32::MAX);
        Self { mib, room: Arc::new(Semaphore::new(mib as usize)) }
    }

    /// What a text takes, once it is free; it is free again when the answer is dropped.
    ///
    /// # Errors
    /// It never will be.
    pub async fn take(&self, name: &str, bytes: u64) -> Result<OwnedSemaphorePermit, Failure> {
        let needed = bytes.saturating_mul(TEXT_TIMES).div_ceil(1 << 20).max(1);
        let permits = u32::try_from(needed).ok().filter(|needed| *needed <= self.mib);
        let Some(permits) = permits else {
            let there = u64::from(self.mib) << 20;
            let detail = format!(
                "{name} has {bytes} bytes and takes {} to be read, {there} are there for texts",
                needed << 20
            );
            return Err(Failure::new(FailureCode::LimitMemory, detail));
        };
        let taken = self.room.clone().acquire_many_owned(permits).await;
        taken.map_err(|_| Failure::new(FailureCode::Internal, "the room for texts was closed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_fewer_extractors_is_told() {
        let limits = Limits::default();
        let (found, said) = share(Some(2_048), 4, &limits);
        assert_eq!((found.extractors, found.extractor_mib), (3, 512));
        assert!(said.unwrap().starts_with("3 of 4 extractors work at once: of 2048 MiB"));
        assert_eq!(share(Some(3_072), 4, &limits).1, None);
        assert_eq!(share(None, 4, &limits).0.extractor_mib, limits.extractor_mib);
        let (found, said) = share(Some(700), 1, &limits);
        assert_eq!(found.extractors, 1);
        assert!(said.unwrap().contains("700 MiB of memory, less than the 1024"));
    }

    #[tokio::test]
    async fn a_text_waits_for_room_and_one_that_never_fits_is_refused_with_its_bytes() {
        let texts = Texts::new(8);
        let held = texts.take("a.txt", 1 << 20).await.unwrap();
        assert_eq!(held.num_permits(), 4);
        let small = texts.take("b.txt", 1).await.unwrap();
        assert_eq!(small.num_permits(), 1);
        let waits = texts.take("c.txt", 1 << 20);
        let mut waits = std::pin::pin!(waits);
        assert!(futures::poll!(waits.as_mut()).is_pending());
        drop(held);
        assert!(futures::poll!(waits.as_mut()).is_ready());
        let refused = texts.take("d.txt", 3 << 20).await.unwrap_err();
        assert_eq!(refused.code, FailureCode::LimitMemory);
        assert_eq!(
            refused.detail,
            "d.txt has 3145728 bytes and takes 12582912 to be read, 8388608 are there for texts"
        );
    }
}
