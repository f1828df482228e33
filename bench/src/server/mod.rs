//! Backends of our own, where nginx has none: gRPC and WebSocket echo. The program starts itself as
//! one (`bench serve grpc PORT`), so that they are a process on the load's core like any backend.

mod grpc;
pub mod websocket;

use std::future::Future;

use tokio::net::{TcpListener, TcpStream};

use crate::machine::loopback;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    Grpc,
    Websocket,
}

/// Serves until it is ended.
///
/// # Errors
/// The port is taken.
pub fn serve(service: Service, port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(loopback(port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match service {
                Service::Grpc => spawn(grpc::connection(stream)),
                Service::Websocket => spawn(websocket::connection(stream)),
            }
        }
    })
}

/// A connection that breaks is the other side's business: the load generator counts it.
fn spawn(connection: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        let _ = connection.await;
    });
}

/// For clients that run in this process.
pub async fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(loopback(port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
