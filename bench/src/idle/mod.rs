//! Connections that do nothing: what each costs in memory, and whether memory comes back.
//!
//! Each connection makes one request and is then left alone. Memory is the proxy's anonymous pages
//! before and after; the kernel's sockets are not in it.

mod client;

use std::time::Duration;

use anyhow::Context as _;

use crate::backend::Backend;
use crate::hop::{Protocol, Row};
use crate::machine::mebibytes;
use crate::metric::{Measured, Metric};
use crate::peers::{Peer, Running, Site};
use client::{Client, Kind};

/// What may be freed when things are quiet has then been freed.
const SETTLE: Duration = Duration::from_secs(3);

/// How long after a burst its memory may take to go back.
const RETURN: Duration = Duration::from_secs(8);

/// # Errors
/// A peer does not start or does not answer.
pub fn measure(
    site: &Site,
    backend: &Backend,
    peers: &[Peer],
    connections: usize,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    for kind in [Kind::Http1, Kind::Tls, Kind::Http2] {
        for peer in peers {
            eprintln!("bench:   {connections} {kind:?} connections to {peer}");
            one(site, backend, *peer, kind, connections, &mut measured)
                .with_context(|| format!("{connections} {kind:?} connections to {peer}"))?;
        }
    }
    Ok(measured)
}

fn one(
    site: &Site,
    backend: &Backend,
    peer: Peer,
    kind: Kind,
    connections: usize,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let (row, protocol, port) = match kind {
        Kind::Http1 => (Row::Single, Protocol::Http1, backend.http1),
        Kind::Tls => (Row::Gateway, Protocol::Http1, backend.http1),
        Kind::Http2 => (Row::Single, Protocol::Http2, backend.http2),
    };
    let running = Running::start(site, peer, &row.hops(protocol, port)?)?;
    let client = Client::new(kind, running.port, &site.certificates)?;
    // Code is paged in and the connection to the backend is open before anything counts.
    for _ in 0..100 {
        drop(client.open()?);
    }
    std::thread::sleep(SETTLE);
    let before = running.memory()?;
    let mut open = Vec::with_capacity(connections);
    for index in 0..connections {
        open.push(client.open().with_context(|| format!("connection {index}"))?);
    }
    std::thread::sleep(SETTLE);
    let during = running.memory()?;
    drop(open);
    std::thread::sleep(RETURN);
    let after = running.memory()?;

    let each = during.anonymous.saturating_sub(before.anonymous) as f64 / 1024.0 / connections as f64;
    let grown = during.anonymous.saturating_sub(before.anonymous).max(1) as f64;
    let left = after.anonymous.saturating_sub(before.anonymous) as f64;
    let samples = &mut measured.samples;
    match kind {
        Kind::Http1 => {
            samples.add(peer, Metric::PerConnection, each);
            samples.add(peer, Metric::BeforeBurst, mebibytes(before.anonymous));
            samples.add(peer, Metric::DuringBurst, mebibytes(during.anonymous));
            samples.add(peer, Metric::AfterBurst, mebibytes(after.anonymous));
            samples.add(peer, Metric::LeftOver, 100.0 * left / grown);
        }
        Kind::Tls => samples.add(peer, Metric::PerTlsConnection, each),
        Kind::Http2 => samples.add(peer, Metric::PerHttp2Connection, each),
    }
    Ok(())
}
