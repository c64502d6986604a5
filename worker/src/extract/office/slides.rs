//! PowerPoint presentations (PPTX): a page a slide in the order in which they are shown, diagrams and speaker's notes at
//! its end.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;
use quick_xml::events::{BytesStart, Event};

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
            Ok(()) => emitter.end_page()?,
            lost => emitter.or_lost(lost)?,
        }
    }
    Ok(())
}

fn read_slide(package: &mut Package<'_>, slide: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let styles = Styles::new();
    if !part::read(package, slide, &styles, None, emitter)? {
        return Err(Failure::new(FailureCode::Damaged, format!("it has no {slide}")));
    }
    let relations = package.relations(slide)?;
    for wanted in BESIDE {
        for relation in
            relations.iter().filter(|relation| is_kind(&relation.kind, &relation.target, wanted))
        {
            part::read(package, &relation.target, &styles, None, emitter)?;
        }
    }
    Ok(())
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
