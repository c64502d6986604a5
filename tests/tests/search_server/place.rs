//! Documents in a ledger with its stores, as workers leave them there.

use std::path::Path;
use std::sync::Arc;

use docmill_core::id::{ContentHash, TenantId};
use docmill_core::index::IndexSpec;
use docmill_core::language::Language;
use docmill_core::manifest::Manifest;
use docmill_core::segment::segment;
use docmill_tests::contract::{registration, rows, worker};
use docmill_worker::clock::SystemClock;
use docmill_worker::embed::Mock;
use docmill_worker::ledger::{Claim, Commit, Grant, Ledger, Registered, Registration, Summary};
use docmill_worker::postgres::{self, PostgresLedger};
use docmill_worker::sink::{ChunkRow, MentionRow, Sink};
use docmill_worker::sqlite;
use docmill_worker::stages::models::{CONCEPTS_BUILTIN, spec};

/// How long the rows of replaced content stay: longer than any test.
const CLEANUP_MS: u64 = 3_600_000;
const LEASE_MS: u64 = 3_600_000;

/// A document of a test.
pub struct Document {
    pub uri: String,
    /// Its chunks.
    pub texts: Vec<String>,
    pub media_type: &'static str,
    pub language: &'static str,
    pub category: Option<&'static str>,
}

/// See the module.
pub struct Place {
    ledger: Arc<dyn Ledger>,
    sinks: Vec<Arc<dyn Sink>>,
}

/// A document whose rows are written.
pub struct Prepared(Grant, Manifest, Summary);

/// The index of every test.
pub fn index() -> IndexSpec {
    spec(Mock::FINGERPRINT, Mock::DIMENSIONS, CONCEPTS_BUILTIN)
}

pub fn tenant_named(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

impl Document {
    /// Of plain English.
    pub fn plain(uri: &str, texts: Vec<String>) -> Self {
        Self { uri: uri.to_owned(), texts, media_type: "text/plain", language: "en", category: None }
    }
}

impl Place {
    pub fn postgres(database: &postgres::Database) -> Self {
        Self {
            ledger: Arc::new(PostgresLedger::new(database.clone(), CLEANUP_MS)),
            sinks: vec![
                Arc::new(postgres::TextSink::new(database.clone())),
                Arc::new(postgres::VectorSink::new(database.clone())),
            ],
        }
    }

    pub fn sqlite(dir: &Path) -> Self {
        let database = Arc::new(sqlite::Database::open(dir, Arc::new(SystemClock)).unwrap());
        Self {
            sinks: vec![
                Arc::new(sqlite::TextSink::new(database.clone())),
                Arc::new(sqlite::VectorSink::new(database.clone())),
            ],
            ledger: database,
        }
    }

    pub async fn begin(&self, tenant: &TenantId) {
        self.ledger.begin_index(tenant, &index()).await.unwrap();
        self.ledger.heartbeat(&worker("a"), LEASE_MS).await.unwrap();
    }

    /// Registers, claims and writes, up to the commit.
    pub async fn prepare(&self, tenant: &TenantId, document: &Document) -> Prepared {
        let content = ContentHash::of(document.texts.concat().as_bytes());
        let registered =
            Registration { tenant: tenant.clone(), content, ..registration(&document.uri, "") };
        let message = match self.ledger.register(vec![registered]).await.unwrap()[0] {
            Registered::New(message) | Registered::Changed(message) => message,
            Registered::Unchanged(..) => panic!("{} is news", document.uri),
        };
        let grant = match self.ledger.claim(&message, &worker("a")).await.unwrap() {
            Claim::Granted(grant) => *grant,
            Claim::Refused(why) => panic!("the claim was refused: {why:?}"),
        };
        let texts: Vec<&str> = document.texts.iter().map(String::as_str).collect();
        let (written, manifest) = rows(&grant, index().id(), &texts);
        let mock = Mock::default();
        let written: Vec<Arc<ChunkRow>> = written
            .iter()
            .map(|row| {
                Arc::new(ChunkRow {
                    terms: segment(&row.text, Language::EN).into(),
                    embedding: Some(Arc::new(mock.vector(&row.text).into())),
                    mentions: Vec::<MentionRow>::new().into(),
                    ..(**row).clone()
                })
            })
            .collect();
        for sink in &self.sinks {
            sink.write(&written, grant.epoch).await.unwrap();
        }
        let summary = Summary {
            title: Some(format!("\"media_type\":\"forged\" {}", document.uri)),
            media_type: document.media_type.to_owned(),
            language: document.language.to_owned(),
            category: document.category.map(str::to_owned),
            ..Summary::default()
        };
        Prepared(grant, manifest, summary)
    }

    pub async fn finish(&self, Prepared(grant, manifest, summary): Prepared) {
        let done = self.ledger.commit(&grant, vec![manifest], summary, CLEANUP_MS).await.unwrap();
        assert!(matches!(done, Commit::Committed { .. }), "{done:?}");
    }

    pub async fn commit(&self, tenant: &TenantId, document: &Document) {
        let prepared = self.prepare(tenant, document).await;
        self.finish(prepared).await;
    }
}
