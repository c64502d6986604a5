//! Words answer where there is no vector of the query.

use docmill_core::index::IndexSpec;

use super::query::Embedded;
use super::{Error, QueryEmbedder};

/// The query as a vector of this index, or why there is none; and whether the same query may have one soon, as the model
/// failed or cannot be had for now. A language that the model does not know stays unknown.
pub async fn vector_or_words(
    embedder: &QueryEmbedder,
    spec: &IndexSpec,
    query: &str,
) -> (Result<Vec<f32>, String>, bool) {
    match or_words(embedder.query(spec, query).await) {
        (Err(why), false) => {
            let is_away = embedder.load(&spec.embedder).await.is_err();
            (Err(why), is_away)
        }
        other => other,
    }
}

/// What was embedded; where the model failed words answer, for now.
pub(super) fn or_words(embedded: Result<Embedded, Error>) -> (Embedded, bool) {
    match embedded {
        Ok(embedded) => (embedded, false),
        Err(error) => {
            tracing::warn!(%error, "a query could not be embedded");
            (Err("the embedding model failed".to_owned()), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::Mock;
    use crate::stages::models::{NONE, spec};

    #[tokio::test]
    async fn only_a_model_that_is_away_may_come_back() {
        let embedder = QueryEmbedder::new(1);
        let mock = spec(Mock::FINGERPRINT, Mock::DIMENSIONS, NONE);
        let (vector, passing) = vector_or_words(&embedder, &mock, "a shell").await;
        assert_eq!((vector.map(|vector| vector.len()), passing), (Ok(Mock::DIMENSIONS), false));
        let (vector, passing) = vector_or_words(&embedder, &spec(NONE, 0, NONE), "a shell").await;
        assert!(vector.is_err() && !passing, "an index without vectors has none tomorrow");
        let (vector, passing) = vector_or_words(&embedder, &spec("nobody:1", 4, NONE), "a shell").await;
        assert!(vector.is_err() && passing);
    }
}
