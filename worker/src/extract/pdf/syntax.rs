//! The little of PDF's syntax that looking for objects takes: numbers, references and keys, as bytes.

pub(super) fn is_space(b: u8) -> bool {
    matches!(b, 0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

pub(super) fn find(bytes: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let first = needle.first()?;
    let mut at = 0;
    loop {
        at += rest[at..].iter().position(|b| b == first)?;
        if rest[at..].starts_with(needle) {
            return Some(from + at);
        }
        at += 1;
    }
}

pub(super) fn number_of(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What stands behind a key, without the space before it.
pub(super) fn value<'a>(dictionary: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    loop {
        let found = find(dictionary, key, at)? + key.len();
        let rest = &dictionary[found..];
        if !rest.first().is_some_and(|b| b.is_ascii_alphanumeric()) {
            let spaces = rest.iter().take_while(|&&b| is_space(b)).count();
            return Some(&rest[spaces..]);
        }
        at = found;
    }
}

/// The number at the start, and what is behind it and the space after it.
pub(super) fn leading(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = number_of(&text[..digits])?;
    let rest = &text[digits..];
    let spaces = rest.iter().take_while(|&&b| is_space(b)).count();
    Some((number, &rest[spaces..]))
}

/// A whole number that stands in the dictionary itself.
pub(super) fn integer(dictionary: &[u8], key: &[u8]) -> Option<u64> {
    let (number, rest) = leading(value(dictionary, key)?)?;
    let is_reference = leading(rest).is_some_and(|(_, rest)| rest.starts_with(b"R"));
    (!is_reference).then_some(u64::from(number))
}

/// `7 0 R`.
pub(super) fn reference(dictionary: &[u8], key: &[u8]) -> Option<(u32, u32)> {
    let (number, rest) = leading(value(dictionary, key)?)?;
    let (generation, rest) = leading(rest)?;
    rest.starts_with(b"R").then_some((number, generation))
}

/// The file's two identifiers, with their key: a key of an encrypted file is made of the first.
pub(super) fn identifier(trailer: &[u8]) -> Option<&[u8]> {
    let at = find(trailer, b"/ID", 0)?;
    let array = value(&trailer[at..], b"/ID")?;
    if !array.starts_with(b"[") {
        return None;
    }
    let before = trailer.len() - array.len();
    let (mut depth, mut is_escaped) = (0u32, false);
    for (i, &b) in array.iter().enumerate() {
        match b {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = depth > 0,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b']' if depth == 0 => return trailer.get(at..before + i + 1),
            _ => {}
        }
    }
    None
}

/// Whether a dictionary, or one within it, says that it is of this type.
pub(super) fn has_type(dictionary: &[u8], name: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = find(dictionary, b"/Type", at) {
        at = found + 5;
        let value = dictionary[at..].trim_ascii_start();
        if let Some(rest) = value.strip_prefix(b"/").and_then(|value| value.strip_prefix(name))
            && !rest.first().is_some_and(|b| b.is_ascii_alphanumeric())
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_whole_and_numbers_are_told_from_references() {
        let dictionary = b"<</Names 3 0 R/N 12/Length 7 0 R/Root\r\n1 0 R/Type/Catalog>>";
        assert_eq!(integer(dictionary, b"/N"), Some(12));
        assert_eq!(integer(dictionary, b"/Length"), None);
        assert_eq!(integer(dictionary, b"/First"), None);
        assert_eq!(integer(b"<</Length1 3000/Length 512>>", b"/Length"), Some(512));
        assert_eq!(reference(dictionary, b"/Root"), Some((1, 0)));
        assert_eq!(reference(dictionary, b"/N"), None);
        assert!(has_type(dictionary, b"Catalog") && !has_type(dictionary, b"Cat"));
    }

    #[test]
    fn identifiers_end_where_their_array_does() {
        assert_eq!(identifier(b"<</Size 3/ID[<ab> (]\\)x)]/A 1>>"), Some(&b"/ID[<ab> (]\\)x)]"[..]));
        assert_eq!(identifier(b"<</ID 3 0 R>>"), None);
        assert_eq!(identifier(b"<</ID[(never ends]"), None);
    }
}
