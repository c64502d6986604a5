//! Documents of XML parts: Word, PowerPoint and OpenDocument. Text, headings, lists and tables; no layout, no pictures.

mod odf;
mod part;
mod slides;
mod word;

pub(super) use odf::{flat as flat_odf, zipped as odf};
pub(super) use slides::read as pptx;
pub(super) use word::read as docx;
