//! Variables of the process that override no key: what this program and its libraries read themselves. The reference
//! page is made of this.

/// What is read by the process or its extractors, where the names are: `bin/docmill-worker/run.rs`,
/// `extract/tesseract.rs`, `extract/pdf.rs`, `embed/minilm.rs`.
pub(super) const OWN: &[(&[&str], &str)] = &[
    (&["RUST_LOG"], "What `run` and `api` log, such as `docmill_worker=debug`; without it `info`"),
    (&["HOSTNAME"], "What the name of a worker begins with, so that pods are told apart; may be empty"),
    (&["PDFIUM_LIB"], "The library that reads PDF, looked for here before the usual places"),
    (&["TESSERACT_LIB"], "The library that recognises pages, looked for here before the usual places"),
    (
        &["TESSDATA_PREFIX"],
        "Where Tesseract's models are, or their folder `tessdata`, before the usual places",
    ),
    (&["DOCMILL_MODELS"], "Where the embedding model is looked for before the usual places"),
    (
        &["DOCMILL_CACHE", "XDG_CACHE_HOME", "HOME"],
        "The last of the usual places of library and model: the first, `docmill` in the second, or `.cache/docmill` in \
         the third",
    ),
    (
        &["SSL_CERT_FILE", "SSL_CERT_DIR"],
        "Authorities of certificates to trust in place of the system's, where no `tlsCaFile` is named",
    ),
];

/// What the client of S3 reads where `objects.s3` names no keys.
pub(super) const S3: &[(&[&str], &str)] = &[
    (&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_TOKEN"], "Keys"),
    (
        &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL_STS"],
        "The role of a pod, by a token",
    ),
    (
        &[
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ],
        "The identity of a container",
    ),
    (&["AWS_METADATA_ENDPOINT", "AWS_IMDSV1_FALLBACK"], "The identity of a machine, as with none of these"),
    (&["AWS_SKIP_SIGNATURE"], "`true`: no identity at all"),
    (&["AWS_REGION", "AWS_DEFAULT_REGION"], "The region, where `objects.s3.region` names none"),
    (&["AWS_ENDPOINT_URL", "AWS_ENDPOINT"], "The server, where `objects.s3.endpoint` names none"),
    (&["AWS_ENDPOINT_URL_S3"], "The server, even where `objects.s3.endpoint` names one"),
    (
        &[
            "AWS_SERVER_SIDE_ENCRYPTION",
            "AWS_SSE_KMS_KEY_ID",
            "AWS_SSE_BUCKET_KEY_ENABLED",
            "AWS_SSE_CUSTOMER_KEY_BASE64",
        ],
        "How the server encrypts objects",
    ),
    (
        &[
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
            "AWS_S3_EXPRESS",
            "AWS_UNSIGNED_PAYLOAD",
            "AWS_CHECKSUM_ALGORITHM",
            "AWS_REQUEST_PAYER",
            "AWS_DISABLE_TAGGING",
            "AWS_CONDITIONAL_PUT",
            "AWS_COPY_IF_NOT_EXISTS",
        ],
        "The form of requests",
    ),
];

/// What the client of Google Cloud Storage reads where `objects.gcs` names no service account.
pub(super) const GCS: &[(&[&str], &str)] = &[
    (
        &["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "SERVICE_ACCOUNT"],
        "File of a service account's key",
    ),
    (&["GOOGLE_SERVICE_ACCOUNT_KEY"], "The key itself, as JSON"),
    (
        &["GOOGLE_APPLICATION_CREDENTIALS"],
        "File of other credentials; without it, `.config/gcloud/application_default_credentials.json` in `HOME`",
    ),
    (&["GOOGLE_BEARER_TOKEN"], "A token"),
    (&["GOOGLE_SKIP_SIGNATURE"], "`true`: no identity at all"),
    (&["GOOGLE_BASE_URL"], "The server"),
    (
        &["GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"],
        "Who knows the identity of a pod or a machine, as with none of these",
    ),
];

/// What the client of Azure reads where `objects.azure` names no key.
pub(super) const AZURE: &[(&[&str], &str)] = &[
    (
        &["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY"],
        "The account's key",
    ),
    (
        &[
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_CLIENT_ID",
            "AZURE_STORAGE_CLIENT_ID",
            "AZURE_TENANT_ID",
            "AZURE_STORAGE_TENANT_ID",
            "AZURE_AUTHORITY_ID",
            "AZURE_STORAGE_AUTHORITY_ID",
            "AZURE_AUTHORITY_HOST",
            "AZURE_STORAGE_AUTHORITY_HOST",
        ],
        "The identity of a workload",
    ),
    (
        &["AZURE_CLIENT_SECRET", "AZURE_STORAGE_CLIENT_SECRET"],
        "The secret of a service principal, in place of the token's file",
    ),
    (&["AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN"], "A shared access signature"),
    (&["AZURE_STORAGE_TOKEN"], "A token"),
    (
        &[
            "AZURE_MSI_ENDPOINT",
            "AZURE_IDENTITY_ENDPOINT",
            "IDENTITY_ENDPOINT",
            "IDENTITY_HEADER",
            "AZURE_OBJECT_ID",
            "AZURE_MSI_RESOURCE_ID",
        ],
        "The managed identity of a pod or a machine, as with none of these",
    ),
    (&["AZURE_USE_AZURE_CLI"], "`true`: whoever is logged in with `az`"),
    (&["AZURE_CREDENTIAL_TYPE"], "Which of these, where several are named"),
    (&["AZURE_SKIP_SIGNATURE"], "`true`: no identity at all"),
    (
        &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"],
        "The server, where `objects.azure.endpoint` names none",
    ),
    (&["AZURE_STORAGE_ENCRYPTION_KEY"], "A key that the server encrypts objects with"),
    (
        &[
            "AZURE_USE_FABRIC_ENDPOINT",
            "AZURE_FABRIC_TOKEN_SERVICE_URL",
            "AZURE_FABRIC_WORKLOAD_HOST",
            "AZURE_FABRIC_SESSION_TOKEN",
            "AZURE_FABRIC_CLUSTER_IDENTIFIER",
        ],
        "Storage of Microsoft Fabric",
    ),
    (&["AZURE_STORAGE_USE_EMULATOR", "AZURE_DISABLE_TAGGING"], "The form of requests"),
];

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use object_store::aws::AmazonS3ConfigKey;
    use object_store::azure::AzureConfigKey;
    use object_store::gcp::GoogleConfigKey;

    use super::*;

    /// Names with this prefix, in the form that the library looks them up in.
    fn looked_up(table: &'static [(&[&str], &str)], prefix: &str) -> Vec<String> {
        let names = table.iter().flat_map(|(names, _)| names.iter());
        let names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
        assert!(!names.is_empty());
        names.into_iter().map(|name| name.to_ascii_lowercase()).collect()
    }

    /// A variable that another version of the library no longer knows is not to stay in the reference.
    #[test]
    fn the_library_knows_these_names() {
        for name in looked_up(S3, "AWS_") {
            assert!(AmazonS3ConfigKey::from_str(&name).is_ok(), "{name}");
        }
        for name in looked_up(GCS, "GOOGLE_") {
            assert!(GoogleConfigKey::from_str(&name).is_ok(), "{name}");
        }
        for name in looked_up(AZURE, "AZURE_") {
            assert!(AzureConfigKey::from_str(&name).is_ok(), "{name}");
        }
    }
}
