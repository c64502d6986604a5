//! An address that hostile files name, and that nobody may call.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::services::process::wait_until;

/// Counts who connects.
pub struct Listener {
    address: SocketAddr,
    /// Who connected.
    accepted: Arc<Mutex<Vec<SocketAddr>>>,
    /// Connections of our own.
    own: usize,
}

impl Listener {
    /// Listens on a port of this machine, until the process ends.
    ///
    /// # Errors
    /// There is no port, or who connects is not noticed.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, accepted) = (listener.local_addr()?, Arc::<Mutex<Vec<SocketAddr>>>::default());
        let count = Arc::clone(&accepted);
        std::thread::spawn(move || {
            while let Ok((_, from)) = listener.accept() {
                lock(&count).push(from);
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
        Ok(lock(&self.accepted).len().saturating_sub(self.own) as u64)
    }

    fn connect(&mut self) -> Result<()> {
        let own = TcpStream::connect(self.address)?;
        let from = own.local_addr()?;
        self.own += 1;
        wait_until("a connection is counted", || lock(&self.accepted).contains(&from));
        Ok(())
    }
}

fn lock(accepted: &Mutex<Vec<SocketAddr>>) -> MutexGuard<'_, Vec<SocketAddr>> {
    accepted.lock().unwrap_or_else(PoisonError::into_inner)
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
