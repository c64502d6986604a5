//! The managed store of objects: an S3 server (versitygw) over a volume. A folder is a bucket to it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

use super::Input;
use super::pods::{self, Every};
use super::secrets::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use super::stores::{self, DATA, Pod};
use crate::child::Child;
use crate::names::Part;
use crate::plan::ManagedStore;

/// Port.
pub(super) const PORT: i32 = 7_070;
/// Name of the port.
const PORT_NAME: &str = "s3";
/// The bucket.
pub(super) const BUCKET: &str = "docmill";
/// User and group. The image names none.
const UID: i64 = 10_001;
const FOLDER: &str = "/data";

/// Service and, where its Secret has a name, the StatefulSet.
pub(super) fn children(input: &Input<'_>, store: &ManagedStore) -> Vec<Child> {
    let part = Part::S3;
    let mut all = vec![stores::service(input, part, PORT_NAME, PORT)];
    let image = &input.images.s3;
    all.extend(input.store_secret(part).map(|secret| {
        let container = Container {
            args: Some(pods::words(&["--quiet", "--port", &format!(":{PORT}"), "posix", FOLDER])),
            env: Some(vec![
                pods::env_of_secret("ROOT_ACCESS_KEY", &secret, ACCESS_KEY_ID),
                pods::env_of_secret("ROOT_SECRET_KEY", &secret, SECRET_ACCESS_KEY),
            ]),
            ports: Some(vec![pods::port(PORT_NAME, PORT)]),
            readiness_probe: Some(pods::tcp(PORT, Every(5, 3))),
            volume_mounts: Some(vec![pods::mount(DATA, FOLDER), pods::mount("tmp", "/tmp")]),
            ..pods::container(input, part.as_str(), image, &store.bounds)
        };
        let bucket = Container {
            command: Some(pods::words(&["sh", "-c", &format!("mkdir -p {FOLDER}/{BUCKET}")])),
            volume_mounts: Some(vec![pods::mount(DATA, FOLDER)]),
            ..pods::container(input, "bucket", image, &store.bounds)
        };
        let volumes = vec![pods::empty_dir("tmp", 64)];
        let config = BTreeMap::new();
        stores::stateful_set(input, Pod { part, user: UID, container, init: vec![bucket], volumes, config })
    }));
    all
}
