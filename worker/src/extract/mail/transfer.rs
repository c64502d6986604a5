//! How the bytes of a mail's parts are written as letters. Forgives what mail programs do.

use std::borrow::Cow;

/// A way of writing bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    Plain,
    Base64,
    Quoted,
}

impl Transfer {
    /// By the word that a mail has for it.
    pub fn named(name: Option<&str>) -> Self {
        match name.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "base64" => Self::Base64,
            "quoted-printable" => Self::Quoted,
            _ => Self::Plain,
        }
    }

    /// The bytes that are meant.
    pub fn decode(self, written: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Plain => Cow::Borrowed(written),
            Self::Base64 => Cow::Owned(base64(written)),
            Self::Quoted => Cow::Owned(quoted(written)),
        }
    }
}

/// What is no letter of the alphabet is passed over, as line ends are; padding begins anew.
pub(in crate::extract) fn base64(written: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(written.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0u32);
    for &letter in written {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}

fn quoted(written: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written;
    while let Some((&letter, after)) = rest.split_first() {
        rest = after;
        if letter != b'=' {
            bytes.push(letter);
            continue;
        }
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
            continue;
        }
        // At the end of a line it says that the line goes on; spaces may have come behind it.
        let spaces = after.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        match after.get(spaces) {
            Some(b'\n') => rest = &after[spaces + 1..],
            None => return bytes,
            Some(_) => bytes.push(b'='),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were() {
        let base64 =
            |text: &str| String::from_utf8(Transfer::Base64.decode(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(base64("aGVsbG8="), "hello");
        assert_eq!(base64("aGVs\r\n bG8"), "hello");
        assert_eq!(base64("YQ==Yg=="), "ab");
        let quoted =
            |text: &str| String::from_utf8(Transfer::Quoted.decode(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(quoted("gr=C3=BC=\r\n=C3=9F= \ne = f=\n"), "grüße = f");
        assert_eq!(Transfer::named(Some(" BASE64")), Transfer::Base64);
    }
}
