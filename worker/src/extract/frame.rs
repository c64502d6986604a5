//! How parent and child speak: frames of JSON with their length before them, behind it the text of a page as it is, and
//! the document's open file passed beside a request. Knows nothing of documents.

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
use tokio::io::{AsyncRead, AsyncReadExt};

use super::draw::Wanted;
use super::{Event, ExtractOptions};

/// Longest frame either side accepts; a child that says more is broken.
pub(super) const FRAME_BYTES_MAX: usize = 32 << 20;

/// What the parent asks of the child; the open file travels beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    pub name: String,
    pub options: ExtractOptions,
    pub resume_from_page: u32,
    /// Pages after this one are another's, where the format has them apart.
    pub last_page: u32,
    /// Pages that are not to be read and that are sent as these, if they are asked for.
    pub lost: Vec<Page>,
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

/// An answer without the text of its blocks, which follows in their order: as JSON every character of it would be looked
/// at on both sides.
#[derive(Serialize, Deserialize)]
enum Head<'a> {
    Info(Cow<'a, DocumentInfo>),
    Page {
        number: u32,
        source: PageSource,
        note: Option<Cow<'a, str>>,
        /// Kind and bytes of each.
        blocks: Vec<(BlockKind, u32)>,
    },
    Done,
    Failed(Cow<'a, Failure>),
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
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
        Reply::Event(Event::Page(page)) => (head_of(page)?, &page.blocks[..]),
        Reply::Event(Event::Done) => (Head::Done, &[][..]),
        Reply::Failed(failure) => (Head::Failed(Cow::Borrowed(failure)), &[][..]),
    };
    let start = waiting.len();
    // The length of all that follows, and that of the head.
    waiting.extend([0; 8]);
    serde_json::to_writer(&mut *waiting, &head)?;
    let head_bytes = waiting.len() - start - 8;
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

fn head_of(page: &Page) -> io::Result<Head<'_>> {
    let block_of = |block: &Block| -> io::Result<(BlockKind, u32)> {
        Ok((block.kind, u32::try_from(block.text.len()).map_err(invalid)?))
    };
    let blocks: Vec<(BlockKind, u32)> = page.blocks.iter().map(block_of).collect::<io::Result<_>>()?;
    Ok(Head::Page {
        number: page.number,
        source: page.source,
        note: page.note.as_deref().map(Cow::Borrowed),
        blocks,
    })
}

fn reply_of(body: &[u8]) -> io::Result<Reply> {
    let short = || invalid("the frame ends within its head");
    let (length, rest) = body.split_first_chunk::<4>().ok_or_else(short)?;
    let (head, text) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
    let mut text = std::str::from_utf8(text).map_err(invalid)?;
    let reply = match decode::<Head<'static>>(head)? {
        Head::Info(info) => Reply::Event(Event::Info(info.into_owned())),
        Head::Page { number, source, note, blocks } => {
            let mut block = |(kind, bytes): (BlockKind, u32)| -> io::Result<Block> {
                let cut = text.split_at_checked(bytes as usize);
                let (own, rest) = cut.ok_or_else(|| invalid("a block ends where none can"))?;
                text = rest;
                Ok(Block { kind, text: own.to_owned() })
            };
            let blocks = blocks.into_iter().map(&mut block).collect::<io::Result<Vec<Block>>>()?;
            Reply::Event(Event::Page(Page { number, source, blocks, note: note.map(Cow::into_owned) }))
        }
        Head::Done => Reply::Event(Event::Done),
        Head::Failed(failure) => Reply::Failed(failure.into_owned()),
    };
    if text.is_empty() { Ok(reply) } else { Err(invalid("text that is no block's")) }
}

fn checked_length(header: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(header) as usize;
    if length > FRAME_BYTES_MAX { Err(invalid("frame too long")) } else { Ok(length) }
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
    read_body(from).await?.map(|body| decode(&body)).transpose()
}

/// Reads one answer; `None` at a clean end.
pub(super) async fn read_reply(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Reply>> {
    read_body(from).await?.map(|body| reply_of(&body)).transpose()
}

async fn read_body(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 4];
    match from.read_exact(&mut header).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut body = vec![0; checked_length(header)?];
    from.read_exact(&mut body).await?;
    Ok(Some(body))
}

/// Sends one frame and the file. Requests are far smaller than a socket's buffer, so this does not block.
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
    let mut sent = sendmsg(&socket, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL)?;
    while sent < frame.len() {
        let mut nothing = SendAncillaryBuffer::default();
        sent += sendmsg(&socket, &[IoSlice::new(&frame[sent..])], &mut nothing, SendFlags::NOSIGNAL)?;
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

    #[test]
    fn a_file_crosses_with_its_request() {
        let (parent, mut child) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        let lost =
            vec![Page::lost(2, &Failure::new(docmill_core::failure::FailureCode::Empty, "no bytes"))];
        let request = Request {
            name: "a".into(),
            options: ExtractOptions::default(),
            resume_from_page: 3,
            last_page: 9,
            lost: lost.clone(),
            draw: None,
        };
        send_with_file(&parent, &request, &file).unwrap();
        let (got, file): (Request, OwnedFd) = receive_with_file(&mut child).unwrap().unwrap();
        assert_eq!((got.resume_from_page, got.last_page, got.lost), (3, 9, lost));
        assert_eq!(std::fs::File::from(file).metadata().unwrap().len(), 7);
        drop(parent);
        assert!(receive_with_file::<Request>(&mut child).unwrap().is_none());
    }

    #[tokio::test]
    async fn long_frames_are_refused() {
        let mut bytes = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes().to_vec();
        bytes.extend([0; 8]);
        assert!(read_reply(&mut bytes.as_slice()).await.is_err());
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
        let mut from = waiting.as_slice();
        for reply in &replies {
            let arrived = read_reply(&mut from).await.unwrap().unwrap();
            assert_eq!(format!("{arrived:?}"), format!("{reply:?}"));
        }
        assert!(read_reply(&mut from).await.unwrap().is_none());
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let framed = |head: &str, text: &[u8]| {
            [&(head.len() as u32).to_le_bytes()[..], head.as_bytes(), text].concat()
        };
        let one = |bytes: usize| {
            format!(
                r#"{{"Page":{{"number":1,"source":"ocr","note":null,"blocks":[["paragraph",{bytes}]]}}}}"#
            )
        };
        assert!(reply_of(&framed(&one(2), "é".as_bytes())).is_ok());
        for (head, text) in [
            // More, less, within a character, no text at all, text of nobody.
            (one(3), "é".as_bytes()),
            (one(1), &b"ab"[..]),
            (one(1), "é".as_bytes()),
            (one(1), &b"\xff"[..]),
            (r#""Done""#.to_owned(), &b"text"[..]),
        ] {
            assert!(reply_of(&framed(&head, text)).is_err(), "{head}");
        }
        assert!(reply_of(b"\x09\0\0\0short").is_err());
        assert!(reply_of(b"\0").is_err());
    }
}
