//! Accepting connections.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ir::OverloadAction;
use net::Io;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::connection;
use crate::worker::Worker;

/// How soon a listener that must not accept looks whether it may again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Accepts on a socket until told to stop, and then what is left in its queue: closing a socket
/// resets the connections that wait in it.
pub async fn accept(
    worker: Rc<Worker>,
    address: SocketAddr,
    socket: std::net::TcpListener,
    stop: Rc<Notify>,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%address, %error, "socket cannot be used"),
    };
    loop {
        let pause = worker.shared.pressure.is_active(OverloadAction::StopAcceptingConnections);
        tokio::select! {
            biased;
            () = stop.notified() => break,
            () = tokio::time::sleep(LOOK_AGAIN), if pause => {}
            accepted = listener.accept(), if !pause => match accepted {
                Ok((stream, peer)) => start(&worker, stream, peer, address),
                Err(error) => wait_after(&error, address).await,
            },
        }
    }
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, peer)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            start(&worker, stream, peer, address);
        }
    }
}

fn start(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, address: SocketAddr) {
    let Some(guard) = worker.shared.pressure.admit(&worker.shared.drain) else {
        return reject(worker, address);
    };
    let worker = worker.clone();
    worker.note_churn();
    // Made here: the task would keep room for all that it is made of.
    let peer = net::original_dst::unmapped(peer);
    let serving = connection::serve(worker.clone(), Io::from(stream), peer, address);
    tokio::task::spawn_local(async move {
        serving.await;
        worker.log_later();
        worker.note_churn();
        drop(guard);
    });
}

/// There are too many connections: this one is closed at once.
fn reject(worker: &Worker, address: SocketAddr) {
    if let Some(listener) = worker.snapshot().by_address.get(&address) {
        worker.stats.listener(&listener.stat_prefix).global_cx_overflow.inc();
    }
}

/// Running out of file descriptors must not become a busy loop.
async fn wait_after(error: &std::io::Error, address: SocketAddr) {
    let harmless =
        matches!(error.kind(), std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::Interrupted);
    if !harmless {
        tracing::warn!(%address, %error, "accept failed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
