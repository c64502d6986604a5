//! The concept graph beside the ledger.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::concept::Name;
use docmill_core::id::TenantId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::books::{IS_CURRENT, active_index, begin, get, mentioning, number, rows, via};
use super::path::{CHUNKS_LOOKED_AT, NEIGHBOURS_LOOKED_AT, Search, Turn};
use super::slow::shape;
use super::{
    ALIKE_MAX, ConceptDetail, ConceptPage, ConceptQuery, ConceptReader, ConceptRow, DOCUMENTS_MAX, Error,
    Mentioning, NEIGHBOURS_MAX, Neighbour, PathStep, SLOW_MAX, SlowQuery, Via,
};
use crate::postgres::Database;

/// Concepts of a pipeline whose graph is beside the ledger.
#[derive(Clone)]
pub struct PostgresConcepts(pub Database);

/// Evidence `v` of the index $2 is current.
fn current() -> String {
    format!(
        "v.index_id = $2 AND EXISTS (SELECT 1 FROM manifest_entries e JOIN manifests m ON m.manifest = e.manifest
           WHERE e.chunk = v.chunk AND {IS_CURRENT})"
    )
}

#[async_trait]
impl ConceptReader for PostgresConcepts {
    async fn list(&self, tenant: &TenantId, query: &ConceptQuery) -> Result<ConceptPage, Error> {
        let mut client = self.0.client().await?;
        let transaction = begin(&mut client).await?;
        list(&transaction, tenant, query).await
    }

    async fn count(&self, tenant: &TenantId) -> Result<u64, Error> {
        let mut client = self.0.client().await?;
        let transaction = begin(&mut client).await?;
        match active_index(&transaction, tenant).await? {
            Some(index) => count(&transaction, tenant, index).await,
            None => Ok(0),
        }
    }

    async fn one(&self, tenant: &TenantId, name: &str) -> Result<Option<ConceptDetail>, Error> {
        let mut client = self.0.client().await?;
        let transaction = begin(&mut client).await?;
        one(&transaction, tenant, name).await
    }

    async fn path(
        &self,
        tenant: &TenantId,
        from: &str,
        to: &str,
        steps_max: u8,
    ) -> Result<Option<Vec<PathStep>>, Error> {
        let mut client = self.0.client().await?;
        let transaction = begin(&mut client).await?;
        path(&transaction, tenant, [from, to], steps_max).await
    }

    async fn slow(&self, above_ms: u64) -> Result<Vec<SlowQuery>, Error> {
        slow(&self.0, above_ms).await
    }
}

fn read(row: &Row) -> Result<ConceptRow, Error> {
    Ok(ConceptRow {
        name: get(row, 0)?,
        canonical_name: get(row, 1)?,
        kind: get(row, 2)?,
        mentions: number(row, 3)?,
        documents: number(row, 4)?,
    })
}

async fn list(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    query: &ConceptQuery,
) -> Result<ConceptPage, Error> {
    let Some(index) = active_index(transaction, tenant).await? else { return Ok(ConceptPage::default()) };
    let sql = format!(
        "SELECT display, name, kind, mentions, documents FROM (
           SELECT c.display, c.canonical_name COLLATE \"C\" AS name, c.kind, sum(t.count)::bigint AS mentions,
                  count(DISTINCT v.document) AS documents
           FROM concepts c JOIN mentions t ON t.concept = c.concept JOIN evidence v ON v.chunk = t.chunk
           WHERE c.tenant = $1 AND {} AND ($3::text IS NULL OR starts_with(c.canonical_name, $3))
           GROUP BY c.concept) counted
         WHERE $4::bigint IS NULL OR documents < $4
            OR (documents = $4 AND (mentions < $5::bigint OR (mentions = $5 AND name > $6::text)))
         ORDER BY documents DESC, mentions DESC, name LIMIT $7",
        current()
    );
    let after = query.after.as_ref();
    let big = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (documents, mentions) =
        (after.map(|place| big(place.documents)), after.map(|place| big(place.mentions)));
    let name = after.map(|place| place.canonical_name.as_str());
    let limit = i64::from(query.limit);
    let found = rows(
        transaction,
        &sql,
        &[&tenant.as_str(), &index, &query.prefix, &documents, &mentions, &name, &limit],
    )
    .await?;
    let concepts = found.iter().map(read).collect::<Result<_, _>>()?;
    Ok(ConceptPage::of(concepts, count(transaction, tenant, index).await?, query.limit))
}

async fn count(transaction: &Transaction<'_>, tenant: &TenantId, index: i64) -> Result<u64, Error> {
    let sql = format!(
        "SELECT count(*) FROM concepts c WHERE c.tenant = $1 AND EXISTS (
           SELECT 1 FROM mentions t JOIN evidence v ON v.chunk = t.chunk WHERE t.concept = c.concept AND {})",
        current()
    );
    let found = rows(transaction, &sql, &[&tenant.as_str(), &index]).await?;
    found.first().map_or(Ok(0), |row| number(row, 0))
}

async fn one(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<ConceptDetail>, Error> {
    let Some(index) = active_index(transaction, tenant).await? else { return Ok(None) };
    let Some(concept) = number_of(transaction, tenant, name).await? else { return Ok(None) };
    let sql = format!(
        "SELECT c.display, c.canonical_name, c.kind, sum(t.count)::bigint, count(DISTINCT v.document)
         FROM concepts c JOIN mentions t ON t.concept = c.concept JOIN evidence v ON v.chunk = t.chunk
         WHERE c.concept = $1 AND {} GROUP BY c.concept",
        current()
    );
    let found = rows(transaction, &sql, &[&concept, &index]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let neighbours = neighbours(transaction, concept, index).await?;
    let mentioned_in = mentioned_in(transaction, concept, index).await?;
    Ok(Some(ConceptDetail::of(read(row)?, neighbours, mentioned_in)))
}

/// The number of the concept that a name means.
async fn number_of(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<i64>, Error> {
    // The server takes no NUL, and no concept has one.
    if name.contains('\0') {
        return Ok(None);
    }
    let name = Name::new(name);
    let [typed, canonical] = name.exact();
    let sql = "SELECT concept FROM concepts WHERE tenant = $1 AND canonical_name IN ($2, $3)
               ORDER BY canonical_name = $2 DESC LIMIT 1";
    if let Some(row) = rows(transaction, sql, &[&tenant.as_str(), &typed, &canonical]).await?.first() {
        return Ok(Some(get(row, 0)?));
    }
    let sql = "SELECT concept, display, canonical_name FROM concepts
               WHERE tenant = $1 AND (lower(display) = lower($2) OR ($3 <> '' AND starts_with(canonical_name, $3)))
               ORDER BY canonical_name COLLATE \"C\" LIMIT $4";
    let limit = i64::from(ALIKE_MAX);
    let found = rows(transaction, sql, &[&tenant.as_str(), &typed, &name.beginning(), &limit]).await?;
    let mut known: Vec<(&str, &str)> = Vec::with_capacity(found.len());
    for row in &found {
        known.push((get(row, 1)?, get(row, 2)?));
    }
    name.pick(known.into_iter()).and_then(|at| found.get(at)).map(|row| get(row, 0)).transpose()
}

async fn neighbours(
    transaction: &Transaction<'_>,
    concept: i64,
    index: i64,
) -> Result<Vec<Neighbour>, Error> {
    let sql = format!(
        "SELECT c.display, count(*) FROM mentions t JOIN evidence v ON v.chunk = t.chunk
         JOIN mentions o ON o.chunk = t.chunk AND o.concept <> t.concept
         JOIN concepts c ON c.concept = o.concept
         WHERE t.concept = $1 AND {} GROUP BY c.concept
         ORDER BY 2 DESC, c.canonical_name COLLATE \"C\" LIMIT $3",
        current()
    );
    let found = rows(transaction, &sql, &[&concept, &index, &i64::from(NEIGHBOURS_MAX)]).await?;
    found.iter().map(|row| Ok(Neighbour { name: get(row, 0)?, chunks: number(row, 1)? })).collect()
}

async fn mentioned_in(
    transaction: &Transaction<'_>,
    concept: i64,
    index: i64,
) -> Result<Vec<Mentioning>, Error> {
    let sql = format!(
        "SELECT v.document, sum(t.count)::bigint, array_agg(v.chunk) FROM mentions t
         JOIN evidence v ON v.chunk = t.chunk JOIN documents d ON d.document = v.document
         WHERE t.concept = $1 AND {} GROUP BY v.document, d.uri
         ORDER BY 2 DESC, d.uri COLLATE \"C\" LIMIT $3",
        current()
    );
    let found = rows(transaction, &sql, &[&concept, &index, &i64::from(DOCUMENTS_MAX)]).await?;
    let (mut documents, mut chunks): (Vec<(Uuid, u64)>, Vec<Uuid>) = (Vec::new(), Vec::new());
    for row in &found {
        documents.push((get(row, 0)?, number(row, 1)?));
        chunks.extend(get::<Vec<Uuid>>(row, 2)?);
    }
    mentioning(transaction, index, &documents, &chunks).await
}

async fn path(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    [from, to]: [&str; 2],
    steps_max: u8,
) -> Result<Option<Vec<PathStep>>, Error> {
    let Some(index) = active_index(transaction, tenant).await? else { return Ok(None) };
    let Some(from) = number_of(transaction, tenant, from).await? else { return Ok(None) };
    let Some(to) = number_of(transaction, tenant, to).await? else { return Ok(None) };
    let mut search = Search::new(from, to, steps_max);
    let way = loop {
        match search.turn()? {
            Turn::LookBeside(of) => search.beside(&of, beside(transaction, of, index).await?),
            Turn::Found(way) => break way,
            Turn::None => return Ok(Some(Vec::new())),
        }
    };
    let mut steps = Vec::with_capacity(way.len());
    let mut before: Option<i64> = None;
    for concept in way {
        let via = match before.replace(concept) {
            Some(before) => together(transaction, before, concept, index).await?,
            None => None,
        };
        let named = "SELECT display FROM concepts WHERE concept = $1";
        let named = rows(transaction, named, &[&concept]).await?;
        let concept = named.first().map_or(Ok(String::new()), |row| get(row, 0))?;
        steps.push(PathStep { concept, via });
    }
    Ok(Some(steps))
}

async fn beside(transaction: &Transaction<'_>, concept: i64, index: i64) -> Result<Vec<i64>, Error> {
    let sql = format!(
        "SELECT o.concept FROM (SELECT v.chunk FROM mentions t JOIN evidence v ON v.chunk = t.chunk
           WHERE t.concept = $1 AND {} ORDER BY v.chunk LIMIT $3) s
         JOIN mentions o ON o.chunk = s.chunk AND o.concept <> $1
         GROUP BY o.concept ORDER BY count(*) DESC, o.concept LIMIT $4",
        current()
    );
    let most = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let (chunks, limit) = (most(CHUNKS_LOOKED_AT), most(NEIGHBOURS_LOOKED_AT));
    let found = rows(transaction, &sql, &[&concept, &index, &chunks, &limit]).await?;
    found.iter().map(|row| get(row, 0)).collect()
}

async fn together(
    transaction: &Transaction<'_>,
    one: i64,
    other: i64,
    index: i64,
) -> Result<Option<Via>, Error> {
    let sql = format!(
        "SELECT d.document, d.uri, e.page, v.chunk FROM mentions t
         JOIN mentions o ON o.chunk = t.chunk AND o.concept = $3
         JOIN evidence v ON v.chunk = t.chunk AND v.index_id = $2
         JOIN manifest_entries e ON e.chunk = v.chunk
         JOIN manifests m ON m.manifest = e.manifest AND {IS_CURRENT}
         JOIN documents d ON d.document = v.document
         WHERE t.concept = $1 ORDER BY d.uri COLLATE \"C\", e.page, v.chunk LIMIT 1"
    );
    let found = rows(transaction, &sql, &[&one, &index, &other]).await?;
    found.first().map(via).transpose()
}

/// What the server is asked by this role; its own words are told without values.
pub(super) async fn slow(database: &Database, above_ms: u64) -> Result<Vec<SlowQuery>, Error> {
    let mut client = database.client().await?;
    let transaction = begin(&mut client).await?;
    let sql = "SELECT pid, query, (extract(epoch FROM clock_timestamp() - query_start) * 1000)::bigint, state
               FROM pg_stat_activity
               WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()
                 AND state <> 'idle' AND query_start < clock_timestamp() - $1::float8 * interval '1 millisecond'
               ORDER BY query_start LIMIT $2";
    let found = rows(&transaction, sql, &[&(above_ms as f64), &i64::from(SLOW_MAX)]).await?;
    let read = |row: &Row| {
        Ok(SlowQuery {
            store: "postgres".to_owned(),
            id: get::<i32>(row, 0)?.to_string(),
            query: shape(get(row, 1)?),
            elapsed_ms: number(row, 2)?,
            state: get(row, 3)?,
            count: None,
            mean_ms: None,
        })
    };
    found.iter().map(read).collect()
}
