//! The shapes whose answers are to be the same, each with keys: an API with its servers, and `docmill serve`.

use std::path::{Path, PathBuf};

use docmill_tests::services::http::Client;
use docmill_tests::services::made_key::made_key;
use docmill_tests::services::served::Served;
use serde_json::json;

use super::house::{House, Running};

/// Where uploads lie, below the place of objects.
const UPLOADS: &str = "uploads";

/// What is asked, and what only its house knows of it.
pub trait Shape {
    /// Whoever shows this key.
    fn client(&self, key: Option<&str>) -> Client;
    /// A key that may make others.
    fn admin(&self) -> &str;
    /// A key that is over.
    fn expired(&self) -> String;
    /// Where uploads lie.
    fn uploads(&self) -> PathBuf;
    /// All that it said.
    fn log(&self) -> String;

    /// Makes a key.
    fn key(&self, tenant: &str, scopes: &[&str]) -> String {
        let asked = json!({"label": "of a test", "tenant": tenant, "scopes": scopes});
        let made = self.client(Some(self.admin())).post("/v1/keys", &asked);
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["key"].as_str().unwrap().to_owned()
    }

    /// Revokes a key.
    fn revoke(&self, key: &str) {
        let path = format!("/v1/keys/{}", name_of(key));
        let answer = self.client(Some(self.admin())).send("DELETE", &path, &[], b"").unwrap();
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// How many uploads there are.
    fn objects(&self) -> usize {
        files_in(&self.uploads())
    }
}

/// What a key is called by who may not see it.
fn name_of(key: &str) -> &str {
    key.split('_').nth(1).unwrap()
}

fn files_in(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let one = |path: PathBuf| if path.is_dir() { files_in(&path) } else { 1 };
    entries.map(|entry| one(entry.unwrap().path())).sum()
}

/// `docmill-worker api` on PostgreSQL, Redis and a volume.
pub struct Pods {
    api: Running,
    house: House,
    admin: String,
}

impl Pods {
    pub fn start() -> Self {
        let house = House::new("");
        let admin = house.key("default", "read,write,admin");
        Self { api: house.api(), house, admin }
    }
}

impl Shape for Pods {
    fn client(&self, key: Option<&str>) -> Client {
        self.api.client(key)
    }

    fn admin(&self) -> &str {
        &self.admin
    }

    fn expired(&self) -> String {
        let key = self.key("default", &["read"]);
        let name = name_of(&key);
        self.house.sql(&format!("UPDATE api_keys SET expires_at_ms = now_ms() - 1 WHERE id = '{name}'"));
        key
    }

    fn uploads(&self) -> PathBuf {
        self.house.volume().join(UPLOADS)
    }

    fn log(&self) -> String {
        self.api.log()
    }
}

/// `docmill serve` on a data directory.
pub struct OneMachine {
    served: Served,
    admin: String,
    expired: String,
    dir: tempfile::TempDir,
}

impl OneMachine {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let admin = made_key(&data, "default", &["read", "write", "admin"], None);
        let expired = made_key(&data, "default", &["read"], Some(1));
        let served = Served::on(&data, &[], &[("USE_MOCK_EMBEDDINGS", "1"), ("USE_MOCK_LLM", "1")]);
        Self { served, admin, expired, dir }
    }
}

impl Shape for OneMachine {
    fn client(&self, key: Option<&str>) -> Client {
        self.served.client_with(key.map(str::to_owned))
    }

    fn admin(&self) -> &str {
        &self.admin
    }

    fn expired(&self) -> String {
        self.expired.clone()
    }

    fn uploads(&self) -> PathBuf {
        self.dir.path().join("data/objects").join(UPLOADS)
    }

    fn log(&self) -> String {
        self.served.log()
    }
}
