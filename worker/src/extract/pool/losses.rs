//! What the end of a child leads to: a page that ended two children is lost, too many of them are the document's failure.
//! Decides; starts nothing and sends nothing.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use docmill_core::page::Page;

/// What is to be done after a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Another child begins at the same page.
    Again,
    /// This page stands for the lost one; another child goes on after it.
    Lose(Page),
    /// The document fails.
    GiveUp(Failure),
}

/// The ends of children over one document.
pub(super) struct Losses {
    /// Pages that may still be lost.
    left: u32,
    /// The first end at the page in work.
    at_page: Option<Failure>,
    /// What the first page was lost to.
    first: Option<Failure>,
}

impl Losses {
    /// Of a document of which earlier trials lost so many pages.
    pub fn new(limits: &Limits, lost_before: u32) -> Self {
        Self { left: limits.pages_lost_max.saturating_sub(lost_before), at_page: None, first: None }
    }

    /// What the first page was lost to.
    pub fn first(&self) -> Option<&Failure> {
        self.first.as_ref()
    }

    /// Decides after a child ended at a page. `is_apart`: those after it can be read without it.
    pub fn after(&mut self, failure: Failure, page: u32, is_apart: bool) -> Next {
        let failure = failure.at_page(page);
        if !may_be_the_page(failure.code) {
            return Next::GiveUp(failure);
        }
        let before = self.at_page.take().filter(|before| before.page == Some(page));
        if !is_apart {
            return Next::GiveUp(self.first.take().or(before).unwrap_or(failure));
        }
        let Some(before) = before else {
            // A child may die of what others do to the machine: that costs no page.
            self.at_page = Some(failure);
            return Next::Again;
        };
        if self.left == 0 {
            return Next::GiveUp(self.first.take().unwrap_or(before));
        }
        self.left -= 1;
        let lost = Page::lost(page, &before);
        self.first.get_or_insert(before);
        Next::Lose(lost)
    }
}

/// Whether one page may have ended the child. Who tried to get out gets no second child, on whatever page it was.
fn may_be_the_page(code: FailureCode) -> bool {
    use FailureCode::{ExtractorDied, LimitCpu, LimitMemory, LimitTime};
    matches!(code, ExtractorDied | LimitCpu | LimitMemory | LimitTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died(detail: &str) -> Failure {
        Failure::new(FailureCode::ExtractorDied, detail).with_stderr("last words")
    }

    fn losses(max: u32, lost_before: u32) -> Losses {
        Losses::new(&Limits { pages_lost_max: max, ..Limits::default() }, lost_before)
    }

    #[test]
    fn a_page_is_lost_when_it_ended_two_children() {
        let mut losses = losses(1, 0);
        assert_eq!(losses.after(died("one"), 5, true), Next::Again);
        assert_eq!(losses.after(died("other"), 5, true), Next::Lose(Page::lost(5, &died("one"))));
        assert_eq!(losses.first(), Some(&died("one").at_page(5)));
    }

    #[test]
    fn ends_at_different_pages_lose_none() {
        let mut losses = losses(1, 0);
        for page in [5, 6, 9] {
            assert_eq!(losses.after(died("once"), page, true), Next::Again);
        }
        assert_eq!(losses.first(), None);
    }

    #[test]
    fn too_many_are_the_failure_of_the_first() {
        let mut losses = losses(2, 0);
        for page in [2, 3] {
            assert_eq!(losses.after(died(&format!("at {page}")), page, true), Next::Again);
            let lost = losses.after(died("again"), page, true);
            assert_eq!(lost, Next::Lose(Page::lost(page, &died(&format!("at {page}")))));
        }
        assert_eq!(losses.after(died("at 4"), 4, true), Next::Again);
        let given_up = losses.after(died("again"), 4, true);
        assert_eq!(given_up, Next::GiveUp(died("at 2").at_page(2)));
    }

    #[test]
    fn losses_of_earlier_trials_count() {
        let mut losses = losses(2, 2);
        assert_eq!(losses.after(died("at 7"), 7, true), Next::Again);
        assert_eq!(losses.after(died("again"), 7, true), Next::GiveUp(died("at 7").at_page(7)));
    }

    #[test]
    fn without_pages_apart_the_document_fails_at_once() {
        assert_eq!(losses(3, 0).after(died("one"), 1, false), Next::GiveUp(died("one").at_page(1)));
        // The second child did not get as far as to say what it reads.
        let mut losses = losses(3, 0);
        assert_eq!(losses.after(died("one"), 4, true), Next::Again);
        assert_eq!(losses.after(died("other"), 4, false), Next::GiveUp(died("one").at_page(4)));
    }

    #[test]
    fn who_tried_to_get_out_gets_no_second_child() {
        for code in [FailureCode::SandboxViolation, FailureCode::LimitOutput] {
            let failure = Failure::new(code, "signal");
            assert_eq!(losses(3, 0).after(failure.clone(), 2, true), Next::GiveUp(failure.at_page(2)));
        }
    }
}
