//! What is done with a file in this process: opened, checked, and read to its end where that needs no child.

use std::fs::File;
use std::io;
use std::path::Path;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::memory::Texts;
use super::receiver_gone;
use crate::extract::emit::text_limit;
use crate::extract::format::is_held_whole;
use crate::extract::source::Source;
use crate::extract::work::{self, Task, Tools};
use crate::extract::{Event, ExtractOptions, Input, Kind, is_in_process, sniff};

/// Reads a kind that needs no child to its end; any other is opened for one.
pub(super) fn open_or_read(
    input: Input,
    options: &ExtractOptions,
    texts: &Texts,
    sink: &mpsc::Sender<Event>,
) -> Result<Option<(File, Kind)>, Failure> {
    let (file, kind) = open(&input, &options.limits)?;
    if !is_in_process(kind) {
        return Ok(Some((file, kind)));
    }
    // This thread may wait: it has nothing else to do. Its memory is taken before the text is.
    let _room = Handle::current().block_on(texts.take(&input.name, input.bytes))?;
    let mut forward = |event| sink.blocking_send(event).map_err(|_| receiver_gone());
    let task = Task {
        source: Source::File(file),
        // Not looked at again: a file that is another one by now must not bring a parser into this process.
        kind: Some(kind),
        name: &input.name,
        options,
        pages: input.resume_from_page..=u32::MAX,
        lost: &[],
    };
    work::read(task, &mut Tools::default(), &mut forward)?;
    Ok(None)
}

/// Opens the file and checks what can be checked before a child sees it.
fn open(input: &Input, limits: &Limits) -> Result<(File, Kind), Failure> {
    let unreadable = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => FailureCode::Vanished,
            _ => FailureCode::Unreadable,
        };
        Failure::new(code, format!("{}: {error}", input.name))
    };
    let file = open_regular(&input.path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes == 0 {
        return Err(Failure::new(FailureCode::Empty, format!("{} has no bytes", input.name)));
    }
    if bytes != input.bytes {
        let detail = format!("{} had {} bytes when it was listed and has {bytes}", input.name, input.bytes);
        return Err(Failure::new(FailureCode::ChangedWhileRead, detail));
    }
    let too_large =
        |mib| Failure::new(FailureCode::LimitFileSize, format!("{} is larger than {mib} MiB", input.name));
    if bytes > limits.file_mib << 20 {
        return Err(too_large(limits.file_mib));
    }
    let mut source = Source::File(file);
    let kind = sniff(&input.name, &source.head().map_err(unreadable)?);
    if kind == Kind::Pdf && bytes > limits.pdf_mib << 20 {
        return Err(too_large(limits.pdf_mib));
    }
    // Its reader would take all the memory that there is, and then say so without a number.
    let there = limits.extractor_mib << 20;
    if is_held_whole(kind) && bytes > there {
        let detail = format!(
            "{} has {bytes} bytes, which are held to be read; an extractor has {there}",
            input.name
        );
        return Err(Failure::new(FailureCode::LimitMemory, detail));
    }
    // Its reader would say so too, once it had read as much.
    if is_in_process(kind) && bytes > (limits.text_mib << 20).saturating_mul(2) {
        return Err(text_limit(limits));
    }
    if kind == Kind::Unknown {
        return Err(sniff::unsupported(&input.name, &source.head().map_err(unreadable)?));
    }
    let Source::File(file) = source else {
        return Err(Failure::new(FailureCode::Internal, "a file became memory"));
    };
    Ok((file, kind))
}

/// Opens without waiting: a named pipe would block for ever, a device might do anything.
fn open_regular(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_whole_is_refused_where_it_never_fits_and_the_rest_is_read_from_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { extractor_mib: 1, ..Limits::default() };
        let opened = |name: &str, start: &[u8], bytes: u64| {
            let path = folder.path().join(name);
            // Enough that its beginning says what it is; the rest is a hole.
            let spaces = [b' '; 64 << 10];
            std::fs::write(&path, [start, &spaces].concat()).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap();
            open(&Input::new(path), &limits).map(|(_, kind)| kind)
        };
        let refused = opened("a.html", b"<!doctype html><p>x", (1 << 20) + 1).unwrap_err();
        assert_eq!(refused.code, FailureCode::LimitMemory);
        assert_eq!(
            refused.detail,
            "a.html has 1048577 bytes, which are held to be read; an extractor has 1048576"
        );
        assert_eq!(opened("b.html", b"<!doctype html><p>x", 1 << 20).unwrap(), Kind::Html);
        // However large beside what an extractor has.
        assert_eq!(opened("c.pdf", b"%PDF-1.7\n", 400 << 20).unwrap(), Kind::Pdf);
    }
}
