//! TLS before a PostgreSQL: the server that setup fetches was built without it. A client that asks for TLS is
//! answered as such a server answers, and what it says then goes on to the real one. It keeps what was on the wire.

use std::io;
use std::net::TcpListener as StdListener;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::certificates;

/// `SSLRequest`, the first that a client says who wants TLS: its length and its number.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The answer of a server that has it.
const GRANTED: &[u8] = b"S";

/// What clients said, as it was on the wire.
type Heard = Arc<Mutex<Vec<u8>>>;

/// A port that leads to a PostgreSQL, with TLS and without. It is gone with its handle.
pub struct TlsFront {
    port: u16,
    heard: Heard,
    _end: oneshot::Sender<()>,
}

impl TlsFront {
    /// Listens on loopback before the server at this port, with the certificate that [`certificates::write`] put
    /// into this directory.
    ///
    /// # Panics
    /// There is no certificate, or no port.
    pub fn start(server: u16, certificates: &Path) -> Self {
        let acceptor = TlsAcceptor::from(certificates::server_config(certificates));
        let listener = StdListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Heard::default();
        let (end, ended) = oneshot::channel();
        let hears = heard.clone();
        // A thread of its own: tests with and without a runtime use it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, acceptor, server, hears) => {}
                    _ = ended => {}
                }
            });
        });
        Self { port, heard, _end: end }
    }

    /// The server under this name of this machine.
    pub fn url(&self, host: &str) -> String {
        format!("postgresql://{host}:{}/postgres", self.port)
    }

    /// Whether somebody on the way could have read this.
    ///
    /// # Panics
    /// It panicked itself.
    pub fn heard(&self, text: &str) -> bool {
        self.heard.lock().unwrap().windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// How many bytes clients sent so far.
    ///
    /// # Panics
    /// It panicked itself.
    pub fn heard_bytes(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, server: u16, heard: Heard) {
    while let Ok((stream, _)) = listener.accept().await {
        let client = Tapped { stream, heard: heard.clone() };
        // A client that does not trust us is gone again: its own affair.
        tokio::spawn(carry(client, acceptor.clone(), server));
    }
}

async fn carry(mut client: Tapped, acceptor: TlsAcceptor, server: u16) -> io::Result<()> {
    let mut first = [0; SSL_REQUEST.len()];
    client.read_exact(&mut first).await?;
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    if first == SSL_REQUEST {
        client.write_all(GRANTED).await?;
        let mut client = acceptor.accept(client).await?;
        copy_bidirectional(&mut client, &mut server).await?;
    } else {
        server.write_all(&first).await?;
        copy_bidirectional(&mut client, &mut server).await?;
    }
    Ok(())
}

/// A connection whose bytes are kept as they come in.
struct Tapped {
    stream: TcpStream,
    heard: Heard,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        self.heard.lock().unwrap().extend_from_slice(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
