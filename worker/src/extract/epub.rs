//! EPUB books: the chapters in the order of the spine, each a page of HTML. Does not render, and fetches nothing.

use std::collections::{HashMap, HashSet};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;
use quick_xml::events::Event;

use super::html::Html;
use super::package::{Package, resolve};
use super::source::Source;
use super::work::Work;
use super::xml::{attribute, local, push_reference};
use crate::percent;

/// Longest chapter, in bytes.
const CHAPTER_BYTES_MAX: u64 = 64 << 20;

/// What the package document says.
#[derive(Default)]
struct Book {
    title: String,
    /// Parts of the archive, in the order of reading.
    chapters: Vec<String>,
}

/// Reads all chapters.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let emitter = &mut *work.emitter;
    let mut package = Package::open(source, &work.options.limits, work.nesting)?;
    let book = book(&mut package)?;
    let locked = locked_parts(&mut package);
    let media_type = work.kind.media_type().to_owned();
    let page_count = Some(book.chapters.len() as u32);
    emitter.info(DocumentInfo { title: Some(book.title), media_type, page_count })?;
    for chapter in &book.chapters {
        let html = if locked.contains(chapter) {
            Err(Failure::new(FailureCode::Encrypted, format!("{chapter} is encrypted")))
        } else {
            let bytes = package.bytes(chapter, CHAPTER_BYTES_MAX);
            bytes.and_then(|bytes| bytes.ok_or_else(|| missing(chapter)))
        };
        match html.and_then(|html| Html::decode(html).send(emitter)) {
            Ok(()) => emitter.end_page()?,
            lost => emitter.or_lost(lost)?,
        }
    }
    Ok(())
}

fn missing(part: &str) -> Failure {
    Failure::new(FailureCode::Damaged, format!("it has no {part}"))
}

fn book(package: &mut Package<'_>) -> Result<Book, Failure> {
    let mut root = None;
    package.events("META-INF/container.xml", |event| {
        if let Event::Empty(tag) | Event::Start(tag) = event
            && local(tag.name().as_ref()) == "rootfile"
            && root.is_none()
        {
            root = attribute(&tag, "full-path");
        }
        Ok(())
    })?;
    let root = root.ok_or_else(|| missing("root file in META-INF/container.xml"))?;
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let (mut book, mut parts, mut in_title) = (Book::default(), HashMap::new(), false);
    let found = package.events(&root, |event| {
        match event {
            Event::Start(tag) | Event::Empty(tag) => match local(tag.name().as_ref()) {
                "title" => in_title = book.title.is_empty(),
                "item" => {
                    if let (Some(id), Some(href)) = (attribute(&tag, "id"), attribute(&tag, "href")) {
                        let path = href.split('#').next().unwrap_or_default();
                        parts.insert(id, resolve(&folder, &path_of(path)));
                    }
                }
                "itemref" => {
                    let id = attribute(&tag, "idref").unwrap_or_default();
                    book.chapters.extend(parts.get(&id).cloned());
                }
                // What follows a title without text is none.
                _ => in_title = false,
            },
            Event::Text(text) if in_title => book.title.push_str(&text),
            Event::GeneralRef(reference) if in_title => push_reference(&mut book.title, &reference),
            Event::End(_) => in_title = false,
            _ => {}
        }
        Ok(())
    })?;
    if found { Ok(book) } else { Err(missing(&root)) }
}

/// Parts that only a reader with the key can read.
fn locked_parts(package: &mut Package<'_>) -> HashSet<String> {
    let mut locked = HashSet::new();
    let read = package.events("META-INF/encryption.xml", |event| {
        if let Event::Empty(tag) | Event::Start(tag) = event
            && local(tag.name().as_ref()) == "CipherReference"
        {
            locked.extend(attribute(&tag, "URI").map(|uri| path_of(&uri)));
        }
        Ok(())
    });
    // Chapters that cannot be read for another reason say so themselves.
    let _ = read;
    locked
}

/// The path that is meant by one in an address.
fn path_of(address: &str) -> String {
    String::from_utf8_lossy(&percent::decoded(address)).into_owned()
}

#[cfg(test)]
mod tests {
    use docmill_core::page::PageSource;

    use super::super::package::tests::zip;
    use super::super::work::tests::read_bytes;
    use super::*;

    const CONTAINER: &str =
        r#"<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>"#;
    const BOOK: &str = r#"<package><metadata><dc:title>Tom &amp; Huck</dc:title></metadata><manifest>
        <item id="b" href="text/two%20b.xhtml#start"/><item id="a" href="one.xhtml"/><item id="c" href="gone.xhtml"/>
        </manifest><spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/></spine></package>"#;

    #[test]
    fn chapters_are_pages_in_the_order_of_the_spine() {
        let chapter = |text: &str| {
            format!("<?xml version='1.0'?><html><head><title/></head><body><p>{text}</p></body></html>")
        };
        let encryption = r#"<encryption><CipherReference URI="OPS/text/two%20b.xhtml"/></encryption>"#;
        let (one, two) = (chapter("one"), chapter("two"));
        let parts = [
            ("mimetype", "application/epub+zip"),
            ("META-INF/container.xml", CONTAINER),
            ("OPS/book.opf", BOOK),
            ("OPS/one.xhtml", one.as_str()),
            ("OPS/text/two b.xhtml", two.as_str()),
        ];
        let read = read_bytes("a.epub", zip(&parts));
        read.outcome.as_ref().unwrap();
        assert_eq!(read.texts(), ["one", "two"]);
        assert_eq!(read.info.unwrap().title.as_deref(), Some("Tom & Huck"));
        assert_eq!(read.pages[2].source, PageSource::Lost, "a chapter that is not there");

        let read =
            read_bytes("a.epub", zip(&[&parts[..], &[("META-INF/encryption.xml", encryption)]].concat()));
        assert_eq!(read.texts(), ["one"]);
        assert!(read.pages[1].note.as_ref().unwrap().starts_with("lost: encrypted"));
    }

    #[test]
    fn addresses_become_paths() {
        assert_eq!(path_of("a%20b%C3%A9%zz%2"), "a bé%zz%2");
    }
}
