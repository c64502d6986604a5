//! Documents of XML parts: Word, PowerPoint and OpenDocument. Text, headings, lists and tables; no layout, no pictures.

mod part;
mod slides;
mod word;

pub(super) use slides::read as pptx;
pub(super) use word::read as docx;
