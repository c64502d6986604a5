//! Documents that are somewhere else now: only their source changes, and the count of births at the place
//! that they leave, so that what is born there next is another document.

use deadpool_postgres::Transaction;
use docmill_core::id::TenantId;

use super::claims::requeue;
use super::sources::depends_on_place;
use super::sql::{execute, optional};
use super::values::{big, document_of, storable, uri_key};
use super::{Error, commits};
use crate::ledger::Move;
use crate::queue::Message;

/// Carries the moves out, all or none. Returns messages of those documents that are tried again, as they
/// were given up when their file was not in its old place.
pub(super) async fn carry_out(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    moves: &[Move],
) -> Result<Vec<Message>, Error> {
    let mut retried = Vec::new();
    for moved in moves {
        retried.extend(one(transaction, tenant, moved).await?);
    }
    if !moves.is_empty() {
        commits::take_number(transaction, &[]).await?;
    }
    Ok(retried)
}

async fn one(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    moved: &Move,
) -> Result<Option<Message>, Error> {
    let tenant = tenant.as_str();
    let (from, to) = (uri_key(&moved.from), uri_key(&moved.to));
    let leave = "DELETE FROM sources WHERE tenant = $1 AND uri_key = $2 RETURNING document";
    let Some(row) = optional(transaction, leave, &[&tenant, &from]).await? else {
        return Err(Error::Failed("a source that is to move is not known".to_owned()));
    };
    let key: uuid::Uuid = row.try_get(0)?;
    let update = "UPDATE documents SET uri = $2 WHERE document = $1 RETURNING birth_uri, state, failure";
    let Some(row) = optional(transaction, update, &[&key, &storable(&moved.to)]).await? else {
        return Err(Error::Damaged("a source leads to no document"));
    };
    if row.try_get::<_, &str>(0)? == moved.from {
        execute(
            transaction,
            "INSERT INTO births AS b VALUES($1, $2, 1)
             ON CONFLICT (tenant, uri_key) DO UPDATE SET moved_away = b.moved_away + 1",
            &[&tenant, &from],
        )
        .await?;
    }
    // Device and inode use all 64 bits; their bits are kept.
    execute(
        transaction,
        "INSERT INTO sources VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (tenant, uri_key) DO UPDATE SET document = EXCLUDED.document, dev = EXCLUDED.dev,
           inode = EXCLUDED.inode, bytes = EXCLUDED.bytes, mtime_ns = EXCLUDED.mtime_ns,
           ctime_ns = EXCLUDED.ctime_ns, scanned_at_ns = EXCLUDED.scanned_at_ns, root = EXCLUDED.root",
        &[
            &tenant,
            &to,
            &storable(&moved.to),
            &key,
            &moved.stat.dev.cast_signed(),
            &moved.stat.inode.cast_signed(),
            &big(moved.stat.bytes),
            &moved.stat.mtime_ns,
            &moved.stat.ctime_ns,
            &moved.scanned_at_ns,
            &moved.root,
        ],
    )
    .await?;
    let gave_up = row.try_get::<_, &str>(1)? == "failed";
    match row.try_get::<_, Option<&str>>(2)? {
        Some(failure) if gave_up && depends_on_place(failure) => {
            requeue(transaction, document_of(key)).await
        }
        _ => Ok(None),
    }
}
