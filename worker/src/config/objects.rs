//! The sections `objects` and `scratch`, judged: one back end at most, its names, its secrets.

use std::path::PathBuf;

use super::read::quoted;
use super::resolve::Judge;
use super::{Azure, Gcs, Objects, S3, Scratch, Volume};
use crate::objects::{AzureOptions, GcsOptions, ObjectKey, ObjectsOptions, S3Options, ScratchOptions};

impl Judge<'_> {
    /// The one back end that is given, `Some(None)` where none is; `None`: there is a problem.
    pub(super) fn objects(&mut self, given: &Objects) -> Option<Option<ObjectsOptions>> {
        let kinds = [
            ("objects.s3.bucket", given.s3 != S3::default()),
            ("objects.gcs.bucket", given.gcs != Gcs::default()),
            ("objects.azure.container", given.azure != Azure::default()),
            ("objects.volume.path", given.volume != Volume::default()),
        ];
        let named: Vec<&str> = kinds.iter().filter(|(_, given)| *given).map(|(path, _)| *path).collect();
        // What is wrong inside each is told as well.
        let mut judged = [
            kinds[0].1.then(|| self.s3(&given.s3).map(ObjectsOptions::S3)),
            kinds[1].1.then(|| self.gcs(&given.gcs).map(ObjectsOptions::Gcs)),
            kinds[2].1.then(|| self.azure(&given.azure).map(ObjectsOptions::Azure)),
            kinds[3].1.then(|| self.volume(&given.volume).map(ObjectsOptions::Volume)),
        ]
        .into_iter()
        .flatten();
        if let [first, second, ..] = named[..] {
            let what = format!("is given beside {first}");
            self.wrong(second, None, &what, "keep one of s3, gcs, azure and volume");
            return None;
        }
        match judged.next() {
            None => Some(None),
            Some(options) => options.map(Some),
        }
    }

    fn s3(&mut self, given: &S3) -> Option<S3Options> {
        let bucket = self.name("objects.s3.bucket", given.bucket.as_deref());
        let endpoint = self.endpoint("objects.s3.endpoint", given.endpoint.as_deref(), given.allow_http);
        let prefix = self.prefix("objects.s3.prefix", given.prefix.as_deref());
        let id = self.secret(
            "objects.s3.accessKeyId",
            given.access_key_id_file.as_deref(),
            given.access_key_id_env.as_deref(),
        );
        let secret = self.secret(
            "objects.s3.secretAccessKey",
            given.secret_access_key_file.as_deref(),
            given.secret_access_key_env.as_deref(),
        );
        let says_id = given.access_key_id_file.is_some() || given.access_key_id_env.is_some();
        let says_secret = given.secret_access_key_file.is_some() || given.secret_access_key_env.is_some();
        if says_id != says_secret {
            let (has, lacks) = match says_id {
                true => ("an id without a secret", "objects.s3.secretAccessKeyFile"),
                false => ("a secret without an id", "objects.s3.accessKeyIdFile"),
            };
            self.wrong(lacks, None, &format!("is missing: there is {has}"), "add it, or remove the other");
        }
        Some(S3Options {
            bucket: bucket?,
            endpoint: endpoint?,
            region: given.region.clone(),
            prefix: prefix?,
            keys: id.zip(secret),
            tls_ca_file: self.file("objects.s3.tlsCaFile", given.tls_ca_file.as_deref()),
            allow_http: given.allow_http,
        })
    }

    fn gcs(&mut self, given: &Gcs) -> Option<GcsOptions> {
        let bucket = self.name("objects.gcs.bucket", given.bucket.as_deref());
        let prefix = self.prefix("objects.gcs.prefix", given.prefix.as_deref());
        let service_account = self.secret(
            "objects.gcs.serviceAccount",
            given.service_account_file.as_deref(),
            given.service_account_env.as_deref(),
        );
        Some(GcsOptions { bucket: bucket?, prefix: prefix?, service_account })
    }

    fn azure(&mut self, given: &Azure) -> Option<AzureOptions> {
        let account = self.name("objects.azure.account", given.account.as_deref());
        let container = self.name("objects.azure.container", given.container.as_deref());
        let endpoint = self.endpoint("objects.azure.endpoint", given.endpoint.as_deref(), given.allow_http);
        let prefix = self.prefix("objects.azure.prefix", given.prefix.as_deref());
        let access_key = self.secret(
            "objects.azure.accessKey",
            given.access_key_file.as_deref(),
            given.access_key_env.as_deref(),
        );
        Some(AzureOptions {
            account: account?,
            container: container?,
            endpoint: endpoint?,
            prefix: prefix?,
            access_key,
            allow_http: given.allow_http,
        })
    }

    fn volume(&mut self, given: &Volume) -> Option<PathBuf> {
        self.file("objects.volume.path", given.path.as_deref())
    }

    /// The section `scratch`.
    pub(super) fn scratch(&mut self, given: &Scratch) -> ScratchOptions {
        let path = self.file("scratch.path", Some(&given.path)).unwrap_or_default();
        ScratchOptions { path, limit_mib: given.limit_mib }
    }

    /// The name of a bucket, a container, an account: each cloud has rules of its own for more than this.
    fn name(&mut self, path: &str, given: Option<&str>) -> Option<String> {
        let Some(name) = given else {
            self.wrong(path, None, "is missing", "add it to the file");
            return None;
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(3..=222).contains(&name.len()) || !name.chars().all(allowed) {
            self.wrong(path, Some(quoted(name)), "is not a name", "correct it");
            return None;
        }
        Some(name.to_owned())
    }

    fn prefix(&mut self, path: &str, given: Option<&str>) -> Option<Option<String>> {
        let Some(prefix) = given else { return Some(None) };
        if ObjectKey::new(prefix.trim_end_matches('/')).is_err() {
            self.wrong(path, Some(quoted(prefix)), "cannot begin a name", "correct it");
            return None;
        }
        Some(Some(prefix.trim_end_matches('/').to_owned()))
    }

    /// Never repeated: it is where somebody writes a user and a password by mistake.
    fn endpoint(&mut self, path: &str, given: Option<&str>, allow_http: bool) -> Option<Option<String>> {
        let Some(url) = given else { return Some(None) };
        if url.contains('@') {
            let what_to_do = "move them to the keys of this section; whoever could read it has seen the password: change it";
            self.wrong(path, None, "holds a user or a password", what_to_do);
            return None;
        }
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let plain = |host: &str| {
            !host.is_empty() && !host.contains(['?', '#']) && !host.contains(char::is_whitespace)
        };
        if !host.is_some_and(plain) {
            self.wrong(path, None, "does not say where the server is", "correct it");
            return None;
        }
        if url.starts_with("http://") && !allow_http {
            self.wrong(path, None, "is without TLS", "begin it with https, or set allowHttp to true");
            return None;
        }
        Some(Some(url.to_owned()))
    }
}
