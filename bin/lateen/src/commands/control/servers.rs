//! The two gRPC ports.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use net::Alive;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use xds_server::{Connection, PeerIdentity, PeerInfo, XdsServer};

use super::authority::Authority;

/// A silent client is asked after this time (Istio's `GRPC_KEEPALIVE_INTERVAL`).
const KEEPALIVE: Duration = Duration::from_secs(30);
/// It is given up when not a byte has come or gone for this time (Istio's interval and
/// `GRPC_KEEPALIVE_TIMEOUT`).
const SILENCE: Duration = Duration::from_secs(40);
/// The longest that an answer to that question may take while bytes do come and go: where a thousand clients
/// are served for the first time, it stands behind all that they have still to read.
const ANSWER: Duration = Duration::from_secs(300);
/// Istio's `ISTIO_GPRC_MAXSTREAMS`.
const MAX_STREAMS: u32 = 100_000;

/// xDS without TLS (15010): whoever reaches the address may ask.
pub async fn plain(listener: TcpListener, xds: XdsServer) -> Result<(), String> {
    let connections = TcpListenerStream::new(listener).map(|accepted| accepted.and_then(open));
    let router = builder().add_service(xds.service());
    router.serve_with_incoming(connections).await.map_err(|error| error.to_string())
}

fn open(stream: TcpStream) -> std::io::Result<Connection<Alive<TcpStream>>> {
    stream.set_nodelay(true)?;
    let peer = PeerInfo { address: stream.peer_addr().ok(), secure: false, identity: None };
    Ok(Connection { io: Alive::new(stream, SILENCE), peer })
}

/// xDS and certificates over TLS (15012).
pub async fn secure(listener: TcpListener, xds: XdsServer, authority: Authority) -> Result<(), String> {
    let connections = authority.tls.incoming(listener).map(|accepted| accepted.map(Watched::new));
    let router = builder()
        .add_service(InterceptedService::new(xds.service(), introduce))
        .add_service(authority.service.into_server());
    router.serve_with_incoming(connections).await.map_err(|error| error.to_string())
}

/// Tells the xDS service who is there, in its own words.
fn introduce(mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
    let known = request.extensions().get::<ca::PeerInfo>().cloned();
    let identity = known.as_ref().and_then(|peer| peer.identity.clone());
    let peer = PeerInfo {
        address: known.map(|peer| peer.address),
        secure: true,
        identity: identity.map(|spiffe| PeerIdentity { spiffe }),
    };
    request.extensions_mut().insert(peer);
    Ok(request)
}

/// A connection of the TLS port that may not fall silent.
struct Watched<IO>(Alive<IO>);

impl<IO> Watched<IO> {
    fn new(io: IO) -> Self {
        Watched(Alive::new(io, SILENCE))
    }
}

impl<IO: Connected> Connected for Watched<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.0.get_ref().connect_info()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

fn builder() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(ANSWER))
        .max_concurrent_streams(MAX_STREAMS)
}
