//! The half by meaning: the nearest vectors of an index, and how near chunks are by the passage that is nearest.

use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, IndexId};
use pgvector::Vector;
use tokio_postgres::Row;
use uuid::Uuid;

use super::scope::{Scope, current, with_spare};
use super::scoring::Candidate;
use super::words::candidate;
use crate::postgres::hnsw::{FULL_DIMENSIONS_MAX, HALF_DIMENSIONS_MAX};
use crate::postgres::sql::rows;
use crate::postgres::values::{big, chunk_of};
use crate::postgres::{Error, vector_table};
use crate::vector::PassageScorer;

/// What is known of a chunk's vector.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Near {
    /// The product of its vector and the query's, where the model sees a text as one.
    Whole(f64),
    /// The signs of its passages.
    Passages(Vec<u8>),
}

impl Near {
    /// How near it is, by its nearest passage.
    pub(super) fn score(&self, query: &PassageScorer) -> Option<f64> {
        match self {
            Self::Whole(dot) => Some(*dot),
            Self::Passages(signs) => query.best(signs).map(f64::from),
        }
    }
}

/// What [`near`] reads of a row `v`: vectors lie beside their rows, and where there are passages they are left there.
fn columns_of_near(dot: &str) -> String {
    format!("CASE WHEN v.passages = '' THEN {dot} END, v.passages")
}

/// What an index of this many dimensions is ordered by, as it was built; see `hnsw.rs`.
fn order(dimensions: usize) -> String {
    let at_most = |most: i32| usize::try_from(most).is_ok_and(|most| dimensions <= most);
    if at_most(FULL_DIMENSIONS_MAX) || !at_most(HALF_DIMENSIONS_MAX) {
        return "v.value <=> $3::vector".to_owned();
    }
    format!("(v.value::halfvec({dimensions})) <=> $3::vector::halfvec({dimensions})")
}

/// The nearest chunks that may be brought.
pub(super) async fn nearest(
    transaction: &Transaction<'_>,
    index: IndexId,
    scope: &Scope<'_>,
    query: &[f32],
    few: bool,
    limit: usize,
) -> Result<Vec<(ChunkId, Candidate)>, Error> {
    let (table, order) = (vector_table(index), order(query.len()));
    let vector = Vector::from(query.to_vec());
    let columns = |dot: &str| format!("v.chunk, v.document, v.text_hash, {}", columns_of_near(dot));
    let read = |row: &Row| {
        Ok((chunk_of(row.try_get(0)?), Candidate { near: Some(near(row, 3)?), ..candidate(row)? }))
    };
    if !few && !scope.is_filtered() {
        // Nearly all are current: which of the nearest are is asked of them alone. They stay in their order.
        let sql = format!(
            "WITH v AS MATERIALIZED (
               SELECT v.chunk, v.document, v.text_hash, v.passages FROM {table} v
               WHERE v.tenant = $1 AND v.index_id = $2 ORDER BY {order} LIMIT $4)
             SELECT {}, coalesce({}, false) FROM v",
            columns(&format!("(SELECT -(w.value <#> $3::vector) FROM {table} w WHERE w.chunk = v.chunk)")),
            scope.of_row("v", 2)
        );
        let looked_at = big(with_spare(limit) as u64);
        let found = rows(transaction, &sql, &scope.and(&[&vector, &looked_at])).await?;
        if let Some(current) = current(&found, 5, limit)? {
            return current.into_iter().map(read).collect();
        }
    }
    let columns = columns("-(v.value <#> $3::vector)");
    // The nearest of a few are known exactly; the index brings the nearest of all until enough may be brought.
    let sql = match few {
        true => format!(
            "WITH part AS MATERIALIZED ({})
             SELECT {columns} FROM part JOIN {table} v ON v.chunk = part.chunk
             WHERE v.tenant = $1 AND v.index_id = $2 ORDER BY v.value <=> $3::vector LIMIT $4",
            scope.all(2)
        ),
        false => format!(
            "SELECT {columns} FROM {table} v
             WHERE v.tenant = $1 AND v.index_id = $2 AND {} ORDER BY {order} LIMIT $4",
            scope.of_row("v", 2)
        ),
    };
    let found = rows(transaction, &sql, &scope.and(&[&vector, &big(limit as u64)])).await?;
    found.iter().map(read).collect()
}

/// How near each of these chunks is that has a vector.
pub(super) async fn of_chunks(
    transaction: &Transaction<'_>,
    index: IndexId,
    query: &[f32],
    chunks: &[Uuid],
) -> Result<Vec<(ChunkId, Near)>, Error> {
    let sql = format!(
        "SELECT v.chunk, {} FROM {} v WHERE v.chunk = ANY($2)",
        columns_of_near("-(v.value <#> $1::vector)"),
        vector_table(index)
    );
    let found = rows(transaction, &sql, &[&Vector::from(query.to_vec()), &chunks]).await?;
    found.iter().map(|row| Ok((chunk_of(row.try_get(0)?), near(row, 1)?))).collect()
}

fn near(row: &Row, first: usize) -> Result<Near, Error> {
    match row.try_get(first)? {
        Some(dot) => Ok(Near::Whole(dot)),
        None => Ok(Near::Passages(row.try_get(first + 1)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_index() {
        assert_eq!(order(2_000), "v.value <=> $3::vector");
        assert_eq!(order(2_001), "(v.value::halfvec(2001)) <=> $3::vector::halfvec(2001)");
        assert_eq!(order(4_001), "v.value <=> $3::vector", "without an index");
    }

    #[test]
    fn without_passages_the_vector_counts() {
        let scorer = PassageScorer::new(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(Near::Whole(0.5).score(&scorer), Some(0.5));
        let parts = Near::Passages(vec![0b0000_0001]);
        assert!(parts.score(&scorer).unwrap() < 0.0);
    }
}
