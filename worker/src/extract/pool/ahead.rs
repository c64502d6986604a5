//! Pages that are read ahead of the one that is awaited, by children that would be idle: one document of many scans would
//! keep one core busy and leave the others. What a child reads ahead is a gift: where it ends before its time, whatever
//! the reason, the pages after that are read in their turn as if nobody had been ahead.

use std::ops::Range;

use docmill_core::page::Page;
use tokio::sync::{SemaphorePermit, mpsc};

use super::judge::Judge;
use super::{Guard, Pool};
use crate::extract::Event;
use crate::extract::frame::{Reply, Request};

/// Pages that one child reads ahead at most: they wait in memory.
const PAGES_MAX: u32 = 32;
/// For fewer no child is taken.
const PAGES_MIN: u32 = 2;
/// Bytes of text that may wait in memory of one child; one that finds more ends there.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// Pages that come from another child.
pub(super) struct Ahead {
    /// The first of them.
    pub first: u32,
    /// In their order; closed where it ends.
    pub pages: mpsc::Receiver<Page>,
}

/// What a child is to read ahead, and where its pages go.
pub(super) struct Task<'a> {
    _slot: SemaphorePermit<'a>,
    pages: Range<u32>,
    /// Pages that are to be left out.
    lost: Vec<Page>,
    sink: mpsc::Sender<Page>,
}

/// Where pages to be read ahead are handed over to whoever runs children.
pub(super) struct Helpers<'a> {
    pool: &'a Pool,
    tasks: mpsc::UnboundedSender<Task<'a>>,
}

impl<'a> Helpers<'a> {
    /// With the end at which what was handed over comes out.
    pub fn of(pool: &'a Pool) -> (Self, mpsc::UnboundedReceiver<Task<'a>>) {
        let (tasks, receiver) = mpsc::unbounded_channel();
        (Self { pool, tasks }, receiver)
    }

    /// Has idle children read ahead, while the page `next` of `count` is awaited. Gives what comes from them, in order;
    /// nothing where no child is idle. Documents that wait go first: while one does, no slot is free.
    pub fn read_ahead(&self, next: u32, count: u32, lost: &[Page]) -> Vec<Ahead> {
        let mut slots = Vec::new();
        while let Ok(slot) = self.pool.slots.try_acquire() {
            slots.push(slot);
        }
        let shares = shares(next, count, u32::try_from(slots.len()).unwrap_or(u32::MAX));
        let mut ahead = Vec::with_capacity(shares.len());
        for (pages, slot) in shares.into_iter().zip(slots) {
            let (sink, receiver) = mpsc::channel(PAGES_MAX as usize);
            let first = pages.start;
            let task = Task { _slot: slot, pages, lost: lost.to_vec(), sink };
            if self.tasks.send(task).is_ok() {
                ahead.push(Ahead { first, pages: receiver });
            }
        }
        ahead
    }
}

/// How the pages from `next` to `count` are divided: what this many others read, after what is left to the one that is at
/// work already.
fn shares(next: u32, count: u32, others: u32) -> Vec<Range<u32>> {
    let end = count.saturating_add(1);
    let each = end.saturating_sub(next).div_ceil(others.saturating_add(1)).min(PAGES_MAX);
    if each < PAGES_MIN {
        return Vec::new();
    }
    let first = |other: u32| next.saturating_add(each.saturating_mul(other)).min(end);
    (1..=others).map(|other| first(other)..first(other + 1)).filter(|pages| !pages.is_empty()).collect()
}

impl Pool {
    /// Reads what a task names, to its end or to the first thing that is not as it should be.
    pub(super) async fn go_ahead(&self, task: Task<'_>, mut guard: Guard<'_>, request: Request) {
        let Task { pages, sink, .. } = task;
        let mut judge = Judge::new(&self.options.limits, request.resume_from_page);
        let mut text_bytes = 0;
        loop {
            let Ok(extractor) = guard.extractor() else { return };
            let answer = tokio::time::timeout(self.options.limits.page_deadline(), extractor.next()).await;
            let Ok(Ok(Some(reply))) = answer else { return guard.kill().await };
            match judge.reply(reply) {
                Ok(Reply::Event(Event::Info(_))) => {}
                Ok(Reply::Event(Event::Page(page))) if pages.contains(&page.number) => {
                    text_bytes += page.text_bytes();
                    if text_bytes > TEXT_BYTES_MAX || sink.send(page).await.is_err() {
                        return guard.kill().await;
                    }
                }
                Ok(Reply::Event(Event::Done)) => return guard.give_back(),
                Ok(Reply::Event(Event::Page(_)) | Reply::Failed(_)) | Err(_) => return guard.kill().await,
            }
        }
    }

    /// What a child is asked that goes ahead.
    pub(super) fn request_ahead(request: &Request, task: &Task<'_>) -> Request {
        Request {
            resume_from_page: task.pages.start,
            last_page: task.pages.end.saturating_sub(1),
            lost: task.lost.clone(),
            ..request.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_divided_among_who_is_idle() {
        assert_eq!(shares(1, 15, 1), [9..16]);
        assert_eq!(shares(3, 14, 2), [7..11, 11..15]);
        // Somebody has to read the last ones, too, but not more at once than may wait.
        assert_eq!(shares(1, 1_000, 2), [33..65, 65..97]);
    }

    #[test]
    fn for_a_page_nobody_is_asked() {
        for (next, count, others) in [(1, 15, 0), (15, 15, 3), (14, 15, 3), (16, 15, 1), (1, 0, 1)] {
            assert_eq!(shares(next, count, others), [], "{next} {count} {others}");
        }
        assert_eq!(shares(13, 15, 1), [15..16]);
        assert_eq!(shares(u32::MAX, u32::MAX, 4), []);
    }
}
