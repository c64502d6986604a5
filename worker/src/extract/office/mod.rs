//! Word, PowerPoint and OpenDocument, as parts of XML and as they were before. Text, headings, lists and tables; no layout,
//! and of pictures what is said of them.

mod body;
mod doc;
mod locked;
mod odf;
mod part;
mod ppt;
mod slides;
mod word;

pub(super) use doc::read as doc;
pub(super) use locked::open as unlock;
pub(super) use odf::{flat as flat_odf, zipped as odf};
pub(super) use ppt::read as ppt;
pub(super) use slides::read as pptx;
pub(super) use word::read as docx;
