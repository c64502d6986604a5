//! A model for tests: the mock, with something that is done to the texts of each call first.

use async_trait::async_trait;

use super::{Embedding, EmbeddingModel, Error, Mock};

/// See the module.
pub(crate) struct Double<F> {
    mock: Mock,
    before: F,
}

impl<F> Double<F>
where
    F: Fn(&mut Vec<String>) -> Result<(), Error> + Send + Sync,
{
    /// One that does this first, which may look on, change the texts, fail or panic.
    pub(crate) fn new(before: F) -> Self {
        Self { mock: Mock::new(), before }
    }
}

#[async_trait]
impl<F> EmbeddingModel for Double<F>
where
    F: Fn(&mut Vec<String>) -> Result<(), Error> + Send + Sync,
{
    fn fingerprint(&self) -> &str {
        self.mock.fingerprint()
    }

    fn dimensions(&self) -> usize {
        self.mock.dimensions()
    }

    fn declares(&self, language: &str) -> bool {
        self.mock.declares(language)
    }

    async fn embed(&self, mut texts: Vec<String>) -> Result<Vec<Embedding>, Error> {
        (self.before)(&mut texts)?;
        self.mock.embed(texts).await
    }
}
