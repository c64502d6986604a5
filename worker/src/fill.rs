//! Fills a store that lost rows: documents that lack some are done again, a bounded number at a time, pass
//! after pass until one finds nothing lacking. A document that is done again is prepared from its stored
//! texts and kept values where they are there, and only rows that lack are written. Searches go on meanwhile.
//!
//! Not done here: the work itself, which is the workers'. A dead letter is tried once and not waited for.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use docmill_core::delivery::State;
use docmill_core::id::{ChunkId, DocumentId, Epoch};

use crate::delivery::Error;
use crate::ledger::Ledger;
use crate::postgres::{Database, FillDocument, FillRow};
use crate::queue::Queue;
use crate::sink::Sink;

/// Documents that are looked at together; bounds the memory.
const PAGE: u32 = 100;
/// Chunks that a store is asked for at once.
const CHUNKS: usize = 2_000;
/// Documents that one look has done again.
const AGAIN_MAX: u64 = 500;
/// Documents of the tenant in the queue or in work for a second time from which on no more are added: new ones must
/// not wait behind old ones.
const WAITING_MAX: u64 = 1_000;
/// Longest time of one look, as other upkeep waits for it.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What is to become of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The store has all of it.
    Whole,
    /// It is done again.
    Lacks,
    /// It lacks rows, and whoever is at it writes them.
    OnItsWay,
    /// It lacks rows, was tried for this, and is a dead letter.
    GivenUp,
}

fn found(document: &FillDocument, lacks: bool, begun: Epoch) -> Found {
    match document.state {
        _ if !lacks => Found::Whole,
        State::Queued | State::Processing => Found::OnItsWay,
        State::Failed if document.epoch > begun => Found::GivenUp,
        State::Committed | State::Failed => Found::Lacks,
    }
}

/// Notes the document, and says whether it is to be done again.
fn note(fill: &mut FillRow, document: &FillDocument, lacks: bool) -> bool {
    let found = found(document, lacks, fill.begun);
    fill.after = document.arrived;
    fill.looked += 1;
    match found {
        Found::Whole => {}
        Found::GivenUp => fill.given_up += 1,
        Found::OnItsWay => fill.lacking += 1,
        Found::Lacks => {
            fill.lacking += 1;
            fill.again += 1;
        }
    }
    found == Found::Lacks
}

/// The end of a pass: the end of all where nothing lacked, else the beginning of the next.
fn end_of_pass(fill: &mut FillRow) {
    if fill.lacking == 0 {
        fill.ended = true;
        return;
    }
    (fill.after, fill.looked, fill.lacking, fill.given_up) = (0, 0, 0, 0);
}

/// Looks at the next documents of a fill, and has those done again that lack rows.
///
/// # Errors
/// Ledger, queue or store did not answer: the next look does the rest.
pub async fn look(
    database: &Database,
    ledger: &dyn Ledger,
    queue: &dyn Queue,
    sink: &dyn Sink,
    fill: FillRow,
) -> Result<(), Error> {
    if database.done_again(&fill.tenant).await? >= WAITING_MAX {
        return Ok(());
    }
    let (began, again_before) = (Instant::now(), fill.again);
    let mut now = fill;
    loop {
        let before = now.clone();
        let page = database.fill_page(&now, PAGE).await?;
        let lacking = lacking(sink, &page).await?;
        let mut messages = Vec::new();
        for document in &page {
            if note(&mut now, document, lacking.contains(&document.document)) {
                messages.extend(ledger.requeue(document.document).await?);
            }
        }
        queue.enqueue(&messages).await?;
        let at_end = page.len() < PAGE as usize;
        if at_end {
            end_of_pass(&mut now);
        }
        if !database.keep_fill(&before, &now).await? || at_end {
            if now.ended {
                let (tenant, store) = (&now.tenant, now.store.as_str());
                tracing::info!(%tenant, store, again = now.again, "the store has all rows again");
            }
            return Ok(());
        }
        if now.again - again_before >= AGAIN_MAX || began.elapsed() >= LOOK_MAX {
            return Ok(());
        }
    }
}

/// Those of the documents that the store lacks a row of.
async fn lacking(sink: &dyn Sink, page: &[FillDocument]) -> Result<BTreeSet<DocumentId>, Error> {
    let wanted: Vec<ChunkId> = page.iter().flat_map(|document| document.chunks.iter().copied()).collect();
    let mut absent: HashSet<ChunkId> = HashSet::new();
    for some in wanted.chunks(CHUNKS) {
        let held = sink.look_up(some).await?;
        absent.extend(some.iter().zip(held).filter(|(_, held)| held.is_none()).map(|(chunk, _)| *chunk));
    }
    let lacks = |document: &&FillDocument| document.chunks.iter().any(|chunk| absent.contains(chunk));
    Ok(page.iter().filter(lacks).map(|document| document.document).collect())
}

#[cfg(test)]
mod tests {
    use docmill_core::id::TenantId;
    use docmill_core::manifest::Store;

    use super::*;

    fn fill() -> FillRow {
        FillRow {
            tenant: TenantId::default(),
            store: Store::Graph,
            begun: Epoch(10),
            after: 0,
            looked: 0,
            lacking: 0,
            given_up: 0,
            again: 0,
            ended: false,
        }
    }

    fn document(arrived: u64, state: State, epoch: u64) -> FillDocument {
        let document = DocumentId::from_bytes([arrived as u8; 16]);
        FillDocument { arrived, document, state, epoch: Epoch(epoch), chunks: Vec::new() }
    }

    #[test]
    fn only_what_lacks_and_is_final_is_done_again() {
        let mut now = fill();
        let cases = [
            (document(1, State::Committed, 5), false, false),
            (document(2, State::Committed, 5), true, true),
            (document(3, State::Committed, 15), true, true),
            (document(4, State::Queued, 5), true, false),
            (document(5, State::Processing, 15), true, false),
            (document(6, State::Failed, 5), true, true),
            (document(7, State::Failed, 15), true, false),
        ];
        for (document, lacks, again) in &cases {
            assert_eq!(note(&mut now, document, *lacks), *again, "{document:?}");
        }
        assert_eq!((now.after, now.looked, now.lacking, now.given_up, now.again), (7, 7, 5, 1, 3));
        end_of_pass(&mut now);
        assert_eq!((now.ended, now.after, now.looked, now.lacking, now.again), (false, 0, 0, 0, 3));
    }

    #[test]
    fn a_pass_without_a_gap_is_the_last() {
        let mut now = fill();
        assert!(!note(&mut now, &document(1, State::Committed, 5), false));
        // What was tried and given up keeps nobody waiting.
        assert!(!note(&mut now, &document(2, State::Failed, 11), true));
        end_of_pass(&mut now);
        assert_eq!((now.ended, now.looked, now.given_up), (true, 2, 1));
    }
}
