//! The two gRPC ports.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use xds_server::{Connection, PeerIdentity, PeerInfo, XdsServer};

use super::authority::Authority;

/// Istio's `GRPC_KEEPALIVE_INTERVAL` and `GRPC_KEEPALIVE_TIMEOUT`.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Istio's `ISTIO_GPRC_MAXSTREAMS`.
const MAX_STREAMS: u32 = 100_000;

/// xDS without TLS (15010): whoever reaches the address may ask.
pub async fn plain(listener: TcpListener, xds: XdsServer) -> Result<(), String> {
    let connections = TcpListenerStream::new(listener).map(|accepted| accepted.and_then(open));
    let router = builder().add_service(xds.service());
    router.serve_with_incoming(connections).await.map_err(|error| error.to_string())
}

fn open(stream: TcpStream) -> std::io::Result<Connection<TcpStream>> {
    stream.set_nodelay(true)?;
    let peer = PeerInfo { address: stream.peer_addr().ok(), secure: false, identity: None };
    Ok(Connection { io: stream, peer })
}

/// xDS and certificates over TLS (15012).
pub async fn secure(listener: TcpListener, xds: XdsServer, authority: Authority) -> Result<(), String> {
    let connections = authority.tls.incoming(listener);
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

fn builder() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS)
}
