//! The child's side: takes documents one after another, hands each to its parser, sends what comes out.
//! Does not open files; the parent passes them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use docmill_core::failure::{Failure, FailureCode};

use super::draw;
use super::format::Apart;
use super::frame::{self, Reply, Request};
use super::source::Source;
use super::work::{self, Task, Tools};
use super::{Event, sandbox};

/// So many bytes of answers are written at once, and no more wait: as much as a pipe takes.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// Answers wait no longer than until the first one after this time.
const WAITING_MAX: Duration = Duration::from_millis(20);

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
    let mut replies = Replies::new(Stdout(io::stdout().lock()));
    frame::write(&mut replies.out, &report)?;
    // Loaded when first needed: pdfium takes a few milliseconds that a DOCX need not pay.
    let mut tools = Tools::default();
    while let Some((request, file)) = frame::receive_with_file::<Request>(&mut requests)? {
        if let Some(wanted) = request.draw {
            let held = fit.clone();
            let drawn = held.and_then(|()| draw::draw(wanted, &request, File::from(file), &mut tools));
            draw::write(&mut replies.out, &drawn)?;
            continue;
        }
        if let Err(failure) = &fit {
            replies.say(&Reply::Failed(failure.clone()), Instant::now())?;
            continue;
        }
        replies.begin(Instant::now());
        let mut forward = |event: Event| {
            let event = hooks::before(&request, event);
            replies
                .say(&Reply::Event(event), Instant::now())
                .map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
        };
        let task = Task {
            source: Source::File(File::from(file)),
            kind: None,
            name: &request.name,
            options: &request.options,
            pages: request.resume_from_page..=request.last_page,
            lost: &request.lost,
        };
        let outcome = work::read(task, &mut tools, &mut forward);
        if let Err(failure) = outcome {
            replies.say(&Reply::Failed(failure), Instant::now())?;
        }
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

/// Standard output without a buffer: one that ends at line ends would make two writes of an answer.
struct Stdout(io::StdoutLock<'static>);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The way to the parent. What is said of a small document is said at once: each write wakes the parent.
///
/// Where the parent may take one page for lost it must know at which the child was when it ended, so of such documents
/// nothing waits.
struct Replies<W> {
    out: W,
    waiting: Vec<u8>,
    written: Instant,
    nothing_waits: bool,
}

impl<W: Write> Replies<W> {
    fn new(out: W) -> Self {
        Self { out, waiting: Vec::new(), written: Instant::now(), nothing_waits: false }
    }

    /// Another document begins.
    fn begin(&mut self, now: Instant) {
        (self.written, self.nothing_waits) = (now, false);
    }

    fn say(&mut self, reply: &Reply, now: Instant) -> io::Result<()> {
        frame::push(&mut self.waiting, reply)?;
        let ends = match reply {
            Reply::Event(Event::Info(info)) => {
                self.nothing_waits = Apart::of(info) != Apart::Nothing;
                false
            }
            Reply::Event(Event::Page(_)) => false,
            Reply::Event(Event::Done) | Reply::Failed(_) => true,
        };
        let is_much = self.waiting.len() >= WAITING_BYTES_MAX;
        if ends || self.nothing_waits || is_much || now.duration_since(self.written) >= WAITING_MAX {
            self.out.write_all(&self.waiting)?;
            self.out.flush()?;
            self.waiting.clear();
            // One large page is no reason to keep as much for all that follow.
            self.waiting.shrink_to(WAITING_BYTES_MAX);
            self.written = now;
        }
        Ok(())
    }
}

/// Faults on demand, for tests of what the parent does: `DOCMILL_TEST_HANG`, `DOCMILL_TEST_ABORT` and
/// `DOCMILL_TEST_KILL` hold `part of the name:page`; `DOCMILL_TEST_WAIT` holds `part of the name:milliseconds`, for
/// each page. A document whose name is an attempt to get out has it made: `sandbox::attempts`.
#[cfg(feature = "testing")]
mod hooks {
    use docmill_core::page::PageSource;

    use super::{Event, Request};

    /// May hold the event up, change it, or never return.
    pub(super) fn before(request: &Request, event: Event) -> Event {
        let Event::Page(mut page) = event else { return event };
        // What is left out does no harm.
        if page.source == PageSource::Lost {
            return Event::Page(page);
        }
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

#[cfg(test)]
mod tests {
    use docmill_core::page::{Block, BlockKind, DocumentInfo, Page, PageSource};

    use super::*;

    #[derive(Default)]
    struct Writes(Vec<usize>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn info(media_type: &str, page_count: Option<u32>) -> Reply {
        Reply::Event(Event::Info(DocumentInfo {
            title: None,
            media_type: media_type.to_owned(),
            page_count,
        }))
    }

    fn page(bytes: usize) -> Reply {
        let block = Block { kind: BlockKind::Paragraph, text: "x".repeat(bytes) };
        let page = Page { number: 1, source: PageSource::TextLayer, blocks: vec![block], note: None };
        Reply::Event(Event::Page(page))
    }

    fn done() -> Reply {
        Reply::Event(Event::Done)
    }

    /// How many times is written, with so much time before each answer.
    fn writes(replies: &[Reply], pause: Duration) -> usize {
        let mut way = Replies::new(Writes::default());
        let mut now = Instant::now();
        way.begin(now);
        for reply in replies {
            now += pause;
            way.say(reply, now).unwrap();
        }
        assert!(way.waiting.is_empty(), "an end lets nothing wait");
        way.out.0.len()
    }

    #[test]
    fn a_small_document_is_said_at_once() {
        let whole = |media_type, page_count| [info(media_type, page_count), page(50_000), done()];
        assert_eq!(writes(&whole("text/html", None), Duration::ZERO), 1);
        assert_eq!(writes(&whole("application/pdf", Some(1)), Duration::ZERO), 1);
        let failed = Reply::Failed(Failure::new(FailureCode::Damaged, "torn"));
        assert_eq!(writes(&[info("text/html", None), failed], Duration::ZERO), 1);
    }

    #[test]
    fn what_takes_long_or_is_much_does_not_wait() {
        let many = || [info("text/html", None), page(10), page(10), done()];
        assert_eq!(writes(&many(), WAITING_MAX), 4);
        assert_eq!(writes(&many(), WAITING_MAX / 2), 2);
        let much = [info("text/html", None), page(WAITING_BYTES_MAX), page(10), done()];
        assert_eq!(writes(&much, Duration::ZERO), 2);
    }

    #[test]
    fn the_parent_knows_at_which_page_a_child_is_that_may_lose_one() {
        for (media_type, page_count) in [("application/pdf", Some(2)), ("application/zip", None)] {
            let pages = [info(media_type, page_count), page(10), page(10), done()];
            assert_eq!(writes(&pages, Duration::ZERO), 4, "{media_type}");
        }
    }
}
