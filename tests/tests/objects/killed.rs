//! A put to a volume whose process is killed in the middle.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use docmill_tests::contract::objects::{content, key};
use docmill_tests::services::process::{Process, wait_until};
use docmill_worker::objects::{Error, Objects, ObjectsOptions};
use futures::StreamExt;

/// Names the volume to the process that is killed.
const VOLUME: &str = "DOCMILL_TEST_VOLUME";

/// Not a test of its own: what the test below starts and kills. It puts two megabytes and never ends.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Some(root) = std::env::var_os(VOLUME) else { return };
    let objects = Objects::open(&ObjectsOptions::Volume(root.into())).unwrap();
    let bytes: Vec<io::Result<Bytes>> = vec![Ok(Bytes::from(vec![1; 2 << 20]))];
    let endless = futures::stream::iter(bytes).chain(futures::stream::pending()).boxed();
    let _ = objects.put(&key("a"), endless, 1 << 30).await;
}

/// Files below the folder that the volume keeps for itself, locks left out.
fn parts(root: &Path) -> Vec<u64> {
    let mut found = Vec::new();
    for dir in fs::read_dir(root.join(".docmill")).into_iter().flatten().flatten() {
        for file in fs::read_dir(dir.path()).into_iter().flatten().flatten() {
            if !file.file_name().to_string_lossy().ends_with(".lock") {
                found.push(file.metadata().unwrap().len());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_killed_put_leaves_the_old_object_and_its_part_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("volume");
    fs::create_dir(&root).unwrap();
    let options = ObjectsOptions::Volume(root.clone());
    {
        let before = Objects::open(&options).unwrap();
        before.put(&key("a"), content(b"before"), 100).await.unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "killed::the_process_that_is_killed"]).env(VOLUME, &root);
    let process = Process::start(&mut command, &dir.path().join("log"));
    wait_until("the part", || parts(&root) == [2 << 20]);
    // Others that put meanwhile leave the living alone.
    let other = Objects::open(&options).unwrap();
    other.put(&key("b"), content(b"other"), 100).await.unwrap();
    assert_eq!(parts(&root), [2 << 20]);
    // Dropped is killed.
    drop(process);
    let after = Objects::open(&options).unwrap();
    after.put(&key("c"), content(b"after"), 100).await.unwrap();
    assert!(parts(&root).is_empty());
    assert_eq!(fs::read(root.join("a")).unwrap(), b"before");
    let listed = after.list(None, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|meta| meta.key.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_volume_that_is_not_mounted_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("not-there");
    let objects = Objects::open(&ObjectsOptions::Volume(root.clone())).unwrap();
    let failed =
        tokio::time::timeout(Duration::from_secs(5), objects.put(&key("a"), content(b"x"), 10)).await;
    assert!(matches!(failed.unwrap(), Err(Error::Unreachable(_))));
    assert!(!root.exists());
}

/// Nothing on it is given up as vanished, and it is used again when it is back.
#[tokio::test]
async fn a_volume_that_goes_away_is_away_and_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (root, hidden) = (dir.path().join("volume"), dir.path().join("hidden"));
    fs::create_dir(&root).unwrap();
    let objects = Objects::open(&ObjectsOptions::Volume(root.clone())).unwrap();
    objects.put(&key("a"), content(b"before"), 100).await.unwrap();
    fs::rename(&root, &hidden).unwrap();
    let away = |error: Error| matches!(error, Error::Unreachable(_)) && error.is_transient();
    assert!(away(objects.head(&key("a")).await.unwrap_err()));
    assert!(away(objects.put(&key("b"), content(b"meanwhile"), 100).await.unwrap_err()));
    assert!(away(objects.delete(&key("a")).await.unwrap_err()));
    assert!(away(objects.list(None, None, 10).await.unwrap_err()));
    assert!(!root.exists());
    fs::rename(&hidden, &root).unwrap();
    assert_eq!(objects.head(&key("a")).await.unwrap().bytes, 6);
    objects.put(&key("b"), content(b"after"), 100).await.unwrap();
    // A new one in its place.
    fs::remove_dir_all(&root).unwrap();
    fs::create_dir(&root).unwrap();
    assert!(matches!(objects.head(&key("a")).await, Err(Error::Missing(_))));
    objects.put(&key("a"), content(b"again"), 100).await.unwrap();
    assert_eq!(fs::read(root.join("a")).unwrap(), b"again");
}
