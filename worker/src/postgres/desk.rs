//! The desk of a PostgreSQL server: each function is the one of this name beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use docmill_core::id::{ContentHash, DocumentId, TenantId};
use docmill_core::manifest::Store;
use uuid::Uuid;

use super::{
    Admission, Admitted, BatchRow, Database, DocumentFilter, DocumentRow, ExportedRow, FillRow, IndexRow,
    KeyRow, LaneCounts, LetterFilter, LiveWorker, NewKey,
};
use crate::desk::{Commits, Desk, Error, InWork};
use crate::queue::Message;

#[async_trait]
impl Desk for Database {
    async fn admit(&self, admissions: &[Admission]) -> Result<Vec<Admitted>, Error> {
        Ok(Self::admit(self, admissions).await?)
    }

    async fn object_of(&self, tenant: &TenantId, content: ContentHash) -> Result<Option<String>, Error> {
        Ok(Self::object_of(self, tenant, content).await?)
    }

    async fn replace_object(
        &self,
        tenant: &TenantId,
        content: ContentHash,
        from: &str,
        to: &str,
    ) -> Result<bool, Error> {
        Ok(Self::replace_object(self, tenant, content, from, to).await?)
    }

    async fn doomed_objects(&self, unused_ms: u64, limit: i64) -> Result<Vec<String>, Error> {
        Ok(Self::doomed_objects(self, unused_ms, limit).await?)
    }

    async fn forget_objects(&self, keys: &[String]) -> Result<u64, Error> {
        Ok(Self::forget_objects(self, keys).await?)
    }

    async fn unknown_objects(&self, keys: &[String]) -> Result<Vec<String>, Error> {
        Ok(Self::unknown_objects(self, keys).await?)
    }

    async fn create_batch(&self, batch: Uuid, tenant: &TenantId, name: Option<&str>) -> Result<(), Error> {
        Ok(Self::create_batch(self, batch, tenant, name).await?)
    }

    async fn batch(&self, tenant: &TenantId, batch: Uuid) -> Result<Option<BatchRow>, Error> {
        Ok(Self::batch(self, tenant, batch).await?)
    }

    async fn batches(
        &self,
        tenant: &TenantId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<BatchRow>, Error> {
        Ok(Self::batches(self, tenant, before, limit).await?)
    }

    async fn cancel_batch(&self, tenant: &TenantId, batch: Uuid) -> Result<Option<u64>, Error> {
        Ok(Self::cancel_batch(self, tenant, batch).await?)
    }

    async fn finish_cancels(&self) -> Result<u64, Error> {
        Ok(Self::finish_cancels(self).await?)
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        filter: &DocumentFilter,
    ) -> Result<Vec<DocumentRow>, Error> {
        Ok(Self::documents(self, tenant, filter).await?)
    }

    async fn document(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<DocumentRow>, Error> {
        Ok(Self::document(self, tenant, document).await?)
    }

    async fn content_of(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<ContentHash>, Error> {
        Ok(Self::content_of(self, tenant, document).await?)
    }

    async fn delete_document(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<Message>, Error> {
        Ok(Self::delete_document(self, tenant, document).await?)
    }

    async fn dead_letters(
        &self,
        tenant: &TenantId,
        filter: &LetterFilter,
        before: Option<(u64, DocumentId)>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>, Error> {
        Ok(Self::dead_letters(self, tenant, filter, before, limit).await?)
    }

    async fn replay(
        &self,
        tenant: &TenantId,
        filter: &LetterFilter,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        Ok(Self::replay(self, tenant, filter, limit).await?)
    }

    async fn count_letters(&self, tenant: &TenantId, filter: &LetterFilter) -> Result<u64, Error> {
        Ok(Self::count_letters(self, tenant, filter).await?)
    }

    async fn lane_counts(&self) -> Result<[LaneCounts; 2], Error> {
        Ok(Self::lane_counts(self).await?)
    }

    async fn unsettled_by_tenant(&self) -> Result<BTreeMap<String, u64>, Error> {
        Ok(Self::unsettled_by_tenant(self).await?)
    }

    async fn commits(&self) -> Result<(u64, u64), Error> {
        Ok(Self::commits(self).await?)
    }

    async fn commits_since(&self, seq: u64) -> Result<Commits, Error> {
        Ok(Self::commits_since(self, seq).await?)
    }

    async fn lately(&self, tenant: Option<&TenantId>, limit: u32) -> Result<Vec<DocumentRow>, Error> {
        Ok(Self::lately(self, tenant, limit).await?)
    }

    async fn in_work(&self, limit: u32) -> Result<Vec<InWork>, Error> {
        Ok(Self::in_work(self, limit).await?)
    }

    async fn tell(&self, name: &str, value: &str) -> Result<(), Error> {
        Ok(Self::tell(self, name, value).await?)
    }

    async fn told(&self, name: &str) -> Result<Option<(String, u64)>, Error> {
        Ok(Self::told(self, name).await?)
    }

    async fn answer(&self, tenant: &TenantId, key: [u8; 32]) -> Result<Option<(Vec<u8>, String)>, Error> {
        Ok(Self::answer(self, tenant, key).await?)
    }

    async fn keep_answer(
        &self,
        tenant: &TenantId,
        key: [u8; 32],
        fingerprint: [u8; 32],
        text: &str,
    ) -> Result<(Vec<u8>, String), Error> {
        Ok(Self::keep_answer(self, tenant, key, fingerprint, text).await?)
    }

    async fn forget_answers(&self) -> Result<u64, Error> {
        Ok(Self::forget_answers(self).await?)
    }

    async fn usage(&self, tenant: &TenantId, day: u64) -> Result<u64, Error> {
        Ok(Self::usage(self, tenant, day).await?)
    }

    async fn add_usage(&self, tenant: &TenantId, day: u64, bytes: u64, spread: u64) -> Result<(), Error> {
        Ok(Self::add_usage(self, tenant, day, bytes, spread).await?)
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(Self::ping(self).await?)
    }

    async fn create_key(&self, key: &NewKey<'_>) -> Result<KeyRow, Error> {
        Ok(Self::create_key(self, key).await?)
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, Error> {
        Ok(Self::keys(self).await?)
    }

    async fn valid_key(&self, hash: [u8; 32]) -> Result<Option<KeyRow>, Error> {
        Ok(Self::valid_key(self, hash).await?)
    }

    async fn has_keys(&self) -> Result<bool, Error> {
        Ok(Self::has_keys(self).await?)
    }

    async fn revoke_key(&self, id: &str) -> Result<bool, Error> {
        Ok(Self::revoke_key(self, id).await?)
    }

    async fn live_workers(&self) -> Result<(Vec<LiveWorker>, u64), Error> {
        Ok(Self::live_workers(self).await?)
    }

    async fn order_drain(&self, worker: &str, lasts: Option<Duration>) -> Result<bool, Error> {
        Ok(Self::order_drain(self, worker, lasts).await?)
    }

    async fn forget_dead_workers(&self) -> Result<u64, Error> {
        Ok(Self::forget_dead_workers(self).await?)
    }

    async fn export(
        &self,
        tenant: &TenantId,
        after: Option<u64>,
        limit: u32,
        bytes_max: usize,
    ) -> Result<(Vec<ExportedRow>, bool), Error> {
        Ok(Self::export(self, tenant, after, limit, bytes_max).await?)
    }

    async fn indexes(&self, tenant: &TenantId) -> Result<Vec<IndexRow>, Error> {
        Ok(Self::indexes(self, tenant).await?)
    }

    async fn begin_fill(&self, tenant: &TenantId, store: Store) -> Result<(), Error> {
        Ok(Self::begin_fill(self, tenant, store).await?)
    }

    async fn fills(&self, tenant: &TenantId) -> Result<(Vec<FillRow>, u64), Error> {
        Ok(Self::fills(self, tenant).await?)
    }

    async fn states(&self, tenant: &TenantId) -> Result<BTreeMap<String, u64>, Error> {
        Ok(Self::states(self, tenant).await?)
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        Ok(Self::tenants(self).await?)
    }
}
