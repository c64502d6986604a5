//! What the API asks of the books, of the embedded file: what is looked up is read beside the writer, and what is
//! written is one job of it. Only what a process must not lose waits for the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use docmill_core::id::{ContentHash, DocumentId, TenantId};
use docmill_core::manifest::Store;
use rusqlite::Connection;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Answer, Database, admissions, answers, api_keys, batches, exported, listing, looks, objects};
use crate::desk::{
    Admission, Admitted, BatchRow, Commits, Content, Desk, DocumentFilter, DocumentRow, Error, ExportedRow,
    FillRow, InWork, IndexRow, KeyRow, LaneCounts, LetterFilter, LiveWorker, NewKey,
};
use crate::queue::Message;

impl Database {
    /// Looks in one read transaction, on a thread that may wait.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let readers = self.readers().clone();
        let looked = tokio::task::spawn_blocking(move || readers.read(look)).await;
        let looked = looked.map_err(|error| Error::Away(error.to_string()))??;
        Ok(looked.map_err(super::Error::from)?)
    }

    /// Writes; the answer comes when it is on disk.
    async fn keep<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        Ok(self.writer().run(Answer::Durable, job).await?)
    }

    /// Writes what may be lost with the power.
    async fn note<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        Ok(self.writer().run(Answer::Applied, job).await?)
    }
}

#[async_trait]
impl Desk for Database {
    async fn admit(&self, given: &[Admission]) -> Result<Vec<Admitted>, Error> {
        let (given, now_ms) = (given.to_vec(), self.now_ms());
        let named = given.iter().any(|admission| matches!(admission.content, Content::Seen { .. }));
        let (given, looked) = if named {
            let looking = move || {
                let looked = admissions::look(&given);
                (given, looked)
            };
            let looked = tokio::task::spawn_blocking(looking).await;
            looked.map_err(|error| Error::Away(error.to_string()))?
        } else {
            let none = vec![None; given.len()];
            (given, none)
        };
        self.keep(move |connection| admissions::admit(connection, &given, &looked, now_ms)).await
    }

    async fn object_of(&self, tenant: &TenantId, content: ContentHash) -> Result<Option<String>, Error> {
        let tenant = tenant.clone();
        self.look(move |connection| objects::of(connection, &tenant, content)).await
    }

    async fn replace_object(
        &self,
        tenant: &TenantId,
        content: ContentHash,
        from: &str,
        to: &str,
    ) -> Result<bool, Error> {
        let (tenant, from, to, now_ms) = (tenant.clone(), from.to_owned(), to.to_owned(), self.now_ms());
        self.keep(move |connection| objects::replace(connection, &tenant, content, &from, &to, now_ms))
            .await
    }

    async fn doomed_objects(&self, unused_ms: u64, limit: i64) -> Result<Vec<String>, Error> {
        let used_before_ms = self.now_ms().saturating_sub(i64::try_from(unused_ms).unwrap_or(i64::MAX));
        // On disk before anybody removes them: else the ledger could rely on what is gone.
        self.keep(move |connection| objects::doom(connection, used_before_ms, limit)).await
    }

    async fn forget_objects(&self, keys: &[String]) -> Result<u64, Error> {
        let keys = keys.to_vec();
        self.note(move |connection| objects::forget(connection, &keys)).await
    }

    async fn unknown_objects(&self, keys: &[String]) -> Result<Vec<String>, Error> {
        let keys = keys.to_vec();
        self.look(move |connection| objects::unknown(connection, &keys)).await
    }

    async fn create_batch(&self, batch: Uuid, tenant: &TenantId, name: Option<&str>) -> Result<(), Error> {
        let (tenant, name, now_ms) = (tenant.clone(), name.map(str::to_owned), self.now_ms());
        self.keep(move |connection| batches::create(connection, batch, &tenant, name.as_deref(), now_ms))
            .await
    }

    async fn batch(&self, tenant: &TenantId, batch: Uuid) -> Result<Option<BatchRow>, Error> {
        let (tenant, now_ms) = (tenant.clone(), self.now_ms());
        self.look(move |connection| batches::get(connection, &tenant, batch, now_ms)).await
    }

    async fn batches(
        &self,
        tenant: &TenantId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<BatchRow>, Error> {
        let (tenant, now_ms) = (tenant.clone(), self.now_ms());
        self.look(move |connection| batches::list(connection, &tenant, before, limit, now_ms)).await
    }

    async fn cancel_batch(&self, tenant: &TenantId, batch: Uuid) -> Result<Option<u64>, Error> {
        let (tenant, now_ms) = (tenant.clone(), self.now_ms());
        self.keep(move |connection| batches::cancel(connection, &tenant, batch, now_ms)).await
    }

    async fn finish_cancels(&self) -> Result<u64, Error> {
        // A batch is cancelled in one transaction here.
        Ok(0)
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        filter: &DocumentFilter,
    ) -> Result<Vec<DocumentRow>, Error> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.look(move |connection| listing::documents(connection, &tenant, &filter)).await
    }

    async fn document(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<DocumentRow>, Error> {
        let tenant = tenant.clone();
        self.look(move |connection| listing::document(connection, &tenant, document)).await
    }

    async fn content_of(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<ContentHash>, Error> {
        let tenant = tenant.clone();
        self.look(move |connection| listing::content_of(connection, &tenant, document)).await
    }

    async fn delete_document(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<Message>, Error> {
        let (tenant, now_ms) = (tenant.clone(), self.now_ms());
        self.keep(move |connection| listing::delete(connection, &tenant, document, now_ms)).await
    }

    async fn dead_letters(
        &self,
        tenant: &TenantId,
        filter: &LetterFilter,
        before: Option<(u64, DocumentId)>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>, Error> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.look(move |connection| listing::letters(connection, &tenant, &filter, before, limit)).await
    }

    async fn replay(
        &self,
        tenant: &TenantId,
        filter: &LetterFilter,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        let (tenant, filter, now_ms) = (tenant.clone(), filter.clone(), self.now_ms());
        self.keep(move |connection| listing::replay(connection, &tenant, &filter, limit, now_ms)).await
    }

    async fn count_letters(&self, tenant: &TenantId, filter: &LetterFilter) -> Result<u64, Error> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.look(move |connection| listing::count_letters(connection, &tenant, &filter)).await
    }

    async fn lane_counts(&self) -> Result<[LaneCounts; 2], Error> {
        self.look(listing::lane_counts).await
    }

    async fn unsettled_by_tenant(&self) -> Result<BTreeMap<String, u64>, Error> {
        self.look(listing::unsettled).await
    }

    async fn commits(&self) -> Result<(u64, u64), Error> {
        let now_ms = self.now_ms().max(0) as u64;
        Ok((self.look(looks::last_commit).await?, now_ms))
    }

    async fn commits_since(&self, seq: u64) -> Result<Commits, Error> {
        let (mut commits, active) =
            self.look(move |connection| looks::commits_since(connection, seq)).await?;
        let before = self.active_then.lock().expect("no code panics while holding it").replace(active);
        commits.all |= before.is_some_and(|before| before != active);
        Ok(commits)
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }

    async fn lately(&self, tenant: Option<&TenantId>, limit: u32) -> Result<Vec<DocumentRow>, Error> {
        let tenant = tenant.cloned();
        self.look(move |connection| looks::lately(connection, tenant.as_ref(), limit)).await
    }

    async fn in_work(&self, limit: u32) -> Result<Vec<InWork>, Error> {
        self.look(move |connection| looks::in_work(connection, limit)).await
    }

    async fn tell(&self, name: &str, value: &str) -> Result<(), Error> {
        let (name, value, now_ms) = (name.to_owned(), value.to_owned(), self.now_ms());
        self.note(move |connection| answers::tell(connection, &name, &value, now_ms)).await
    }

    async fn told(&self, name: &str) -> Result<Option<(String, u64)>, Error> {
        let name = name.to_owned();
        self.look(move |connection| answers::told(connection, &name)).await
    }

    async fn answer(&self, tenant: &TenantId, key: [u8; 32]) -> Result<Option<(Vec<u8>, String)>, Error> {
        let tenant = tenant.clone();
        self.look(move |connection| answers::get(connection, &tenant, &key)).await
    }

    async fn keep_answer(
        &self,
        tenant: &TenantId,
        key: [u8; 32],
        fingerprint: [u8; 32],
        text: &str,
    ) -> Result<(Vec<u8>, String), Error> {
        let (tenant, text, now_ms) = (tenant.clone(), text.to_owned(), self.now_ms());
        self.keep(move |connection| answers::keep(connection, &tenant, &key, &fingerprint, &text, now_ms))
            .await
    }

    async fn forget_answers(&self) -> Result<u64, Error> {
        let now_ms = self.now_ms();
        self.note(move |connection| answers::forget(connection, now_ms)).await
    }

    async fn usage(&self, tenant: &TenantId, day: u64) -> Result<u64, Error> {
        let tenant = tenant.clone();
        self.look(move |connection| answers::usage(connection, &tenant, day)).await
    }

    async fn add_usage(&self, tenant: &TenantId, day: u64, bytes: u64, _spread: u64) -> Result<(), Error> {
        // One writer: there is nobody to be spread for.
        let tenant = tenant.clone();
        self.keep(move |connection| answers::add_usage(connection, &tenant, day, bytes)).await
    }

    async fn ping(&self) -> Result<(), Error> {
        // The writer, as it is what stops after a commit that failed.
        self.note(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).await
    }

    async fn create_key(&self, key: &NewKey<'_>) -> Result<KeyRow, Error> {
        let (key, now_ms) = (api_keys::Made::from(key), self.now_ms());
        self.keep(move |connection| api_keys::create(connection, &key, now_ms)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, Error> {
        self.look(api_keys::all).await
    }

    async fn valid_key(&self, hash: [u8; 32]) -> Result<Option<KeyRow>, Error> {
        let now_ms = self.now_ms();
        self.look(move |connection| api_keys::valid(connection, hash, now_ms)).await
    }

    async fn has_keys(&self) -> Result<bool, Error> {
        self.look(api_keys::has_any).await
    }

    async fn revoke_key(&self, id: &str) -> Result<bool, Error> {
        let (id, now_ms) = (id.to_owned(), self.now_ms());
        self.keep(move |connection| api_keys::revoke(connection, &id, now_ms)).await
    }

    async fn live_workers(&self) -> Result<(Vec<LiveWorker>, u64), Error> {
        let now_ms = self.now_ms();
        let workers = self.look(move |connection| looks::live_workers(connection, now_ms)).await?;
        Ok((workers, now_ms.max(0) as u64))
    }

    async fn order_drain(&self, _worker: &str, _lasts: Option<Duration>) -> Result<bool, Error> {
        Err(Error::NotHere("draining the only worker"))
    }

    async fn forget_dead_workers(&self) -> Result<u64, Error> {
        // Each start forgets those before it.
        Ok(0)
    }

    async fn export(
        &self,
        tenant: &TenantId,
        after: Option<u64>,
        limit: u32,
        bytes_max: usize,
    ) -> Result<(Vec<ExportedRow>, bool), Error> {
        let tenant = tenant.clone();
        self.look(move |connection| exported::export(connection, &tenant, after, limit, bytes_max)).await
    }

    async fn indexes(&self, tenant: &TenantId) -> Result<Vec<IndexRow>, Error> {
        let tenant = tenant.clone();
        self.look(move |connection| looks::index_rows(connection, &tenant)).await
    }

    async fn begin_fill(&self, _tenant: &TenantId, _store: Store) -> Result<(), Error> {
        Err(Error::NotHere("filling a store"))
    }

    async fn fills(&self, _tenant: &TenantId) -> Result<(Vec<FillRow>, u64), Error> {
        Ok((Vec::new(), 0))
    }

    async fn states(&self, tenant: &TenantId) -> Result<BTreeMap<String, u64>, Error> {
        let tenant = tenant.clone();
        self.look(move |connection| looks::states(connection, &tenant)).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        self.look(looks::tenants).await
    }
}
