//! The thread that starts children. Does not say when.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::extract::process::Extractor;
use crate::extract::sandbox::Start;

/// Starts children on a thread of its own that lives as long as the pool: a child dies with the thread
/// that started it, and a runtime's threads may come and go.
pub(super) struct Starter {
    orders: mpsc::Sender<Order>,
}

type Order = (tokio::runtime::Handle, oneshot::Sender<io::Result<Extractor>>);

impl Starter {
    pub fn new(binary: PathBuf, start: Start) -> Self {
        let (orders, inbox) = mpsc::channel::<Order>();
        let work = move || {
            while let Ok((runtime, answer)) = inbox.recv() {
                let _runtime = runtime.enter();
                let _ = answer.send(Extractor::start(&binary, &start));
            }
        };
        // Without the thread the channel is closed, which `start` reports.
        let _ = std::thread::Builder::new().name("extractor-start".into()).spawn(work);
        Self { orders }
    }

    pub async fn start(&self) -> io::Result<Extractor> {
        let (answer, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts extractors is gone");
        self.orders.send((tokio::runtime::Handle::current(), answer)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}
