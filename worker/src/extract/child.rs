//! The child's side: takes documents one after another, hands each to its parser, sends what comes out.
//! Does not open files; the parent passes them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::PageSource;

use super::draw;
use super::format::Apart;
use super::frame::{self, Order, Reply};
use super::source::Source;
use super::work::{self, Task, Tools};
use super::{Event, ExtractOptions, sandbox};

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
    // A machine may be set up with smaller sockets than any is by itself.
    let room = rustix::net::sockopt::socket_send_buffer_size(io::stdin()).unwrap_or(0);
    let report = sandbox::enter(&start)?;
    // Whoever reads a document must be held as was asked, whatever the parent makes of the report.
    let fit = report.judge(start.mode);
    let mut requests = Stdin(io::stdin().lock());
    let mut replies = Replies::new(Stdout(io::stdout().lock()), Shelf, room);
    frame::write(&mut replies.out, &report)?;
    // Loaded when first needed: pdfium takes a few milliseconds that a DOCX need not pay.
    let mut tools = Tools::default();
    let mut told: Option<ExtractOptions> = None;
    while let Some((order, file)) = frame::receive_with_file::<Order<'static>>(&mut requests)? {
        let request = order.request;
        told = order.options.map(Cow::into_owned).or(told);
        let Some(options) = &told else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a document came before all options"));
        };
        if let Some(wanted) = request.draw {
            let drawing = draw::Task { wanted, name: &request.name, options };
            let drawn = fit.clone().and_then(|()| draw::draw(&drawing, File::from(file), &mut tools));
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
            kind: request.kind,
            name: &request.name,
            options,
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

/// The socket that requests come by, at whose other end nobody listens until it is called for.
struct Shelf;

impl Write for Shelf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdin(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The way to the parent. What is said of a small document is said at once: each write wakes the parent.
///
/// Where the parent may take one page for lost it must know at which the child was when it ended, so of such documents
/// nothing waits here. What need not wake anybody is put on the shelf instead, where it is found whatever becomes of this
/// process: pages that were read from text are soon followed by others. The first page is awaited, and after one that was
/// recognised the next takes its time.
struct Replies<W, S> {
    out: W,
    shelf: S,
    waiting: Vec<u8>,
    shelf_fits: bool,
    /// Bytes on the shelf, and in how many answers.
    held: usize,
    held_answers: usize,
    written: Instant,
    may_lose_pages: bool,
    first_page: bool,
}

impl<W: Write, S: Write> Replies<W, S> {
    /// With a shelf that has room for so many bytes.
    fn new(out: W, shelf: S, room: usize) -> Self {
        Self {
            out,
            shelf,
            waiting: Vec::new(),
            shelf_fits: room >= frame::HOLDING_SOCKET_BYTES_MIN,
            held: 0,
            held_answers: 0,
            written: Instant::now(),
            may_lose_pages: false,
            first_page: true,
        }
    }

    /// Another document begins.
    fn begin(&mut self, now: Instant) {
        (self.written, self.may_lose_pages, self.first_page) = (now, false, true);
    }

    fn say(&mut self, reply: &Reply, now: Instant) -> io::Result<()> {
        frame::push(&mut self.waiting, reply)?;
        let (ends, wakes) = match reply {
            Reply::Event(Event::Info(info)) => {
                self.may_lose_pages = Apart::of(info) != Apart::Nothing;
                (false, false)
            }
            Reply::Event(Event::Page(page)) => {
                let is_first = std::mem::take(&mut self.first_page);
                (false, is_first || page.source == PageSource::Ocr)
            }
            Reply::Event(Event::Done) | Reply::Failed(_) => (true, true),
        };
        let is_late = now.duration_since(self.written) >= WAITING_MAX;
        if self.may_lose_pages {
            let fits = self.shelf_fits
                && self.held_answers < frame::HELD_MAX
                && self.held + self.waiting.len() <= frame::HELD_BYTES_MAX;
            if fits && !wakes && !is_late {
                self.shelf.write_all(&self.waiting)?;
                self.held += self.waiting.len();
                self.held_answers += 1;
                self.waiting.clear();
                return Ok(());
            }
        } else if !ends && !is_late && self.waiting.len() < WAITING_BYTES_MAX {
            return Ok(());
        }
        self.write(now)
    }

    /// Writes what waits, after what is on the shelf.
    fn write(&mut self, now: Instant) -> io::Result<()> {
        if self.held > 0 {
            frame::call_for(self.held, &mut self.waiting)?;
            (self.held, self.held_answers) = (0, 0);
        }
        self.out.write_all(&self.waiting)?;
        self.out.flush()?;
        self.waiting.clear();
        // One large page is no reason to keep as much for all that follow.
        self.waiting.shrink_to(WAITING_BYTES_MAX);
        self.written = now;
        Ok(())
    }
}

/// Faults on demand, for tests of what the parent does: `DOCMILL_TEST_HANG`, `DOCMILL_TEST_ABORT` and
/// `DOCMILL_TEST_KILL` hold `part of the name:page`; `DOCMILL_TEST_WAIT` holds `part of the name:milliseconds`, for
/// each page. A document whose name is an attempt to get out has it made: `sandbox::attempts`.
#[cfg(feature = "testing")]
mod hooks {
    use docmill_core::page::PageSource;

    use super::super::frame::Request;
    use super::Event;

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
    pub(super) fn before(_: &super::super::frame::Request, event: super::Event) -> super::Event {
        event
    }
}

#[cfg(test)]
mod tests {
    use docmill_core::page::{Block, BlockKind, DocumentInfo, Page};

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
        page_of(PageSource::TextLayer, bytes)
    }

    fn page_of(source: PageSource, bytes: usize) -> Reply {
        let block = Block { kind: BlockKind::Paragraph, text: "x".repeat(bytes) };
        Reply::Event(Event::Page(Page { number: 1, source, blocks: vec![block], note: None }))
    }

    fn done() -> Reply {
        Reply::Event(Event::Done)
    }

    /// How many times is written, and how many answers were put on the shelf, with so much time before each answer.
    fn writes(replies: &[Reply], pause: Duration) -> (usize, usize) {
        let mut way = Replies::new(Writes::default(), Writes::default(), frame::HOLDING_SOCKET_BYTES_MIN);
        let mut now = Instant::now();
        way.begin(now);
        for reply in replies {
            now += pause;
            way.say(reply, now).unwrap();
        }
        assert!(way.waiting.is_empty() && way.held == 0, "an end lets nothing wait");
        (way.out.0.len(), way.shelf.0.len())
    }

    #[test]
    fn a_small_document_is_said_at_once() {
        let whole = |media_type, page_count| [info(media_type, page_count), page(50_000), done()];
        assert_eq!(writes(&whole("text/html", None), Duration::ZERO), (1, 0));
        assert_eq!(writes(&whole("application/pdf", Some(1)), Duration::ZERO), (1, 0));
        let failed = Reply::Failed(Failure::new(FailureCode::Damaged, "torn"));
        assert_eq!(writes(&[info("text/html", None), failed], Duration::ZERO), (1, 0));
    }

    #[test]
    fn what_takes_long_or_is_much_does_not_wait() {
        let many = || [info("text/html", None), page(10), page(10), done()];
        assert_eq!(writes(&many(), WAITING_MAX), (4, 0));
        assert_eq!(writes(&many(), WAITING_MAX / 2), (2, 0));
        let much = [info("text/html", None), page(WAITING_BYTES_MAX), page(10), done()];
        assert_eq!(writes(&much, Duration::ZERO), (2, 0));
    }

    #[test]
    fn of_what_may_lose_a_page_all_is_said_and_not_every_page_wakes_the_parent() {
        for (media_type, page_count) in [("application/pdf", Some(4)), ("application/zip", None)] {
            let pages = || [info(media_type, page_count), page(10), page(10), page(10), page(10), done()];
            // The first page and the end are called for, all else is on the shelf.
            assert_eq!(writes(&pages(), Duration::ZERO), (2, 4), "{media_type}");
            assert_eq!(writes(&pages(), WAITING_MAX), (6, 0), "{media_type}");
        }
    }

    #[test]
    fn a_recognised_page_and_what_does_not_fit_is_not_put_on_the_shelf() {
        let pdf = || info("application/pdf", Some(9));
        let scanned = [pdf(), page(10), page(10), page_of(PageSource::Ocr, 10), page(10), done()];
        assert_eq!(writes(&scanned, Duration::ZERO), (3, 3));
        let half = frame::HELD_BYTES_MAX / 2;
        let long = [pdf(), page(10), page(half), page(half), page(half), done()];
        assert_eq!(writes(&long, Duration::ZERO), (3, 3));
        let short = [pdf(), page(10)].into_iter().chain((0..=frame::HELD_MAX).map(|_| page(10)));
        let short: Vec<_> = short.chain([done()]).collect();
        assert_eq!(writes(&short, Duration::ZERO), (3, 1 + frame::HELD_MAX));
    }

    #[test]
    fn where_sockets_are_small_each_page_is_said_at_once() {
        let mut way = Replies::new(Writes::default(), Writes::default(), 4 << 10);
        let now = Instant::now();
        way.begin(now);
        for reply in [info("application/pdf", Some(2)), page(10), page(10), done()] {
            way.say(&reply, now).unwrap();
        }
        assert_eq!((way.out.0.len(), way.shelf.0.len()), (4, 0));
    }

    #[test]
    fn what_is_on_the_shelf_is_called_for_before_what_follows() {
        let mut way = Replies::new(Vec::<u8>::new(), Vec::<u8>::new(), usize::MAX);
        let now = Instant::now();
        way.begin(now);
        for reply in [info("application/pdf", Some(2)), page(10)] {
            way.say(&reply, now).unwrap();
        }
        let shelf = way.shelf.clone();
        let called = 0x8000_0000 | shelf.len() as u32;
        assert_eq!(way.out[..4], called.to_le_bytes());
        let held = frame::take_reply(&mut shelf.as_slice()).unwrap();
        assert!(matches!(held, Some(Reply::Event(Event::Info(_)))));
        let said = frame::take_reply(&mut &way.out[4..]).unwrap();
        assert!(matches!(said, Some(Reply::Event(Event::Page(_)))));
    }
}
