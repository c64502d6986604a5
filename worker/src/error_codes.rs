//! Codes of errors of `docmill-worker`, which programs go by. Never renamed. What a document fails with and what the
//! API refuses have codes of their own.

/// The file of the configuration cannot be read.
pub const CONFIG_UNREADABLE: &str = "config_unreadable";
/// Something that must not happen.
pub const INTERNAL: &str = "internal";
/// The process that reads documents does not start.
pub const EXTRACTOR_FAILED: &str = "extractor_failed";
/// The approximate index over the vectors is not there.
pub const VECTOR_INDEX_FAILED: &str = "vector_index_failed";

/// Code and meaning, in the order of the reference page.
pub const CODES: &[(&str, &str)] = &[
    (CONFIG_UNREADABLE, "`check-config`: the file cannot be read"),
    (INTERNAL, "`check-config`: something that must not happen"),
    (EXTRACTOR_FAILED, "`check-sandbox`: the process that reads documents does not start"),
    (VECTOR_INDEX_FAILED, "`vector-index`: the index is not built, for the reason in `error.message`"),
];
