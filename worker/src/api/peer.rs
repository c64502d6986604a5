//! Whose program is at the other end of a connection from this machine, by the kernel's table of sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::http::Ends;

/// The kernel's tables: one for each family, and a client may use either to reach an IPv4 address.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Users that have no number in this namespace are all shown as this one.
const OVERFLOW: u32 = 65_534;

/// Whether the user at the other end is the one that this process runs as. Not known is no.
pub async fn is_own_user(ends: Option<&Ends>) -> bool {
    let Some(ends) = ends.copied() else { return false };
    let looked = tokio::task::spawn_blocking(move || user_of(&ends)).await;
    match looked {
        Ok(Ok(user)) => user == Some(rustix::process::geteuid().as_raw()) && user != Some(OVERFLOW),
        Ok(Err(error)) => {
            tracing::info!(%error, "it cannot be told whose browser asks, so it gets no token");
            false
        }
        Err(_) => false,
    }
}

fn user_of(ends: &Ends) -> io::Result<Option<u32>> {
    let (peer, here) = (plain(ends.peer), plain(ends.here));
    for table in TABLES {
        let table = match std::fs::read_to_string(table) {
            Ok(table) => table,
            // A machine without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Some(user) = user_in(&table, peer, here) {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// The user of the socket with these ends, of a table as the kernel writes it.
fn user_in(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = address(fields.next()?)? == local && address(fields.next()?)? == remote;
        // State, queues, timer and retransmissions are between.
        is_it.then(|| fields.nth(4)?.parse().ok()).flatten()
    })
}

/// An address and a port as the kernel writes them: words of memory as numbers, in hexadecimal digits.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Vec<[u8; 4]> = ip
        .as_bytes()
        .chunks(8)
        .map(|word| Some(u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?.to_ne_bytes()))
        .collect::<Option<_>>()?;
    let ip = match words.as_slice() {
        [v4] => IpAddr::from(Ipv4Addr::from(*v4)),
        [_, _, _, _] => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
        _ => return None,
    };
    Some(plain(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?)))
}

/// An IPv4 address as one, whichever family it was reached by.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_tables_are_read() {
        let four = format!(
            "{HEAD}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0\n   \
             1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4\n   \
             2: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000    33        0 3 1 0 20 4\n"
        );
        let [server, client]: [SocketAddr; 2] =
            ["127.0.0.1:8080", "127.0.0.1:54321"].map(|a| a.parse().unwrap());
        assert_eq!(user_in(&four, client, server), Some(33), "the client's socket and not the server's");
        assert_eq!(user_in(&four, server, client), Some(1000));
        assert_eq!(user_in(&four, "127.0.0.1:54322".parse().unwrap(), server), None);
        let six = format!(
            "{HEAD}   0: 0000000000000000FFFF00000100007F:D431 0000000000000000FFFF00000100007F:1F90 01 0:0 0:0 0 7 0 4\n   \
             1: 00000000000000000000000001000000:D431 00000000000000000000000001000000:1F90 01 0:0 0:0 0 8 0 5\n"
        );
        assert_eq!(user_in(&six, client, server), Some(7));
        let [server, client]: [SocketAddr; 2] = ["[::1]:8080", "[::1]:54321"].map(|a| a.parse().unwrap());
        assert_eq!(user_in(&six, client, server), Some(8));
        assert_eq!(user_in("", client, server), None);
        assert_eq!(user_in("x\nnot a table\n 0: 1:2", client, server), None);
    }

    #[tokio::test]
    async fn a_client_of_this_process_is_this_user() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let ends = Ends { peer, here: stream.local_addr().unwrap() };
        assert!(is_own_user(Some(&ends)).await);
        let nobodys = Ends { peer: SocketAddr::new(peer.ip(), 1), ..ends };
        assert!(!is_own_user(Some(&nobodys)).await && !is_own_user(None).await);
        drop(client);
    }
}
