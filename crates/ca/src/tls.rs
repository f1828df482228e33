//! TLS of the control plane's own port (15012).
//!
//! Client certificates are asked for, not required: a workload that has none yet comes with a
//! token. Sessions are not resumed, so a client certificate is judged on every connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tonic::transport::server::Connected;

use crate::issuer::{Issuer, ServingNames};
use crate::peer::{PeerInfo, spiffe_of};
use crate::root::CaError;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the clock is looked at; a suspended machine may find its certificate expired.
const RENEWAL_CHECK: Duration = Duration::from_secs(30);

/// The serving certificate, renewed in time, and the settings made from it.
pub struct ControlTls {
    issuer: Arc<Issuer>,
    names: ServingNames,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Current {
    /// With the time (Unix seconds) from which a new one is wanted.
    key: ArcSwap<(Arc<CertifiedKey>, i64)>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load().0.clone())
    }
}

impl ControlTls {
    /// # Errors
    /// No certificate could be made for these names.
    pub fn new(issuer: Arc<Issuer>, names: ServingNames) -> Result<Arc<Self>, CaError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current =
            Arc::new(Current { key: ArcSwap::from_pointee(make(&issuer, &names, SystemTime::now())?) });
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(issuer.root_pem().as_bytes()) {
            let root = root.map_err(|error| unusable(error.to_string()))?;
            roots.add(root).map_err(|error| unusable(error.to_string()))?;
        }
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(ControlTls { issuer, names, current, config: Arc::new(config) }))
    }

    /// Accepts connections and shakes hands with many at once. The stream (for tonic's
    /// `serve_with_incoming`) ends when the listener fails for good; dropping it stops accepting.
    pub fn incoming(
        self: &Arc<Self>,
        listener: TcpListener,
    ) -> tokio_stream::wrappers::ReceiverStream<io::Result<ControlTlsStream>> {
        let (accepted, stream) = mpsc::channel(64);
        tokio::spawn(self.clone().renew(accepted.clone()));
        tokio::spawn(self.clone().accept(listener, accepted));
        tokio_stream::wrappers::ReceiverStream::new(stream)
    }

    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        accepted: mpsc::Sender<io::Result<ControlTlsStream>>,
    ) {
        loop {
            let connection = tokio::select! {
                () = accepted.closed() => return,
                connection = listener.accept() => connection,
            };
            match connection {
                Ok((stream, address)) => {
                    let (acceptor, accepted) = (TlsAcceptor::from(self.config.clone()), accepted.clone());
                    tokio::spawn(async move {
                        match shake_hands(&acceptor, stream, address).await {
                            Ok(stream) => drop(accepted.send(Ok(stream)).await),
                            Err(error) => tracing::debug!(%address, %error, "TLS handshake failed"),
                        }
                    });
                }
                // Out of descriptors, or the peer was gone already: others may do better.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Renews the serving certificate until nobody accepts any more.
    async fn renew(self: Arc<Self>, accepted: mpsc::Sender<io::Result<ControlTlsStream>>) {
        loop {
            tokio::select! {
                () = accepted.closed() => return,
                () = tokio::time::sleep(self.next_check()) => self.renew_if_due(SystemTime::now()),
            }
        }
    }

    fn next_check(&self) -> Duration {
        let due = self.current.key.load().1.saturating_sub(unix(SystemTime::now()));
        Duration::from_secs(u64::try_from(due).unwrap_or(0).max(1)).min(RENEWAL_CHECK)
    }

    /// Makes a new serving certificate if the old one's half-life has passed.
    pub fn renew_if_due(&self, now: SystemTime) {
        if unix(now) < self.current.key.load().1 {
            return;
        }
        match make(&self.issuer, &self.names, now) {
            Ok(renewed) => self.current.key.store(Arc::new(renewed)),
            Err(error) => tracing::error!(%error, "serving certificate not renewed, the old one stays"),
        }
    }
}

/// A new certificate and the time at which half of its life is over.
fn make(issuer: &Issuer, names: &ServingNames, now: SystemTime) -> Result<(Arc<CertifiedKey>, i64), CaError> {
    let (issued, key) = issuer.server_certificate(names, now).map_err(|error| unusable(error.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(issued.chain.concat().as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unusable(error.to_string()))?;
    let signer =
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|e| unusable(e.to_string()))?;
    let half = unix(now) + (issued.not_after - unix(now)) / 2;
    Ok((Arc::new(CertifiedKey::new(chain, signer)), half))
}

async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<ControlTlsStream> {
    stream.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no handshake in time"))??;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let identity = leaf.and_then(|leaf| spiffe_of(leaf));
    Ok(ControlTlsStream { stream, peer: PeerInfo { address, identity } })
}

/// A connection to the control plane. Its [`PeerInfo`] is in each request's extensions.
pub struct ControlTlsStream {
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    peer: PeerInfo,
}

impl Connected for ControlTlsStream {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for ControlTlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ControlTlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn unusable(message: String) -> CaError {
    CaError::Unusable(message)
}
