//! Small HTTP requests to the proxy's admin.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(5);
/// Istio's limit of a scraped page.
const MAX_BODY: usize = 10 << 20;

/// Asks `127.0.0.1:port` and gives status and body.
pub(crate) async fn request(method: Method, port: u16, path: &str) -> Result<(u16, Bytes), String> {
    let exchange = tokio::time::timeout(TIMEOUT, exchange(method, port, path)).await;
    exchange
        .unwrap_or_else(|_| Err(Box::from("no answer in time")))
        .map_err(|error| format!("127.0.0.1:{port}{path}: {error}"))
}

async fn exchange(
    method: Method,
    port: u16,
    path: &str,
) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await?.to_bytes();
        Ok((status, body))
    };
    tokio::pin!(answer);
    let connection = async {
        // Its errors are the request's.
        let _ = connection.await;
        std::future::pending::<()>().await
    };
    tokio::select! {
        answer = &mut answer => answer,
        () = connection => Err("connection ended".into()),
    }
}
