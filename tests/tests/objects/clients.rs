//! Clouds that no test can reach: a configuration leads to their client, or to a problem that says what is wrong.
//! The credentials are made up, and nobody is asked.

use std::io;
use std::path::Path;

use docmill_tests::contract::objects::key;
use docmill_worker::config::{Environment, load};
use docmill_worker::objects::{AzureOptions, Error, GcsOptions, Objects, ObjectsOptions};
use docmill_worker::secret::Secret;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::json;

const SERVERS: &str =
    "queue: {redis: {url: 'redis://h/2'}}\nledger: {postgres: {url: 'postgresql://h/d'}}\n";
/// The variable that holds what a section names.
const VARIABLE: &str = "CLOUD_KEY";
/// As accounts of Azure have keys: some bytes in Base64.
const ACCESS_KEY: &str = "bWFkZS11cCBhbmQgbmV2ZXIgdXNlZA==";
/// No key of any cloud.
const WRONG: &str = "Wr0ng-and-secret!";

/// What a section leads to with this in its variable, or all that is wrong with it.
fn options(section: &str, secret: &str) -> Result<ObjectsOptions, Vec<String>> {
    let environment = Environment::from([(VARIABLE.to_owned(), secret.to_owned())]);
    let no_files = |_: &Path| -> io::Result<String> { Err(io::ErrorKind::NotFound.into()) };
    match load(&format!("{SERVERS}objects: {section}\n"), &environment, &no_files) {
        Ok(settings) => Ok(settings.objects.unwrap()),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

/// The credentials are no such ones: that is told by the section's name, and they are not repeated.
fn is_refused(options: &ObjectsOptions, section: &str) {
    let error = Objects::open(options).unwrap_err();
    assert!(matches!(&error, Error::Failed(why) if why.contains(section)), "{error}");
    assert!(!format!("{error} {error:?}").contains(WRONG), "{error}");
}

#[test]
fn a_bucket_of_google_is_opened_with_a_service_account() {
    let account = |private_key: &str| {
        let account = json!({
            "type": "service_account",
            "client_email": "nobody@docs.example",
            "private_key_id": "made-up",
            "private_key": private_key,
        });
        account.to_string()
    };
    let good = account(&KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem());
    let section = "{gcs: {bucket: docs, prefix: in/, serviceAccountEnv: CLOUD_KEY}}";
    let gcs = options(section, &good).unwrap();
    let wanted = GcsOptions {
        bucket: "docs".to_owned(),
        prefix: Some("in".to_owned()),
        service_account: Some(Secret::new(good.as_str())),
    };
    assert_eq!(gcs, ObjectsOptions::Gcs(wanted));
    assert_eq!(gcs.uri_of(&key("a.txt")), "gs://docs/in/a.txt");
    Objects::open(&gcs).unwrap();
    for wrong in [WRONG.to_owned(), account(WRONG), json!({ "private_key": WRONG }).to_string()] {
        is_refused(&options(section, &wrong).unwrap(), "objects.gcs");
    }
}

#[test]
fn a_container_of_azure_is_opened_with_an_access_key() {
    let section = "{azure: {account: letters, container: docs, prefix: in/, accessKeyEnv: CLOUD_KEY}}";
    let azure = options(section, ACCESS_KEY).unwrap();
    let wanted = AzureOptions {
        account: "letters".to_owned(),
        container: "docs".to_owned(),
        prefix: Some("in".to_owned()),
        access_key: Some(Secret::new(ACCESS_KEY)),
        ..AzureOptions::default()
    };
    assert_eq!(azure, ObjectsOptions::Azure(wanted));
    assert_eq!(azure.uri_of(&key("a.txt")), "az://letters/docs/in/a.txt");
    Objects::open(&azure).unwrap();
    let elsewhere = section.replace("prefix: in/", "endpoint: 'http://azure:10000', allowHttp: true");
    Objects::open(&options(&elsewhere, ACCESS_KEY).unwrap()).unwrap();
    is_refused(&options(section, WRONG).unwrap(), "objects.azure");
}

#[test]
fn what_is_wrong_in_a_section_is_told_by_its_key() {
    for (section, told) in [
        ("{gcs: {prefix: in}}", "objects.gcs.bucket is missing"),
        ("{gcs: {bucket: docs, serviceAccountEnv: NOT_SET}}", "objects.gcs.serviceAccountEnv names"),
        ("{gcs: {bucket: docs, serviceAccountFile: /none}}", "objects.gcs.serviceAccountFile cannot be"),
        ("{azure: {container: docs}}", "objects.azure.account is missing"),
        ("{azure: {account: letters}}", "objects.azure.container is missing"),
        (
            "{azure: {account: letters, container: docs, endpoint: 'http://azure'}}",
            "objects.azure.endpoint is without TLS",
        ),
        (
            "{azure: {account: letters, container: docs, accessKeyEnv: Wr0ng-and-secret!}}",
            "objects.azure.accessKeyEnv is not the name of a variable",
        ),
    ] {
        let problems = options(section, ACCESS_KEY).unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with(told), "{section}: {problems:?}");
        assert!(!problems[0].contains(WRONG), "{problems:?}");
    }
}
