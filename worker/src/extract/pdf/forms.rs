//! What people added to a page: values of form fields and what they noted on it. Neither is part of a page's text.
//! Actions and scripts of a form are not looked at, and XFA is not read.

use docmill_core::page::{Block, BlockKind};
use pdfium_render::prelude::*;

/// Most annotations of a page that are looked at.
const ANNOTATIONS_MAX: usize = 2_000;

/// Longest value or note, in bytes.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// Most that a page's values and notes have together, in bytes.
const ADDED_BYTES_MAX: usize = 256 << 10;

/// What was added to a page.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// Values of fields, one a line, and notes, from the page's first on.
    pub blocks: Vec<Block>,
    /// Whether there was more than is taken.
    pub is_cut: bool,
}

/// Reads fields and notes of a page; a note that repeats what stands in `text` says nothing more.
pub(super) fn read(page: &PdfPage<'_>, text: &str) -> Added {
    let annotations = page.annotations();
    // Nearly all pages have none, or links alone.
    if annotations.is_empty() {
        return Added::default();
    }
    let mut writer = Writer::default();
    for annotation in annotations.iter().take(ANNOTATIONS_MAX) {
        match annotation.annotation_type() {
            PdfPageAnnotationType::Widget => {
                if let Some((name, value)) = annotation.as_form_field().and_then(value_of) {
                    writer.value(&name, &value);
                }
            }
            kind if is_note(kind) && !annotation.is_hidden() => {
                writer.note(&annotation.contents().unwrap_or_default(), text);
            }
            _ => {}
        }
    }
    writer.added(annotations.len() > ANNOTATIONS_MAX)
}

/// Annotations whose contents somebody wrote to be read.
fn is_note(kind: PdfPageAnnotationType) -> bool {
    use PdfPageAnnotationType as Kind;
    matches!(
        kind,
        Kind::Text
            | Kind::FreeText
            | Kind::Line
            | Kind::Square
            | Kind::Circle
            | Kind::Polygon
            | Kind::Polyline
            | Kind::Highlight
            | Kind::Underline
            | Kind::Squiggly
            | Kind::Strikeout
            | Kind::Stamp
            | Kind::Caret
            | Kind::Ink
    )
}

/// Name and value of a field that has one. What is not chosen, and what nobody is to see, has none.
fn value_of(field: &PdfFormField<'_>) -> Option<(String, String)> {
    match field {
        PdfFormField::Text(field) if !field.is_password() => Some((field.name()?, field.value()?)),
        PdfFormField::ComboBox(field) => Some((field.name()?, field.value()?)),
        PdfFormField::ListBox(field) => Some((field.name()?, field.value()?)),
        PdfFormField::Checkbox(field) => {
            let state = field.appearance_stream();
            let is_checked = field.is_checked().unwrap_or(false);
            Some((field.name()?, chosen(state, is_checked)?))
        }
        PdfFormField::RadioButton(field) => {
            let state = field.appearance_stream();
            let is_checked = field.is_checked().unwrap_or(false);
            Some((field.name()?, chosen(state, is_checked)?))
        }
        _ => None,
    }
}

/// What a box says when it is checked: the name of that state, if it is more than a yes.
fn chosen(state: Option<String>, is_checked: bool) -> Option<String> {
    let state = state.as_deref().map(|state| state.trim_start_matches('/'));
    match state {
        Some("Off") => None,
        None | Some("") => is_checked.then(|| "yes".to_owned()),
        Some("Yes" | "yes" | "On" | "on" | "1" | "true" | "True") => Some("yes".to_owned()),
        Some(state) => Some(state.to_owned()),
    }
}

/// Gathers what was found. Knows nothing of pdfium.
#[derive(Default)]
struct Writer {
    values: Vec<String>,
    notes: Vec<String>,
    bytes: usize,
    is_cut: bool,
}

impl Writer {
    fn value(&mut self, name: &str, value: &str) {
        let name = name.replace("[0]", "");
        let value = one_line(value);
        if value.is_empty() {
            return;
        }
        let line = match one_line(&name) {
            name if name.is_empty() => value,
            name => format!("{name}: {value}"),
        };
        // A field may stand on a page more than once.
        if !self.values.contains(&line)
            && let Some(line) = self.taken(line)
        {
            self.values.push(line);
        }
    }

    fn note(&mut self, contents: &str, text: &str) {
        let contents = contents.replace("\r\n", "\n").replace('\r', "\n");
        let contents = contents.trim();
        // Some programs note the words that were marked.
        if contents.is_empty() || text.contains(contents) || self.notes.iter().any(|note| note == contents)
        {
            return;
        }
        if let Some(note) = self.taken(contents.to_owned()) {
            self.notes.push(note);
        }
    }

    fn taken(&mut self, mut text: String) -> Option<String> {
        let room = VALUE_BYTES_MAX.min(ADDED_BYTES_MAX - self.bytes);
        if text.len() > room {
            text.truncate(text.floor_char_boundary(room));
            self.is_cut = true;
        }
        self.bytes += text.len();
        (!text.is_empty()).then_some(text)
    }

    fn added(self, is_cut: bool) -> Added {
        let block = |text| Block { kind: BlockKind::Paragraph, text };
        let values = (!self.values.is_empty()).then(|| self.values.join("\n"));
        let blocks = values.into_iter().chain(self.notes).map(block).collect();
        Added { blocks, is_cut: is_cut || self.is_cut }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_lines_and_notes_paragraphs() {
        let mut writer = Writer::default();
        writer.value("form[0].name[0]", "Ada\r\nLovelace");
        writer.value("form[0].name[0]", "Ada Lovelace");
        writer.value("empty", " ");
        writer.value("", "alone");
        writer.note("first\rsecond ", "the page");
        writer.note("the page", "here is the page");
        let texts: Vec<_> = writer.added(false).blocks.into_iter().map(|block| block.text).collect();
        assert_eq!(texts, ["form.name: Ada Lovelace\nalone", "first\nsecond"]);
    }

    #[test]
    fn what_was_added_is_bounded() {
        let mut writer = Writer::default();
        for i in 0..100 {
            writer.note(&format!("{i}{}", "é".repeat(VALUE_BYTES_MAX)), "");
        }
        let added = writer.added(false);
        assert!(added.is_cut);
        assert_eq!(added.blocks.iter().map(|block| block.text.len()).sum::<usize>(), ADDED_BYTES_MAX);
    }

    #[test]
    fn a_box_says_what_was_chosen() {
        let state = |state: &str| Some(state.to_owned());
        assert_eq!(chosen(state("/Yes"), true).as_deref(), Some("yes"));
        assert_eq!(chosen(state("Off"), true), None);
        assert_eq!(chosen(state("Married"), false).as_deref(), Some("Married"));
        assert_eq!(chosen(None, true).as_deref(), Some("yes"));
        assert_eq!(chosen(None, false), None);
    }
}
