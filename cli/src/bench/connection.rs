//! One connection of HTTP/1.1 that is kept: as much of the protocol as a measurement needs, and no more work than that.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// Longest head of an answer, or line within its body, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A connection to a server.
pub struct Connection {
    stream: TcpStream,
    /// What was read and is not used yet, from `at` on.
    buffer: Vec<u8>,
    at: usize,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    body: Body,
    /// The connection may be used again.
    pub kept: bool,
}

/// How the rest of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// So many bytes.
    Length(usize),
    /// So many bytes of this chunk, then another.
    Chunk(usize),
    /// Before a chunk's length.
    Chunks,
    /// Until the connection ends.
    Close,
}

impl Connection {
    /// Connects.
    pub async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(2 * READ_BYTES), at: 0 })
    }

    /// Sends a whole request.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    /// Reads the head of the answer.
    pub async fn head(&mut self) -> io::Result<Head> {
        let mut seen = 0;
        loop {
            let unused = &self.buffer[self.at..];
            // The mark may begin in what was looked at before.
            let from = seen - seen.min(3);
            if let Some(end) = unused[from..].windows(4).position(|mark| mark == b"\r\n\r\n") {
                let end = from + end;
                let head = read_head(&unused[..end])?;
                self.at += end + 4;
                return Ok(head);
            }
            seen = unused.len();
            if seen > LINE_BYTES_MAX {
                return Err(foreign("its head does not end"));
            }
            self.more().await?;
        }
    }

    /// The next piece of the body in `piece`, which is emptied first; false at the end.
    pub async fn piece(&mut self, head: &mut Head, piece: &mut Vec<u8>) -> io::Result<bool> {
        piece.clear();
        loop {
            match head.body {
                Body::Length(0) => return Ok(false),
                Body::Length(left) => {
                    let taken = self.take(left, piece).await?;
                    head.body = Body::Length(left - taken);
                    return Ok(true);
                }
                Body::Chunk(left) if left > 0 => {
                    let taken = self.take(left, piece).await?;
                    head.body = Body::Chunk(left - taken);
                    return Ok(true);
                }
                Body::Chunk(_) => {
                    self.line().await?;
                    head.body = Body::Chunks;
                }
                Body::Chunks => {
                    let line = self.line().await?;
                    let digits = line.split(';').next().unwrap_or_default().trim();
                    let length =
                        usize::from_str_radix(digits, 16).map_err(|_| foreign("a chunk has no length"))?;
                    if length == 0 {
                        while !self.line().await?.is_empty() {}
                        head.body = Body::Length(0);
                    } else {
                        head.body = Body::Chunk(length);
                    }
                }
                Body::Close => {
                    return match self.take(usize::MAX, piece).await {
                        Ok(_) => Ok(true),
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
                        Err(error) => Err(error),
                    };
                }
            }
        }
    }

    /// Reads the rest of the body and leaves it out. Where its length is told, nothing of it is copied: answers of some
    /// kilobytes would cost a generator as much as all else that it does with them.
    pub async fn pass(&mut self, head: &mut Head, piece: &mut Vec<u8>) -> io::Result<()> {
        while let Body::Length(left) = head.body
            && left > 0
        {
            if self.at == self.buffer.len() {
                self.more().await?;
            }
            let passed = left.min(self.buffer.len() - self.at);
            self.at += passed;
            head.body = Body::Length(left - passed);
        }
        while self.piece(head, piece).await? {}
        Ok(())
    }

    /// Some of the next `most` bytes, at least one.
    async fn take(&mut self, most: usize, piece: &mut Vec<u8>) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            self.more().await?;
        }
        let taken = most.min(self.buffer.len() - self.at);
        piece.extend_from_slice(&self.buffer[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }

    /// The next line, without its end.
    async fn line(&mut self) -> io::Result<String> {
        loop {
            let unused = &self.buffer[self.at..];
            if let Some(end) = unused.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&unused[..end]).trim_end().to_owned();
                self.at += end + 1;
                return Ok(line);
            }
            if unused.len() > LINE_BYTES_MAX {
                return Err(foreign("a line does not end"));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}

fn read_head(head: &[u8]) -> io::Result<Head> {
    let head = std::str::from_utf8(head).map_err(|_| foreign("its head is no text"))?;
    let mut lines = head.split("\r\n");
    let number = |line: &str| line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse::<u16>().ok();
    let status = lines.next().and_then(number).ok_or_else(|| foreign("it has no status"))?;
    let (mut body, mut kept) = (Body::Close, true);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            // Chunks say more than a length does.
            if body != Body::Chunks {
                body = Body::Length(value.parse().map_err(|_| foreign("its length is no number"))?);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            body = Body::Chunks;
        } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
            kept = false;
        }
    }
    if matches!(status, 204 | 304) {
        body = Body::Length(0);
    }
    Ok(Head { status, body, kept: kept && body != Body::Close })
}

fn foreign(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer is not HTTP/1.1: {what}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What a client reads of an answer that comes in pieces of so many bytes.
    async fn read(answer: &'static [u8], piece: usize) -> (u16, bool, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for part in answer.chunks(piece) {
                stream.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut connection = Connection::open(&address).await.unwrap();
        let mut head = connection.head().await.unwrap();
        let (mut body, mut piece) = (Vec::new(), Vec::new());
        while connection.piece(&mut head, &mut piece).await.unwrap() {
            assert!(!piece.is_empty());
            body.extend_from_slice(&piece);
        }
        serving.await.unwrap();
        (head.status, head.kept, String::from_utf8(body).unwrap())
    }

    #[tokio::test]
    async fn bodies_are_read_however_they_are_told() {
        let cases: [(&'static [u8], u16, bool, &str); 4] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, true, "hello"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", 200, true, "hello"),
            (b"HTTP/1.0 503 Busy\r\nx: y\r\n\r\nhello", 503, false, "hello"),
            (b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", 204, false, ""),
        ];
        for (answer, status, kept, body) in cases {
            for piece in [1, 7, 1_000] {
                assert_eq!(read(answer, piece).await, (status, kept, body.to_owned()), "{piece}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_left_out_ends_where_the_next_answer_begins() {
        let bodies: [&'static [u8]; 2] = [
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 404 None\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\
              HTTP/1.1 404 None\r\ncontent-length: 0\r\n\r\n",
        ];
        for answers in bodies {
            for size in [1, 7, 1_000] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap().to_string();
                let serving = tokio::spawn(async move {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    for part in answers.chunks(size) {
                        stream.write_all(part).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                });
                let mut connection = Connection::open(&address).await.unwrap();
                let mut piece = Vec::new();
                for status in [200, 404] {
                    let mut head = connection.head().await.unwrap();
                    assert_eq!(head.status, status, "{size}");
                    connection.pass(&mut head, &mut piece).await.unwrap();
                }
                serving.await.unwrap();
            }
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for head in ["", "SSH-2.0", "HTTP/1.1 many", "HTTP/1.1 200 OK\r\ncontent-length: x"] {
            assert!(read_head(head.as_bytes()).is_err(), "{head}");
        }
    }
}
