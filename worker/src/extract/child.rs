//! The child's side: takes documents one after another, hands each to its parser, sends what comes out.
//! Does not open files; the parent passes them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use docmill_core::failure::{Failure, FailureCode};

use super::frame::{self, Reply, Request};
use super::source::Source;
use super::work::{self, Task, Tools};
use super::{Event, sandbox};

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
    // Loaded when first needed: pdfium takes a few milliseconds that a DOCX need not pay.
    let mut tools = Tools::default();
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
        let task = Task {
            source: Source::File(File::from(file)),
            kind: None,
            name: &request.name,
            options: &request.options,
            resume_from_page: request.resume_from_page,
        };
        let outcome = work::read(task, &mut tools, &mut forward);
        if let Err(failure) = outcome {
            frame::write(&mut replies, &Reply::Failed(failure))?;
        }
        replies.flush()?;
    }
    Ok(())
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
