//! Where objects are, as the configuration says it, and the client that goes there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::{Error, ObjectKey};
use crate::secret::Secret;
use crate::stages::file_uri;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest silence of a server.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Longest that a call is tried again, and how often: the queue tries the document again after that.
const RETRY_MAX: Duration = Duration::from_secs(20);
const RETRIES_MAX: usize = 4;
/// The region that compatible servers expect which have none.
const REGION: &str = "us-east-1";

/// Where objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectsOptions {
    /// S3, or a server compatible with it.
    S3(S3Options),
    /// Google Cloud Storage.
    Gcs(GcsOptions),
    /// Azure Blob Storage.
    Azure(AzureOptions),
    /// A directory of a volume that all pods mount.
    Volume(PathBuf),
}

/// A bucket of S3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Options {
    /// Its name.
    pub bucket: String,
    /// The server; none: Amazon's.
    pub endpoint: Option<String>,
    /// Its region; none: what the endpoint expects that has none.
    pub region: Option<String>,
    /// What all names of objects begin with.
    pub prefix: Option<String>,
    /// Identity and secret; none: those of the pod.
    pub keys: Option<(Secret, Secret)>,
    /// Authority of the server's certificate, in PEM; none: the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// Whether an endpoint without TLS is used.
    pub allow_http: bool,
}

/// A bucket of Google Cloud Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcsOptions {
    /// Its name.
    pub bucket: String,
    /// What all names of objects begin with.
    pub prefix: Option<String>,
    /// A service account's key, as JSON; none: the pod's identity.
    pub service_account: Option<Secret>,
}

/// A container of Azure Blob Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AzureOptions {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// The server; none: the public cloud's.
    pub endpoint: Option<String>,
    /// What all names of objects begin with.
    pub prefix: Option<String>,
    /// The account's key; none: the pod's identity.
    pub access_key: Option<Secret>,
    /// Whether an endpoint without TLS is used.
    pub allow_http: bool,
}

impl ObjectsOptions {
    /// Where it is, for people: no secret.
    pub fn address(&self) -> String {
        match self {
            Self::S3(S3Options { endpoint: Some(endpoint), .. }) => {
                format!("{} at {endpoint}", self.root())
            }
            _ => self.root(),
        }
    }

    /// The URI of an object: what [`ObjectsOptions::key_of`] reads.
    pub fn uri_of(&self, key: &ObjectKey) -> String {
        match self {
            Self::Volume(path) => file_uri::of_path(&path.join(key.as_str())),
            _ => format!("{}/{key}", self.root()),
        }
    }

    /// The folder that a URI names, `Some(None)` where that is the whole place; `None` where it leads elsewhere.
    pub fn folder_of(&self, uri: &str) -> Option<Option<ObjectKey>> {
        let uri = uri.trim_end_matches('/');
        match uri == self.root() {
            true => Some(None),
            false => self.key_of(uri).map(Some),
        }
    }

    /// The URI of the whole place, without a slash at its end.
    fn root(&self) -> String {
        let (start, prefix) = match self {
            Self::S3(s3) => (format!("s3://{}", s3.bucket), &s3.prefix),
            Self::Gcs(gcs) => (format!("gs://{}", gcs.bucket), &gcs.prefix),
            Self::Azure(azure) => (format!("az://{}/{}", azure.account, azure.container), &azure.prefix),
            Self::Volume(path) => return file_uri::of_path(path).trim_end_matches('/').to_owned(),
        };
        match prefix.as_deref().map(|prefix| prefix.trim_matches('/')) {
            Some(prefix) if !prefix.is_empty() => format!("{start}/{prefix}"),
            _ => start,
        }
    }

    /// The object that a document's URI names; `None` where the URI leads elsewhere.
    pub fn key_of(&self, uri: &str) -> Option<ObjectKey> {
        if let Self::Volume(path) = self {
            // By its path, as file URIs encode what no text can hold.
            let path = file_uri::to_path(uri)?.strip_prefix(path).ok()?.to_str()?.to_owned();
            return ObjectKey::new(path).ok();
        }
        ObjectKey::new(uri.strip_prefix(&self.root())?.strip_prefix('/')?).ok()
    }
}

fn client(allow_http: bool) -> ClientOptions {
    // No limit of a whole call: a slow line that moves is no failure.
    ClientOptions::new()
        .with_allow_http(allow_http)
        .with_connect_timeout(CONNECT_MAX)
        .with_read_timeout(SILENCE_MAX)
        .with_timeout_disabled()
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_MAX }
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

pub(super) fn s3(options: &S3Options) -> Result<Arc<dyn ObjectStore>, Error> {
    // Only where no keys are given does the environment speak, which is how a pod's identity is told.
    let mut builder = match &options.keys {
        Some((id, secret)) => AmazonS3Builder::new()
            .with_access_key_id(id.expose())
            .with_secret_access_key(secret.expose())
            .with_region(REGION),
        None => AmazonS3Builder::from_env(),
    };
    let mut http = client(options.allow_http);
    if let Some(file) = &options.tls_ca_file {
        let pem = std::fs::read(file).map_err(|error| Error::io(&file.display().to_string(), &error))?;
        for certificate in Certificate::from_pem_bundle(&pem).map_err(unusable)? {
            http = http.with_root_certificate(certificate);
        }
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder = builder.with_client_options(http).with_retry(retry());
    // Not all compatible servers know the removal of many at once, and we remove one at a time.
    builder = builder.with_disable_bulk_delete(true);
    Ok(Arc::new(builder.with_bucket_name(&options.bucket).build().map_err(unusable)?))
}

pub(super) fn gcs(options: &GcsOptions) -> Result<Arc<dyn ObjectStore>, Error> {
    let builder = match &options.service_account {
        Some(json) => GoogleCloudStorageBuilder::new().with_service_account_key(json.expose()),
        None => GoogleCloudStorageBuilder::from_env(),
    };
    let builder = builder.with_bucket_name(&options.bucket);
    let builder = builder.with_client_options(client(false)).with_retry(retry());
    // Its message may repeat the key's file.
    let built =
        builder.build().map_err(|_| unusable("objects.gcs does not make a client: is it a key's JSON?"))?;
    Ok(Arc::new(built))
}

pub(super) fn azure(options: &AzureOptions) -> Result<Arc<dyn ObjectStore>, Error> {
    let mut builder = match &options.access_key {
        Some(key) => MicrosoftAzureBuilder::new().with_access_key(key.expose()),
        None => MicrosoftAzureBuilder::from_env(),
    };
    builder = builder.with_account(&options.account).with_container_name(&options.container);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    builder = builder.with_client_options(client(options.allow_http)).with_retry(retry());
    let built =
        builder.build().map_err(|_| unusable("objects.azure does not make a client: is it a key?"))?;
    Ok(Arc::new(built))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_leads_to_an_object_of_this_place_alone() {
        let s3 = |prefix: Option<&str>| {
            let prefix = prefix.map(str::to_owned);
            ObjectsOptions::S3(S3Options { bucket: "docs".to_owned(), prefix, ..S3Options::default() })
        };
        let volume = ObjectsOptions::Volume("/objects".into());
        let cases = [
            (s3(None), "s3://docs/a/b.txt", Some("a/b.txt")),
            (s3(Some("pipe")), "s3://docs/pipe/b.txt", Some("b.txt")),
            (s3(Some("pipe")), "s3://docs/pipeline/b.txt", None),
            (s3(Some("pipe")), "s3://docs/b.txt", None),
            (s3(None), "s3://docs-of-others/a", None),
            (s3(None), "s3://docs/../a", None),
            (volume.clone(), "file:///objects/a b/c", Some("a b/c")),
            (volume.clone(), "file:///objects/../etc/passwd", None),
            (volume, "file:///etc/passwd", None),
        ];
        for (options, uri, name) in cases {
            let key = options.key_of(uri);
            assert_eq!(key.as_ref().map(ObjectKey::as_str), name, "{uri}");
            assert!(key.is_none_or(|key| options.uri_of(&key) == uri), "{uri}");
        }
    }

    #[test]
    fn a_folder_is_below_this_place() {
        let s3 = |prefix: Option<&str>| {
            let prefix = prefix.map(str::to_owned);
            ObjectsOptions::S3(S3Options { bucket: "docs".to_owned(), prefix, ..S3Options::default() })
        };
        let cases = [
            (s3(None), "s3://docs", Some("")),
            (s3(None), "s3://docs/", Some("")),
            (s3(None), "s3://docs/in/", Some("in")),
            (s3(Some("pipe/")), "s3://docs/pipe", Some("")),
            (s3(Some("pipe/")), "s3://docs/pipe/in", Some("in")),
            (s3(Some("pipe")), "s3://docs/", None),
            (s3(None), "s3://docs-of-others", None),
            (ObjectsOptions::Volume("/objects".into()), "file:///objects/in", Some("in")),
            (ObjectsOptions::Volume("/objects".into()), "file:///", None),
        ];
        for (options, uri, name) in cases {
            let folder = options.folder_of(uri);
            let shown = folder.as_ref().map(|folder| folder.as_ref().map_or("", ObjectKey::as_str));
            assert_eq!(shown, name, "{uri}");
        }
    }
}
