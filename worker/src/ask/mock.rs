//! Answers without a model, word by word: for measurements, and for trying a client.

use std::time::Duration;

use async_trait::async_trait;
use docmill_core::ask::mock_answer;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::model::{Chat, ChatModel, Delta, ModelError};
use super::{LENGTH, STOP};

/// Says the same number of words to every question.
#[derive(Debug, Clone, Copy)]
pub struct MockModel {
    /// Wait before each word.
    pub delay: Duration,
}

#[async_trait]
impl ChatModel for MockModel {
    fn name(&self) -> &str {
        "mock"
    }

    async fn stream(
        &self,
        chat: Chat,
    ) -> Result<BoxStream<'static, Result<Delta, ModelError>>, ModelError> {
        let delay = self.delay;
        let mut words = mock_answer(&chat.question);
        // A word counts as a token.
        let most = usize::try_from(chat.max_tokens).unwrap_or(usize::MAX);
        let finish = if words.len() > most { LENGTH } else { STOP };
        words.truncate(most);
        let end = Delta::End {
            finish: finish.to_owned(),
            input_tokens: None,
            output_tokens: Some(words.len() as u64),
        };
        let words = stream::iter(words).then(move |word| async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            Delta::Text(word)
        });
        Ok(words.chain(stream::iter([end])).map(Ok).boxed())
    }
}
