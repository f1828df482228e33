//! Listening sockets.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How to open a listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// `SO_REUSEPORT`: one socket per worker on the same address.
    pub reuse_port: bool,
    /// `IP_TRANSPARENT`: accept connections to addresses that are not ours (TPROXY).
    pub transparent: bool,
    /// `SO_MARK`; accepted connections inherit it.
    pub mark: Option<u32>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions { backlog: 1024, reuse_port: true, transparent: false, mark: None }
    }
}

/// Opens a nonblocking TCP listener. IPv6 sockets take IPv6 only, as Envoy's do.
///
/// # Errors
/// A system call failed; the error names the address and the step.
pub fn listen_tcp(address: SocketAddr, options: &ListenOptions) -> io::Result<std::net::TcpListener> {
    let step = |what: &'static str| {
        move |error: io::Error| io::Error::new(error.kind(), format!("{what} {address}: {error}"))
    };
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(step("socket for"))?;
    socket.set_reuse_address(true).map_err(step("SO_REUSEADDR on"))?;
    if options.reuse_port {
        socket.set_reuse_port(true).map_err(step("SO_REUSEPORT on"))?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true).map_err(step("IPV6_V6ONLY on"))?;
    }
    if options.transparent {
        match address {
            SocketAddr::V4(_) => socket.set_ip_transparent_v4(true),
            SocketAddr::V6(_) => socket.set_ip_transparent_v6(true),
        }
        .map_err(step("IP_TRANSPARENT on"))?;
    }
    if let Some(mark) = options.mark {
        socket.set_mark(mark).map_err(step("SO_MARK on"))?;
    }
    socket.bind(&address.into()).map_err(step("cannot bind"))?;
    socket.listen(options.backlog).map_err(step("cannot listen on"))?;
    socket.set_nonblocking(true).map_err(step("O_NONBLOCK on"))?;
    Ok(socket.into())
}

/// Opens a nonblocking Unix listener. A socket file left over by a dead process is replaced, any
/// other file is not. A path that begins with `@` is in the abstract namespace.
///
/// # Errors
/// A system call failed, or a living process listens there; the error names the path.
pub fn listen_unix(path: &str, backlog: i32) -> io::Result<UnixListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {path}: {error}"));
    let address = unix_address(path).map_err(named)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(named)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead_socket(path) => {
            std::fs::remove_file(path).and_then(|()| socket.bind(&address)).map_err(named)?;
        }
        other => other.map_err(named)?,
    }
    socket.listen(backlog).map_err(named)?;
    socket.set_nonblocking(true).map_err(named)?;
    Ok(socket.into())
}

/// The address of a path; `@` first stands for the NUL of the abstract namespace.
pub(crate) fn unix_address(path: &str) -> io::Result<SockAddr> {
    match path.strip_prefix('@') {
        Some(name) => SockAddr::unix(format!("\0{name}")),
        None => SockAddr::unix(path),
    }
}

/// A socket file that nobody answers on.
fn is_dead_socket(path: &str) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    is_socket && refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_share_an_address() {
        let options = ListenOptions::default();
        let first = listen_tcp("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let address = first.local_addr().unwrap();
        listen_tcp(address, &options).unwrap();
        let alone = ListenOptions { reuse_port: false, ..options };
        let error = listen_tcp(address, &alone).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn replaces_a_dead_unix_socket_only() {
        let path = std::env::temp_dir().join(format!("lateen-net-{}.sock", std::process::id()));
        let path = path.to_str().unwrap();
        let living = listen_unix(path, 8).unwrap();
        assert!(listen_unix(path, 8).is_err());
        drop(living);
        drop(listen_unix(path, 8).unwrap());
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, "data").unwrap();
        assert!(listen_unix(path, 8).is_err());
        assert_eq!(std::fs::read(path).unwrap(), b"data");
        std::fs::remove_file(path).unwrap();
    }
}
