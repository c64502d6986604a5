//! Secrets of managed stores. They are created once and never read or applied: what they hold is made here
//! and known to nobody else. Each goes with its volume, and so lives exactly as long as the data that it
//! opens.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::{Input, redis};
use crate::names::{self, Part};

/// Key of a password.
pub(super) const PASSWORD: &str = "password";
/// Key of the password of PostgreSQL's superuser, which nothing but its pod mounts.
pub(super) const SUPERUSER_PASSWORD: &str = "superuser-password";
/// Key of what Neo4j makes its user of.
pub(super) const AUTH: &str = "auth";
/// Key of the id of S3's key.
pub(super) const ACCESS_KEY_ID: &str = "accessKeyId";
/// Key of the secret of S3's key.
pub(super) const SECRET_ACCESS_KEY: &str = "secretAccessKey";
/// Key of Redis' users.
pub(super) const USERS_ACL: &str = "users.acl";
/// Key of the first key of the API.
pub(super) const API_KEY: &str = "key";

/// The id of S3's key: a name, no secret.
const ACCESS_KEY: &str = "docmill";

/// Secrets to be created for managed stores: of those whose volume is known and has none yet. `passwords` gives
/// another one at each call, of letters and digits alone: not all of their readers take more.
pub fn secrets(input: &Input<'_>, passwords: &mut dyn FnMut() -> String) -> Vec<(Part, Secret)> {
    let managed = input.managed().into_iter();
    let secret = |(part, _)| {
        let name = input.store_secret(part)?;
        if input.volumes.get(&part)?.has_secret {
            return None;
        }
        let owner = volume_owner(input, part)?;
        let meta = input.meta_without_owner(name, names::part_labels(input.name(), part));
        Some((part, made(meta, owner, data(input, part, passwords))))
    };
    managed.filter_map(secret).collect()
}

/// The Secret with the first key of the API, to be created. Keys are in the ledger: it goes with the ledger's
/// volume where there is one, else with the pipeline.
pub fn api_key_secret(input: &Input<'_>, key: String) -> Secret {
    let name = names::api_key_secret(input.name());
    let meta = input.meta_without_owner(name, names::part_labels(input.name(), Part::Api));
    let managed = input.plan.ledger.managed().and_then(|_| volume_owner(input, Part::Postgres));
    made(meta, managed.unwrap_or_else(|| input.owner()), vec![(API_KEY, key)])
}

fn made(meta: ObjectMeta, owner: OwnerReference, data: Vec<(&str, String)>) -> Secret {
    let data: BTreeMap<String, ByteString> =
        data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).collect();
    Secret {
        metadata: ObjectMeta { owner_references: Some(vec![owner]), ..meta },
        data: Some(data),
        // Another password would not open what is in the volume.
        immutable: Some(true),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

fn volume_owner(input: &Input<'_>, part: Part) -> Option<OwnerReference> {
    let volume = input.volumes.get(&part)?;
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "PersistentVolumeClaim".to_owned(),
        name: names::volume(input.name(), part),
        uid: volume.uid.clone(),
        controller: None,
        block_owner_deletion: Some(false),
    })
}

fn data(
    input: &Input<'_>,
    part: Part,
    passwords: &mut dyn FnMut() -> String,
) -> Vec<(&'static str, String)> {
    let password = passwords();
    match part {
        Part::Redis => {
            let users = redis::users_acl(input.name(), &password);
            vec![(PASSWORD, password), (USERS_ACL, users)]
        }
        Part::Postgres => vec![(PASSWORD, password), (SUPERUSER_PASSWORD, passwords())],
        Part::Neo4j => {
            let auth = format!("neo4j/{password}");
            vec![(PASSWORD, password), (AUTH, auth)]
        }
        Part::S3 => vec![(ACCESS_KEY_ID, ACCESS_KEY.to_owned()), (SECRET_ACCESS_KEY, password)],
        Part::Worker | Part::Api => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::fixture;

    fn all(input: &Input<'_>) -> Vec<(Part, Secret)> {
        let mut next = 0;
        secrets(input, &mut || {
            next += 1;
            format!("hunter{next}")
        })
    }

    fn text(secret: &Secret, key: &str) -> String {
        String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap()
    }

    #[test]
    fn each_store_has_what_it_needs() {
        let world = fixture::managed();
        let all = all(&world.input());
        let parts: Vec<Part> = all.iter().map(|(part, _)| *part).collect();
        assert_eq!(parts, Part::STORES);
        let of = |part: Part| &all.iter().find(|(other, _)| *other == part).unwrap().1;
        assert_eq!(text(of(Part::Redis), PASSWORD), "hunter1");
        assert!(!text(of(Part::Redis), USERS_ACL).contains("hunter1"), "only its hash");
        let postgres = of(Part::Postgres);
        assert_ne!(text(postgres, PASSWORD), text(postgres, SUPERUSER_PASSWORD));
        let neo4j = of(Part::Neo4j);
        assert_eq!(text(neo4j, AUTH), format!("neo4j/{}", text(neo4j, PASSWORD)));
        assert_eq!(text(of(Part::S3), ACCESS_KEY_ID), "docmill");
        let owner = &neo4j.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("PersistentVolumeClaim", "neo4j-uid"));
    }

    #[test]
    fn none_is_made_before_its_volume() {
        let mut world = fixture::managed();
        world.volumes.remove(&Part::Neo4j);
        assert_eq!(all(&world.input()).len(), 3);
        world.volumes.get_mut(&Part::Redis).unwrap().has_secret = true;
        let parts: Vec<Part> = all(&world.input()).iter().map(|(part, _)| *part).collect();
        assert_eq!(parts, [Part::Postgres, Part::S3], "nor a second one");
        assert!(all(&fixture::external().input()).is_empty());
    }

    #[test]
    fn the_first_key_lives_where_keys_are_kept() {
        let owner = |input: &Input<'_>| {
            let secret = api_key_secret(input, "key".to_owned());
            assert_eq!(text(&secret, API_KEY), "key");
            secret.metadata.owner_references.unwrap()[0].kind.clone()
        };
        assert_eq!(owner(&fixture::managed().input()), "PersistentVolumeClaim");
        assert_eq!(owner(&fixture::external().input()), "IngestionPipeline");
    }
}
