//! The child's side: takes documents one after another, hands each to its parser, sends what comes out.
//! Does not open files; the parent passes them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use docmill_core::failure::{Failure, FailureCode};

use super::emit::Emitter;
use super::frame::{self, Reply, Request};
use super::pdf::PdfReader;
use super::source::Source;
use super::{Event, Kind, html, office, sandbox, sniff, spreadsheet, text};

/// Runs an extractor child until its parent closes the connection. Both binaries route the hidden
/// sub-command `__extract` here before anything else starts.
pub fn child_main() -> ! {
    let code = match serve() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("extractor: {error}");
            1
        }
    };
    std::process::exit(code)
}

fn serve() -> io::Result<()> {
    let start = sandbox::Start::from_arguments()?;
    let report = sandbox::enter(&start)?;
    // Whoever reads a document must be held as was asked, whatever the parent makes of the report.
    let fit = report.judge(start.mode);
    let mut requests = Stdin(io::stdin().lock());
    let mut replies = io::stdout().lock();
    frame::write(&mut replies, &report)?;
    // Opened with the first PDF: loading takes a few milliseconds that a DOCX need not pay.
    let mut pdf = PdfReader::default();
    while let Some((request, file)) = frame::receive_with_file::<Request>(&mut requests)? {
        if let Err(failure) = &fit {
            frame::write(&mut replies, &Reply::Failed(failure.clone()))?;
            continue;
        }
        let mut forward = |event: Event| {
            let event = hooks::before(&request, event);
            frame::write(&mut replies, &Reply::Event(event))
                .map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
        };
        let outcome = read(Source::File(File::from(file)), &request, &mut pdf, &mut forward);
        if let Err(failure) = outcome {
            frame::write(&mut replies, &Reply::Failed(failure))?;
        }
        replies.flush()?;
    }
    Ok(())
}

/// Reads one document of any kind.
pub(super) fn read(
    mut source: Source,
    request: &Request,
    pdf: &mut PdfReader,
    forward: &mut dyn FnMut(Event) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let limits = &request.options.limits;
    let mut name = request.name.as_str();
    let mut head = head(&mut source)?;
    let mut kind = sniff(name, &head);
    if kind == Kind::Gzip {
        source = source.gunzip(limits.file_mib << 20)?;
        name = [".gz", ".GZ"].into_iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        head = self::head(&mut source)?;
        if head.is_empty() {
            return Err(Failure::new(FailureCode::Empty, format!("{name} unpacks to no bytes")));
        }
        kind = sniff(name, &head);
    }
    if super::is_in_process(kind) {
        return text::read(source, kind, name, request.resume_from_page, &request.options, forward);
    }
    let mut emitter = Emitter::new(forward, limits, request.resume_from_page);
    match kind {
        Kind::Pdf => pdf.read(source, &request.options, &mut emitter)?,
        Kind::Html => html::read(&source.into_bytes(limits.file_mib << 20)?, &mut emitter)?,
        Kind::Docx | Kind::Pptx | Kind::Spreadsheet | Kind::Zip => archive(source, name, &mut emitter)?,
        Kind::Ole => ole(source, name, limits.file_mib << 20, &mut emitter)?,
        _ => return Err(sniff::unsupported(name, &head)),
    }
    emitter.finish()
}

fn head(source: &mut Source) -> Result<Vec<u8>, Failure> {
    source.head().map_err(|error| Failure::new(FailureCode::Unreadable, error.to_string()))
}

fn archive(source: Source, name: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    // The directory decides: the first bytes may belong to any part.
    let (archive, kind) = office::open(source)?;
    let has = |part| archive.index_for_name(part).is_some();
    let format = if has("xl/workbook.xml") {
        spreadsheet::Format::Xlsx
    } else if has("xl/workbook.bin") {
        spreadsheet::Format::Xlsb
    } else {
        spreadsheet::Format::Ods
    };
    match kind {
        Kind::Docx => office::docx(archive, emitter),
        Kind::Pptx => office::pptx(archive, emitter),
        Kind::Spreadsheet => spreadsheet::read(archive.into_inner().into_inner(), format, emitter),
        _ => Err(Failure::new(
            FailureCode::TypeUnsupported,
            format!("{name} is a zip archive without a known document in it"),
        )),
    }
}

/// An OLE container tells by the names in its directory, which are UTF-16.
fn ole(source: Source, name: &str, bytes_max: u64, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let bytes = source.into_bytes(bytes_max)?;
    let has = |entry: &str| {
        let entry: Vec<u8> = entry.encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.windows(entry.len()).any(|window| window == entry)
    };
    if has("EncryptedPackage") {
        return Err(Failure::new(
            FailureCode::Encrypted,
            format!("{name} is an Office document with a password"),
        ));
    }
    if !has("Workbook") && !has("Book") {
        let detail = format!("{name} is an old Office format (DOC, PPT or MSG)");
        return Err(Failure::new(FailureCode::TypeUnsupported, detail));
    }
    spreadsheet::read(Source::Memory(io::Cursor::new(bytes)), spreadsheet::Format::Xls, emitter)
}

/// Standard input as a socket that is read without a buffer: a buffer would lose the passed file.
struct Stdin(io::StdinLock<'static>);

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl io::Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&*self, buffer)?)
    }
}

/// Faults on demand, for tests of what the parent does: `DOCMILL_TEST_HANG`, `DOCMILL_TEST_ABORT` and
/// `DOCMILL_TEST_KILL` hold `part of the name:page`; `DOCMILL_TEST_WAIT` holds `part of the name:milliseconds`, for
/// each page. A document whose name is an attempt to get out has it made: `sandbox::attempts`.
#[cfg(feature = "testing")]
mod hooks {
    use super::{Event, Request};

    /// May hold the event up, change it, or never return.
    pub(super) fn before(request: &Request, event: Event) -> Event {
        let Event::Page(mut page) = event else { return event };
        if let Some(said) = super::super::sandbox::attempts::Asked::tried(&request.name, page.number) {
            page.note = Some(said);
        }
        let is_asked = |variable: &str| {
            std::env::var(variable).is_ok_and(|hook| {
                hook.rsplit_once(':').is_some_and(|(part, number)| {
                    request.name.contains(part) && number.parse() == Ok(page.number)
                })
            })
        };
        if let Ok(hook) = std::env::var("DOCMILL_TEST_WAIT")
            && let Some((part, ms)) = hook.rsplit_once(':')
            && request.name.contains(part)
        {
            std::thread::sleep(std::time::Duration::from_millis(ms.parse().unwrap_or(0)));
        }
        while is_asked("DOCMILL_TEST_HANG") {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        if is_asked("DOCMILL_TEST_ABORT") {
            std::process::abort();
        }
        if is_asked("DOCMILL_TEST_KILL") {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        Event::Page(page)
    }
}

#[cfg(not(feature = "testing"))]
mod hooks {
    pub(super) fn before(_: &super::Request, event: super::Event) -> super::Event {
        event
    }
}
