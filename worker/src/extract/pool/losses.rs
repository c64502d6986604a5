//! What the end of a child leads to: a page that ended two children is lost, too many of them are the document's failure.
//! Where documents lie in the document and the page alone is left out in vain, so is all that it is the beginning of.
//! Decides; starts nothing and sends nothing.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use docmill_core::page::Page;

use crate::extract::format::Apart;

/// What is to be done after a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Another child begins at the same page.
    Again,
    /// Another child begins at the same page and sends this one in its place.
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
    /// What children are to leave out.
    lost: Vec<Page>,
}

impl Losses {
    /// Of a document of which earlier trials lost these pages.
    pub fn new(limits: &Limits, lost: Vec<Page>) -> Self {
        let before = u32::try_from(lost.len()).unwrap_or(u32::MAX);
        Self { left: limits.pages_lost_max.saturating_sub(before), at_page: None, first: None, lost }
    }

    /// Pages that children are to send as they are here.
    pub fn lost(&self) -> &[Page] {
        &self.lost
    }

    /// What the first page was lost to.
    pub fn first(&self) -> Option<&Failure> {
        self.first.as_ref()
    }

    /// Decides after a child ended at a page of a document of which so much can be lost without the rest.
    pub fn after(&mut self, failure: Failure, page: u32, apart: Apart) -> Next {
        let failure = failure.at_page(page);
        if !may_be_the_page(failure.code) {
            return Next::GiveUp(failure);
        }
        let before = self.at_page.take().filter(|before| before.page == Some(page));
        if apart == Apart::Nothing {
            return Next::GiveUp(self.first.take().or(before).unwrap_or(failure));
        }
        let Some(before) = before else {
            // A child may die of what others do to the machine: that costs no page.
            self.at_page = Some(failure);
            return Next::Again;
        };
        let lost = match self.lost.last().filter(|lost| lost.number == page) {
            // It was left out, and a child ended all the same.
            Some(told) if apart == Apart::Pages || told.is_lost_part() => return Next::GiveUp(before),
            Some(_) => {
                self.lost.pop();
                Page::lost_part(page, &before)
            }
            None if self.left == 0 => return Next::GiveUp(self.first.take().unwrap_or(before)),
            None => {
                self.left -= 1;
                Page::lost(page, &before)
            }
        };
        self.lost.push(lost.clone());
        self.first.get_or_insert_with(|| before.clone());
        self.at_page = Some(before);
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
        let lost = (1..=lost_before).map(|page| Page::lost(page, &died("before"))).collect();
        Losses::new(&Limits { pages_lost_max: max, ..Limits::default() }, lost)
    }

    #[test]
    fn a_page_is_lost_when_it_ended_two_children() {
        let mut losses = losses(1, 0);
        assert_eq!(losses.after(died("one"), 5, Apart::Pages), Next::Again);
        let lost = Page::lost(5, &died("one"));
        assert_eq!(losses.after(died("other"), 5, Apart::Pages), Next::Lose(lost.clone()));
        assert_eq!(losses.first(), Some(&died("one").at_page(5)));
        assert_eq!(losses.lost(), [lost]);
    }

    #[test]
    fn a_page_that_is_left_out_in_vain_is_a_part_and_then_the_document() {
        for (apart, parts) in [(Apart::Pages, 0), (Apart::Documents, 1)] {
            let mut losses = losses(1, 0);
            assert_eq!(losses.after(died("one"), 5, apart), Next::Again);
            assert_eq!(losses.after(died("two"), 5, apart), Next::Lose(Page::lost(5, &died("one"))));
            for _ in 0..parts {
                let part = Page::lost_part(5, &died("one"));
                assert_eq!(losses.after(died("three"), 5, apart), Next::Lose(part.clone()));
                assert_eq!(losses.lost(), [part], "one page, one loss");
            }
            let given_up = losses.after(died("last"), 5, apart);
            assert_eq!(given_up, Next::GiveUp(died("one").at_page(5)));
        }
    }

    #[test]
    fn after_a_page_that_was_left_out_others_are_tried_again() {
        let mut losses = losses(2, 0);
        for page in [5, 7] {
            assert_eq!(losses.after(died("one"), page, Apart::Documents), Next::Again);
            let lost = Next::Lose(Page::lost(page, &died("one")));
            assert_eq!(losses.after(died("two"), page, Apart::Documents), lost);
        }
        assert_eq!(losses.lost().len(), 2);
    }

    #[test]
    fn ends_at_different_pages_lose_none() {
        let mut losses = losses(1, 0);
        for page in [5, 6, 9] {
            assert_eq!(losses.after(died("once"), page, Apart::Pages), Next::Again);
        }
        assert_eq!(losses.first(), None);
    }

    #[test]
    fn too_many_are_the_failure_of_the_first() {
        let mut losses = losses(2, 0);
        for page in [2, 3] {
            assert_eq!(losses.after(died(&format!("at {page}")), page, Apart::Pages), Next::Again);
            let lost = losses.after(died("again"), page, Apart::Pages);
            assert_eq!(lost, Next::Lose(Page::lost(page, &died(&format!("at {page}")))));
        }
        assert_eq!(losses.after(died("at 4"), 4, Apart::Pages), Next::Again);
        let given_up = losses.after(died("again"), 4, Apart::Pages);
        assert_eq!(given_up, Next::GiveUp(died("at 2").at_page(2)));
    }

    #[test]
    fn losses_of_earlier_trials_count() {
        let mut losses = losses(2, 2);
        assert_eq!(losses.after(died("at 7"), 7, Apart::Pages), Next::Again);
        let given_up = losses.after(died("again"), 7, Apart::Pages);
        assert_eq!(given_up, Next::GiveUp(died("at 7").at_page(7)));
    }

    #[test]
    fn without_pages_apart_the_document_fails_at_once() {
        let given_up = losses(3, 0).after(died("one"), 1, Apart::Nothing);
        assert_eq!(given_up, Next::GiveUp(died("one").at_page(1)));
        // The second child did not get as far as to say what it reads.
        let mut losses = losses(3, 0);
        assert_eq!(losses.after(died("one"), 4, Apart::Pages), Next::Again);
        let given_up = losses.after(died("other"), 4, Apart::Nothing);
        assert_eq!(given_up, Next::GiveUp(died("one").at_page(4)));
    }

    #[test]
    fn who_tried_to_get_out_gets_no_second_child() {
        for code in [FailureCode::SandboxViolation, FailureCode::LimitOutput] {
            let failure = Failure::new(code, "signal");
            let given_up = losses(3, 0).after(failure.clone(), 2, Apart::Documents);
            assert_eq!(given_up, Next::GiveUp(failure.at_page(2)));
        }
    }
}
