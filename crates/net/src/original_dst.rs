//! Where a connection was going before it was redirected to us.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;
use tokio::net::TcpStream;

/// The address that the client connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalDst {
    pub address: SocketAddr,
    /// Connection tracking changed the destination. `false`: the address is our local one, which
    /// is also what it is with TPROXY.
    pub redirected: bool,
}

/// Asks connection tracking (`SO_ORIGINAL_DST`, `IP6T_SO_ORIGINAL_DST`); without an entry the
/// local address is where the client went.
///
/// # Errors
/// The socket has no local address (it is gone).
pub fn original_dst(stream: &TcpStream) -> io::Result<OriginalDst> {
    let local = unmapped(stream.local_addr()?);
    let socket = SockRef::from(stream);
    let tracked = match local {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    let tracked = tracked.ok().and_then(|address| address.as_socket()).map(unmapped);
    let address = tracked.unwrap_or(local);
    Ok(OriginalDst { address, redirected: address != local })
}

/// `::ffff:a.b.c.d` as the IPv4 address that it is.
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) => {
            ip.to_ipv4_mapped().map_or(address, |ip| SocketAddr::new(ip.into(), address.port()))
        }
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_redirection_it_is_the_local_address() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = tokio::net::TcpListener::bind(bind).await else { continue };
            let address = listener.local_addr().unwrap();
            let _client = TcpStream::connect(address).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            assert_eq!(original_dst(&server).unwrap(), OriginalDst { address, redirected: false });
        }
        assert_eq!(unmapped("[::ffff:10.0.0.1]:80".parse().unwrap()), "10.0.0.1:80".parse().unwrap());
    }
}
