//! A gRPC channel to the server: one connection, made new for every stream.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use identity::ConnectOptions;
use net::Alive;
use stdx::Str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint};

use crate::{AdsConfig, Target};

/// Windows that let a response of 1 MiB through without a round trip.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// A silent peer is asked after this time.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// It is given up when not a byte has come or gone for this time. A server that has a thousand clients to serve
/// at once is not silent, though its answer may take its time: that long at most.
const SILENCE: Duration = Duration::from_secs(40);
const ANSWER: Duration = Duration::from_secs(300);

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects. The whole of it (names, TCP, TLS, HTTP/2) has `connect_timeout`.
///
/// # Errors
/// A sentence that says what failed.
pub(crate) async fn channel(config: &AdsConfig) -> Result<Channel, String> {
    let endpoint = Endpoint::from_static("http://xds")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(ANSWER)
        .keep_alive_while_idle(true);
    let target = config.target.clone();
    let connect = tower::service_fn(move |_: Uri| {
        let target = target.clone();
        async move { open(&target).await.map(|io| TokioIo::new(Alive::new(io, SILENCE))) }
    });
    let channel = endpoint.connect_with_connector(connect);
    match tokio::time::timeout(config.backoff.connect_timeout, channel).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("no connection within {:?}", config.backoff.connect_timeout)),
    }
}

async fn open(target: &Target) -> io::Result<Pin<Box<dyn Io>>> {
    match target {
        Target::Tcp(address) => Ok(Box::pin(tcp(address).await?)),
        Target::Unix(path) => Ok(Box::pin(UnixStream::connect(path).await?)),
        Target::Tls { address, tls } => {
            let options = ConnectOptions { alpn: Some(&[Str::from("h2")]), ..ConnectOptions::default() };
            let (stream, _) = tls.connect(tcp(address).await?, options).await.map_err(io::Error::other)?;
            Ok(Box::pin(stream))
        }
    }
}

async fn tcp(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An error with its causes, for tonic's own texts say little ("transport error").
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
