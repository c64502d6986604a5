//! What every reader gets beside the document: options, the way out, the tools that are kept over documents, and the one
//! budget of all that is packed into each other. Knows no format.

use std::io::{self, Seek};
use std::ops::RangeInclusive;
use std::rc::Rc;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use docmill_core::page::Page;

use super::emit::{Emitter, Forward};
use super::format::{Apart, Format};
use super::ocr::Recogniser;
use super::passwords::Tries;
use super::pdf::PdfReader;
use super::source::Source;
use super::{ExtractOptions, Kind, sniff};

/// One document in work.
pub(super) struct Work<'a, 'e> {
    /// What it was found to be.
    pub kind: Kind,
    /// Its name. What is packed has the name that the packer gave: it is shown and told by, never opened.
    pub name: &'a str,
    pub options: &'a ExtractOptions,
    pub emitter: &'a mut Emitter<'e>,
    pub tools: &'a mut Tools,
    pub nesting: &'a mut Nesting,
}

/// What is loaded when first needed and kept for all documents of the process.
#[derive(Default)]
pub(super) struct Tools {
    pub pdf: PdfReader,
    pub recogniser: Recogniser,
    /// Parsers that panicked.
    pub panics: u32,
}

/// One document from its first byte to `Done`.
pub(super) struct Task<'a> {
    pub source: Source,
    /// Known where somebody has looked already; else it is found out.
    pub kind: Option<Kind>,
    pub name: &'a str,
    pub options: &'a ExtractOptions,
    /// Those that are wanted, of a format that has them apart; of others, those from the first one on.
    pub pages: RangeInclusive<u32>,
    /// Pages that are not read, but sent as these.
    pub lost: &'a [Page],
}

/// Reads a document and sends its events.
pub(super) fn read(task: Task<'_>, tools: &mut Tools, forward: Forward<'_>) -> Result<(), Failure> {
    let Task { mut source, kind, name, options, pages, lost } = task;
    tools.recogniser.begin_document();
    let mut emitter =
        Emitter::new(forward, &options.limits, *pages.start()).until(*pages.end()).without(lost);
    let mut nesting = Nesting::new(&options.limits);
    let mut work = Work {
        kind: kind.unwrap_or(Kind::Unknown),
        name,
        options,
        emitter: &mut emitter,
        tools,
        nesting: &mut nesting,
    };
    match kind {
        Some(kind) => {
            // A child before this one may have read the same open file, and stopped in the middle of it.
            source.rewind().map_err(|error| unreadable(&error))?;
            work.read_as(kind, name, source)?;
        }
        None => work.read(name, source)?,
    }
    emitter.finish()
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(FailureCode::Unreadable, error.to_string())
}

impl Work<'_, '_> {
    /// Finds out what the source is and reads it in place of this document.
    pub fn read(&mut self, name: &str, mut source: Source) -> Result<(), Failure> {
        let head = source.head().map_err(|error| unreadable(&error))?;
        match sniff(name, &head) {
            Kind::Unknown => Err(sniff::unsupported(name, &head)),
            kind => self.read_as(kind, name, source),
        }
    }

    /// Reads the source as what it is known to be, in place of this document.
    pub fn read_as(&mut self, kind: Kind, name: &str, source: Source) -> Result<(), Failure> {
        let Some(format) = Format::of(kind) else {
            return Err(Failure::new(
                FailureCode::TypeUnsupported,
                format!("{name} is of no known format"),
            ));
        };
        // Of what lies in another document and has no pages apart, nothing is read that cannot be read whole.
        let is_whole = self.nesting.depth > 0 && Apart::of_kind(kind) == Apart::Nothing;
        if is_whole && self.emitter.leaves_out_document()? {
            return Ok(());
        }
        let mut work = Work {
            kind,
            name,
            options: self.options,
            emitter: &mut *self.emitter,
            tools: &mut *self.tools,
            nesting: &mut *self.nesting,
        };
        // A stack that overflows ends the process, but a parser's panic is its document's loss alone.
        let read = std::panic::AssertUnwindSafe(|| (format.read)(source, &mut work));
        std::panic::catch_unwind(read).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            self.tools.panics += 1;
            let detail = format!("the parser of {} gave up: {said}", format.name);
            Err(Failure::new(FailureCode::Damaged, detail))
        })
    }

    /// Reads a document that lies in this one, as a section of it with its name as heading. What it is, is found out if it
    /// is not known. If it cannot be read, that is a loss of this document and not its failure.
    pub fn read_nested(&mut self, name: &str, kind: Option<Kind>, source: Source) -> Result<(), Failure> {
        self.section(name, |work| work.read_within(name, kind, source))
    }

    /// Reads a document that lies in this one, one deeper than it, without a section of its own.
    pub fn read_within(&mut self, name: &str, kind: Option<Kind>, source: Source) -> Result<(), Failure> {
        self.nesting.enter(name)?;
        let read = match kind {
            Some(kind) => self.read_as(kind, name, source),
            None => self.read(name, source),
        };
        self.nesting.leave();
        read
    }

    /// Notes the loss of a document that lies in this one.
    pub fn lose_nested(&mut self, name: &str, failure: Failure) -> Result<(), Failure> {
        self.section(name, |_| Err(failure))
    }

    /// Reads a part of this document as a section of it, unless that is one which is left out.
    pub fn section(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let section = self.emitter.begin_section(name)?;
        if !self.emitter.leaves_out_section()? {
            let read = read(self);
            self.emitter.or_lost(read)?;
        }
        self.emitter.end_section(section)
    }

    /// Most bytes of a document that is held whole.
    pub fn bytes_max(&self) -> u64 {
        self.options.limits.file_mib << 20
    }
}

/// How deep the document in work lies in others, and what all of them may have together. Sizes that an archive declares
/// are not believed: what comes out is counted.
pub(super) struct Nesting {
    depth: u32,
    depth_max: u32,
    entries: u32,
    entries_max: u32,
    unpacked: u64,
    unpacked_max: u64,
    /// Of passwords, on all of them. Shared, as what is tried may be unpacked for it, which is counted here as well.
    pub tries: Rc<Tries>,
}

impl Nesting {
    pub fn new(limits: &Limits) -> Self {
        // A file that is allowed by itself is allowed when it is packed.
        let unpacked_max = limits.unpacked_mib.max(limits.file_mib) << 20;
        let (depth_max, entries_max) = (limits.nesting_max, limits.entries_max);
        let tries = Rc::default();
        Self { depth: 0, depth_max, entries: 0, entries_max, unpacked: 0, unpacked_max, tries }
    }

    /// Goes into a document that lies in the one in work; [`Nesting::leave`] goes back.
    pub fn enter(&mut self, name: &str) -> Result<(), Failure> {
        if self.entries >= self.entries_max {
            let detail = format!("it holds more than {} documents", self.entries_max);
            return Err(Failure::new(FailureCode::LimitEntries, detail));
        }
        self.entries += 1;
        if self.depth >= self.depth_max {
            let detail = format!("{name} lies deeper than {} documents in each other", self.depth_max);
            return Err(Failure::new(FailureCode::LimitDepth, detail));
        }
        self.depth += 1;
        Ok(())
    }

    /// Comes back from a document that was entered.
    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Bytes that may still be unpacked.
    pub fn left(&self) -> u64 {
        self.unpacked_max.saturating_sub(self.unpacked)
    }

    /// Counts bytes that were unpacked.
    pub fn unpacked(&mut self, bytes: u64) -> Result<(), Failure> {
        self.unpacked = self.unpacked.saturating_add(bytes);
        if self.unpacked > self.unpacked_max {
            let detail = format!("what is in it unpacks to more than {} MiB", self.unpacked_max >> 20);
            return Err(Failure::new(FailureCode::LimitUnpacked, detail));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use docmill_core::page::{BlockKind, DocumentInfo};

    use super::super::Event;
    use super::super::package::tests::zip;
    use super::*;

    /// What a document gives.
    pub struct Read {
        pub info: Option<DocumentInfo>,
        pub pages: Vec<Page>,
        pub outcome: Result<(), Failure>,
    }

    impl Read {
        /// Its blocks, of all pages.
        pub fn blocks(&self) -> Vec<(BlockKind, &str)> {
            let blocks = self.pages.iter().flat_map(|page| &page.blocks);
            blocks.map(|block| (block.kind, block.text.as_str())).collect()
        }

        /// Their texts.
        pub fn texts(&self) -> Vec<&str> {
            self.blocks().into_iter().map(|(_, text)| text).collect()
        }
    }

    /// Reads these bytes as a file of this name, with these limits.
    pub fn read_with(name: &str, bytes: impl Into<Vec<u8>>, limits: Limits) -> Read {
        read_without(name, bytes.into(), limits, &[])
    }

    /// The same without these pages.
    fn read_without(name: &str, bytes: Vec<u8>, limits: Limits, lost: &[Page]) -> Read {
        read_as_told(name, bytes, &ExtractOptions { limits, ..ExtractOptions::default() }, lost)
    }

    /// The same with these passwords, one a line.
    pub fn read_tried(name: &str, bytes: impl Into<Vec<u8>>, passwords: &str) -> Read {
        let passwords = super::super::passwords::parse(passwords).unwrap();
        read_as_told(name, bytes.into(), &ExtractOptions { passwords, ..ExtractOptions::default() }, &[])
    }

    fn read_as_told(name: &str, bytes: Vec<u8>, options: &ExtractOptions, lost: &[Page]) -> Read {
        let source = Source::memory(bytes);
        let task = Task { source, kind: None, name, options, pages: 1..=u32::MAX, lost };
        let (mut info, mut pages) = (None, Vec::new());
        let mut forward = |event| {
            match event {
                Event::Info(found) => info = Some(found),
                Event::Page(page) => pages.push(page),
                Event::Done => {}
            }
            Ok(())
        };
        let outcome = read(task, &mut Tools::default(), &mut forward);
        Read { info, pages, outcome }
    }

    /// The same with the limits that there are without any given.
    pub fn read_bytes(name: &str, bytes: impl Into<Vec<u8>>) -> Read {
        read_with(name, bytes, Limits::default())
    }

    #[test]
    fn what_ended_others_is_left_out_wherever_it_lies() {
        let died = Failure::new(FailureCode::ExtractorDied, "SIGKILL");
        let mails = "From a Mon Jan  1\nFrom: a\nMessage-ID: <1>\nSubject: one\n\nFirst.\n\n\
            From b Mon Jan  1\nFrom: b\nMessage-ID: <2>\nSubject: two\n\nSecond.\n";
        let inner = zip(&[("page.html", "<html><p>bad"), ("same.html", "<html><p>good")]);
        let mut writer = ::tar::Builder::new(Vec::new());
        for (name, bytes) in [("in.zip", inner.as_slice()), ("b.mbox", mails.as_bytes())] {
            let mut header = ::tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            writer.append_data(&mut header, name, bytes).unwrap();
        }
        let archive = writer.into_inner().unwrap();
        let lost = [Page::lost(1, &died), Page::lost_part(3, &died)];
        let read = read_without("a.tar", archive, Limits::default(), &lost);
        assert_eq!(read.outcome, Ok(()));
        let found: Vec<_> = read.pages.iter().map(|page| (page.note.clone(), page.text())).collect();
        let expected = [
            (lost[0].note.clone(), "in.zip › page.html"),
            (None, "in.zip › same.html\n\ngood"),
            (lost[1].note.clone(), "b.mbox"),
        ];
        assert_eq!(found, expected.map(|(note, text)| (note, text.to_owned())));
    }

    #[test]
    fn depth_entries_and_bytes_are_bounded() {
        let limits =
            Limits { nesting_max: 2, entries_max: 3, unpacked_mib: 1, file_mib: 1, ..Limits::default() };
        let mut nesting = Nesting::new(&limits);
        nesting.enter("a").unwrap();
        nesting.enter("b").unwrap();
        assert_eq!(nesting.enter("c").unwrap_err().code, FailureCode::LimitDepth);
        nesting.leave();
        assert_eq!(nesting.enter("d").unwrap_err().code, FailureCode::LimitEntries);
        nesting.unpacked(1 << 20).unwrap();
        assert_eq!(nesting.unpacked(1).unwrap_err().code, FailureCode::LimitUnpacked);
    }
}
