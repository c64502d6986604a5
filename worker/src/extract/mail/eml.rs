//! One mail: who wrote what when, its text, and what is attached. Of alternatives one is read.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};
use encoding_rs::Encoding;
use mail_parser::{Address, Message, MessageParser, MimeHeaders};

use super::transfer::Transfer;
use super::{PICTURE_BYTES_MIN, line, split_head};
use crate::extract::format::FORMATS;
use crate::extract::html::Html;
use crate::extract::source::Source;
use crate::extract::text::paragraphs;
use crate::extract::work::Work;
use crate::extract::{Kind, decode};

/// Deepest that parts lie in each other.
const PARTS_DEEP_MAX: u32 = 64;

/// A text of fewer bytes may only say that there is another one in HTML.
const TEXT_BYTES_MIN: usize = 500;

/// Most addresses of a header that are shown.
const ADDRESSES_MAX: usize = 100;

/// Parts that prove something and say nothing.
const SIGNATURES: &[&str] =
    &["application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"];

/// Reads a mail.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let bytes = source.into_bytes(work.bytes_max())?;
    let mail = Mail::parse(&bytes, work.options.limits.entries_max)?;
    let (title, media_type) = (mail.subject.clone(), work.kind.media_type().to_owned());
    work.emitter.info(DocumentInfo { title, media_type, page_count: None })?;
    mail.send(work)
}

/// A mail taken apart; its parts are not decoded yet.
pub(super) struct Mail<'a> {
    pub subject: Option<String>,
    headers: String,
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Text,
    Html,
    Attached,
    /// It is not read, for this reason.
    Lost(FailureCode),
}

struct Part<'a> {
    what: What,
    media_type: String,
    name: Option<String>,
    charset: Option<&'static Encoding>,
    transfer: Transfer,
    /// Shown within the text.
    is_inline: bool,
    bytes: &'a [u8],
}

impl<'a> Mail<'a> {
    /// Takes a mail apart.
    pub fn parse(bytes: &'a [u8], parts_max: u32) -> Result<Self, Failure> {
        let (head, body) = split_head(bytes);
        let mut parser = Parser { parser: MessageParser::new(), parts: 0, parts_max };
        let Some(message) = parser.parser.parse_headers(head) else {
            return Err(Failure::new(FailureCode::Damaged, "the mail has no headers"));
        };
        let mut headers = String::new();
        let people = [("From", message.from()), ("To", message.to()), ("Cc", message.cc())];
        for (name, addresses) in people {
            line(&mut headers, name, addresses.map(shown));
        }
        line(&mut headers, "Date", message.date().map(|date| date.to_rfc3339()));
        let mut parts = Vec::new();
        parser.part(Some(&message), body, false, 0, &mut parts)?;
        Ok(Self { subject: message.subject().map(str::to_owned), headers, parts })
    }

    /// Sends its text, and then what is attached.
    pub fn send(self, work: &mut Work<'_, '_>) -> Result<(), Failure> {
        work.emitter.block(BlockKind::Heading(1), self.subject.unwrap_or_default())?;
        work.emitter.block(BlockKind::Paragraph, self.headers)?;
        for part in &self.parts {
            match part.what {
                What::Text => paragraphs(&part.text(), work.emitter)?,
                What::Html => Html::parse(&part.text()).send(work.emitter)?,
                What::Attached | What::Lost(_) => {}
            }
        }
        for part in &self.parts {
            match part.what {
                What::Attached => part.send(work)?,
                What::Lost(code) => {
                    work.emitter.lost(&Failure::new(code, format!("a part of {}", part.media_type)))?;
                }
                What::Text | What::Html => {}
            }
        }
        Ok(())
    }
}

fn shown(addresses: &Address<'_>) -> String {
    let shown = addresses.iter().take(ADDRESSES_MAX).filter_map(|one| match (one.name(), one.address()) {
        (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
        (name, address) => name.or(address).map(str::to_owned),
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl Part<'_> {
    fn text(&self) -> String {
        decode::decode(&self.transfer.decode(self.bytes), self.charset)
    }

    /// Sends what is attached as a section of its own.
    fn send(&self, work: &mut Work<'_, '_>) -> Result<(), Failure> {
        let bytes = if self.media_type.starts_with("text/") && self.charset.is_some() {
            self.text().into_bytes()
        } else {
            self.transfer.decode(self.bytes).into_owned()
        };
        let is_picture = self.media_type.starts_with("image/");
        if is_picture && self.is_inline && bytes.len() < PICTURE_BYTES_MIN {
            return Ok(());
        }
        let kind = (self.media_type == Kind::Eml.media_type()).then_some(Kind::Eml);
        work.read_nested(&self.name(), kind, Source::memory(bytes))
    }

    fn name(&self) -> String {
        if let Some(name) = self.name.as_deref().filter(|name| !name.trim().is_empty()) {
            return name.to_owned();
        }
        let format = FORMATS.iter().find(|format| format.media_type == self.media_type);
        match format.and_then(|format| format.extensions.first()) {
            Some(extension) => format!("attachment.{extension}"),
            None => "attachment".to_owned(),
        }
    }
}

struct Parser {
    parser: MessageParser,
    parts: u32,
    parts_max: u32,
}

impl Parser {
    /// Adds a part, or the parts that it is made of.
    fn part<'a>(
        &mut self,
        head: Option<&Message<'a>>,
        body: &'a [u8],
        in_digest: bool,
        depth: u32,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), Failure> {
        self.parts += 1;
        if self.parts > self.parts_max {
            let detail = format!("the mail has more than {} parts", self.parts_max);
            return Err(Failure::new(FailureCode::LimitEntries, detail));
        }
        let head = head.map(Message::root_part);
        let content = head.and_then(|head| head.content_type());
        let (main, sub) = match content {
            Some(content) => (content.ctype(), content.subtype().unwrap_or_default()),
            None if in_digest => ("message", "rfc822"),
            None => ("text", "plain"),
        };
        let media_type = format!("{main}/{sub}").to_ascii_lowercase();
        let attribute = |name: &str| content.and_then(|content| content.attribute(name));
        if let Some(kind) = media_type.strip_prefix("multipart/")
            && let Some(boundary) = attribute("boundary")
        {
            let inner = split(body, boundary, self.parts_max as usize + 1);
            if !inner.is_empty() {
                return self.multipart(kind, &inner, depth, parts);
            }
        }
        if SIGNATURES.contains(&media_type.as_str()) {
            return Ok(());
        }
        let disposition = head.and_then(|head| head.content_disposition()).map(|found| found.ctype());
        let is_attachment = disposition.is_some_and(|found| found.eq_ignore_ascii_case("attachment"));
        let name = head.and_then(|head| head.attachment_name()).map(str::to_owned);
        let is_locked =
            attribute("smime-type").is_some_and(|kind| kind.eq_ignore_ascii_case("enveloped-data"));
        let what = match media_type.as_str() {
            _ if is_locked => What::Lost(FailureCode::Encrypted),
            "text/html" if !is_attachment && name.is_none() => What::Html,
            "text/plain" if !is_attachment && name.is_none() => What::Text,
            // A container that cannot be taken apart is text as it stands.
            other if other.starts_with("multipart/") => What::Text,
            _ => What::Attached,
        };
        let charset = attribute("charset").and_then(|label| Encoding::for_label(label.as_bytes()));
        let transfer = Transfer::named(head.and_then(|head| head.content_transfer_encoding()));
        let is_inline = !is_attachment && head.is_some_and(|head| head.content_id().is_some());
        parts.push(Part { what, media_type, name, charset, transfer, is_inline, bytes: body });
        Ok(())
    }

    fn multipart<'a>(
        &mut self,
        kind: &str,
        inner: &[&'a [u8]],
        depth: u32,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), Failure> {
        let too_deep = depth >= PARTS_DEEP_MAX;
        if too_deep || kind == "encrypted" {
            let code = if too_deep { FailureCode::LimitDepth } else { FailureCode::Encrypted };
            parts.push(Part {
                what: What::Lost(code),
                media_type: format!("multipart/{kind}"),
                name: None,
                charset: None,
                transfer: Transfer::Plain,
                is_inline: false,
                bytes: &[],
            });
            return Ok(());
        }
        let mut choices = Vec::new();
        for &part in inner {
            let (head, body) = split_head(part);
            let head = self.parser.parse_headers(head);
            let mut found = Vec::new();
            self.part(head.as_ref(), body, kind == "digest", depth + 1, &mut found)?;
            if kind == "alternative" {
                choices.push(found);
            } else {
                parts.append(&mut found);
            }
        }
        if kind == "alternative" {
            let chosen = chosen(&choices);
            for (number, found) in choices.into_iter().enumerate() {
                // Files may be attached to one of the forms only; an invitation is one more form.
                let is_file = |part: &Part<'_>| part.what == What::Attached && !part.is_inline;
                let is_wanted = |part: &Part<'_>| {
                    number == chosen || (is_file(part) && part.media_type != "text/calendar")
                };
                parts.extend(found.into_iter().filter(is_wanted));
            }
        }
        Ok(())
    }
}

/// Which form of the same text is read: the plain one, but where it says next to nothing.
fn chosen(choices: &[Vec<Part<'_>>]) -> usize {
    let plain = choices.iter().position(|parts| has(parts, What::Text));
    let html = choices.iter().rposition(|parts| has(parts, What::Html));
    let (Some(plain), Some(html)) = (plain, html) else { return plain.or(html).unwrap_or(0) };
    let texts = |choice: usize, what: What| {
        choices[choice].iter().filter(move |part| part.what == what).map(Part::text)
    };
    let plain_bytes: usize = texts(plain, What::Text).map(|text| text.trim().len()).sum();
    if plain_bytes >= TEXT_BYTES_MIN {
        return plain;
    }
    let html_bytes: usize = texts(html, What::Html).map(|text| Html::parse(&text).plain().len()).sum();
    if html_bytes > plain_bytes * 4 { html } else { plain }
}

fn has(parts: &[Part<'_>], what: What) -> bool {
    parts.iter().any(|part| part.what == what)
}

/// What stands between the lines with the boundary, also where the last of them is absent. No more than asked for.
fn split<'a>(body: &'a [u8], boundary: &str, parts_max: usize) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut at, mut start) = (0, None);
    while at < body.len() && parts.len() < parts_max {
        let line = &body[at..];
        let next = line.iter().position(|&byte| byte == b'\n').map_or(body.len(), |length| at + length + 1);
        let line = &body[at..next];
        let after = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary.as_bytes()));
        let is_last = after.is_some_and(|after| after.starts_with(b"--"));
        if after.is_some_and(|after| is_last || after.trim_ascii().is_empty()) {
            if let Some(start) = start {
                parts.push(without_line_end(&body[start..at]));
            }
            start = (!is_last).then_some(next);
            if is_last {
                break;
            }
        }
        at = next;
    }
    if let Some(start) = start
        && start < body.len()
        && parts.len() < parts_max
    {
        parts.push(&body[start..]);
    }
    parts
}

/// The line end before a boundary is the boundary's.
fn without_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use docmill_core::limits::Limits;
    use docmill_core::page::BlockKind::{Heading, Paragraph, Table};
    use docmill_core::page::PageSource;

    use super::*;
    use crate::extract::work::tests::{read_bytes, read_with};

    const MAIL: &str = "Received: from a by b\r\nFrom: =?utf-8?q?J=C3=B6rg?= <j@example.org>\r\nTo: a@example.org,\r\n b@example.org\r\n\
        Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\nDate: Mon, 1 Jan 2024 10:00:00 +0100\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"out\"\r\n\r\nFor old programs only\r\n--out\r\n\
        Content-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nGuten Tag, sch=F6n=\r\ner Tag.\r\n\r\nEnde\r\n--in\r\nContent-Type: text/html\r\n\r\n\
        <p>Guten Tag\r\n--in--\r\n--out\r\nContent-Type: text/csv; name=\"=?utf-8?q?t=C3=A4ble.csv?=\"\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment\r\n\r\neCx5CjEsMgo=\r\n--out\r\nContent-Type: message/rfc822\r\n\r\n\
        From: c@example.org\r\nSubject: inner\r\nMessage-ID: <1@example.org>\r\n\r\nwithin\r\n--out\r\n\
        Content-Type: application/pgp-signature\r\n\r\nabc\r\n--out\r\nContent-Type: application/x-unknown; name=a.bin\r\n\r\n\0\x01\x02\r\n--out--\r\nafter";

    #[test]
    fn a_mail_is_its_text_and_what_is_attached() {
        let read = read_bytes("a.eml", MAIL);
        read.outcome.as_ref().unwrap();
        let expected = [
            (Heading(1), "Grüße"),
            (
                Paragraph,
                "From: Jörg <j@example.org>\nTo: a@example.org, b@example.org\nDate: 2024-01-01T10:00:00+01:00",
            ),
            (Paragraph, "Guten Tag, schöner Tag."),
            (Paragraph, "Ende"),
            (Heading(1), "täble.csv"),
            (Table, "x\ty\n1\t2"),
            (Heading(1), "attachment.eml"),
            (Heading(2), "inner"),
            (Paragraph, "From: c@example.org"),
            (Paragraph, "within"),
            (Heading(1), "a.bin"),
        ];
        assert_eq!(read.blocks(), expected);
        assert_eq!(read.pages.len(), 4);
        assert_eq!(read.pages[3].source, PageSource::Lost);
        assert!(read.pages[3].note.as_ref().unwrap().starts_with("lost: type_unsupported: "));
        let info = read.info.unwrap();
        assert_eq!((info.title.as_deref(), info.media_type.as_str()), (Some("Grüße"), "message/rfc822"));
    }

    fn alternative(plain: &str, html: &str) -> String {
        format!(
            "From: a\nMessage-ID: <1>\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n{plain}\n--b\n\
             Content-Type: text/html\n\n{html}\n--b--\n"
        )
    }

    #[test]
    fn of_two_forms_the_one_that_says_something_is_read() {
        let html = format!("<p>{}</p>", "a letter of many words ".repeat(20));
        let texts = |mail: String| {
            let read = read_bytes("a", mail);
            read.texts().last().map(|text| text.chars().take(8).collect::<String>())
        };
        assert_eq!(
            texts(alternative("Please look at the other form.", &html)),
            Some("a letter".to_owned())
        );
        assert_eq!(
            texts(alternative("A short letter.", "<p>A short letter.")),
            Some("A short ".to_owned())
        );
    }

    #[test]
    fn mails_in_mails_end_at_the_depth_that_is_allowed_and_keep_their_text() {
        let mut mail = "From: a\nMessage-ID: <0>\nSubject: innermost\n\nnever seen".to_owned();
        for depth in 0..20 {
            mail = format!(
                "From: a\nMessage-ID: <1>\nSubject: mail {depth}\nContent-Type: multipart/mixed; boundary=b{depth}\n\n\
                 --b{depth}\n\ntext {depth}\n--b{depth}\nContent-Type: message/rfc822\n\n{mail}\n--b{depth}--\n"
            );
        }
        let read = read_bytes("a.eml", mail);
        read.outcome.as_ref().unwrap();
        assert!(read.texts().contains(&"text 19") && !read.texts().contains(&"never seen"));
        let lost = read.pages.iter().find(|page| page.source == PageSource::Lost).unwrap();
        assert!(lost.note.as_ref().unwrap().starts_with("lost: limit_depth"));
        let many = format!(
            "From: a\nMessage-ID: <1>\nContent-Type: multipart/mixed; boundary=b\n\n{}",
            "--b\n\nx\n".repeat(9)
        );
        let limits = Limits { entries_max: 5, ..Limits::default() };
        assert_eq!(read_with("a.eml", many, limits).outcome.unwrap_err().code, FailureCode::LimitEntries);
    }

    #[test]
    fn boundaries_are_whole_lines() {
        let parts = split(b"pre\n--b\none\n--bc\n\r\n--b \ntwo\n--b--\npost", "b", 9);
        assert_eq!(parts, [&b"one\n--bc\n"[..], b"two"]);
        assert_eq!(split(b"--b\nopen", "b", 9), [b"open"]);
        assert!(split(b"none", "b", 9).is_empty());
    }

    #[test]
    fn locked_mail_is_told_and_japanese_mail_is_read() {
        let locked =
            "From: a\nMessage-ID: <1>\nContent-Type: multipart/encrypted; boundary=b\n\n--b\n\nx\n--b--\n";
        let read = read_bytes("a.eml", locked);
        assert_eq!(
            read.pages.last().unwrap().note.as_deref(),
            Some("lost: encrypted: a part of multipart/encrypted")
        );
        let mut mail =
            b"From: a\nMessage-ID: <1>\nContent-Type: text/plain; charset=iso-2022-jp\n\n".to_vec();
        mail.extend_from_slice(&encoding_rs::ISO_2022_JP.encode("日本語の文章").0);
        assert_eq!(read_bytes("a.eml", mail).texts(), ["From: a", "日本語の文章"]);
    }
}
