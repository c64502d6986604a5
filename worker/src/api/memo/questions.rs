//! The searches that were asked most, kept beside the ledger, so that an API that was started again finds their answers
//! before somebody asks. Questions alone: their answers are those of the documents as they are then. Of several APIs the
//! last one's word holds, as each is asked the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use docmill_core::id::TenantId;
use docmill_core::search::SearchRequest;
use serde::{Deserialize, Serialize};

use super::{LOOK_EVERY, LOOK_MAX, WARMED_FROM};
use crate::api::{Shared, search};

/// What they are told as.
const NAME: &str = "questions";
/// Searches that are kept.
const QUESTIONS_MAX: usize = 128;
/// Bytes of one of them; longer ones are not kept.
const QUESTION_BYTES_MAX: usize = 2 << 10;
/// Time between two times that they are kept.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// A search as it is kept.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Question {
    tenant: TenantId,
    request: SearchRequest,
    uses: u64,
}

/// Once the API is ready, lets the memo expect what was kept.
pub(super) async fn expect(api: &Shared) {
    while !api.ready.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let told = match tokio::time::timeout(LOOK_MAX, api.desk.told(NAME)).await {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => return tracing::debug!(%error, "what was asked most before is not known"),
        Err(_) => return tracing::debug!("what was asked most before is not told in time"),
    };
    for Question { tenant, request, uses } in told.map(|(text, _)| read(&text)).unwrap_or_default() {
        // What is asked now counts more.
        let uses = (uses / 2).max(WARMED_FROM);
        api.memo.expect(&tenant, search::key_of(&tenant, &request), request, uses);
    }
}

/// Keeps what is asked most, until it is dropped.
pub(super) async fn keep(api: &Shared) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        save(api).await;
    }
}

/// Keeps what was asked most so far. Where nothing was, what was kept before stays.
pub async fn save(api: &Shared) {
    let asked = api.memo.asked_most(QUESTIONS_MAX).into_iter();
    let questions: Vec<Question> =
        asked.map(|(tenant, request, uses)| Question { tenant, request, uses }).collect();
    let Some(text) = written(&questions) else { return };
    match tokio::time::timeout(LOOK_MAX, api.desk.tell(NAME, &text)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "what is asked most is not kept"),
        Err(_) => tracing::debug!("what is asked most is not kept in time"),
    }
}

/// A line each; none where there is nothing to keep.
fn written(questions: &[Question]) -> Option<String> {
    let lines = questions.iter().filter_map(|question| serde_json::to_string(question).ok());
    let lines: Vec<String> = lines.filter(|line| line.len() <= QUESTION_BYTES_MAX).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What may still be asked; what another version wrote, and this one does not know, is passed over.
fn read(text: &str) -> Vec<Question> {
    let questions = text.lines().take(QUESTIONS_MAX).filter_map(|line| serde_json::from_str(line).ok());
    questions.filter(|question: &Question| question.request.check().is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(query: &str) -> Question {
        Question { tenant: TenantId::default(), request: SearchRequest::new(query, 10), uses: 3 }
    }

    #[test]
    fn what_was_kept_is_read_back() {
        let kept = vec![question("one\n\0two"), question("three")];
        let text = written(&kept).unwrap();
        assert_eq!(read(&text), kept);
        assert!(!text.contains('\0'), "PostgreSQL takes none");
        assert_eq!(written(&[]), None);
        assert_eq!(written(&[question(&"x".repeat(QUESTION_BYTES_MAX))]), None, "too long");
        let strange = format!("{{\"of\": \"another version\"}}\nnothing\n{text}");
        assert_eq!(read(&strange), kept);
        assert!(read(&written(&[question(" ")]).unwrap()).is_empty(), "it may not be asked");
        let many: Vec<Question> = (0..QUESTIONS_MAX + 9).map(|n| question(&format!("q{n}"))).collect();
        assert_eq!(read(&written(&many).unwrap()).len(), QUESTIONS_MAX);
    }
}
