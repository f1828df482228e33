//! Connecting to an endpoint.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, UnixStream};

use crate::Io;

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    Tcp(SocketAddr),
    /// A path; `@` first means the abstract namespace.
    Unix(&'a str),
}

/// How.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// For the TCP handshake.
    pub timeout: Duration,
    /// Source address, such as 127.0.0.6 towards the own application. Not used where its family
    /// is not the target's.
    pub source: Option<IpAddr>,
    /// `SO_MARK`.
    pub mark: Option<u32>,
    pub keepalive: Option<Keepalive>,
}

impl Default for ConnectOptions {
    /// Envoy's connect timeout of 5 s and nothing else.
    fn default() -> Self {
        ConnectOptions { timeout: Duration::from_secs(5), source: None, mark: None, keepalive: None }
    }
}

/// TCP keepalive. `None` leaves the system's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    Timeout,
    Io(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Timeout => f.write_str("connection timeout"),
            ConnectError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        ConnectError::Io(error)
    }
}

/// Connects. The stream has `TCP_NODELAY`, as every [`Io`].
///
/// # Errors
/// No connection in time, or a system call failed.
pub async fn connect(target: Target<'_>, options: &ConnectOptions) -> Result<Io, ConnectError> {
    let connecting = async {
        match target {
            Target::Tcp(address) => Ok(Io::from(prepare(address, options)?.connect(address).await?)),
            Target::Unix(path) => connect_unix(path).await,
        }
    };
    match tokio::time::timeout(options.timeout, connecting).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ConnectError::Timeout),
    }
}

fn prepare(address: SocketAddr, options: &ConnectOptions) -> io::Result<TcpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(mark) = options.mark {
        socket.set_mark(mark)?;
    }
    if let Some(keepalive) = &options.keepalive {
        socket.set_tcp_keepalive(&system_keepalive(keepalive))?;
    }
    if let Some(source) = options.source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        bind_source(&socket, source)?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// Binds the address and leaves the port to `connect`, so that ports are used up per destination
/// and not per source address.
fn bind_source(socket: &Socket, source: IpAddr) -> io::Result<()> {
    const IP_BIND_ADDRESS_NO_PORT: i32 = 24;
    const IPPROTO_IP: i32 = 0;
    // A refusal (kernels before 4.2) only costs ports.
    let _ = set_int(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    socket.bind(&SocketAddr::new(source, 0).into())
}

#[allow(unsafe_code)]
fn set_int(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the kernel reads
    // `size` bytes from `value`, which lives on the stack during the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast::<libc::c_void>(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn system_keepalive(keepalive: &Keepalive) -> TcpKeepalive {
    let mut system = TcpKeepalive::new();
    if let Some(time) = keepalive.time {
        system = system.with_time(time);
    }
    if let Some(interval) = keepalive.interval {
        system = system.with_interval(interval);
    }
    if let Some(probes) = keepalive.probes {
        system = system.with_retries(probes);
    }
    system
}

async fn connect_unix(path: &str) -> io::Result<Io> {
    if !path.starts_with('@') {
        return Ok(Io::from(UnixStream::connect(path).await?));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect(&crate::listener::unix_address(path)?)?;
    socket.set_nonblocking(true)?;
    Ok(Io::from(UnixStream::from_std(socket.into())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn binds_the_source_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let options = ConnectOptions { source: Some("127.0.0.6".parse().unwrap()), ..Default::default() };
        let client = connect(Target::Tcp(target), &options).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip(), "127.0.0.6".parse::<IpAddr>().unwrap());
        assert_eq!(client.local_addr(), Some(peer));
        assert_eq!(client.peer_addr(), Some(target));
    }

    #[tokio::test]
    async fn names_what_failed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        drop(listener);
        let error = connect(Target::Tcp(target), &ConnectOptions::default()).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn reaches_an_abstract_socket() {
        let name = format!("@lateen-net-test-{}", std::process::id());
        let listener = crate::listen_unix(&name, 4).unwrap();
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        let mut client = connect(Target::Unix(&name), &ConnectOptions::default()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"hi").await.unwrap();
        let mut bytes = [0; 2];
        server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hi");
    }
}
