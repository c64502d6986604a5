//! DOCX and PPTX: one streaming pass over each XML part, bounded while it is unpacked.
//! Reads text, headings, lists and tables; no layout, no pictures.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event as Xml};
use zip::ZipArchive;
use zip::result::ZipError;

use super::Kind;
use super::emit::Emitter;
use super::source::Source;
use super::text::Table;
use super::work::Work;

/// Most bytes that one part may unpack to; a zip bomb stops here.
const PART_BYTES_MAX: u64 = 512 << 20;

type Archive = ZipArchive<BufReader<Source>>;

/// Opens the archive.
pub(super) fn open(source: Source) -> Result<Archive, Failure> {
    ZipArchive::new(BufReader::new(source)).map_err(damaged)
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Damaged, error.to_string())
}

/// Calls back for every event of a part; `false` when the archive has no such part.
fn events(
    archive: &mut Archive,
    part: &str,
    mut each: impl FnMut(Xml<'_>) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let file = match archive.by_name(part) {
        Ok(file) => file,
        Err(ZipError::FileNotFound) => return Ok(false),
        Err(error) => return Err(damaged(error)),
    };
    let mut reader = Reader::from_reader(BufReader::with_capacity(64 << 10, file.take(PART_BYTES_MAX)));
    reader.config_mut().check_end_names = false;
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer) {
            Ok(Xml::Eof) => return Ok(true),
            Ok(event) => each(event)?,
            Err(error) => return Err(damaged(format!("{part}: {error}"))),
        }
        buffer.clear();
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn attribute(tag: &BytesStart<'_>, wanted: &str) -> Option<String> {
    tag.attributes().flatten().find_map(|attribute| {
        let key: &str = attribute.key.as_ref();
        (key == wanted || local(key) == wanted)
            .then(|| unescape(&attribute.value).map(|value| value.into_owned()).unwrap_or_default())
    })
}

/// The text of an entity or character reference.
fn push_reference(text: &mut String, reference: &quick_xml::events::BytesRef<'_>) {
    match reference.resolve_char_ref() {
        Ok(Some(c)) => text.push(c),
        _ => text.push_str(match &**reference {
            "amp" => "&",
            "lt" => "<",
            "gt" => ">",
            "quot" => "\"",
            "apos" => "'",
            _ => "",
        }),
    }
}

/// The title in the archive's properties.
fn title(archive: &mut Archive) -> Option<String> {
    let (mut inside, mut title) = (false, String::new());
    let found = events(archive, "docProps/core.xml", |event| {
        match event {
            Xml::Start(tag) => inside = local(tag.name().as_ref()) == "title",
            Xml::End(_) => inside = false,
            Xml::Text(text) if inside => title.push_str(&text),
            Xml::GeneralRef(reference) if inside => push_reference(&mut title, &reference),
            _ => {}
        }
        Ok(())
    });
    found.ok()?;
    (!title.trim().is_empty()).then_some(title)
}

/// Targets of a part's relations by id.
fn relations(archive: &mut Archive, part: &str) -> Result<HashMap<String, String>, Failure> {
    let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
    let mut targets = HashMap::new();
    events(archive, &format!("{folder}/_rels/{file}.rels"), |event| {
        if let Xml::Empty(tag) | Xml::Start(tag) = event
            && let (Some(id), Some(target)) = (attribute(&tag, "Id"), attribute(&tag, "Target"))
        {
            targets.insert(id, resolve(folder, &target));
        }
        Ok(())
    })?;
    Ok(targets)
}

fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').collect();
    for step in target.split('/') {
        match step {
            ".." => drop(parts.pop()),
            "." => {}
            step => parts.push(step),
        }
    }
    parts.join("/")
}

/// Heading levels by style id, from the styles' names and outline levels.
fn heading_styles(archive: &mut Archive) -> Result<HashMap<String, u8>, Failure> {
    let (mut levels, mut style) = (HashMap::new(), String::new());
    events(archive, "word/styles.xml", |event| {
        if let Xml::Start(tag) | Xml::Empty(tag) = event {
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

/// Reads a Word document as one run of blocks, notes at the end.
pub(super) fn docx(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let (mut archive, emitter) = (open(source)?, &mut *work.emitter);
    let title = title(&mut archive);
    emitter.info(DocumentInfo {
        title,
        media_type: Kind::Docx.media_type().to_owned(),
        page_count: None,
    })?;
    let styles = heading_styles(&mut archive)?;
    if !part(&mut archive, "word/document.xml", &styles, emitter)? {
        return Err(damaged("it has no word/document.xml"));
    }
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        part(&mut archive, notes, &styles, emitter)?;
    }
    Ok(())
}

/// Reads a presentation, one page a slide in the order in which it is shown, speaker's notes at its end.
pub(super) fn pptx(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let (mut archive, emitter) = (open(source)?, &mut *work.emitter);
    let targets = relations(&mut archive, "ppt/presentation.xml")?;
    let mut slides = Vec::new();
    events(&mut archive, "ppt/presentation.xml", |event| {
        if let Xml::Empty(tag) | Xml::Start(tag) = event
            && local(tag.name().as_ref()) == "sldId"
        {
            slides.extend(
                attribute(&tag, "r:id").or_else(|| last_id(&tag)).and_then(|id| targets.get(&id).cloned()),
            );
        }
        Ok(())
    })?;
    let title = title(&mut archive);
    let page_count = Some(slides.len() as u32);
    emitter.info(DocumentInfo { title, media_type: Kind::Pptx.media_type().to_owned(), page_count })?;
    let no_styles = HashMap::new();
    for slide in slides {
        part(&mut archive, &slide, &no_styles, emitter)?;
        let notes =
            relations(&mut archive, &slide)?.into_values().find(|target| target.contains("notesSlide"));
        if let Some(notes) = notes {
            part(&mut archive, &notes, &no_styles, emitter)?;
        }
        emitter.end_page()?;
    }
    Ok(())
}

/// `id` is also a plain attribute of slides; the relation's has a prefix, whatever it is.
fn last_id(tag: &BytesStart<'_>) -> Option<String> {
    tag.attributes().flatten().find_map(|attribute| {
        let key: &str = attribute.key.as_ref();
        key.ends_with(":id").then(|| String::from_utf8_lossy(attribute.value.as_bytes()).into_owned())
    })
}

/// What is known of the paragraph in work. `w:` and `a:` paragraphs differ in names only.
#[derive(Default)]
struct Paragraph {
    text: String,
    level: Option<u8>,
    is_item: bool,
}

fn part(
    archive: &mut Archive,
    name: &str,
    styles: &HashMap<String, u8>,
    emitter: &mut Emitter<'_>,
) -> Result<bool, Failure> {
    let mut paragraph = Paragraph::default();
    let (mut in_text, mut fallback, mut in_table) = (false, 0, 0);
    let (mut cell, mut row, mut table) = (String::new(), Vec::new(), Table::default());
    // In a slide: the kind of the shape that is read. Numbers, dates and footers are not content.
    let mut placeholder = String::new();
    events(archive, name, |event| {
        match event {
            Xml::Start(tag) => match local(tag.name().as_ref()) {
                // The fallback repeats in old words what the choice before it says.
                "Fallback" => fallback += 1,
                "t" => in_text = true,
                "p" => paragraph = Paragraph::default(),
                "sp" => placeholder.clear(),
                "tbl" => in_table += 1,
                "numPr" => paragraph.is_item = true,
                other => style(other, &tag, styles, &mut paragraph, &mut placeholder),
            },
            Xml::Empty(tag) => match local(tag.name().as_ref()) {
                "tab" if fallback == 0 && !paragraph.text.is_empty() => paragraph.text.push('\t'),
                "br" | "cr" if fallback == 0 => paragraph.text.push('\n'),
                "noBreakHyphen" => paragraph.text.push('-'),
                other => style(other, &tag, styles, &mut paragraph, &mut placeholder),
            },
            Xml::Text(text) if in_text && fallback == 0 => paragraph.text.push_str(&text),
            Xml::CData(text) if in_text && fallback == 0 => paragraph.text.push_str(&text),
            Xml::GeneralRef(reference) if in_text && fallback == 0 => {
                push_reference(&mut paragraph.text, &reference)
            }
            Xml::End(tag) => match local(tag.name().as_ref()) {
                "Fallback" => fallback -= 1,
                "t" => in_text = false,
                "p" if in_table > 0 => {
                    cell.push_str(&std::mem::take(&mut paragraph.text));
                    cell.push(' ');
                }
                "p" if !matches!(placeholder.as_str(), "sldNum" | "dt" | "ftr" | "sldImg" | "hdr") => {
                    let done = std::mem::take(&mut paragraph);
                    let level =
                        done.level.or(matches!(placeholder.as_str(), "title" | "ctrTitle").then_some(1));
                    let kind = match level {
                        Some(level) => BlockKind::Heading(level),
                        None if done.is_item => BlockKind::ListItem,
                        None => BlockKind::Paragraph,
                    };
                    emitter.block(kind, done.text)?;
                }
                "sp" => placeholder.clear(),
                // A table within a cell is text of that cell.
                "tc" if in_table == 1 => row.push(std::mem::take(&mut cell)),
                "tr" if in_table == 1 => table.row(row.drain(..), emitter)?,
                "tbl" => {
                    in_table -= 1;
                    if in_table == 0 {
                        table.end(emitter)?;
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    })
}

fn style(
    name: &str,
    tag: &BytesStart<'_>,
    styles: &HashMap<String, u8>,
    paragraph: &mut Paragraph,
    placeholder: &mut String,
) {
    match name {
        "pStyle" => {
            let id = attribute(tag, "val").unwrap_or_default();
            paragraph.level = styles.get(&id).copied();
            paragraph.is_item |= id.starts_with("List");
        }
        "outlineLvl" => {
            let level = attribute(tag, "val").and_then(|level| level.parse::<u8>().ok());
            paragraph.level = level.filter(|&level| level < 6).map(|level| level + 1);
        }
        "ph" => *placeholder = attribute(tag, "type").unwrap_or_default(),
        "buChar" | "buAutoNum" => paragraph.is_item = true,
        _ => {}
    }
}
