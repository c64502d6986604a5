//! URIs of uploads. A name that the user chose makes the next upload to it the document's next content; without
//! one, content is its own place.

use docmill_core::id::ContentHash;

/// Places that users named.
const NAMED: &str = "upload:";
/// Places by content.
const BY_CONTENT: &str = "sha256:";

/// The URI of an upload to a place that the user named.
pub fn named(place: &str) -> String {
    format!("{NAMED}{place}")
}

/// The URI of an upload to no place: content and, where there is one, the file's name, which says what it is.
pub fn by_content(content: &ContentHash, name: Option<&str>) -> String {
    let hash: String = content.0.iter().map(|byte| format!("{byte:02x}")).collect();
    match name {
        Some(name) => format!("{BY_CONTENT}{hash}/{name}"),
        None => format!("{BY_CONTENT}{hash}"),
    }
}

/// Whether the content is found by its hash, and not by the URI.
pub fn is_upload(uri: &str) -> bool {
    uri.starts_with(NAMED) || uri.starts_with(BY_CONTENT)
}
