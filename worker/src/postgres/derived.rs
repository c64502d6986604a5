//! What a text costs is paid once: values by (tenant, stage, text), first writer wins.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use docmill_core::id::{TenantId, TextHash};

use super::Error;
use super::sql::{execute, rows};

/// Values that no kept manifest needs are removed once older than this.
const KEPT_MS: i64 = 24 * 3600 * 1000;
/// Values removed by one sweep.
const SWEEP: i64 = 2_000;

pub(super) async fn get(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    stage: &str,
    texts: &[TextHash],
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let mut hashes: Vec<&[u8]> = texts.iter().map(|text| &text.0[..]).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let found = rows(
        transaction,
        "SELECT text_hash, value FROM derived WHERE tenant = $1 AND stage = $2 AND text_hash = ANY($3)",
        &[&tenant.as_str(), &stage, &hashes],
    )
    .await?;
    let mut values: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for row in &found {
        values.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(texts.iter().map(|text| values.get(&text.0[..]).map(|value| value.to_vec())).collect())
}

pub(super) async fn keep(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    stage: &str,
    values: &[(TextHash, Vec<u8>)],
) -> Result<Vec<Vec<u8>>, Error> {
    let mut first: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for (text, value) in values {
        first.entry(&text.0).or_insert(value);
    }
    let (hashes, offered): (Vec<&[u8]>, Vec<&[u8]>) = first.into_iter().unzip();
    // Waits for whoever inserts the same at this moment, in ascending order.
    execute(
        transaction,
        "INSERT INTO derived SELECT $1, $2, v.text_hash, v.value, now_ms()
         FROM unnest($3::bytea[], $4::bytea[]) AS v(text_hash, value)
         ON CONFLICT (tenant, stage, text_hash) DO NOTHING",
        &[&tenant.as_str(), &stage, &hashes, &offered],
    )
    .await?;
    let texts: Vec<TextHash> = values.iter().map(|(text, _)| *text).collect();
    let kept = get(transaction, tenant, stage, &texts).await?;
    // Gone again between the two statements: it was too old to be kept, so nobody else has used it.
    Ok(kept.into_iter().zip(values).map(|(kept, (_, own))| kept.unwrap_or_else(|| own.clone())).collect())
}

/// Removes old values whose text no manifest names. Returns how many; call again while it is not 0.
pub(super) async fn sweep(transaction: &Transaction<'_>) -> Result<u64, Error> {
    execute(
        transaction,
        "DELETE FROM derived d USING (
           SELECT tenant, stage, text_hash FROM derived o WHERE o.kept_at_ms < (SELECT now_ms()) - $1
             AND NOT EXISTS (SELECT 1 FROM manifest_entries e WHERE e.text_hash = o.text_hash) LIMIT $2) AS old
         WHERE d.tenant = old.tenant AND d.stage = old.stage AND d.text_hash = old.text_hash",
        &[&KEPT_MS, &SWEEP],
    )
    .await
}
