//! Messages on a stream: chunks with their sizes, closed by an empty one.

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split,
};

use super::Error;

/// Largest chunk.
const CHUNK_BYTES_MAX: usize = 0xffff;
/// Largest message that is read. A page of 10,000 chunks' heads is below 3 MiB.
const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// A stream of bytes, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Messages over a stream: both sides may speak at a time.
pub fn frames(stream: Box<dyn Stream>) -> (Sender, Receiver) {
    let (from, to) = split(stream);
    (Sender(to), Receiver(BufReader::new(from)))
}

/// What is said.
pub struct Sender(WriteHalf<Box<dyn Stream>>);

/// What is heard.
pub struct Receiver(BufReader<ReadHalf<Box<dyn Stream>>>);

impl Sender {
    /// Sends bytes that are no message.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write_all(bytes).await?;
        Ok(self.0.flush().await?)
    }

    /// Sends messages, all in one go.
    pub async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), Error> {
        let mut bytes = Vec::with_capacity(messages.iter().map(|message| message.len() + 16).sum());
        for message in messages {
            for chunk in message.chunks(CHUNK_BYTES_MAX) {
                bytes.extend_from_slice(&u16::try_from(chunk.len()).unwrap_or(u16::MAX).to_be_bytes());
                bytes.extend_from_slice(chunk);
            }
            bytes.extend_from_slice(&[0, 0]);
        }
        self.send_raw(&bytes).await
    }
}

impl Receiver {
    /// Receives four bytes that are no message.
    pub async fn receive_raw(&mut self) -> Result<[u8; 4], Error> {
        let mut bytes = [0; 4];
        self.0.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// Receives a message. Empty ones are signs of life and skipped.
    pub async fn receive(&mut self) -> Result<Vec<u8>, Error> {
        let mut message = Vec::new();
        loop {
            let size = usize::from(self.0.read_u16().await?);
            if size == 0 {
                if message.is_empty() {
                    continue;
                }
                return Ok(message);
            }
            let from = message.len();
            if from + size > MESSAGE_BYTES_MAX {
                return Err(Error::Protocol("a message is too large"));
            }
            message.resize(from + size, 0);
            self.0.read_exact(&mut message[from..]).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_of_any_size_arrive_whole() {
        let (here, there) = tokio::io::duplex(1 << 20);
        let ((mut here, heard), (said, mut there)) = (frames(Box::new(here)), frames(Box::new(there)));
        let messages = [1, 65_535, 65_536, 200_000].map(|size| vec![7; size]);
        here.send_raw(&[0, 0, 0, 0]).await.unwrap();
        here.send(&messages).await.unwrap();
        for message in messages {
            assert_eq!(there.receive().await.unwrap(), message);
        }
        drop((here, heard));
        assert!(matches!(there.receive().await, Err(Error::Broken(_))));
        drop(said);
    }
}
