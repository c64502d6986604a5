//! How parent and child speak: length-framed JSON, and the document's open file passed beside a request.
//! Knows nothing of documents.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use docmill_core::failure::Failure;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Event, ExtractOptions};

/// Longest frame either side accepts; a child that says more is broken.
pub(super) const FRAME_BYTES_MAX: usize = 32 << 20;

/// What the parent asks of the child; the open file travels beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub name: String,
    pub options: ExtractOptions,
    pub resume_from_page: u32,
}

/// What the child answers: events, or instead of the rest a failure.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Event(Event),
    Failed(Failure),
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
    let mut header = [0; 4];
    match from.read_exact(&mut header).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut body = vec![0; checked_length(header)?];
    from.read_exact(&mut body).await?;
    decode(&body).map(Some)
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
        let request = Request { name: "a".into(), options: ExtractOptions::default(), resume_from_page: 3 };
        send_with_file(&parent, &request, &file).unwrap();
        let (got, file): (Request, OwnedFd) = receive_with_file(&mut child).unwrap().unwrap();
        assert_eq!(got.resume_from_page, 3);
        assert_eq!(std::fs::File::from(file).metadata().unwrap().len(), 7);
        drop(parent);
        assert!(receive_with_file::<Request>(&mut child).unwrap().is_none());
    }

    #[tokio::test]
    async fn long_frames_are_refused() {
        let mut bytes = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes().to_vec();
        bytes.extend([0; 8]);
        assert!(read_async::<Reply>(&mut bytes.as_slice()).await.is_err());
    }
}
