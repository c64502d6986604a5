//! Word documents (DOCX): the body, then what stands beside it: diagrams, notes, comments, headers and footers.

use std::collections::HashSet;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;
use quick_xml::events::Event;

use super::part::{self, Styles};
use crate::extract::emit::Emitter;
use crate::extract::package::Package;
use crate::extract::source::Source;
use crate::extract::work::Work;
use crate::extract::xml::{attribute, local};

/// Kinds of parts beside the body, in the order in which they are read.
const BESIDE: &[&str] = &["diagramData", "chart", "footnotes", "endnotes", "comments", "header", "footer"];

/// Reads the document as one run of blocks.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let emitter = &mut *work.emitter;
    let mut package = Package::open(source, &work.options.limits, work.nesting)?;
    let title = package.title("docProps/core.xml");
    emitter.info(DocumentInfo {
        title,
        media_type: work.kind.media_type().to_owned(),
        page_count: None,
    })?;
    let body = package.main_part().ok().flatten().unwrap_or_else(|| "word/document.xml".to_owned());
    // Without styles there are no headings, but all of the text.
    let styles = heading_styles(&mut package).unwrap_or_default();
    let read = part::read(&mut package, &body, &styles, None, emitter);
    let read = read.and_then(|found| found.ok_or_else(|| missing(&body)));
    if let Ok(unread) = &read {
        emitter.without_text(unread.note());
    }
    emitter.or_lost(read.map(|_| ()))?;
    beside(&mut package, &body, &styles, emitter)
}

fn missing(part: &str) -> Failure {
    Failure::new(FailureCode::Damaged, format!("it has no {part}"))
}

/// Reads what the body refers to, each part once. First pages, even and odd ones have headers of their own, which mostly
/// say the same.
fn beside(
    package: &mut Package<'_>,
    body: &str,
    styles: &Styles,
    emitter: &mut Emitter<'_>,
) -> Result<(), Failure> {
    let mut relations = package.relations(body).unwrap_or_default();
    relations.retain(|relation| BESIDE.contains(&relation.kind.as_str()));
    // Files that some programs leave without relations.
    for (kind, target) in [("footnotes", "word/footnotes.xml"), ("endnotes", "word/endnotes.xml")] {
        if package.has(target) && !relations.iter().any(|relation| relation.target == target) {
            let (id, kind, target) = (String::new(), kind.to_owned(), target.to_owned());
            relations.push(crate::extract::package::Relation { id, kind, target });
        }
    }
    relations.sort_by_key(|relation| BESIDE.iter().position(|kind| *kind == relation.kind));
    let (mut parts, mut furniture) = (HashSet::new(), HashSet::new());
    for relation in relations {
        if !parts.insert(relation.target.clone()) {
            continue;
        }
        let only_new = matches!(relation.kind.as_str(), "header" | "footer").then_some(&mut furniture);
        let read = part::read(package, &relation.target, styles, only_new, emitter);
        emitter.or_lost(read.map(drop))?;
    }
    Ok(())
}

/// Heading levels by style id, from the styles' names and outline levels.
fn heading_styles(package: &mut Package<'_>) -> Result<Styles, Failure> {
    let (mut levels, mut style) = (Styles::new(), String::new());
    package.events("word/styles.xml", |event| {
        if let Event::Start(tag) | Event::Empty(tag) = event {
            match local(tag.name().as_ref()) {
                "style" => style = attribute(&tag, "styleId").unwrap_or_default(),
                "name" => {
                    let name = attribute(&tag, "val").unwrap_or_default().to_ascii_lowercase();
                    let level = match name.as_str() {
                        "title" => Some(1),
                        name => name.strip_prefix("heading ").and_then(|level| level.trim().parse().ok()),
                    };
                    levels.extend(level.map(|level: u8| (style.clone(), level.clamp(1, 6))));
                }
                "outlineLvl" => {
                    let level = attribute(&tag, "val").and_then(|level| level.parse::<u8>().ok());
                    levels.extend(level.filter(|&level| level < 6).map(|level| (style.clone(), level + 1)));
                }
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use docmill_core::page::{BlockKind, PageSource};

    use crate::extract::package::tests::zip;
    use crate::extract::work::tests::read_bytes;

    const BODY: &str = r#"<w:document xmlns:w="w" xmlns:mc="mc"><w:body><w:p><w:r><w:t>before </w:t></w:r><w:r>
        <mc:AlternateContent><mc:Choice><w:drawing><w:txbxContent><w:p><w:r><w:t>in the box</w:t></w:r></w:p>
        <w:tbl><w:tr><w:tc><w:p><w:r><w:t>cell</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:txbxContent></w:drawing></mc:Choice>
        <mc:Fallback><w:pict><w:txbxContent><w:p><w:r><w:t>in the box</w:t></w:r></w:p></w:txbxContent></w:pict></mc:Fallback>
        </mc:AlternateContent></w:r><w:r><w:t>and after</w:t></w:r></w:p><w:p><w:r><w:t>next</w:t></w:r></w:p></w:body></w:document>"#;

    fn paragraph(element: &str, text: &str) -> String {
        format!(r#"<w:{element} xmlns:w="w"><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:{element}>"#)
    }

    #[test]
    fn a_text_box_leaves_the_paragraph_around_it_whole() {
        let read = read_bytes("a.docx", zip(&[("word/document.xml", BODY)]));
        read.outcome.as_ref().unwrap();
        assert_eq!(read.texts(), ["cell", "before and after", "in the box", "next"]);
    }

    #[test]
    fn what_stands_beside_the_body_is_read_once() {
        let relation = |id: u32, kind: &str, target: &str| {
            format!(r#"<Relationship Id="r{id}" Type="http://x/relationships/{kind}" Target="{target}"/>"#)
        };
        let relations = [
            relation(1, "header", "header1.xml"),
            relation(2, "header", "header2.xml"),
            relation(3, "footer", "footer1.xml"),
            relation(4, "comments", "comments.xml"),
            relation(5, "hyperlink", "http://example.org/"),
            relation(6, "footnotes", "footnotes.xml"),
        ];
        let read = read_bytes(
            "a.docx",
            zip(&[
                ("word/document.xml", &paragraph("document", "body")),
                (
                    "word/_rels/document.xml.rels",
                    &format!("<Relationships>{}</Relationships>", relations.concat()),
                ),
                ("word/header1.xml", &paragraph("hdr", "the house")),
                ("word/header2.xml", &paragraph("hdr", "the house")),
                ("word/footer1.xml", &paragraph("ftr", "page")),
                ("word/comments.xml", &paragraph("comments", "is that so?")),
                ("word/footnotes.xml", &paragraph("footnotes", "a note")),
            ]),
        );
        read.outcome.as_ref().unwrap();
        assert_eq!(read.texts(), ["body", "a note", "is that so?", "the house", "page"]);
    }

    #[test]
    fn what_is_said_of_pictures_is_read_once_and_where_they_are() {
        let body = r#"<w:document xmlns:w="w" xmlns:wp="wp" xmlns:mc="mc" xmlns:v="v"><w:p><w:r><w:t>Before</w:t></w:r><w:r>
            <mc:AlternateContent><mc:Choice><w:drawing><wp:inline><wp:docPr id="1" name="Picture 1" title="A cat" descr="It sleeps">
            <a:hlinkClick/></wp:docPr><pic:pic><pic:cNvPr id="2" name="cat.png" descr="It sleeps"/></pic:pic></wp:inline></w:drawing>
            </mc:Choice><mc:Fallback><w:pict><v:shape alt="Another cat"/></w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>
            <w:p><w:r><w:pict><v:shape id="s" alt="An old &lt;dog&gt;"/></w:pict></w:r><w:r><w:drawing><wp:docPr descr="C:\dog.jpg"/>
            </w:drawing></w:r></w:p></w:document>"#;
        let read = read_bytes("a.docx", zip(&[("word/document.xml", body)]));
        read.outcome.as_ref().unwrap();
        assert_eq!(read.texts(), ["Before", "A cat", "It sleeps", "An old <dog>"]);
    }

    #[test]
    fn a_cut_body_keeps_what_came_before_the_cut() {
        let cut = &BODY[..BODY.len() - 40];
        let read = read_bytes("a.docx", zip(&[("word/document.xml", cut)]));
        read.outcome.as_ref().unwrap();
        assert_eq!(read.blocks()[1], (BlockKind::Paragraph, "before and after"));
        assert_eq!(read.pages[0].source, PageSource::Lost);
        assert!(read.pages[0].note.as_ref().unwrap().starts_with("lost: damaged: word/document.xml"));
    }
}
