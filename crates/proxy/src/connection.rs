//! One accepted connection: from its first byte to the code that owns it.

mod direct;
mod info;
mod limit;
mod line;

pub use info::ConnInfo;
pub use limit::ConnectionLimit;

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use engine::chain::Chosen;
use identity::{TlsError, TlsInfo};
use ir::listener::TransportProtocol;
use net::Io;
use stdx::Str;
use stdx::turn::Timed;

use crate::access_log::{self, AccessLog, Flag, Record};
use crate::config::snapshot::{Chain, Listener, NetworkFilter, Terminal};
use crate::format::{Entry, NoHeaders};
use crate::http::HttpConnection;
use crate::protocol::{self, Http, Sniffed};
use crate::telemetry::ListenerStats;
use crate::worker::Worker;
use line::Line;

/// Serves a connection that was accepted on `address`.
///
/// An `async fn` keeps its arguments to its end, also when they have moved on. So each step has its own
/// in a box that goes with it, and an idle connection keeps room for waiting only.
pub fn serve(
    worker: Rc<Worker>,
    io: Io,
    remote: SocketAddr,
    address: SocketAddr,
) -> impl Future<Output = ()> {
    let beginning = Box::pin(begin(worker, io, remote, address));
    async move {
        let Some((serving, count)) = beginning.await else { return };
        Timed(serving).await;
        drop(count);
    }
}

/// A connection being served.
pub type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// Finds out who serves a connection, and counts it.
async fn begin(
    worker: Rc<Worker>,
    io: Io,
    remote: SocketAddr,
    address: SocketAddr,
) -> Option<(Serving, Closing)> {
    let bound = worker.snapshot().by_address.get(&address).cloned()?;
    let local = io.local_addr()?;
    let original = if bound.inspect.original_dst { original(&io) } else { None };
    let peer = remote;
    let mut io = io;
    let accepted_at = local;
    let (mut remote, mut local) = (remote, original.unwrap_or(local));
    let mut restored = original.is_some();
    if bound.inspect.proxy_protocol.is_some() {
        match protocol::proxy_protocol(&bound.inspect, &mut io).await {
            Ok(Some(addresses)) => ((remote, local), restored) = (addresses, true),
            Ok(None) => {}
            Err(error) => {
                let stats = worker.stats.listener(&bound.stat_prefix);
                stats.cx_total.inc();
                stats.cx_destroy.inc();
                match error {
                    protocol::SniffError::Timeout => stats.pre_cx_timeout.inc(),
                    protocol::SniffError::Failed => stats.proxy_protocol_error.inc(),
                }
                return None;
            }
        }
    }
    let relay = (remote != peer).then(|| Box::new(peer));
    let accepted_at = (local != accepted_at).then(|| Box::new(accepted_at));
    let listener = owner(&worker, bound, local);
    let stats = worker.stats.listener(&listener.stat_prefix);
    stats.cx_total.inc();
    stats.cx_active.inc();
    let count = Closing(stats.clone());
    let open = open(&worker, listener, &stats, io, Addresses { remote, relay, local, accepted_at, restored })
        .await?;
    Some((owned(worker, open), count))
}

/// The client and where it was going, and who has connected to us in its name.
struct Addresses {
    remote: SocketAddr,
    relay: Option<Box<SocketAddr>>,
    local: SocketAddr,
    accepted_at: Option<Box<SocketAddr>>,
    restored: bool,
}

/// A connection that its chain takes.
struct Open {
    chain: Arc<Chain>,
    listener: Arc<Listener>,
    info: Rc<ConnInfo>,
    io: Io,
    protocol: Option<Http>,
    record: Record,
}

/// Hands the connection to the last filter of its chain.
fn owned(worker: Rc<Worker>, open: Open) -> Serving {
    let Open { chain, listener, info, io, protocol, record } = open;
    match &chain.terminal {
        Terminal::Tcp(tcp) => {
            let logs = listener.access_log.clone();
            Box::pin(crate::tcp::serve(worker, tcp.clone(), info, io, record, logs))
        }
        Terminal::Http(hcm) if listener.access_log.is_empty() => {
            let conn = HttpConnection::new(worker, hcm.clone(), info, &io, protocol);
            crate::http::serve(conn, io)
        }
        Terminal::Http(hcm) => {
            let hcm = hcm.clone();
            let (mut line, io) = Line::open(&worker, listener, &info, record, io);
            let conn = HttpConnection::new(worker, hcm, info, &io, protocol);
            line.set_http(&conn);
            Box::pin(async move {
                crate::http::serve(conn, io).await;
                drop(line);
            })
        }
        Terminal::Direct(response) => {
            let logs = listener.access_log.clone();
            Box::pin(direct::serve(worker, io, response.clone(), logs, info, record))
        }
    }
}

/// What it speaks, which chain serves it, TLS, who may. `None`: it was refused, and recorded.
async fn open(
    worker: &Worker,
    listener: Arc<Listener>,
    stats: &ListenerStats,
    mut io: Io,
    addresses: Addresses,
) -> Option<Open> {
    let Addresses { remote, relay, local, accepted_at, restored } = addresses;
    let mut record = Record::new();
    let sniffed = sniff(&listener, &mut io, local, stats).await;
    let mut info = ConnInfo {
        id: worker.next_connection_id(),
        local,
        restored,
        remote,
        relay,
        accepted_at,
        listener: listener.config.name.clone(),
        chain: Str::default(),
        sni: sniffed.as_ref().and_then(|sniffed| sniffed.server_name.clone()),
        tls: None,
        handshake_ms: None,
    };
    let Some(sniffed) = sniffed else {
        log(worker, &listener.access_log, &record, &info);
        return None;
    };
    let Some(chain) = choose(&listener, &info, &sniffed) else {
        stats.no_filter_chain_match.inc();
        record.flag(Flag::NR);
        record.details = "filter_chain_not_found".into();
        log(worker, &listener.access_log, &record, &info);
        return None;
    };
    info.chain = chain.name.clone();
    if let Err(delay) = limit::admit(worker, &chain, &mut io) {
        Box::pin(limit::leave_open(worker, delay)).await;
        log_refused(worker, &listener, &chain, &record, &info);
        return None;
    }
    if let Some(tls) = &chain.tls {
        let shaken = handshake(tls, io, chain.handshake_timeout).await;
        let handshakes = worker.stats.handshakes(&listener.stat_prefix);
        handshakes.note(shaken.as_ref().map(|(_, facts)| facts));
        match shaken {
            Ok((stream, facts)) => {
                info.sni = facts.sni.clone().or(info.sni);
                info.tls = Some(Box::new(facts));
                info.handshake_ms = u32::try_from(record.started.elapsed().as_millis()).ok();
                io = stream;
            }
            Err(error) => {
                tracing::debug!(listener = %info.listener, chain = %info.chain, peer = %remote, %error, "TLS refused");
                record.termination = Some("TLS_handshake_failed".into());
                record.downstream_failure = Some(error.to_string());
                log(worker, &listener.access_log, &record, &info);
                return None;
            }
        }
    }
    if let Err(policy) = authorize(worker, &chain, &info) {
        record.details = format!("rbac_access_denied_matched_policy[{policy}]").into();
        record.termination = Some(record.details.clone());
        log_refused(worker, &listener, &chain, &record, &info);
        return None;
    }
    Some(Open { chain, listener, info: Rc::new(info), io, protocol: sniffed.protocol, record })
}

/// What came of a connection before anything else did.
fn log_refused(worker: &Worker, listener: &Listener, chain: &Chain, record: &Record, info: &ConnInfo) {
    log(worker, &listener.access_log, record, info);
    if let Terminal::Tcp(tcp) = &chain.terminal {
        log(worker, &tcp.access_log, record, info);
    }
}

/// Network RBAC. The error is the policy that denied, or `none`.
fn authorize(worker: &Worker, chain: &Chain, info: &ConnInfo) -> Result<(), Str> {
    for filter in &chain.filters {
        let NetworkFilter::Rbac(filter) = filter else { continue };
        let certificate = info.certificate();
        let peer = engine::rbac::Peer {
            remote: info.remote.ip(),
            direct_remote: info.direct_remote().ip(),
            local: info.local,
            server_name: info.sni.as_deref().unwrap_or(""),
            certificate: certificate.as_ref(),
            metadata: None,
        };
        let stats = worker.stats.tcp(&filter.stat_prefix);
        let decide = |rules: &engine::rbac::Rbac| rules.decide(&peer, None::<&engine::request::PlainRequest>);
        match filter.rules.shadow.as_ref().map(decide) {
            Some(engine::rbac::Verdict::Allowed | engine::rbac::Verdict::Logged { .. }) => {
                stats.rbac_shadow_allowed.inc()
            }
            Some(engine::rbac::Verdict::Denied { .. }) => stats.rbac_shadow_denied.inc(),
            None => {}
        }
        let Some(rules) = &filter.rules.enforced else { continue };
        match decide(rules) {
            engine::rbac::Verdict::Allowed | engine::rbac::Verdict::Logged { .. } => stats.rbac_allowed.inc(),
            engine::rbac::Verdict::Denied { policy } => {
                stats.rbac_denied.inc();
                return Err(policy.unwrap_or_else(|| Str::from("none")));
            }
        }
    }
    Ok(())
}

fn original(io: &Io) -> Option<SocketAddr> {
    io.tcp().and_then(|tcp| net::original_dst(tcp).ok()).map(|original| original.address)
}

/// The listener that serves the connection: the one bound to the original destination, or the
/// one that accepted it.
fn owner(worker: &Worker, bound: Arc<Listener>, local: SocketAddr) -> Arc<Listener> {
    if !bound.config.use_original_dst {
        return bound;
    }
    match worker.snapshot().listener_for(local) {
        Some(other) if other.config.name != bound.config.name => other.clone(),
        _ => bound,
    }
}

async fn sniff(
    listener: &Listener,
    io: &mut Io,
    local: SocketAddr,
    stats: &ListenerStats,
) -> Option<Sniffed> {
    let result = protocol::inspect(&listener.inspect, io, local.port()).await;
    if matches!(result, Err(protocol::SniffError::Timeout)) {
        stats.pre_cx_timeout.inc();
    }
    result.ok()
}

fn choose(listener: &Listener, info: &ConnInfo, sniffed: &Sniffed) -> Option<Arc<Chain>> {
    let protocols: Vec<&str> = sniffed.application_protocols.iter().map(String::as_str).collect();
    let facts = engine::chain::Connection {
        destination: info.local,
        source: info.remote,
        direct_source: info.direct_remote(),
        transport: if sniffed.tls { TransportProtocol::Tls } else { TransportProtocol::RawBuffer },
        server_name: sniffed.server_name.as_deref().unwrap_or(""),
        application_protocols: &protocols,
    };
    let chosen = engine::chain::select(&listener.config, &facts);
    if chosen == Chosen::Ambiguous {
        tracing::warn!(listener = %info.listener, "several filter chains match a connection equally; it is closed");
    }
    listener.chain(chosen).cloned()
}

async fn handshake(
    tls: &identity::ServerTls,
    io: Io,
    timeout: Option<std::time::Duration>,
) -> Result<(Io, TlsInfo), TlsError> {
    let handshake = async { tls.accept(io).await.map(|(stream, facts)| (Io::from(stream), facts)) };
    match timeout.filter(|t| !t.is_zero()) {
        None => Box::pin(handshake).await,
        Some(limit) => tokio::time::timeout(limit, Box::pin(handshake))
            .await
            .unwrap_or_else(|_| Err(TlsError::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

fn log(worker: &Worker, logs: &[AccessLog], record: &Record, info: &ConnInfo) {
    let entry = Entry { record, conn: info, headers: &NoHeaders };
    access_log::write(logs, &entry, &worker.logs);
}

/// Counts the end of a connection, however it comes.
struct Closing(Arc<ListenerStats>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.cx_active.dec();
        self.0.cx_destroy.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    fn size3<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle connection costs its task and little more. (`tests/idle.rs` counts it all.)
    #[test]
    fn an_idle_connection_is_small() {
        let task = size(serve) + size3(crate::http::h1::serve);
        let shared = size_of::<crate::http::HttpConnection>() + size_of::<ConnInfo>();
        assert!(task + shared <= 1024, "{} {} {shared}", size(serve), size3(crate::http::h1::serve));
    }
}
