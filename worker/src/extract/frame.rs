//! How parent and child speak: frames of JSON with their length before them, behind it the blocks of a page as they are, and
//! the document's open file passed beside a request. Knows nothing of documents.
//!
//! Answers come through a pipe, of which each write wakes the parent. What may wait a moment is put into the socket that
//! requests come by, at which nobody listens, and then called for by a word in the pipe. There it is safe: what a child
//! has said its parent finds, also when the child is gone before it called.

use std::borrow::Cow;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use docmill_core::failure::Failure;
use docmill_core::page::{Block, BlockKind, DocumentInfo, Page, PageSource};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};

use super::draw::Wanted;
use super::{Event, ExtractOptions, Kind};

/// Longest frame either side accepts; a child that says more is broken.
pub(super) const FRAME_BYTES_MAX: usize = 32 << 20;

/// So many bytes of answers wait in the socket at most, and so many answers: less than fits into it, as whoever waited
/// to put one there would wait for a parent that was not called.
pub(super) const HELD_BYTES_MAX: usize = 16 << 10;
pub(super) const HELD_MAX: usize = 16;

/// What such a socket takes at least. The kernel counts what it needs to keep an answer: up to twice its bytes, and one
/// kibibyte; and it wakes who waits for room only where no more than a quarter is in use.
pub(super) const HOLDING_SOCKET_BYTES_MIN: usize = 4 * (2 * HELD_BYTES_MAX + HELD_MAX * 1_024);

/// In place of a length, with bytes in the socket: these answers come first.
const HELD: u32 = 1 << 31;

/// Blocks of a page: each takes more memory than the few bytes by which a child may say that there is one.
const BLOCKS_MAX: u32 = 1 << 20;

/// Kind, and bytes of the text, of a block.
const ENTRY_BYTES: usize = 5;

/// The kind of a heading, with its level.
const HEADING: u8 = 0x80;

/// What the parent says to the child; the open file travels beside it.
#[derive(Serialize, Deserialize)]
pub(super) struct Order<'a> {
    /// What holds for this document and those after it. A child is told once: they are longer than all the rest.
    pub options: Option<Cow<'a, ExtractOptions>>,
    pub request: Cow<'a, Request>,
}

/// What the parent asks of the child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    pub name: String,
    pub resume_from_page: u32,
    /// Pages after this one are another's, where the format has them apart.
    pub last_page: u32,
    /// Pages that are not to be read and that are sent as these, if they are asked for.
    pub lost: Vec<Page>,
    /// What the document is, where the parent has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Nothing is read, and this page is drawn: the answer is that of [`super::draw`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<Wanted>,
}

/// What the child answers: events, or instead of the rest a failure.
#[derive(Debug)]
pub(super) enum Reply {
    Event(Event),
    Failed(Failure),
}

/// What comes through the pipe.
pub(super) enum Said {
    Reply(Reply),
    /// So many bytes of answers wait in the socket and come first.
    Held(usize),
}

/// An answer without its blocks, which follow in their order: as JSON every character of them would be looked at on both
/// sides.
#[derive(Serialize, Deserialize)]
enum Head<'a> {
    Info(Cow<'a, DocumentInfo>),
    Page {
        number: u32,
        source: PageSource,
        note: Option<Cow<'a, str>>,
        /// How many there are: an entry for each follows, and then their texts.
        blocks: u32,
    },
    Done,
    Failed(Cow<'a, Failure>),
}

pub(super) fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    if length > FRAME_BYTES_MAX {
        return Err(invalid("frame too long"));
    }
    frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(frame)
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body).map_err(invalid)
}

/// Adds an answer to those that wait to be written; an error leaves them as they were.
pub(super) fn push(waiting: &mut Vec<u8>, reply: &Reply) -> io::Result<()> {
    let start = waiting.len();
    let pushed = append(waiting, reply);
    if pushed.is_err() {
        waiting.truncate(start);
    }
    pushed
}

fn append(waiting: &mut Vec<u8>, reply: &Reply) -> io::Result<()> {
    let (head, blocks) = match reply {
        Reply::Event(Event::Info(info)) => (Head::Info(Cow::Borrowed(info)), &[][..]),
        Reply::Event(Event::Page(page)) => {
            let note = page.note.as_deref().map(Cow::Borrowed);
            let blocks = u32::try_from(page.blocks.len()).map_err(invalid)?;
            if blocks > BLOCKS_MAX {
                return Err(invalid("more blocks than a page may have"));
            }
            (Head::Page { number: page.number, source: page.source, note, blocks }, &page.blocks[..])
        }
        Reply::Event(Event::Done) => (Head::Done, &[][..]),
        Reply::Failed(failure) => (Head::Failed(Cow::Borrowed(failure)), &[][..]),
    };
    let start = waiting.len();
    // The length of all that follows, and that of the head.
    waiting.extend([0; 8]);
    serde_json::to_writer(&mut *waiting, &head)?;
    let head_bytes = waiting.len() - start - 8;
    for block in blocks {
        waiting.extend_from_slice(&entry_of(block)?);
    }
    for block in blocks {
        waiting.extend_from_slice(block.text.as_bytes());
    }
    let length = waiting.len() - start - 4;
    if length > FRAME_BYTES_MAX {
        return Err(invalid("frame too long"));
    }
    waiting[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    waiting[start + 4..start + 8].copy_from_slice(&(head_bytes as u32).to_le_bytes());
    Ok(())
}

/// Kind and bytes of a block, as they stand before the texts: of a page of many short blocks JSON would cost more than
/// they do.
fn entry_of(block: &Block) -> io::Result<[u8; ENTRY_BYTES]> {
    let kind = match block.kind {
        BlockKind::Paragraph => 0,
        BlockKind::ListItem => 1,
        BlockKind::Table => 2,
        BlockKind::Code => 3,
        BlockKind::Heading(level) if level < HEADING => HEADING | level,
        BlockKind::Heading(_) => return Err(invalid("no heading is so deep")),
    };
    let [a, b, c, d] = u32::try_from(block.text.len()).map_err(invalid)?.to_le_bytes();
    Ok([kind, a, b, c, d])
}

fn kind_of(kind: u8) -> io::Result<BlockKind> {
    Ok(match kind {
        0 => BlockKind::Paragraph,
        1 => BlockKind::ListItem,
        2 => BlockKind::Table,
        3 => BlockKind::Code,
        HEADING.. => BlockKind::Heading(kind ^ HEADING),
        _ => return Err(invalid("a block of no kind")),
    })
}

fn reply_of(body: &[u8]) -> io::Result<Reply> {
    let short = || invalid("the frame ends within its head");
    let (length, rest) = body.split_first_chunk::<4>().ok_or_else(short)?;
    let (head, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
    let reply = match decode::<Head<'static>>(head)? {
        Head::Info(info) => Reply::Event(Event::Info(info.into_owned())),
        Head::Page { number, source, note, blocks } => {
            if blocks > BLOCKS_MAX {
                return Err(invalid("more blocks than a page may have"));
            }
            let entries = rest.split_at_checked(blocks as usize * ENTRY_BYTES);
            let (entries, text) = entries.ok_or_else(short)?;
            let blocks = blocks_of(entries, std::str::from_utf8(text).map_err(invalid)?)?;
            let note = note.map(Cow::into_owned);
            return Ok(Reply::Event(Event::Page(Page { number, source, blocks, note })));
        }
        Head::Done => Reply::Event(Event::Done),
        Head::Failed(failure) => Reply::Failed(failure.into_owned()),
    };
    if rest.is_empty() { Ok(reply) } else { Err(invalid("text that is no page's")) }
}

fn blocks_of(entries: &[u8], mut text: &str) -> io::Result<Vec<Block>> {
    let mut blocks = Vec::with_capacity(entries.len() / ENTRY_BYTES);
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let &[kind, a, b, c, d] = entry else { return Err(invalid("an entry of another length")) };
        let bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        let cut = text.split_at_checked(bytes);
        let (own, rest) = cut.ok_or_else(|| invalid("a block ends where none can"))?;
        text = rest;
        blocks.push(Block { kind: kind_of(kind)?, text: own.to_owned() });
    }
    if text.is_empty() { Ok(blocks) } else { Err(invalid("text that is no block's")) }
}

fn checked_length(header: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(header) as usize;
    if length > FRAME_BYTES_MAX { Err(invalid("frame too long")) } else { Ok(length) }
}

/// Puts before the answers that wait to be written that others come first, of so many bytes in the socket.
pub(super) fn call_for(held: usize, waiting: &mut Vec<u8>) -> io::Result<()> {
    let bytes = u32::try_from(held).ok().filter(|_| held <= HELD_BYTES_MAX);
    let bytes = bytes.ok_or_else(|| invalid("more is held than may be"))?;
    drop(waiting.splice(0..0, (HELD | bytes).to_le_bytes()));
    Ok(())
}

/// Takes the first of these answers; `None` where there is none.
pub(super) fn take_reply(from: &mut &[u8]) -> io::Result<Option<Reply>> {
    if from.is_empty() {
        return Ok(None);
    }
    let short = || invalid("what was held ends within an answer");
    let (header, rest) = from.split_first_chunk::<4>().ok_or_else(short)?;
    let (body, rest) = rest.split_at_checked(checked_length(*header)?).ok_or_else(short)?;
    *from = rest;
    reply_of(body).map(Some)
}

/// Writes one frame.
pub(super) fn write(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    out.write_all(&encode(message)?)?;
    out.flush()
}

/// Reads one frame; `None` at a clean end.
pub(super) async fn read_async<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let Some(header) = read_header(from).await? else { return Ok(None) };
    decode(&read_body(from, header).await?).map(Some)
}

/// Reads what comes next; `None` at a clean end.
pub(super) async fn read_said(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Said>> {
    // What is here whole is read where it lies.
    let here = from.fill_buf().await?;
    if let Some((header, rest)) = here.split_first_chunk::<4>()
        && u32::from_le_bytes(*header) & HELD == 0
        && let Some(body) = rest.get(..checked_length(*header)?)
    {
        let reply = reply_of(body)?;
        let taken = header.len() + body.len();
        from.consume(taken);
        return Ok(Some(Said::Reply(reply)));
    }
    let Some(header) = read_header(from).await? else { return Ok(None) };
    let word = u32::from_le_bytes(header);
    if word & HELD == 0 {
        let reply = reply_of(&read_body(from, header).await?)?;
        return Ok(Some(Said::Reply(reply)));
    }
    let held = (word ^ HELD) as usize;
    if held > HELD_BYTES_MAX {
        Err(invalid("more is held than may be"))
    } else {
        Ok(Some(Said::Held(held)))
    }
}

/// The first word of what comes next; `None` at a clean end.
pub(super) async fn read_header(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<[u8; 4]>> {
    let mut header = [0; 4];
    match from.read_exact(&mut header).await {
        Ok(_) => Ok(Some(header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read_body(from: &mut (impl AsyncRead + Unpin), header: [u8; 4]) -> io::Result<Vec<u8>> {
    let mut body = vec![0; checked_length(header)?];
    from.read_exact(&mut body).await?;
    Ok(body)
}

/// Sends one frame and the file. Requests are far smaller than a socket's buffer: one that does not fit at once goes to a
/// child that does not read, and is an error.
pub(super) fn send_with_file(
    socket: impl AsFd,
    message: &impl Serialize,
    file: impl AsFd,
) -> io::Result<()> {
    let frame = encode(message)?;
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(invalid("no room for a descriptor"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let mut sent = sendmsg(&socket, &[IoSlice::new(&frame)], &mut control, flags)?;
    while sent < frame.len() {
        let mut nothing = SendAncillaryBuffer::default();
        sent += sendmsg(&socket, &[IoSlice::new(&frame[sent..])], &mut nothing, flags)?;
    }
    Ok(())
}

/// Receives one frame and its file; `None` when the parent closed its end.
pub(super) fn receive_with_file<T: DeserializeOwned>(
    socket: &mut (impl AsFd + Read),
) -> io::Result<Option<(T, OwnedFd)>> {
    let mut header = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // The descriptor comes with the first byte, so only the first read asks for it.
    let mut iov = [IoSliceMut::new(&mut header)];
    let got = recvmsg(&*socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    if got == 0 {
        return Ok(None);
    }
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    socket.read_exact(&mut header[got..])?;
    let mut body = vec![0; checked_length(header)?];
    socket.read_exact(&mut body)?;
    Ok(Some((decode(&body)?, file.ok_or_else(|| invalid("no file came with the request"))?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[tokio::test]
    async fn who_waits_for_room_in_the_socket_is_woken_when_the_rounds_before_were_taken() {
        for bytes in [100, 1_000, 1_800, 1_900, 4_000] {
            let (mut parent, child) = UnixStream::pair().unwrap();
            child.set_nonblocking(true).unwrap();
            let (frame, mut sent) = (vec![0_u8; bytes], 0);
            while (&child).write(&frame).is_ok_and(|wrote| wrote == bytes) {
                sent += 1;
            }
            let round = HELD_MAX.min(HELD_BYTES_MAX / bytes);
            parent.read_exact(&mut vec![0; bytes * (sent - round)]).unwrap();
            let child = tokio::net::UnixStream::from_std(child).unwrap();
            let woken = tokio::time::timeout(std::time::Duration::from_secs(5), child.writable()).await;
            assert!(woken.is_ok(), "{bytes} bytes: {sent} were sent and {round} were not taken");
        }
    }

    #[test]
    fn a_child_that_does_not_read_is_an_error_and_holds_up_nobody() {
        let (parent, _child) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        let sent = (0..10_000).find_map(|_| send_with_file(&parent, &"a request", &file).err());
        assert!(sent.is_some());
    }

    #[test]
    fn a_file_crosses_with_its_request() {
        let (parent, mut child) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        let lost =
            vec![Page::lost(2, &Failure::new(docmill_core::failure::FailureCode::Empty, "no bytes"))];
        let (name, kind) = ("a".into(), Some(Kind::Html));
        let request = Request { name, resume_from_page: 3, last_page: 9, lost, kind, draw: None };
        let options = ExtractOptions::default();
        for options in [Some(Cow::Borrowed(&options)), None] {
            let order = Order { options, request: Cow::Borrowed(&request) };
            send_with_file(&parent, &order, &file).unwrap();
        }
        let (got, _): (Order<'static>, OwnedFd) = receive_with_file(&mut child).unwrap().unwrap();
        assert_eq!(got.options.as_deref(), Some(&options));
        let (got, file): (Order<'static>, OwnedFd) = receive_with_file(&mut child).unwrap().unwrap();
        assert_eq!((got.options, got.request.name.as_str()), (None, "a"));
        let got = got.request;
        assert_eq!((got.resume_from_page, got.last_page, &got.lost), (3, 9, &request.lost));
        assert_eq!((got.kind, got.draw), (Some(Kind::Html), None));
        assert_eq!(std::fs::File::from(file).metadata().unwrap().len(), 7);
        drop(parent);
        assert!(receive_with_file::<Order<'static>>(&mut child).unwrap().is_none());
    }

    #[tokio::test]
    async fn long_frames_are_refused() {
        let mut bytes = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes().to_vec();
        bytes.extend([0; 8]);
        assert!(read_said(&mut bytes.as_slice()).await.is_err());
        let text = "x".repeat(FRAME_BYTES_MAX);
        let mut waiting = b"before".to_vec();
        assert!(push(&mut waiting, &page(&[&text])).is_err());
        assert_eq!(waiting, b"before");
    }

    fn page(texts: &[&str]) -> Reply {
        let block = |(level, text): (u8, &&str)| Block {
            kind: BlockKind::Heading(level),
            text: (*text).to_owned(),
        };
        let blocks = (1..).zip(texts).map(block).collect();
        let note = Some("a \"note\"".to_owned());
        Reply::Event(Event::Page(Page { number: 7, source: PageSource::Ocr, blocks, note }))
    }

    #[tokio::test]
    async fn answers_arrive_as_they_were_sent() {
        let info = DocumentInfo {
            title: Some("t\n".to_owned()),
            media_type: "text/html".to_owned(),
            page_count: Some(3),
        };
        let failure = Failure::new(docmill_core::failure::FailureCode::Damaged, "torn").at_page(2);
        let replies = [
            Reply::Event(Event::Info(info)),
            page(&["bücher \"\\\n", "日本語", ""]),
            page(&[]),
            Reply::Event(Event::Done),
            Reply::Failed(failure),
        ];
        let mut waiting = Vec::new();
        for reply in &replies {
            push(&mut waiting, reply).unwrap();
        }
        assert!(
            String::from_utf8_lossy(&waiting).contains("bücher \"\\\n日本語"),
            "as it is, with nothing escaped"
        );
        let (mut from, mut held) = (waiting.as_slice(), waiting.as_slice());
        for reply in &replies {
            let Some(Said::Reply(arrived)) = read_said(&mut from).await.unwrap() else {
                panic!("an answer")
            };
            assert_eq!(format!("{arrived:?}"), format!("{reply:?}"));
            let arrived = take_reply(&mut held).unwrap().unwrap();
            assert_eq!(format!("{arrived:?}"), format!("{reply:?}"));
        }
        assert!(read_said(&mut from).await.unwrap().is_none());
        assert!(take_reply(&mut held).unwrap().is_none());
        assert!(take_reply(&mut &waiting[..waiting.len() - 1]).unwrap().is_some(), "the first is whole");
        assert!(take_reply(&mut &waiting[..9]).is_err());
    }

    #[tokio::test]
    async fn what_is_held_is_called_for_before_what_is_said() {
        let mut waiting = Vec::new();
        push(&mut waiting, &Reply::Event(Event::Done)).unwrap();
        call_for(HELD_BYTES_MAX, &mut waiting).unwrap();
        let mut from = waiting.as_slice();
        assert!(matches!(read_said(&mut from).await.unwrap(), Some(Said::Held(HELD_BYTES_MAX))));
        let next = read_said(&mut from).await.unwrap();
        assert!(matches!(next, Some(Said::Reply(Reply::Event(Event::Done)))));
        assert!(call_for(HELD_BYTES_MAX + 1, &mut waiting).is_err());
        let more = (HELD | (HELD_BYTES_MAX as u32 + 1)).to_le_bytes();
        assert!(read_said(&mut &more[..]).await.is_err());
    }

    #[test]
    fn every_kind_of_block_is_itself_again() {
        let levels = (1..=6).map(BlockKind::Heading);
        let others = [BlockKind::Paragraph, BlockKind::ListItem, BlockKind::Table, BlockKind::Code];
        for kind in levels.chain(others) {
            let [written, bytes @ ..] = entry_of(&Block { kind, text: "abc".to_owned() }).unwrap();
            assert_eq!((kind_of(written).unwrap(), u32::from_le_bytes(bytes)), (kind, 3));
        }
        assert!(kind_of(4).is_err());
        assert!(entry_of(&Block { kind: BlockKind::Heading(HEADING), text: String::new() }).is_err());
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let framed = |head: &str, after: &[u8]| {
            [&(head.len() as u32).to_le_bytes()[..], head.as_bytes(), after].concat()
        };
        let pages = |blocks: u32| {
            format!(r#"{{"Page":{{"number":1,"source":"ocr","note":null,"blocks":{blocks}}}}}"#)
        };
        let one = |kind: u8, bytes: u8, text: &[u8]| [&[kind, bytes, 0, 0, 0][..], text].concat();
        assert!(reply_of(&framed(&pages(1), &one(0, 2, "é".as_bytes()))).is_ok());
        for (head, after) in [
            // More, less, within a character, no text at all.
            (pages(1), one(0, 3, "é".as_bytes())),
            (pages(1), one(0, 1, b"ab")),
            (pages(1), one(0, 1, "é".as_bytes())),
            (pages(1), one(0, 1, b"\xff")),
            // Of no kind, more and fewer blocks than it says, text of nobody.
            (pages(1), one(9, 1, b"a")),
            (pages(2), one(0, 1, b"a")),
            (pages(u32::MAX), one(0, 1, b"a")),
            (pages(0), one(0, 1, b"a")),
            (r#""Done""#.to_owned(), b"text".to_vec()),
        ] {
            assert!(reply_of(&framed(&head, &after)).is_err(), "{head}");
        }
        assert!(reply_of(b"\x09\0\0\0short").is_err());
        assert!(reply_of(b"\0").is_err());
    }
}
