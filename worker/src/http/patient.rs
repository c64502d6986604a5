//! A connection whose client has to take what it asked for: one that takes nothing, or a drop at a time, is let go.
//! Without that it would hold its place, and what waits to be sent, for as long as it likes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long is waited for a client while there is something to send to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Longest time in which it takes less than `bytes`.
    pub time: Duration,
    /// What it takes in that time at least, where there is so much.
    pub bytes: usize,
}

/// See the module.
pub(super) struct Patient<I> {
    inner: I,
    patience: Patience,
    waiting: Option<Waiting>,
}

/// The client did not take all that was there for it.
struct Waiting {
    until: Pin<Box<Sleep>>,
    taken: usize,
}

impl<I: Unpin> Patient<I> {
    pub fn new(inner: I, patience: Patience) -> Self {
        Self { inner, patience, waiting: None }
    }

    /// What a write came to, unless its client is out of time.
    fn judged(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Patience { time, bytes } = self.patience;
        match written {
            Poll::Ready(Ok(taken)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.taken = waiting.taken.saturating_add(taken);
                    if waiting.taken >= bytes {
                        self.waiting = None;
                    }
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                let begin = || Waiting { until: Box::pin(sleep(time)), taken: 0 };
                let waiting = self.waiting.get_or_insert_with(begin);
                // It also wakes us when the time is over.
                waiting.until.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judged(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.judged(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The server flushes once it has written all there is: nothing waits for the client any more.
        self.waiting = None;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What the pipe of these tests holds.
    const HELD: usize = 4;

    fn patience(time_ms: u64, bytes: usize) -> Patience {
        Patience { time: Duration::from_millis(time_ms), bytes }
    }

    #[tokio::test]
    async fn who_takes_nothing_is_out_of_time() {
        let (_client, server) = duplex(HELD);
        let mut server = Patient::new(server, patience(20, 1));
        assert_eq!(server.write(&[0; 9]).await.unwrap(), HELD);
        let error = server.write(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// A drop does not buy another while; what is enough does, and so does taking all.
    #[tokio::test]
    async fn time_begins_anew_with_what_is_enough() {
        for (bytes, begins_anew) in [(2, false), (1, true)] {
            let (mut client, server) = duplex(HELD);
            let mut server = Patient::new(server, patience(60_000, bytes));
            assert_eq!(server.write(&[0; HELD]).await.unwrap(), HELD);
            let (written, read) = tokio::join!(server.write(&[0; HELD]), client.read_u8());
            assert_eq!((written.unwrap(), read.unwrap()), (1, 0));
            assert_eq!(server.waiting.is_none(), begins_anew, "{bytes}");
            server.flush().await.unwrap();
            assert!(server.waiting.is_none());
        }
    }
}
