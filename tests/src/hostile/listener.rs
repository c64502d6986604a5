//! An address that hostile files name, and that nobody may call.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::services::process::wait_until;

/// Counts who connects.
pub struct Listener {
    address: SocketAddr,
    accepted: Arc<AtomicU64>,
    /// Connections of our own.
    own: u64,
}

impl Listener {
    /// Listens on a port of this machine, until the process ends.
    ///
    /// # Errors
    /// There is no port, or who connects is not noticed.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, accepted) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&accepted);
        std::thread::spawn(move || {
            for _ in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut started = Self { address, accepted, own: 0 };
        // One that notices nobody would prove nothing.
        started.connect()?;
        Ok(started)
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many connected so far.
    ///
    /// # Errors
    /// It does not listen any more.
    pub fn connections(&mut self) -> Result<u64> {
        // They are accepted in their order: once ours was counted, all before it were.
        self.connect()?;
        Ok(self.accepted.load(Ordering::SeqCst).saturating_sub(self.own))
    }

    fn connect(&mut self) -> Result<()> {
        let before = self.accepted.load(Ordering::SeqCst);
        drop(TcpStream::connect(self.address)?);
        self.own += 1;
        wait_until("a connection is counted", || self.accepted.load(Ordering::SeqCst) > before);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_is_counted_and_we_are_not() {
        let mut listener = Listener::start().unwrap();
        assert_eq!(listener.connections().unwrap(), 0);
        TcpStream::connect(listener.address()).unwrap();
        assert_eq!(listener.connections().unwrap(), 1);
    }
}
