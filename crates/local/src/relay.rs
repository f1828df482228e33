//! The gateway's port on the host: a plain relay, so that no NAT rule of the host is needed.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};

use crate::options::ports;

const CONNECT: Duration = Duration::from_secs(5);

/// Relays connections to the gateway pods that are ready, in turn.
pub struct Relay {
    pub address: SocketAddr,
    targets: Rc<RefCell<Vec<Ipv4Addr>>>,
}

impl Relay {
    /// Listens on 127.0.0.1. Must be called inside a `LocalSet`.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn start(port: u16) -> anyhow::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener =
            listener.with_context(|| format!("gateway port 127.0.0.1:{port} (see --gateway-port)"))?;
        let relay = Relay { address: listener.local_addr()?, targets: Rc::default() };
        tokio::task::spawn_local(serve(listener, relay.targets.clone()));
        Ok(relay)
    }

    pub fn set(&self, targets: Vec<Ipv4Addr>) {
        *self.targets.borrow_mut() = targets;
    }
}

async fn serve(listener: TcpListener, targets: Rc<RefCell<Vec<Ipv4Addr>>>) {
    let turn = Cell::new(0_usize);
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of descriptors: others will close.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        turn.set(turn.get().wrapping_add(1));
        let target = {
            let targets = targets.borrow();
            targets.get(turn.get() % targets.len().max(1)).copied()
        };
        // Without a gateway the connection is closed: there is nobody to answer.
        if let Some(target) = target {
            tokio::task::spawn_local(relay(client, target));
        }
    }
}

async fn relay(mut client: TcpStream, target: Ipv4Addr) {
    let connect = TcpStream::connect((target, ports::GATEWAY));
    let Ok(Ok(mut gateway)) = tokio::time::timeout(CONNECT, connect).await else { return };
    let _ = client.set_nodelay(true);
    let _ = gateway.set_nodelay(true);
    // Either side's end, polite or not, is passed on by closing.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut gateway).await;
}
