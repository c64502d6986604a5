//! PowerPoint presentations (PPTX): a page a slide in the order in which they are shown, diagrams and speaker's notes at
//! its end.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;
use quick_xml::events::{BytesStart, Event};

use super::body::Unread;
use super::part::{self, Styles};
use crate::extract::emit::Emitter;
use crate::extract::package::Package;
use crate::extract::source::Source;
use crate::extract::work::Work;
use crate::extract::xml::local;

/// Kinds of parts that belong to a slide, in the order in which they are read after it.
const BESIDE: &[&str] = &["diagramData", "chart", "notesSlide"];

/// Reads all slides.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let emitter = &mut *work.emitter;
    let mut package = Package::open(source, &work.options.limits, work.nesting)?;
    let main = package.main_part().ok().flatten().unwrap_or_else(|| "ppt/presentation.xml".to_owned());
    let targets = package.relations(&main)?;
    let mut slides = Vec::new();
    package.events(&main, |event| {
        if let Event::Empty(tag) | Event::Start(tag) = event
            && local(tag.name().as_ref()) == "sldId"
            && let Some(id) = relation_id(&tag)
            && let Some(relation) = targets.iter().find(|relation| relation.id == id)
        {
            slides.push(relation.target.clone());
        }
        Ok(())
    })?;
    let title = package.title("docProps/core.xml");
    let page_count = Some(slides.len() as u32);
    emitter.info(DocumentInfo { title, media_type: work.kind.media_type().to_owned(), page_count })?;
    for slide in slides {
        match read_slide(&mut package, &slide, emitter) {
            Ok(unread) => {
                emitter.without_text(unread.note());
                emitter.end_page()?;
            }
            Err(failure) => emitter.or_lost(Err(failure))?,
        }
    }
    Ok(())
}

/// Sends the text of a slide and what belongs to it, and gives what else is on it.
fn read_slide(
    package: &mut Package<'_>,
    slide: &str,
    emitter: &mut Emitter<'_>,
) -> Result<Unread, Failure> {
    let styles = Styles::new();
    let Some(unread) = part::read(package, slide, &styles, None, emitter)? else {
        return Err(Failure::new(FailureCode::Damaged, format!("it has no {slide}")));
    };
    let relations = package.relations(slide)?;
    for wanted in BESIDE {
        for relation in
            relations.iter().filter(|relation| is_kind(&relation.kind, &relation.target, wanted))
        {
            part::read(package, &relation.target, &styles, None, emitter)?;
        }
    }
    Ok(unread)
}

/// Some programs leave the type out; folders are named after it.
fn is_kind(kind: &str, target: &str, wanted: &str) -> bool {
    kind == wanted || (kind.is_empty() && target.contains(wanted))
}

/// `id` is also a plain attribute of slides; the relation's has a prefix, whatever it is.
fn relation_id(tag: &BytesStart<'_>) -> Option<String> {
    tag.attributes().flatten().find_map(|attribute| {
        let key: &str = attribute.key.as_ref();
        key.ends_with(":id").then(|| String::from_utf8_lossy(attribute.value.as_bytes()).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use docmill_core::failure::FailureCode;
    use docmill_core::page::PageSource;

    use crate::extract::package::tests::zip;
    use crate::extract::work::tests::read_bytes;

    /// A presentation of slides with these shapes.
    fn presentation(slides: &[&str]) -> Vec<u8> {
        let numbers = 1..=slides.len();
        let ids: String = numbers.clone().map(|n| format!(r#"<p:sldId id="{n}" r:id="r{n}"/>"#)).collect();
        let relations: String = numbers
            .clone()
            .map(|n| format!(r#"<Relationship Id="r{n}" Target="slides/slide{n}.xml"/>"#))
            .collect();
        let main = format!("<p:presentation><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>");
        let relations = format!("<Relationships>{relations}</Relationships>");
        let names: Vec<String> = numbers.map(|n| format!("ppt/slides/slide{n}.xml")).collect();
        let slides: Vec<String> = slides.iter().map(|shapes| format!("<p:sld>{shapes}</p:sld>")).collect();
        let mut parts = vec![
            ("ppt/presentation.xml", main.as_str()),
            ("ppt/_rels/presentation.xml.rels", relations.as_str()),
        ];
        parts.extend(names.iter().map(String::as_str).zip(slides.iter().map(String::as_str)));
        zip(&parts)
    }

    fn shape(placeholder: &str, text: &str) -> String {
        format!(
            r#"<p:sp><p:nvPr><p:ph type="{placeholder}"/></p:nvPr><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sp>"#
        )
    }

    const PICTURE: &str = r#"<p:pic><p:nvPicPr><p:cNvPr id="2" name="Picture 1"/></p:nvPicPr></p:pic>"#;

    #[test]
    fn a_slide_without_text_says_what_it_has_instead() {
        let footer = format!("{}{}", shape("ftr", "The house"), shape("sldNum", "2"));
        let pictured = PICTURE.replace("/></p:nv", r#" descr="A cat"/></p:nv"#);
        let with_footer = format!("{}{footer}", shape("title", "First"));
        let scanned = format!("{PICTURE}{footer}");
        let slides: [&str; 5] = [&with_footer, &footer, &scanned, &pictured, ""];
        let read = read_bytes("a.pptx", presentation(&slides));
        read.outcome.as_ref().unwrap();
        assert_eq!(read.texts(), ["First", "A cat"]);
        let notes: Vec<_> = read.pages.iter().map(|page| page.note.as_deref()).collect();
        let expected = [
            None,
            Some("empty: there is nothing on it but a footer, a date or its number"),
            Some("pictures_unread: there are only pictures on it, and nothing is said of them"),
            None,
            Some("empty: there is nothing written on it"),
        ];
        assert_eq!(notes, expected);
        assert_eq!(read.pages[1].source, PageSource::NoText);

        let read = read_bytes("a.pptx", presentation(&[&footer, &footer]));
        let failure = read.outcome.unwrap_err();
        assert_eq!(failure.code, FailureCode::NoText);
        assert!(failure.detail.starts_with("2 pages, none with text: empty: there is nothing on it but"));
    }
}
