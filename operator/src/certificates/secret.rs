//! Who writes the Secret when. The operator may create and patch it, and reads it as a mounted directory, where a
//! change appears with the kubelet's delay of a minute or two. So the leader keeps what it wrote in memory, and of two
//! versions the later one counts.
//!
//! A patch tests that the Secret still holds the version that it starts from: a leader that saw an old one writes
//! nothing and waits for the new one. Whoever deletes the Secret gets fresh keys that owe nothing to the former ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::stored::{Due, Material, NAMES, Stored, StoredError, WRITTEN, what_is_due};
use super::{causes, now_ms};
use crate::names::{FIELD_MANAGER, MANAGED_BY};

/// The one Secret that the operator writes.
pub const SECRET: &str = "docmill-operator-certificates";
/// How often the directory is read.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Wait after an attempt to write: a version that another one wrote appears in the directory first.
const WRITE_AGAIN: Duration = Duration::from_secs(10);

/// Where the material comes from for everybody else; none until there is some.
pub type Materials = watch::Receiver<Option<Arc<Material>>>;

/// Why the Secret was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("Kubernetes refused")]
    Kube(#[from] kube::Error),
    #[error("cannot make the request")]
    Request(#[from] axum::http::Error),
    #[error("cannot make new material")]
    Material(#[from] StoredError),
}

/// Keeps the Secret and the material.
pub struct Keeper {
    client: Client,
    namespace: String,
    directory: PathBuf,
    owner: Option<OwnerReference>,
    memory: Option<Stored>,
    /// What the directory held last, to look into it only when it changed.
    files: BTreeMap<&'static str, String>,
    mounted: Mounted,
    write_at: Instant,
    published: watch::Sender<Option<Arc<Material>>>,
}

/// What the directory holds.
#[derive(Debug, Clone, PartialEq)]
enum Mounted {
    Nothing,
    /// It held something, and that is gone.
    Vanished,
    Damaged,
    Stored(Stored),
}

/// What one look leads to.
#[derive(Debug, PartialEq)]
enum Step {
    Nothing,
    Adopt(Stored),
    Write(Due),
}

fn step(mounted: &Mounted, memory: Option<&Stored>, leads: bool, now_ms: u64) -> Step {
    if let Mounted::Stored(stored) = mounted
        && memory.is_none_or(|memory| stored.written_ms() > memory.written_ms())
    {
        return Step::Adopt(stored.clone());
    }
    let due = match (mounted, memory) {
        _ if !leads => Due::Nothing,
        (Mounted::Vanished, _) => Due::Create,
        // Somebody has to look at it: to write over it would cut off who still trusts it.
        (Mounted::Damaged, _) => Due::Nothing,
        (_, memory) => what_is_due(memory, now_ms),
    };
    if due == Due::Nothing { Step::Nothing } else { Step::Write(due) }
}

impl Keeper {
    /// One for the Secret in this namespace, mounted at this directory. A new Secret belongs to `owner`.
    pub fn new(
        client: Client,
        namespace: &str,
        directory: &Path,
        owner: Option<OwnerReference>,
    ) -> (Self, Materials) {
        let (published, materials) = watch::channel(None);
        let keeper = Self {
            client,
            namespace: namespace.to_owned(),
            directory: directory.to_owned(),
            owner,
            memory: None,
            files: BTreeMap::new(),
            mounted: Mounted::Nothing,
            write_at: Instant::now(),
            published,
        };
        (keeper, materials)
    }

    /// Goes on until the sender of `leads` is gone.
    pub async fn run(mut self, mut leads: watch::Receiver<bool>) {
        loop {
            let leading = *leads.borrow_and_update();
            self.look(leading).await;
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                changed = leads.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn look(&mut self, leads: bool) {
        match read(&self.directory).await {
            Ok(Some(files)) => self.see(files),
            // It changed while it was read: it is whole at the next look.
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, directory = %self.directory.display(), "cannot read the mount")
            }
        }
        match step(&self.mounted, self.memory.as_ref(), leads, now_ms()) {
            Step::Nothing => {}
            Step::Adopt(stored) => self.publish(stored),
            Step::Write(due) if Instant::now() >= self.write_at => self.write(due).await,
            Step::Write(_) => {}
        }
    }

    fn see(&mut self, files: BTreeMap<&'static str, String>) {
        if files == self.files {
            return;
        }
        self.mounted = match Stored::read(&files) {
            Ok(Some(stored)) => Mounted::Stored(stored),
            Ok(None) => Mounted::Vanished,
            Err(error) => {
                tracing::error!(
                    %error,
                    secret = SECRET,
                    "the Secret is damaged: delete it, and the operator makes a new one"
                );
                Mounted::Damaged
            }
        };
        self.files = files;
    }

    async fn write(&mut self, due: Due) {
        self.write_at = Instant::now() + WRITE_AGAIN;
        match self.try_write(due).await {
            Ok(stored) => {
                tracing::info!(?due, secret = SECRET, "wrote keys");
                self.forget_vanished();
                self.publish(stored);
            }
            Err(WriteError::Kube(kube::Error::Api(status))) if matches!(status.code, 409 | 422) => {
                tracing::info!(?due, secret = SECRET, "another replica wrote keys: waiting for the mount");
                self.forget_vanished();
            }
            Err(error) => {
                tracing::warn!(?due, secret = SECRET, error = causes(&error), "cannot write keys");
            }
        }
    }

    /// What vanished is made anew once.
    fn forget_vanished(&mut self) {
        if self.mounted == Mounted::Vanished {
            self.mounted = Mounted::Nothing;
        }
    }

    async fn try_write(&self, due: Due) -> Result<Stored, WriteError> {
        let new = match &self.memory {
            Some(memory) => memory.with(due, now_ms())?,
            None => Stored::create(now_ms())?,
        };
        match &self.memory {
            Some(memory) if due != Due::Create => {
                let path = format!("/api/v1/namespaces/{}/secrets/{SECRET}", self.namespace);
                let request = Request::patch(format!("{path}?fieldManager={FIELD_MANAGER}"))
                    .header(header::CONTENT_TYPE, "application/json-patch+json")
                    .body(patch(memory, &new).to_string().into_bytes())?;
                self.client.request_text(request).await?;
            }
            _ => {
                let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
                secrets.create(&PostParams::default(), &secret(&new, self.owner.clone())).await?;
            }
        }
        Ok(new)
    }

    fn publish(&mut self, stored: Stored) {
        match stored.material() {
            Ok(material) => {
                self.published.send_replace(Some(Arc::new(material)));
                self.memory = Some(stored);
            }
            Err(error) => tracing::error!(%error, "cannot use keys that were read already"),
        }
    }
}

/// The new version in place of the one that we know, and of no other.
fn patch(known: &Stored, new: &Stored) -> Value {
    let data: BTreeMap<_, _> =
        new.data().iter().map(|(name, text)| (name, STANDARD.encode(text))).collect();
    let written = STANDARD.encode(known.written_ms().to_string());
    json!([
        {"op": "test", "path": format!("/data/{WRITTEN}"), "value": written},
        {"op": "replace", "path": "/data", "value": data},
    ])
}

fn secret(stored: &Stored, owner: Option<OwnerReference>) -> Secret {
    let bytes = |text: &String| ByteString(text.clone().into_bytes());
    Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())])),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(stored.data().iter().map(|(name, text)| ((*name).to_owned(), bytes(text))).collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// What the directory holds; none where it changed meanwhile.
async fn read(directory: &Path) -> std::io::Result<Option<BTreeMap<&'static str, String>>> {
    // The kubelet swaps one link for all files at once.
    let version = tokio::fs::canonicalize(directory.join("..data")).await.ok();
    let directory_of_version = version.as_deref().unwrap_or(directory);
    let mut files = BTreeMap::new();
    for name in NAMES {
        match tokio::fs::read_to_string(directory_of_version.join(name)).await {
            Ok(text) => {
                files.insert(name, text);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let same = tokio::fs::canonicalize(directory.join("..data")).await.ok() == version;
    Ok(same.then_some(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;
    const YEAR_MS: u64 = super::super::authority::AUTHORITY_LIFE_MS;

    fn stored(now_ms: u64) -> Stored {
        Stored::create(now_ms).unwrap()
    }

    #[test]
    fn the_leader_creates_and_the_others_wait() {
        assert_eq!(step(&Mounted::Nothing, None, true, NOW_MS), Step::Write(Due::Create));
        assert_eq!(step(&Mounted::Nothing, None, false, NOW_MS), Step::Nothing);
    }

    #[test]
    fn what_the_mount_shows_is_adopted_before_anything_is_written() {
        let old = stored(NOW_MS - YEAR_MS);
        let mounted = Mounted::Stored(old.clone());
        assert_eq!(step(&mounted, None, true, NOW_MS), Step::Adopt(old.clone()));
        assert_eq!(step(&mounted, Some(&old), true, NOW_MS), Step::Write(Due::RenewAuthority));
        assert_eq!(step(&mounted, Some(&old), false, NOW_MS), Step::Nothing);
    }

    #[test]
    fn memory_is_newer_than_a_late_mount() {
        let (late, memory) = (stored(NOW_MS - 1), stored(NOW_MS));
        assert_eq!(step(&Mounted::Stored(late), Some(&memory), true, NOW_MS), Step::Nothing);
        assert_eq!(step(&Mounted::Nothing, Some(&memory), true, NOW_MS), Step::Nothing);
        let newer = stored(NOW_MS + 1);
        let mounted = Mounted::Stored(newer.clone());
        assert_eq!(step(&mounted, Some(&memory), true, NOW_MS), Step::Adopt(newer));
    }

    #[test]
    fn a_deleted_secret_is_made_anew_and_a_damaged_one_left_alone() {
        let memory = stored(NOW_MS);
        assert_eq!(step(&Mounted::Vanished, Some(&memory), true, NOW_MS), Step::Write(Due::Create));
        assert_eq!(step(&Mounted::Vanished, Some(&memory), false, NOW_MS), Step::Nothing);
        assert_eq!(step(&Mounted::Damaged, None, true, NOW_MS), Step::Nothing);
        assert_eq!(step(&Mounted::Damaged, Some(&memory), true, NOW_MS + YEAR_MS), Step::Nothing);
    }

    #[test]
    fn a_patch_tests_what_it_starts_from() {
        let known = stored(NOW_MS);
        let new = known.with(Due::RenewTokenKey, NOW_MS + 5).unwrap();
        let patch = patch(&known, &new);
        let test =
            json!({"op": "test", "path": "/data/written", "value": STANDARD.encode("1790000000000")});
        assert_eq!(patch[0], test);
        assert_eq!(patch[1]["value"]["written"], STANDARD.encode("1790000000005"));
        assert_eq!(patch[1]["value"].as_object().unwrap().len(), 7);
    }

    #[test]
    fn a_new_secret_has_a_name_and_an_owner() {
        let owner = OwnerReference { name: "chart".to_owned(), ..OwnerReference::default() };
        let secret = secret(&stored(NOW_MS), Some(owner));
        assert_eq!(secret.metadata.name.as_deref(), Some(SECRET));
        assert_eq!(secret.metadata.owner_references.unwrap()[0].name, "chart");
        assert_eq!(secret.data.unwrap()[WRITTEN].0, b"1790000000000");
    }
}
