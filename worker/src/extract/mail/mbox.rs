//! Many mails in one file, each a section. Does not undo what programs do to lines that begin like a mail.

use docmill_core::failure::Failure;
use docmill_core::page::DocumentInfo;

use super::eml::Mail;
use super::header_name;
use crate::extract::source::Source;
use crate::extract::work::Work;

/// Reads all mails. They are no documents within a document, and so as many as the file has.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let bytes = source.into_bytes(work.bytes_max())?;
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count: None })?;
    let mut rest = bytes.as_slice();
    let mut number = 0;
    while let Some((mail, after)) = next(rest) {
        number += 1;
        rest = after;
        let parsed = Mail::parse(mail, work.options.limits.entries_max);
        let subject = parsed.as_ref().ok().and_then(|mail| mail.subject.clone());
        let name = subject.filter(|subject| !subject.trim().is_empty());
        let name = name.unwrap_or_else(|| format!("mail {number}"));
        work.section(&name, |work| parsed.and_then(|mail| mail.send(work)))?;
    }
    Ok(())
}

/// The first mail without its envelope, and all after it.
fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    let mut at = start;
    let mut after_empty = false;
    while at < bytes.len() {
        if after_empty && begins_mail(&bytes[at..]) {
            return Some((&bytes[start..at], &bytes[at..]));
        }
        let end = bytes[at..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(bytes.len(), |length| at + length + 1);
        after_empty = bytes[at..end].trim_ascii().is_empty();
        at = end;
    }
    (start < bytes.len()).then_some((&bytes[start..], &[]))
}

/// An envelope is followed by a header: else a sentence begins so.
fn begins_mail(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"From ") else { return false };
    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { return false };
    let line = rest[end + 1..].split(|&byte| byte == b'\n').next().unwrap_or_default();
    header_name(line.trim_ascii_end()).is_some()
}

#[cfg(test)]
mod tests {
    use docmill_core::page::BlockKind::{Heading, Paragraph};

    use crate::extract::work::tests::read_bytes;

    #[test]
    fn every_mail_is_a_section() {
        let mbox = "From a@example.org Mon Jan  1 10:00:00 2024\nFrom: a\nMessage-ID: <1>\nSubject: one\n\nFirst.\n\n\
            From here on: more of it.\n\nFrom b@example.org Mon Jan  1 11:00:00 2024\nFrom: b\nMessage-ID: <2>\n\nSecond.\n";
        let read = read_bytes("archive", mbox);
        read.outcome.as_ref().unwrap();
        let expected = [
            (Heading(1), "one"),
            (Heading(2), "one"),
            (Paragraph, "From: a"),
            (Paragraph, "First."),
            (Paragraph, "From here on: more of it."),
            (Heading(1), "mail 2"),
            (Paragraph, "From: b"),
            (Paragraph, "Second."),
        ];
        assert_eq!(read.blocks(), expected);
        assert_eq!(read.pages.len(), 2);
        assert_eq!(read.info.unwrap().media_type, "application/mbox");
    }
}
