//! What only a server can show: signatures, absent buckets, silence, prefixes; and what a check says of it.

use docmill_tests::contract::objects::{content, key};
use docmill_tests::services::process::free_port;
use docmill_tests::services::s3::{KEY_ID, S3Server};
use docmill_worker::finding::{Finding, Severity};
use docmill_worker::objects::check::check;
use docmill_worker::objects::{Error, Objects, ObjectsOptions, S3Options, ScratchOptions};
use docmill_worker::secret::Secret;

const WRONG: &str = "Wr0ng-and-secret";

fn wrong_secret(options: &S3Options) -> S3Options {
    S3Options { keys: Some((Secret::new(KEY_ID), Secret::new(WRONG))), ..options.clone() }
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_not_repeated() {
    let server = S3Server::start();
    let good = server.fresh();
    let objects = Objects::open(&ObjectsOptions::S3(wrong_secret(&good))).unwrap();
    let refused = objects.put(&key("a"), content(b"x"), 10).await.unwrap_err();
    assert!(matches!(&refused, Error::Denied(why) if why.contains("SignatureDoesNotMatch")), "{refused:?}");
    assert!(!format!("{refused:?}").contains(WRONG));
    assert!(matches!(objects.head(&key("a")).await, Err(Error::Denied(_))));
    assert!(matches!(objects.list(None, None, 1).await, Err(Error::Denied(_))));
    let absent = S3Options { bucket: "no-such-bucket".to_owned(), ..good };
    let objects = Objects::open(&ObjectsOptions::S3(absent)).unwrap();
    assert!(matches!(objects.put(&key("a"), content(b"x"), 10).await, Err(Error::Missing(_))));
}

#[tokio::test]
async fn a_prefix_keeps_others_apart() {
    let server = S3Server::start();
    let bucket = server.fresh();
    let below = |prefix: &str| {
        let options = S3Options { prefix: Some(prefix.to_owned()), ..bucket.clone() };
        Objects::open(&ObjectsOptions::S3(options)).unwrap()
    };
    let (one, two) = (below("pipe/one"), below("pipe/two/"));
    one.put(&key("a"), content(b"1"), 10).await.unwrap();
    two.put(&key("b"), content(b"2"), 10).await.unwrap();
    assert!(server.folder(&bucket.bucket).join("pipe/one/a").is_file());
    for (objects, name) in [(&one, "a"), (&two, "b")] {
        let listed = objects.list(None, None, 10).await.unwrap();
        assert_eq!(listed.iter().map(|meta| meta.key.as_str()).collect::<Vec<_>>(), [name]);
    }
    assert!(matches!(two.head(&key("a")).await, Err(Error::Missing(_))));
}

async fn findings(options: &ObjectsOptions) -> Vec<Finding> {
    let dir = tempfile::tempdir().unwrap();
    let scratch = ScratchOptions { path: dir.path().join("scratch"), limit_mib: 1 };
    Box::pin(check(options, &scratch)).await
}

async fn one_error(options: &ObjectsOptions, word: &str) {
    let found = findings(options).await;
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.what.contains(word), "{finding:?}");
    assert!(!format!("{finding:?}").contains(WRONG));
}

#[tokio::test]
async fn a_check_tells_what_is_wrong_and_leaves_nothing() {
    let server = S3Server::start();
    let good = server.fresh();
    let s3 = |options: S3Options| ObjectsOptions::S3(options);
    assert_eq!(findings(&s3(good.clone())).await, []);
    let left = Objects::open(&s3(good.clone())).unwrap().list(None, None, 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    one_error(&s3(wrong_secret(&good)), "SignatureDoesNotMatch").await;
    one_error(&s3(S3Options { bucket: "no-such-bucket".to_owned(), ..good.clone() }), "no object").await;
    let silent = Some(format!("http://127.0.0.1:{}", free_port()));
    one_error(&s3(S3Options { endpoint: silent, ..good }), "did not answer").await;
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(findings(&ObjectsOptions::Volume(dir.path().to_owned())).await, []);
    one_error(&ObjectsOptions::Volume(dir.path().join("none")), "cannot be written").await;
}
