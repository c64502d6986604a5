//! Mail: one message, many in one file, and Outlook's own. What is attached becomes sections of the mail.

mod eml;
mod mbox;
mod msg;
mod transfer;

pub(super) use eml::read as eml;
pub(super) use mbox::read as mbox;
pub(super) use msg::read as msg;
pub(super) use transfer::base64;

/// A picture within the text that has fewer bytes is a logo or counts who reads.
const PICTURE_BYTES_MIN: usize = 10 << 10;

/// Headers that mails have.
const USUAL: &[&[u8]] = &[b"from", b"to", b"cc", b"date", b"subject", b"reply-to", b"content-type"];

/// Headers that programs write and people do not: with them it is a mail, without them it may be a letter.
const WRITTEN_BY_PROGRAMS: &[&[u8]] =
    &[b"message-id", b"received", b"mime-version", b"return-path", b"delivered-to", b"x-mailer"];

/// Most lines of headers that are looked at.
const LINES_MAX: usize = 200;

/// Whether these first bytes are headers of a mail. With `named` its name says so already.
pub(super) fn is_mail(head: &[u8], named: bool) -> bool {
    let (mut usual, mut by_programs) = (0, 0);
    for (number, line) in head.split(|&byte| byte == b'\n').take(LINES_MAX).enumerate() {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        if number > 0 && matches!(line[0], b' ' | b'\t') {
            continue;
        }
        let Some(name) = header_name(line) else {
            // The last line may have been cut by who took the first bytes.
            break;
        };
        let name = name.to_ascii_lowercase();
        usual += usize::from(USUAL.contains(&name.as_slice()));
        by_programs += usize::from(WRITTEN_BY_PROGRAMS.contains(&name.as_slice()));
    }
    usual + by_programs >= 2 && (named || by_programs > 0)
}

/// Whether these first bytes begin a file of many mails.
pub(super) fn is_mbox(head: &[u8]) -> bool {
    head.starts_with(b"From ")
        && head.iter().position(|&byte| byte == b'\n').is_some_and(|end| is_mail(&head[end + 1..], true))
}

/// The name of the header that a line begins.
fn header_name(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|&byte| byte == b':')?;
    let name = line[..end].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

/// Adds a header as a reader sees it, if there is one.
fn line(headers: &mut String, name: &str, value: Option<String>) {
    if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
        headers.extend([name, ": ", value.trim(), "\n"]);
    }
}

/// Headers and body of a message or of a part of one.
fn split_head(bytes: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = bytes.strip_prefix(b"\n").or_else(|| bytes.strip_prefix(b"\r\n")) {
        return (&[], body);
    }
    let mut start = 0;
    while let Some(length) = bytes[start..].iter().position(|&byte| byte == b'\n') {
        start += length + 1;
        let rest = &bytes[start..];
        if let Some(body) = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r\n")) {
            return (&bytes[..start], body);
        }
    }
    if header_name(bytes).is_some() { (bytes, &[]) } else { (&[], bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_are_told_from_letters() {
        assert!(is_mail(b"Received: from a\r\n by b\r\nFrom: c\r\n\r\nx", false));
        assert!(!is_mail(b"From: Ann\nTo: Bob\nDate: today\n\nDear Bob", false));
        assert!(is_mail(b"From: Ann\nTo: Bob\nDate: today\n\nDear Bob", true));
        assert!(!is_mail(b"Once upon a time: there was", true));
        assert!(!is_mail(b"\n\n", true));
        assert!(is_mbox(b"From a@b Mon Jan  1 00:00:00 2024\nFrom: a\nTo: b\n\nx"));
        assert!(!is_mbox(b"From here on\nall is text"));
    }

    #[test]
    fn heads_end_at_an_empty_line() {
        assert_eq!(split_head(b"a: b\r\n\r\nbody"), (&b"a: b\r\n"[..], &b"body"[..]));
        assert_eq!(split_head(b"\nbody"), (&b""[..], &b"body"[..]));
        assert_eq!(split_head(b"a: b"), (&b"a: b"[..], &b""[..]));
        assert_eq!(split_head(b"only text"), (&b""[..], &b"only text"[..]));
    }
}
