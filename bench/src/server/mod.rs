//! Backends that cost little beside a proxy: it is to be the one that is full, and answers that come one by one
//! have it woken for each. The program starts itself as one (`bench serve grpc PORT`), so that they are a
//! process on the load's core like any backend.

mod http1;
mod http2;
pub mod websocket;

use std::future::Future;

use tokio::net::{TcpListener, TcpStream};

use crate::machine::loopback;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    Http1,
    Http2,
    Grpc,
    Websocket,
}

/// Serves until it is ended.
///
/// # Errors
/// The port is taken.
pub fn serve(service: Service, port: u16) -> anyhow::Result<()> {
    match service {
        Service::Http1 => http1::serve(port),
        Service::Http2 => each(port, |stream| http2::connection(stream, http2::page)),
        Service::Grpc => each(port, |stream| http2::connection(stream, http2::call)),
        Service::Websocket => each(port, websocket::connection),
    }
}

/// Has a task for each connection. One that breaks is the other side's business: the load generator counts it.
fn each<Serving>(port: u16, connection: impl Fn(TcpStream) -> Serving) -> anyhow::Result<()>
where
    Serving: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(loopback(port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let serving = connection(stream);
            tokio::spawn(async move {
                let _ = serving.await;
            });
        }
    })
}

/// For clients that run in this process.
pub async fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(loopback(port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
