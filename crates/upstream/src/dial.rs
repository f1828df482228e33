//! A new connection to an endpoint: TCP or Unix, TLS where the transport has it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use identity::{TlsError, TlsInfo};
use ir::Address;
use ir::cluster::TcpKeepalive;
use ir::route::RoutingPriority;
use net::{ConnectError, ConnectOptions, Io, Keepalive, Target};
use stdx::Str;

use crate::state::InFlight;
use crate::{Breaker, Destination, Failure, Limits, SendError};

/// Envoy's default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that stands.
pub(crate) struct Dialed {
    pub(crate) io: Io,
    pub(crate) tls: Option<Arc<TlsInfo>>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) counted: InFlight,
}

/// Connects within the cluster's connect timeout, TLS included. `alpn` is offered instead of the
/// transport's; `fallback` where neither says anything.
pub(crate) async fn dial(
    to: &Destination,
    alpn: Option<&[Str]>,
    fallback: &[Str],
    priority: RoutingPriority,
) -> Result<Dialed, SendError> {
    let limits = Limits::of(&to.config, priority);
    let counted = to
        .cluster
        .start_connection(&limits)
        .ok_or_else(|| SendError::new(Failure::Overflow(Breaker::Connections)))?;
    let timeout = to.config.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let connecting = async {
        let io = connect(to, timeout).await?;
        let local = io.local_addr();
        let Some(tls) = &to.tls else { return Ok(Dialed { io, tls: None, local, counted }) };
        let configured = tls.alpn();
        let alpn = alpn.or(if configured.is_empty() { Some(fallback) } else { None });
        let handshake = tls.connect(io, identity::ConnectOptions { alpn }).await;
        let (stream, info) = handshake.map_err(|error| tls_failed(&error, local))?;
        Ok(Dialed { io: stream.into(), tls: Some(Arc::new(info)), local, counted })
    };
    match tokio::time::timeout(timeout, connecting).await {
        Ok(result) => result,
        Err(_) => Err(timed_out()),
    }
}

async fn connect(to: &Destination, timeout: Duration) -> Result<Io, SendError> {
    let config = &to.config;
    let options = ConnectOptions {
        timeout,
        source: config.bind_source,
        mark: config.socket_mark,
        keepalive: config.tcp_keepalive.map(keepalive),
    };
    let connected = match &to.endpoint.address {
        Address::Socket(address) => net::connect(Target::Tcp(*address), &options).await,
        Address::Pipe(path) => net::connect(Target::Unix(path), &options).await,
        Address::Name { host, port } => connect_name(host, *port, &options).await,
    };
    connected.map_err(|error| match error {
        ConnectError::Timeout => timed_out(),
        ConnectError::Io(error) => SendError {
            detail: format!(
                "delayed connect error: {}",
                error.raw_os_error().map_or(error.to_string(), os_error)
            ),
            ..SendError::new(Failure::Connect { timeout: false, tls: false })
        },
    })
}

/// As Envoy says it: `Connection refused`.
fn os_error(code: i32) -> String {
    let text = std::io::Error::from_raw_os_error(code).to_string();
    let name = text.split(" (os error").next().unwrap_or_default();
    name.to_owned()
}

/// Tries every address of a name, in the resolver's order.
async fn connect_name(host: &str, port: u16, options: &ConnectOptions) -> Result<Io, ConnectError> {
    let mut last = ConnectError::Io(std::io::Error::other(format!("no address for {host}")));
    for address in tokio::net::lookup_host((host, port)).await? {
        match net::connect(Target::Tcp(address), options).await {
            Ok(io) => return Ok(io),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn keepalive(settings: TcpKeepalive) -> Keepalive {
    let seconds = |s: Option<u32>| s.map(|s| Duration::from_secs(s.into()));
    Keepalive { probes: settings.probes, time: seconds(settings.time), interval: seconds(settings.interval) }
}

fn timed_out() -> SendError {
    SendError::new(Failure::Connect { timeout: true, tls: false })
}

fn tls_failed(error: &TlsError, local: Option<SocketAddr>) -> SendError {
    let failure = Failure::Connect { timeout: false, tls: true };
    SendError { detail: error.to_string(), local, ..SendError::new(failure) }
}
