//! A new connection to an endpoint: TCP or Unix, TLS where the transport has it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::proxy_protocol;
use identity::{TlsError, TlsInfo};
use ir::Address;
use ir::cluster::TcpKeepalive;
use net::{ConnectError, ConnectOptions, Io, Keepalive, Target};
use stdx::Str;
use tokio::io::AsyncWriteExt;

use crate::state::InFlight;
use crate::{Breaker, Destination, Dialing, Failure, Limits, SendError, SendOptions};

/// Envoy's default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that stands.
pub(crate) struct Dialed {
    pub(crate) io: Io,
    pub(crate) tls: Option<Arc<TlsInfo>>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) counted: InFlight,
    pub(crate) dialed: Dialing,
}

/// Counts connections, so that each has a number of its own.
static IDS: AtomicU64 = AtomicU64::new(1);

/// Connects within the cluster's connect timeout, TLS included. The options' ALPN is offered instead
/// of the transport's; `fallback` where neither says anything.
pub(crate) async fn dial(
    to: &Destination,
    options: &SendOptions,
    fallback: &[Str],
) -> Result<Dialed, SendError> {
    dial_beyond(to, options, fallback, false).await
}

/// As [`dial`]; `beyond` the limit of connections, if that must be.
pub(crate) async fn dial_beyond(
    to: &Destination,
    options: &SendOptions,
    fallback: &[Str],
    beyond: bool,
) -> Result<Dialed, SendError> {
    let limits = Limits::of(&to.config, options.priority);
    let counted = match to.cluster.start_connection(&limits, &to.endpoint) {
        Some(counted) => counted,
        None => {
            to.cluster.overflowed.fetch_add(1, Ordering::Relaxed);
            let counted =
                if beyond { to.cluster.start_connection_beyond(&limits, &to.endpoint) } else { None };
            counted.ok_or_else(|| SendError::new(Failure::Overflow(Breaker::Connections)))?
        }
    };
    let timeout = to.config.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let (begun, id) = (Instant::now(), IDS.fetch_add(1, Ordering::Relaxed));
    let connecting = async {
        let mut io = connect(to, timeout).await?;
        let (local, connected) = (io.local_addr(), Instant::now());
        let mut dialed = Dialing { id, begun, connected, secured: None };
        if let Some(version) = to.proxy_protocol {
            let header = proxy_protocol::write(version, options.client);
            io.write_all(&header).await.map_err(|error| broken(&error, local))?;
            io.flush().await.map_err(|error| broken(&error, local))?;
        }
        let Some(tls) = &to.tls else {
            return Ok(Dialed { io, tls: None, local, counted, dialed });
        };
        let configured = tls.alpn();
        let alpn = options.alpn.as_deref().or(if configured.is_empty() { Some(fallback) } else { None });
        let names = options.tls_names.as_deref();
        let sni = names.and_then(|names| names.sni.as_ref());
        let san = names.and_then(|names| names.san.as_deref());
        let handshake = tls.connect(io, identity::ConnectOptions { alpn, sni, san }).await;
        to.cluster.note_handshake(handshake.as_ref().map(|(_, info)| info));
        let (stream, info) = handshake.map_err(|error| tls_failed(&error, local))?;
        dialed.secured = Some(Instant::now());
        Ok(Dialed { io: stream.into(), tls: Some(Arc::new(info)), local, counted, dialed })
    };
    let result = tokio::time::timeout(timeout, connecting).await.unwrap_or_else(|_| Err(timed_out()));
    if result.is_err() {
        to.endpoint.traffic().connect_fail.fetch_add(1, Ordering::Relaxed);
    }
    result
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
        Address::Name { host, port } => match &to.named {
            Some(named) if !named.addresses.is_empty() => {
                connect_any(host, named.addresses.iter().copied(), &options).await
            }
            _ => match tokio::net::lookup_host((host.as_str(), *port)).await {
                Ok(addresses) => connect_any(host, addresses, &options).await,
                Err(error) => Err(error.into()),
            },
        },
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
async fn connect_any(
    host: &str,
    addresses: impl Iterator<Item = SocketAddr>,
    options: &ConnectOptions,
) -> Result<Io, ConnectError> {
    let mut last = ConnectError::Io(std::io::Error::other(format!("no address for {host}")));
    for address in addresses {
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

/// While the PROXY protocol's header was written.
fn broken(error: &std::io::Error, local: Option<SocketAddr>) -> SendError {
    let failure = Failure::Connect { timeout: false, tls: false };
    SendError { detail: error.to_string(), local, ..SendError::new(failure) }
}

fn tls_failed(error: &TlsError, local: Option<SocketAddr>) -> SendError {
    let failure = Failure::Connect { timeout: false, tls: true };
    SendError { detail: error.to_string(), local, ..SendError::new(failure) }
}
