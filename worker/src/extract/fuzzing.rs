//! Ways in for bytes that nobody chose: one function for each pass that takes a document apart without a library of another
//! language. For fuzzers and tests alone; what breaks a rule panics, which is how they notice.

use std::io::{Cursor, Write};
use std::os::unix::net::UnixStream;

use docmill_core::chunk::{Chunker, ChunkerConfig};
use docmill_core::limits::Limits;
use docmill_core::page::{Block, BlockKind, Page, PageSource};

use super::frame::{self, Order, Reply, Said};
use super::sandbox::SandboxReport;
use super::source::Source;
use super::work::{self, Task, Tools};
use super::{Event, ExtractOptions, Kind, OcrMode};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// All of them, with their names.
pub const TARGETS: &[(&str, Target)] = &[
    ("frames", frames),
    ("ooxml", ooxml),
    ("html", html),
    ("eml", eml),
    ("csv", csv),
    ("chunker", chunker),
];

/// Longest input that is looked at, in bytes: longer ones only take longer.
const INPUT_BYTES_MAX: usize = 256 << 10;

/// What a child says and what it is asked, as a parent or a child that was taken over would say it.
pub fn frames(data: &[u8]) {
    let data = &data[..data.len().min(INPUT_BYTES_MAX)];
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    runtime.block_on(async {
        let mut rest = data;
        let _: std::io::Result<Option<SandboxReport>> = frame::read_async(&mut rest).await;
        let mut rest = data;
        while let Ok(Some(said)) = frame::read_said(&mut rest).await {
            if let Said::Reply(reply) = said {
                same_again(&reply);
            }
        }
    });
    let mut rest = data;
    while let Ok(Some(reply)) = frame::take_reply(&mut rest) {
        same_again(&reply);
    }
    // A request comes by a socket, which takes so many bytes without somebody who reads.
    let (Ok((mut parent, mut child)), asked) = (UnixStream::pair(), &data[..data.len().min(32 << 10)])
    else {
        return;
    };
    if parent.write_all(asked).is_ok() {
        drop(parent);
        // Without a file beside it every request is refused, after it was understood.
        let received = frame::receive_with_file::<Order<'static>>(&mut child);
        assert!(!matches!(received, Ok(Some(_))), "a request without a file was taken");
    }
}

/// What was understood is said again, and understood as the same.
fn same_again(reply: &Reply) {
    let mut said = Vec::new();
    frame::push(&mut said, reply).expect("what fits into a frame fits into it again");
    let understood = frame::take_reply(&mut said.as_slice());
    let understood = understood.expect("what we say is understood").expect("it is there");
    // Failures and events are compared as they are written.
    let mut again = Vec::new();
    frame::push(&mut again, &understood).expect("what fits into a frame fits into it again");
    assert!(said == again, "a reply changes when it is said again");
}

/// Parts of Office documents: the first byte chooses which.
pub fn ooxml(data: &[u8]) {
    const WORD: &[&str] =
        &["word/document.xml", "word/styles.xml", "word/_rels/document.xml.rels", "_rels/.rels"];
    const SLIDES: &[&str] =
        &["ppt/presentation.xml", "ppt/slides/slide1.xml", "ppt/_rels/presentation.xml.rels"];
    const OPEN: &[&str] = &["content.xml", "styles.xml", "meta.xml"];
    const BOOK: &[&str] = &["META-INF/container.xml", "OPS/book.opf", "OPS/one.xhtml"];
    let Some((&first, part)) = data.split_first() else { return };
    let kinds = [(Kind::Docx, WORD), (Kind::Pptx, SLIDES), (Kind::Odt, OPEN), (Kind::Epub, BOOK)];
    let (kind, names) = kinds[usize::from(first) % kinds.len()];
    let chosen = usize::from(first) / kinds.len() % names.len();
    let parts: Vec<(&str, &[u8])> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (*name, if at == chosen { part } else { around(name) }))
        .collect();
    if let Some(archive) = zipped(&parts) {
        read(kind, "a.office", archive);
    }
}

/// A part that leads to the others.
fn around(name: &str) -> &'static [u8] {
    match name {
        "word/document.xml" => b"<w:document><w:body><w:p><w:r><w:t>words</w:t></w:r></w:p></w:body></w:document>",
        "ppt/presentation.xml" => {
            b"<p:presentation><p:sldIdLst><p:sldId id=\"256\" r:id=\"rA\"/></p:sldIdLst></p:presentation>"
        }
        "ppt/_rels/presentation.xml.rels" => {
            b"<Relationships><Relationship Id=\"rA\" Target=\"slides/slide1.xml\"/></Relationships>"
        }
        "ppt/slides/slide1.xml" => b"<p:sld><a:p><a:r><a:t>words</a:t></a:r></a:p></p:sld>",
        "META-INF/container.xml" => {
            b"<container><rootfiles><rootfile full-path=\"OPS/book.opf\"/></rootfiles></container>"
        }
        "OPS/book.opf" => {
            b"<package><manifest><item id=\"a\" href=\"one.xhtml\"/></manifest><spine><itemref idref=\"a\"/></spine></package>"
        }
        "OPS/one.xhtml" => b"<html><body><p>words</p></body></html>",
        _ => b"<a/>",
    }
}

fn zipped(parts: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(*name, options).ok()?;
        writer.write_all(bytes).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

/// A page.
pub fn html(data: &[u8]) {
    read(Kind::Html, "a.html", data.to_vec());
}

/// A mail, and many in one file.
pub fn eml(data: &[u8]) {
    read(Kind::Eml, "a.eml", data.to_vec());
    read(Kind::Mbox, "a.mbox", data.to_vec());
}

/// Values in rows.
pub fn csv(data: &[u8]) {
    read(Kind::Csv, "a.csv", data.to_vec());
    read(Kind::Csv, "a.tsv", data.to_vec());
}

/// Bounds that are reached by small inputs.
fn options() -> ExtractOptions {
    let limits = Limits {
        file_mib: 4,
        text_mib: 2,
        unpacked_mib: 8,
        entries_max: 200,
        pixels_max: 1_000_000,
        ..Limits::default()
    };
    ExtractOptions { limits, ocr: OcrMode::Never, ..ExtractOptions::default() }
}

/// Reads the bytes as this kind, and looks whether what comes out keeps the rules of what extraction reports.
fn read(kind: Kind, name: &str, mut bytes: Vec<u8>) {
    bytes.truncate(INPUT_BYTES_MAX + 4_096);
    let options = options();
    let task = Task {
        source: Source::memory(bytes),
        kind: Some(kind),
        name,
        options: &options,
        pages: 1..=u32::MAX,
        lost: &[],
    };
    let (mut infos, mut pages, mut done) = (0, Vec::new(), 0);
    let mut forward = |event| {
        match event {
            Event::Info(info) => {
                assert!(pages.is_empty(), "what it is comes before its pages");
                assert_eq!(info.media_type, kind.media_type());
                infos += 1;
            }
            Event::Page(page) => pages.push(page),
            Event::Done => done += 1,
        }
        Ok(())
    };
    let mut tools = Tools::default();
    let outcome = work::read(task, &mut tools, &mut forward);
    // Told as a loss of its document, here it is a mistake of ours.
    assert_eq!(tools.panics, 0, "a parser of ours panicked: {outcome:?}");
    assert!(infos <= 1 && done <= 1, "{infos} times said what it is, {done} times done");
    assert_eq!(outcome.is_ok(), done == 1, "{outcome:?}");
    let text: usize = pages.iter().flat_map(|page| &page.blocks).map(|block| block.text.len()).sum();
    assert!(text as u64 <= options.limits.text_mib << 20, "{text} bytes of text");
    for (number, page) in (1..).zip(&pages) {
        assert_eq!(page.number, number, "pages come in their order");
        page_keeps_its_rules(page);
    }
    match outcome {
        Ok(()) => assert!(pages.iter().any(|page| !page.blocks.is_empty()), "nothing was read, silently"),
        Err(failure) => assert!(!failure.detail.chars().any(char::is_control), "{failure:?}"),
    }
}

fn page_keeps_its_rules(page: &Page) {
    for block in &page.blocks {
        assert!(!block.text.is_empty() && block.text == block.text.trim(), "{:?}", block.text);
        let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!block.text.contains(steers), "{:?}", block.text);
        assert!(!matches!(block.kind, BlockKind::Heading(0 | 7..)), "{:?}", block.kind);
    }
    if matches!(page.source, PageSource::Lost | PageSource::NoText) {
        assert!(page.note.is_some(), "a page that was lost or has no text says why");
    }
}

/// Pages of blocks: lines of the input, whose first byte says what kind each is, and whether a page ends after it.
pub fn chunker(data: &[u8]) {
    let data = &data[..data.len().min(INPUT_BYTES_MAX)];
    let config = ChunkerConfig::default();
    let mut chunker = Chunker::new(config.clone());
    let (mut blocks, mut number, mut ordinal) = (Vec::new(), 1, 0);
    for line in data.split(|&byte| byte == b'\n').chain([b"\xff".as_slice()]) {
        let Some((&first, rest)) = line.split_first() else { continue };
        let text = String::from_utf8_lossy(rest).trim().to_owned();
        if !text.is_empty() {
            let kind = match first % 6 {
                0 => BlockKind::ListItem,
                1 => BlockKind::Table,
                2 => BlockKind::Code,
                3 => BlockKind::Heading(first % 7 % 6 + 1),
                _ => BlockKind::Paragraph,
            };
            blocks.push(Block { kind, text });
        }
        if first >= 0xf0 || first == b'P' {
            let page = Page {
                number,
                source: PageSource::TextLayer,
                blocks: std::mem::take(&mut blocks),
                note: None,
            };
            ordinal = chunks_keep_their_rules(&mut chunker, &config, &page, ordinal);
            number += 1;
        }
    }
}

/// Chunks are pieces of their page in order, none is too long, and between them is nothing but white space.
fn chunks_keep_their_rules(
    chunker: &mut Chunker,
    config: &ChunkerConfig,
    page: &Page,
    mut ordinal: u32,
) -> u32 {
    let text = page.text();
    let mut end = 0;
    for chunk in chunker.push(page) {
        assert_eq!((chunk.ordinal, chunk.page), (ordinal, page.number));
        let (from, to) = (chunk.start as usize, chunk.end as usize);
        assert!(from >= end && text[end..from].trim().is_empty(), "something is lost before {from}");
        assert_eq!(chunk.text, text[from..to]);
        assert!(
            !chunk.text.is_empty() && chunk.text.len() <= config.max_bytes,
            "{} bytes",
            chunk.text.len()
        );
        (end, ordinal) = (to, ordinal + 1);
    }
    assert!(text[end..].trim().is_empty(), "something is lost at the end");
    ordinal
}
