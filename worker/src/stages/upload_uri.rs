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

/// The content that the URI itself names.
pub fn content_of(uri: &str) -> Option<ContentHash> {
    let rest = uri.strip_prefix(BY_CONTENT)?;
    ContentHash::parse_hex(rest.split('/').next()?)
}

/// Whether the content is found by its hash, and not by the URI.
pub fn is_upload(uri: &str) -> bool {
    uri.starts_with(NAMED) || uri.starts_with(BY_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_read_back() {
        let content = ContentHash::of(b"x");
        assert_eq!(content_of(&by_content(&content, Some("a.png"))), Some(content));
        assert_eq!(content_of(&by_content(&content, None)), Some(content));
        assert_eq!((content_of(&named("a.png")), content_of("sha256:beef/a.png")), (None, None));
    }
}
