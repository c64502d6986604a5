//! Mails as Outlook keeps them: properties as streams of an OLE container, what is attached as storages in it.

use docmill_core::failure::Failure;
use docmill_core::page::{BlockKind, DocumentInfo};
use encoding_rs::Encoding;
use mail_parser::DateTime;

use super::{PICTURE_BYTES_MIN, line};
use crate::extract::html::Html;
use crate::extract::ole::{Container, u32_at, utf16};
use crate::extract::rtf::codepage;
use crate::extract::source::Source;
use crate::extract::text::paragraphs;
use crate::extract::work::Work;
use crate::extract::{decode, picture};

/// Properties, by their numbers.
const SUBJECT: u16 = 0x0037;
const SENT: u16 = 0x0039;
const SENDER_NAME: u16 = 0x0c1a;
const SENDER_ADDRESS: u16 = 0x5d01;
const SENDER_OTHER_ADDRESS: u16 = 0x0c1f;
const TO: u16 = 0x0e04;
const CC: u16 = 0x0e03;
const RECEIVED: u16 = 0x0e06;
const BODY: u16 = 0x1000;
const HTML: u16 = 0x1013;
const FILE_NAME: u16 = 0x3707;
const SHORT_FILE_NAME: u16 = 0x3704;
const SHOWN_NAME: u16 = 0x3001;
const CONTENT_ID: u16 = 0x3712;
const DATA: u16 = 0x3701;
const CODEPAGE: u16 = 0x3ffd;
const INTERNET_CODEPAGE: u16 = 0x3fde;

/// Bytes before the properties of a message, of one in another, of an attachment.
const OUTER_HEADER: usize = 32;
const INNER_HEADER: usize = 24;
const ATTACHED_HEADER: usize = 8;

/// From 1601, when times of properties begin, to 1970, in seconds.
const SECONDS_TO_1970: i64 = 11_644_473_600;

/// Reads a mail.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let mut container = Container::open(source, work)?;
    let storage = Storage::open(&mut container, "", OUTER_HEADER)?;
    let (title, media_type) = (storage.text(&mut container, SUBJECT)?, work.kind.media_type().to_owned());
    work.emitter.info(DocumentInfo { title, media_type, page_count: None })?;
    send(&mut container, &storage, work)
}

/// A message or an attachment.
struct Storage {
    path: String,
    properties: Vec<u8>,
    /// Of texts that are not Unicode.
    encoding: &'static Encoding,
}

impl Storage {
    fn open(container: &mut Container, path: &str, header: usize) -> Result<Self, Failure> {
        let properties = container.stream(&format!("{path}/__properties_version1.0"))?.unwrap_or_default();
        let properties = properties.get(header..).unwrap_or_default().to_vec();
        let mut storage = Self { path: path.to_owned(), properties, encoding: encoding_rs::WINDOWS_1252 };
        let page = storage.number(CODEPAGE).or_else(|| storage.number(INTERNET_CODEPAGE));
        storage.encoding = codepage(page.unwrap_or(1252) as i32);
        Ok(storage)
    }

    /// The value of a property that is no stream.
    fn value(&self, property: u16) -> Option<&[u8]> {
        let mut entries = self.properties.chunks_exact(16);
        entries.find(|entry| u32_at(entry, 0) >> 16 == u32::from(property)).map(|entry| &entry[8..])
    }

    fn number(&self, property: u16) -> Option<u32> {
        self.value(property).map(|value| u32_at(value, 0))
    }

    fn time(&self, property: u16) -> Option<String> {
        let value = self.value(property)?;
        let ticks = (u64::from(u32_at(value, 4)) << 32) | u64::from(u32_at(value, 0));
        let seconds = (ticks / 10_000_000) as i64 - SECONDS_TO_1970;
        (seconds > 0).then(|| DateTime::from_timestamp(seconds).to_rfc3339())
    }

    fn bytes(
        &self,
        container: &mut Container,
        property: u16,
        kind: u16,
    ) -> Result<Option<Vec<u8>>, Failure> {
        container.stream(&format!("{}/__substg1.0_{property:04X}{kind:04X}", self.path))
    }

    /// A text, in Unicode or in the message's own encoding.
    fn text(&self, container: &mut Container, property: u16) -> Result<Option<String>, Failure> {
        let text = match self.bytes(container, property, 0x001f)? {
            Some(bytes) => Some(utf16(&bytes)),
            None => {
                let bytes = self.bytes(container, property, 0x001e)?;
                bytes.map(|bytes| decode::decode(&bytes, Some(self.encoding)))
            }
        };
        Ok(text.map(|text| text.trim_end_matches('\0').to_owned()).filter(|text| !text.trim().is_empty()))
    }
}

/// Sends a message's text, and then what is attached.
fn send(container: &mut Container, message: &Storage, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let subject = message.text(container, SUBJECT)?;
    work.emitter.block(BlockKind::Heading(1), subject.unwrap_or_default())?;
    let mut headers = String::new();
    let name = message.text(container, SENDER_NAME)?;
    let address = match message.text(container, SENDER_ADDRESS)? {
        Some(address) => Some(address),
        None => message.text(container, SENDER_OTHER_ADDRESS)?,
    };
    let sender = match (name, address) {
        (Some(name), Some(address)) if name != address => Some(format!("{name} <{address}>")),
        (name, address) => name.or(address),
    };
    line(&mut headers, "From", sender);
    line(&mut headers, "To", message.text(container, TO)?);
    line(&mut headers, "Cc", message.text(container, CC)?);
    line(&mut headers, "Date", message.time(SENT).or_else(|| message.time(RECEIVED)));
    work.emitter.block(BlockKind::Paragraph, headers)?;
    if let Some(text) = message.text(container, BODY)? {
        paragraphs(&text, work.emitter)?;
    } else if let Some(html) = message.bytes(container, HTML, 0x0102)? {
        Html::decode(html).send(work.emitter)?;
    } else if let Some(html) = message.text(container, HTML)? {
        Html::parse(&html).send(work.emitter)?;
    }
    let mut names = container.names(if message.path.is_empty() { "/" } else { &message.path });
    names.retain(|name| name.starts_with("__attach_version1.0_#"));
    names.sort();
    for name in names {
        let attached = Storage::open(container, &format!("{}/{name}", message.path), ATTACHED_HEADER)?;
        send_attached(container, &attached, work)?;
    }
    Ok(())
}

fn send_attached(
    container: &mut Container,
    attached: &Storage,
    work: &mut Work<'_, '_>,
) -> Result<(), Failure> {
    let mut name = None;
    for property in [FILE_NAME, SHORT_FILE_NAME, SHOWN_NAME] {
        if name.is_none() {
            name = attached.text(container, property)?;
        }
    }
    let name = name.unwrap_or_else(|| "attachment".to_owned());
    let inner = format!("{}/__substg1.0_{DATA:04X}000D", attached.path);
    if container.has_storage(&inner) {
        return work.section(&name, |work| {
            work.nesting.enter(&name)?;
            let read = Storage::open(container, &inner, INNER_HEADER);
            let read = read.and_then(|message| send(container, &message, work));
            work.nesting.leave();
            read
        });
    }
    // What is only linked has no data.
    let Some(bytes) = attached.bytes(container, DATA, 0x0102)? else { return Ok(()) };
    let is_inline = attached.text(container, CONTENT_ID)?.is_some();
    if is_inline && bytes.len() < PICTURE_BYTES_MIN && picture::kind_of(&bytes).is_some() {
        return Ok(());
    }
    work.read_nested(&name, None, Source::memory(bytes))
}

#[cfg(test)]
mod tests {
    use docmill_core::page::BlockKind::{Heading, Paragraph, Table};

    use crate::extract::ole::tests::container;
    use crate::extract::work::tests::read_bytes;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    /// Properties after a header of so many bytes.
    fn properties(header: usize, entries: &[(u32, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; header];
        for (tag, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend([6, 0, 0, 0]);
            bytes.extend(value.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_mail_is_its_text_and_what_is_attached() {
        const FIRST: &str = "/__attach_version1.0_#00000000";
        const SECOND: &str = "/__attach_version1.0_#00000001";
        let at = |storage: &str, stream: &str| format!("{storage}/__substg1.0_{stream}");
        let inner = format!("{SECOND}/__substg1.0_3701000D");
        // 2024-01-01, 09:00 in London.
        let sent = (1_704_099_600 + 11_644_473_600u64) * 10_000_000;
        let streams = [
            (
                "/__properties_version1.0".to_owned(),
                properties(32, &[(0x3ffd_0003, 1251), (0x0039_0040, sent)]),
            ),
            (at("", "0037001F"), wide("Grüße")),
            (at("", "0C1A001E"), b"\xcf\xf0\xe8".to_vec()),
            (at("", "5D01001F"), wide("a@example.org")),
            (at("", "0E04001F"), wide("Bob; Ann\0")),
            (at("", "1000001F"), wide("First.\r\n\r\nSecond.")),
            (format!("{FIRST}/__properties_version1.0"), properties(8, &[])),
            (at(FIRST, "3707001F"), wide("c.csv")),
            (at(FIRST, "37010102"), b"x,y\n".to_vec()),
            (at(SECOND, "3001001F"), wide("the inner one")),
            (format!("{inner}/__properties_version1.0"), properties(24, &[])),
            (at(&inner, "0037001F"), wide("inner")),
            (at(&inner, "10130102"), b"<p>within".to_vec()),
        ];
        let streams: Vec<(&str, &[u8])> =
            streams.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let read = read_bytes("a.msg", container(&streams));
        read.outcome.as_ref().unwrap();
        let expected = [
            (Heading(1), "Grüße"),
            (Paragraph, "From: При <a@example.org>\nTo: Bob; Ann\nDate: 2024-01-01T09:00:00Z"),
            (Paragraph, "First."),
            (Paragraph, "Second."),
            (Heading(1), "c.csv"),
            (Table, "x\ty"),
            (Heading(1), "the inner one"),
            (Heading(2), "inner"),
            (Paragraph, "within"),
        ];
        assert_eq!(read.blocks(), expected);
        assert_eq!(read.info.unwrap().media_type, "application/vnd.ms-outlook");
    }
}
