//! A key of `docmill serve` that is made while nothing is served: nobody else may have the data directory then.

use std::path::Path;
use std::sync::Arc;

use docmill_core::id::TenantId;
use docmill_worker::api::keys;
use docmill_worker::clock::SystemClock;
use docmill_worker::desk::{Desk, NewKey};
use docmill_worker::sqlite::Database;

/// Makes one for a tenant, in a data directory that is there or not yet; it may last for so long.
///
/// # Panics
/// It cannot be made.
pub fn made_key(data: &Path, tenant: &str, scopes: &[&'static str], lasts_ms: Option<u64>) -> String {
    std::fs::create_dir_all(data).unwrap();
    let database = Database::open(data, Arc::new(SystemClock)).unwrap();
    let (made, tenant) = (keys::generate().unwrap(), TenantId::new(tenant).unwrap());
    let key = made.key.expose().to_owned();
    let new = NewKey {
        id: &made.id,
        secret_hash: keys::hash_of(&key),
        label: "of a test",
        tenant: &tenant,
        scopes,
        lasts_ms,
    };
    tokio::runtime::Runtime::new().unwrap().block_on(database.create_key(&new)).unwrap();
    key
}
