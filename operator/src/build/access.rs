//! What opens the stores, and documents, as files in pods of workers and API: `/run/secrets/docmill/PART/FILE`. The
//! configuration names these paths; what is mounted there is said here, so that the two agree.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, KeyToPath, ProjectedVolumeSource, SecretProjection, Volume, VolumeMount,
    VolumeProjection,
};

use super::secrets::{ACCESS_KEY_ID, API_KEY, PASSWORD, SECRET_ACCESS_KEY};
use super::{Input, operator_keys, pods};
use crate::names::{self, Part};
use crate::plan::{Store, bucket_keys};
use crate::resource::SecretKey;

/// Where all of them are.
const FOLDER: &str = "/run/secrets/docmill";
/// File of a password.
pub(super) const PASSWORD_FILE: &str = "password";
/// File of the authorities that a store's certificate is checked with.
pub(super) const CA_FILE: &str = "ca.crt";
/// File of the id of a bucket's key.
pub(super) const ACCESS_KEY_ID_FILE: &str = "access-key-id";
/// File of the secret of a bucket's key.
pub(super) const SECRET_ACCESS_KEY_FILE: &str = "secret-access-key";
/// File of the operator's public keys.
pub(super) const OPERATOR_KEYS: &str = "/run/secrets/docmill/operator-keys/keys.pem";
/// File of the first key of the API.
pub(super) const FIRST_KEY: &str = "/run/secrets/docmill/api-key/key";
/// Key of the passwords of documents.
const PASSWORDS: &str = "passwords";
/// File of the passwords of documents: workers read these, and API pods draw their pages.
pub(super) const PASSWORDS_FILE: &str = "/run/secrets/docmill/documents/passwords";
/// Key of the key of the model that writes answers.
const MODEL_KEY: &str = "apiKey";
/// File of the key of the model that writes answers, which API pods alone have.
pub(super) const MODEL_KEY_FILE: &str = "/run/secrets/docmill/model/key";
/// Name of the volume.
const VOLUME: &str = "secrets";

/// Path of a part's file.
pub(super) fn path(part: Part, file: &str) -> String {
    format!("{FOLDER}/{part}/{file}")
}

/// Folder of a store's Secret in the store's own pod.
pub(super) fn folder(part: Part) -> String {
    format!("{FOLDER}/{part}")
}

/// The volume of a worker or of an API pod: what opens the stores, and the passwords of documents. An API pod has the
/// operator's keys, its own first one and the model's beside. None while a Secret of a managed store has no name yet.
pub(super) fn volume(input: &Input<'_>, part: Part) -> Option<Volume> {
    let mut sources = stores(input)?;
    if part == Part::Api {
        let keys = file(operator_keys::KEYS, "operator-keys/keys.pem".to_owned());
        sources.push(VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name: names::operator_keys(input.name()),
                items: Some(vec![keys]),
                optional: None,
            }),
            ..VolumeProjection::default()
        });
        let key = file(API_KEY, "api-key/key".to_owned());
        sources.push(secret(names::api_key_secret(input.name()), vec![key]));
        if let Some(given) = model_key(input) {
            let key = given.key.as_deref().unwrap_or(MODEL_KEY);
            sources.push(secret(given.name.clone(), vec![file(key, "model/key".to_owned())]));
        }
    }
    if let Some(given) = &input.pipeline.spec.extract.passwords_secret_ref {
        let key = given.key.as_deref().unwrap_or(PASSWORDS);
        let mut passwords = secret(given.name.clone(), vec![file(key, "documents/passwords".to_owned())]);
        // Without them a worker would give up what it could read; an API answers all but for pictures of some pages.
        if part == Part::Api
            && let Some(secret) = &mut passwords.secret
        {
            secret.optional = Some(true);
        }
        sources.push(passwords);
    }
    let projected = ProjectedVolumeSource { default_mode: Some(pods::SECRET_MODE), sources: Some(sources) };
    Some(Volume { name: VOLUME.to_owned(), projected: Some(projected), ..Volume::default() })
}

/// The key of the model that writes answers, where it has one.
pub(super) fn model_key<'a>(input: &Input<'a>) -> Option<&'a SecretKey> {
    input.pipeline.spec.ask.model.as_ref()?.key_secret_ref.as_ref()
}

/// Where the volume is.
pub(super) fn mount() -> VolumeMount {
    pods::mount_read_only(VOLUME, FOLDER)
}

fn stores(input: &Input<'_>) -> Option<Vec<VolumeProjection>> {
    let plan = input.plan;
    let mut all = Vec::new();
    match &plan.queue {
        Store::Managed(_) => all.push(managed(input, Part::Redis)?),
        Store::External(redis) => {
            all.extend(external(Part::Redis, redis.secret_ref.as_ref(), redis.ca_secret_ref.as_ref()));
        }
    }
    match &plan.ledger {
        Store::Managed(_) => all.push(managed(input, Part::Postgres)?),
        Store::External(postgres) => {
            let (password, ca) = (postgres.secret_ref.as_ref(), postgres.ca_secret_ref.as_ref());
            all.extend(external(Part::Postgres, password, ca));
        }
    }
    match &plan.graph {
        Some(Store::Managed(_)) => all.push(managed(input, Part::Neo4j)?),
        Some(Store::External(neo4j)) => {
            all.extend(external(Part::Neo4j, neo4j.secret_ref.as_ref(), neo4j.ca_secret_ref.as_ref()));
        }
        None => {}
    }
    match &plan.objects {
        Store::Managed(_) => {
            all.push(bucket(input.store_secret(Part::S3)?, ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        }
        Store::External(s3) => {
            if let Some(credentials) = &s3.secret_ref {
                let (id, key) = bucket_keys(credentials);
                all.push(bucket(credentials.name.clone(), id, key));
            }
            all.extend(external(Part::S3, None, s3.ca_secret_ref.as_ref()));
        }
    }
    Some(all)
}

fn managed(input: &Input<'_>, part: Part) -> Option<VolumeProjection> {
    let item = file(PASSWORD, format!("{part}/{PASSWORD_FILE}"));
    Some(secret(input.store_secret(part)?, vec![item]))
}

fn external(part: Part, password: Option<&SecretKey>, ca: Option<&SecretKey>) -> Vec<VolumeProjection> {
    let named = [(password, PASSWORD, PASSWORD_FILE), (ca, CA_FILE, CA_FILE)];
    let source = |(given, default_key, name): (Option<&SecretKey>, &str, &str)| {
        let given = given?;
        let key = given.key.as_deref().unwrap_or(default_key);
        Some(secret(given.name.clone(), vec![file(key, format!("{part}/{name}"))]))
    };
    named.into_iter().filter_map(source).collect()
}

fn bucket(name: String, id: &str, key: &str) -> VolumeProjection {
    let part = Part::S3;
    let items = [
        file(id, format!("{part}/{ACCESS_KEY_ID_FILE}")),
        file(key, format!("{part}/{SECRET_ACCESS_KEY_FILE}")),
    ];
    secret(name, items.into())
}

fn secret(name: String, items: Vec<KeyToPath>) -> VolumeProjection {
    let secret = SecretProjection { name, items: Some(items), optional: None };
    VolumeProjection { secret: Some(secret), ..VolumeProjection::default() }
}

fn file(key: &str, path: String) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path, mode: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::fixture;

    /// Secret, key and path of all that is mounted.
    fn mounted(input: &Input<'_>, part: Part) -> Vec<(String, String, String)> {
        let sources = volume(input, part).unwrap().projected.unwrap().sources.unwrap();
        let mut all = Vec::new();
        for source in sources {
            let (name, items) = match (source.secret, source.config_map) {
                (Some(secret), None) => (secret.name, secret.items),
                (None, Some(config)) => (config.name, config.items),
                _ => panic!("a Secret or a ConfigMap"),
            };
            all.extend(items.unwrap().into_iter().map(|item| (name.clone(), item.key, item.path)));
        }
        all
    }

    fn of(name: &str, key: &str, path: &str) -> (String, String, String) {
        (name.to_owned(), key.to_owned(), path.to_owned())
    }

    #[test]
    fn managed_stores_are_opened_by_their_own_secrets() {
        let world = fixture::managed();
        let expected = [
            of("knowbase-redis-redis-ui", "password", "redis/password"),
            of("knowbase-postgres-postgres", "password", "postgres/password"),
            of("knowbase-neo4j-neo4j-ui", "password", "neo4j/password"),
            of("knowbase-s3-s3-uid", "accessKeyId", "s3/access-key-id"),
            of("knowbase-s3-s3-uid", "secretAccessKey", "s3/secret-access-key"),
        ];
        assert_eq!(mounted(&world.input(), Part::Worker), expected);
        let api = mounted(&world.input(), Part::Api);
        assert_eq!(
            api[expected.len()..],
            [
                of("knowbase-operator-keys", "keys.pem", "operator-keys/keys.pem"),
                of("knowbase-api-key", "key", "api-key/key"),
            ]
        );
    }

    #[test]
    fn external_stores_are_opened_by_what_a_person_names() {
        let world = fixture::external();
        let expected = [
            of("queue", "password", "redis/password"),
            of("queue", "ca.crt", "redis/ca.crt"),
            of("ledger", "word", "postgres/password"),
            of("bucket", "id", "s3/access-key-id"),
            of("bucket", "secretAccessKey", "s3/secret-access-key"),
        ];
        assert_eq!(mounted(&world.input(), Part::Worker), expected);
    }

    #[test]
    fn workers_and_api_pods_have_the_passwords_of_documents() {
        let mut world = fixture::managed();
        let parts = [Part::Worker, Part::Api];
        let before = parts.map(|part| mounted(&world.input(), part));
        for (given, key) in [(None, "passwords"), (Some("pdf.txt"), "pdf.txt")] {
            let name = "vault".to_owned();
            world.pipeline.spec.extract.passwords_secret_ref =
                Some(SecretKey { name, key: given.map(str::to_owned) });
            for (part, before) in parts.iter().zip(&before) {
                let after = mounted(&world.input(), *part);
                assert_eq!(after[..before.len()], before[..], "{part}");
                assert_eq!(after[before.len()..], [of("vault", key, "documents/passwords")], "{part}");
            }
        }
        assert_eq!(PASSWORDS_FILE, format!("{FOLDER}/documents/passwords"));
    }

    #[test]
    fn api_pods_alone_have_the_key_of_the_model() {
        let mut world = fixture::managed();
        let before = [Part::Worker, Part::Api].map(|part| mounted(&world.input(), part));
        for (given, key) in [(None, "apiKey"), (Some("token"), "token")] {
            let name = "models".to_owned();
            let mut model = fixture::model();
            model.key_secret_ref = Some(SecretKey { name, key: given.map(str::to_owned) });
            world.pipeline.spec.ask.model = Some(model);
            assert_eq!(mounted(&world.input(), Part::Worker), before[0]);
            let api = mounted(&world.input(), Part::Api);
            assert_eq!(api[..before[1].len()], before[1]);
            assert_eq!(api[before[1].len()..], [of("models", key, "model/key")]);
        }
        assert_eq!(MODEL_KEY_FILE, format!("{FOLDER}/model/key"));
        world.pipeline.spec.ask.model = Some(fixture::model());
        assert_eq!(mounted(&world.input(), Part::Api), before[1], "it wants no key");
    }

    #[test]
    fn nothing_is_mounted_by_half() {
        let mut world = fixture::managed();
        world.volumes.remove(&Part::S3);
        assert_eq!(volume(&world.input(), Part::Worker), None);
    }
}
