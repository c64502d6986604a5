//! Whether a place of objects is fit: an object is written, read in parts, replaced and removed there.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt;

use super::{Cut, Error, Meta, ObjectKey, Objects, ObjectsOptions, Scratch, ScratchOptions};
use crate::finding::{Finding, Severity};

/// Bytes of the probe; it is read in parts of [`PART_BYTES`].
const PROBE_BYTES: usize = 1_000;
const PART_BYTES: u64 = 400;

/// Tries everything that a worker and an API need, under a name of its own, which is removed again.
pub async fn check(options: &ObjectsOptions, scratch: &ScratchOptions) -> Vec<Finding> {
    let objects = match Objects::open(options) {
        Ok(objects) => objects,
        Err(error) => return vec![finding("no client can be made", &error, options)],
    };
    let scratch = match Scratch::open(scratch) {
        Ok(scratch) => scratch,
        // Told by the check of scratch itself; reading is then tried without it.
        Err(_) => return Vec::new(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let name = format!("docmill-check/{:x}-{now:x}", std::process::id());
    let key = match ObjectKey::new(name) {
        Ok(key) => key,
        Err(error) => return vec![finding("no probe can be made", &error, options)],
    };
    let mut findings = Vec::new();
    if let Err((doing, error)) = tried(&objects, &scratch, &key, &mut findings).await {
        findings.push(finding(doing, &error, options));
        // The probe may be there although something with it failed.
        let _ = objects.delete(&key).await;
    }
    findings
}

/// Whether files can be made in scratch.
pub fn check_scratch(options: &ScratchOptions) -> Vec<Finding> {
    let written = Scratch::open(options).and_then(|scratch| {
        let bar = options.path.display();
        let free = rustix::fs::statvfs(&options.path)?;
        let free_mib = free.f_bavail.saturating_mul(free.f_frsize) >> 20;
        drop(scratch);
        let short = free_mib < u64::from(options.limit_mib);
        Ok(short.then(|| format!("{free_mib} MiB are free in {bar}, less than scratch.limitMib")))
    });
    match written {
        Ok(None) => Vec::new(),
        Ok(Some(what)) => {
            vec![Finding::new(Severity::Warning, what, "make the volume larger, or lower scratch.limitMib")]
        }
        Err(error) => {
            let what = format!("{} cannot be written: {error}", options.path.display());
            let what_to_do =
                "mount a volume there that the worker's user may write to, or change scratch.path";
            vec![Finding::new(Severity::Error, what, what_to_do)]
        }
    }
}

async fn tried(
    objects: &Objects,
    scratch: &Scratch,
    key: &ObjectKey,
    findings: &mut Vec<Finding>,
) -> Result<(), (&'static str, Error)> {
    let stored = put(objects, key, 1).await.map_err(|error| ("an object cannot be written", error))?;
    let meta = objects.head(key).await.map_err(|error| ("an object cannot be looked at", error))?;
    let cut = Cut { above: 0, part: PART_BYTES };
    let fetch = async |meta: &Meta| objects.fetch_cut(meta, scratch, cut, &mut |_| {}).await;
    let fetched = fetch(&meta).await.map_err(|error| ("an object cannot be read in parts", error))?;
    if fetched.content != stored {
        findings.push(Finding::new(
            Severity::Error,
            "an object that was read is not what was written",
            "look for a proxy or a gateway that alters or caches answers",
        ));
    }
    drop(fetched);
    let folder = ObjectKey::new("docmill-check").map_err(|error| ("no probe can be made", error))?;
    let listed = objects.list(Some(&folder), None, super::PAGE_MAX).await;
    listed.map_err(|error| ("objects cannot be listed", error))?;
    put(objects, key, 2).await.map_err(|error| ("an object cannot be replaced", error))?;
    match fetch(&meta).await {
        Err(Error::Changed(_)) => {}
        Err(error) => return Err(("an object cannot be read in parts", error)),
        Ok(_) => findings.push(Finding::new(
            Severity::Warning,
            "a replaced object is served under its old ETag",
            "keep what is uploaded immutable: a replacement during a fetch is noticed only by its hash",
        )),
    }
    objects.delete(key).await.map_err(|error| ("an object cannot be removed", error))?;
    match objects.head(key).await {
        Err(Error::Missing(_)) => Ok(()),
        Ok(_) => {
            findings.push(Finding::new(
                Severity::Warning,
                "a removed object is still there",
                "look for a lock or a cache in front of the bucket: deleted documents would stay",
            ));
            Ok(())
        }
        Err(error) => Err(("an object cannot be looked at", error)),
    }
}

async fn put(objects: &Objects, key: &ObjectKey, byte: u8) -> Result<docmill_core::id::ContentHash, Error> {
    let content = Bytes::from(vec![byte; PROBE_BYTES]);
    let content = futures::stream::iter([Ok(content)]).boxed();
    Ok(objects.put(key, content, PROBE_BYTES as u64).await?.content)
}

fn finding(doing: &str, error: &Error, options: &ObjectsOptions) -> Finding {
    let volume = matches!(options, ObjectsOptions::Volume(_));
    let what_to_do = match error {
        Error::Denied(_) if volume => "make the volume writable for the worker's user (fsGroup)",
        Error::Denied(_) => {
            "check the keys or the pod's identity, and its rights to put, get, list and delete"
        }
        Error::Missing(_) | Error::Unreachable(_) if volume => "mount the volume there",
        Error::Missing(_) => "make the bucket or container, or correct its name and the region",
        Error::Unreachable(_) => {
            "check the endpoint, the network policy, and whether both sides agree on TLS"
        }
        Error::DiskFull(_) => "free space there",
        _ => "check the section objects of the configuration",
    };
    Finding::new(Severity::Error, format!("{doing}: {error}"), what_to_do)
}
