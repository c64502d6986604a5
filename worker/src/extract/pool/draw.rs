//! One page drawn by a child, within a time of its own. Nothing of it is tried twice: somebody waits for it.

use std::fs::File;
use std::io;
use std::time::Duration;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;

use super::judge::is_an_extractors;
use super::{Pool, internal, opened_again};
use crate::extract::draw::{Answer, Drawn, Wanted};
use crate::extract::frame::Request;
use crate::extract::process::classify_death;

/// A page that is to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    /// The document, open.
    pub file: &'a File,
    /// Its name, by which messages speak of it.
    pub name: &'a str,
    /// The page, from 1.
    pub page: u32,
    /// Longest side of the picture, in pixels.
    pub side_max: u32,
    /// Longest time that it may take once it is begun.
    pub deadline: Duration,
}

impl Pool {
    /// Draws a page, once a slot is free. A child that takes longer than it may is killed, and so is it where the future is
    /// dropped.
    ///
    /// # Errors
    /// The page cannot be drawn; with [`FailureCode::LimitTime`] not in that time.
    pub async fn draw(&self, tenant: &TenantId, drawing: &Drawing<'_>) -> Result<Drawn, Failure> {
        let slot = self.slots.acquire().await;
        let _slot = slot.map_err(|error| internal(&error))?;
        let file = opened_again(drawing.file).map_err(|error| internal(&error))?;
        let wanted = Wanted { page: drawing.page, side_max: drawing.side_max };
        let request = Request {
            name: drawing.name.to_owned(),
            resume_from_page: drawing.page,
            last_page: drawing.page,
            lost: Vec::new(),
            kind: None,
            draw: Some(wanted),
        };
        let mut guard = self.ask(tenant, &request, &file).await?;
        let answer = tokio::time::timeout(drawing.deadline, guard.extractor()?.drawn()).await;
        let wrong = match answer {
            Ok(Ok(Some(answer))) => match judged(answer, wanted) {
                Ok(answer) => {
                    guard.give_back();
                    return answer;
                }
                Err(said) => format!("the extractor said {said}"),
            },
            Ok(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                format!("the extractor's answer makes no sense: {error}")
            }
            // It may have died in the middle of the picture.
            Ok(Ok(None) | Err(_)) => {
                let (status, stderr) = guard.into_extractor()?.end().await;
                return Err(classify_death(status, &stderr).at_page(drawing.page));
            }
            Err(_) => {
                let stderr = guard.into_extractor()?.kill().await;
                let detail = format!("the page was not drawn within {} ms", drawing.deadline.as_millis());
                let failure = Failure::new(FailureCode::LimitTime, detail);
                return Err(failure.with_stderr(&stderr).at_page(drawing.page));
            }
        };
        let stderr = guard.into_extractor()?.kill().await;
        Err(Failure::new(FailureCode::SandboxViolation, wrong).with_stderr(&stderr).at_page(drawing.page))
    }
}

/// The answer as it is to be understood: a child that was taken over gets no further than a wrong picture.
fn judged(answer: Answer, wanted: Wanted) -> Result<Answer, String> {
    match answer {
        Ok(drawn) if drawn.width > wanted.side_max || drawn.height > wanted.side_max => {
            Err(format!("a picture of {} x {} pixels", drawn.width, drawn.height))
        }
        Ok(drawn) => Ok(Ok(drawn)),
        Err(failure) if !is_an_extractors(failure.code) => {
            Err(format!("the failure {}, which is not its to tell", failure.code.as_str()))
        }
        Err(failure) => Ok(Err(Failure::new(failure.code, &failure.detail).at_page(wanted.page))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_none_of_ours_would_say_is_refused() {
        let wanted = Wanted { page: 2, side_max: 100 };
        let drawn = |width, height| Ok(Drawn { width, height, png: Vec::new() });
        assert!(judged(drawn(100, 70), wanted).unwrap().is_ok());
        assert!(judged(drawn(70, 101), wanted).unwrap_err().contains("70 x 101"));
        // As it comes from a child: nobody has cleaned it.
        let failed = |code| Err(Failure { detail: "\u{1b}[31mred".to_owned(), ..Failure::new(code, "") });
        let told = judged(failed(FailureCode::Encrypted), wanted).unwrap().unwrap_err();
        assert!(!told.detail.contains('\u{1b}') && told.page == Some(2), "{told:?}");
        assert!(judged(failed(FailureCode::StoreFailed), wanted).unwrap_err().contains("not its to tell"));
    }
}
