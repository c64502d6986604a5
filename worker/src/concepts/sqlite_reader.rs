//! The concept graph in the data directory's file.

use std::time::Duration;

use async_trait::async_trait;
use docmill_core::id::{ContentHash, TenantId};

use super::path::{CHUNKS_LOOKED_AT, NEIGHBOURS_LOOKED_AT, Search, Turn};
use super::slow::shape;
use super::{
    ConceptDetail, ConceptPage, ConceptQuery, ConceptReader, ConceptRow, Error, Mentioning, Neighbour,
    PathStep, SLOW_MAX, SlowQuery, Via,
};
use crate::sqlite::read::{self, ConceptsFrom};
use crate::sqlite::rusqlite::Connection;
use crate::sqlite::{Readers, SlowStatement};

/// Bytes of a statement's name.
const ID_BYTES: usize = 4;

/// Concepts of one machine.
#[derive(Clone)]
pub struct SqliteConcepts(pub Readers);

impl SqliteConcepts {
    /// Looks within one state of the file, off the threads that answer requests.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let readers = self.0.clone();
        let looked = tokio::task::spawn_blocking(move || readers.read(look)).await;
        looked.map_err(|error| Error::Away(error.to_string()))??
    }
}

#[async_trait]
impl ConceptReader for SqliteConcepts {
    async fn list(&self, tenant: &TenantId, query: &ConceptQuery) -> Result<ConceptPage, Error> {
        let (tenant, query) = (tenant.clone(), query.clone());
        self.look(move |connection| list(connection, &tenant, &query)).await
    }

    async fn count(&self, tenant: &TenantId) -> Result<u64, Error> {
        let tenant = tenant.clone();
        self.look(move |connection| Ok(read::count_concepts(connection, &tenant)?)).await
    }

    async fn one(&self, tenant: &TenantId, name: &str) -> Result<Option<ConceptDetail>, Error> {
        let (tenant, name) = (tenant.clone(), name.to_owned());
        self.look(move |connection| Ok(read::concept(connection, &tenant, &name)?.map(detail))).await
    }

    async fn path(
        &self,
        tenant: &TenantId,
        from: &str,
        to: &str,
        steps_max: u8,
    ) -> Result<Option<Vec<PathStep>>, Error> {
        let (tenant, from, to) = (tenant.clone(), from.to_owned(), to.to_owned());
        self.look(move |connection| path(connection, &tenant, &from, &to, steps_max)).await
    }

    async fn slow(&self, above_ms: u64) -> Result<Vec<SlowQuery>, Error> {
        let slow = self.0.slow_statements(Duration::from_millis(above_ms));
        Ok(slow.iter().take(SLOW_MAX as usize).map(slow_query).collect())
    }
}

fn slow_query(slow: &SlowStatement) -> SlowQuery {
    let without_comments = |line: &str| line.split("--").next().unwrap_or_default().to_owned();
    let words: Vec<String> = slow.words.lines().map(without_comments).collect();
    let query = shape(&words.join("\n"));
    let id = ContentHash::of(query.as_bytes());
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    SlowQuery {
        store: "sqlite".to_owned(),
        id: id.0.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect(),
        query,
        elapsed_ms: ms(slow.longest),
        state: "ended".to_owned(),
        count: Some(slow.count),
        mean_ms: Some(ms(slow.mean)),
    }
}

fn row(row: read::ConceptRow) -> ConceptRow {
    let read::ConceptRow { name, canonical_name, kind, mentions, documents } = row;
    ConceptRow { name, canonical_name, kind, mentions, documents }
}

fn list(connection: &Connection, tenant: &TenantId, query: &ConceptQuery) -> Result<ConceptPage, Error> {
    let place = query.after.as_ref();
    let from = ConceptsFrom {
        prefix: query.prefix.as_deref(),
        after: place.map(|place| (place.documents, place.mentions, place.canonical_name.as_str())),
        limit: query.limit as usize,
    };
    let rows = read::concepts_from(connection, tenant, &from)?;
    let total = read::count_concepts(connection, tenant)?;
    Ok(ConceptPage::of(rows.into_iter().map(row).collect(), total, query.limit))
}

fn detail(found: read::ConceptDetail) -> ConceptDetail {
    let neighbours =
        found.neighbours.into_iter().map(|near| Neighbour { name: near.name, chunks: near.chunks });
    let mentioned_in = found.mentioned_in.into_iter().map(|place| Mentioning {
        id: place.id.to_string(),
        uri: place.uri,
        title: place.title,
        mentions: place.mentions,
        page: place.page,
        chunk: place.chunk.to_string(),
    });
    ConceptDetail::of(row(found.concept), neighbours.collect(), mentioned_in.collect())
}

fn path(
    connection: &Connection,
    tenant: &TenantId,
    from: &str,
    to: &str,
    steps_max: u8,
) -> Result<Option<Vec<PathStep>>, Error> {
    let Some((index, _)) = read::active_index(connection, tenant)? else { return Ok(None) };
    let number = |name| read::number_of(connection, tenant, name);
    let (Some(from), Some(to)) = (number(from)?, number(to)?) else { return Ok(None) };
    let mut search = Search::new(from, to, steps_max);
    let way = loop {
        match search.turn()? {
            Turn::LookBeside(of) => {
                let near = read::beside(connection, of, index, CHUNKS_LOOKED_AT, NEIGHBOURS_LOOKED_AT)?;
                search.beside(&of, near);
            }
            Turn::Found(way) => break way,
            Turn::None => return Ok(Some(Vec::new())),
        }
    };
    let mut steps: Vec<PathStep> = Vec::with_capacity(way.len());
    let mut before = None;
    for concept in way {
        let via = match before.replace(concept) {
            Some(before) => read::together(connection, before, concept, index)?,
            None => None,
        };
        let via = via.map(|found| Via {
            document: found.document.to_string(),
            uri: found.uri,
            page: found.page,
            chunk: found.chunk.to_string(),
        });
        steps.push(PathStep { concept: read::display_of(connection, concept)?, via });
    }
    Ok(Some(steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_statement_is_told_without_comments_and_values() {
        let slow = SlowStatement {
            words: "SELECT a -- of 'those\n FROM t WHERE b = ?1 AND c = 'x'".to_owned(),
            count: 3,
            longest: Duration::from_millis(70),
            mean: Duration::from_millis(40),
        };
        let told = slow_query(&slow);
        let expected = ("sqlite", "SELECT a FROM t WHERE b = ?1 AND c = ?");
        assert_eq!((told.store.as_str(), told.query.as_str()), expected);
        assert_eq!((told.elapsed_ms, told.count, told.mean_ms, told.id.len()), (70, Some(3), Some(40), 8));
    }
}
