//! The TCP proxy: bytes both ways between a client and an endpoint.

mod tunnel;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::forward_proxy::Target;
use engine::outlier;
use ir::access_log::LogType;
use ir::tcp::TcpClusters;
use ir::{Address, ClusterDiscovery};
use net::{CopyEnd, Direction, Io};
use stdx::Str;
use upstream::{Destination, Failure, InFlight, SendOptions};

use crate::access_log::{self, AccessLog, Flag, Record};
use crate::balance::{Asked, Pick};
use crate::config::snapshot::{Cluster, Tcp};
use crate::connection::ConnInfo;
use crate::format::{Entry, NoHeaders};
use crate::forward_proxy::{Refused, pick as forward_proxy};
use crate::telemetry::{TcpStats, istio};
use crate::worker::Worker;

/// Envoy's default for connections on which nothing moves.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// A connection being proxied. Dropping it closes the record.
pub struct TcpSession {
    pub worker: Rc<Worker>,
    pub tcp: Arc<Tcp>,
    pub info: Rc<ConnInfo>,
    pub record: Record,
    listener_log: Arc<[AccessLog]>,
    pub service: Option<Arc<ir::cluster::ServiceRef>>,
    pub workload: Option<Arc<ir::endpoint::WorkloadRef>>,
    pub upstream_principal: Option<Str>,
    pub local_principal: Option<Str>,
    stats: Arc<TcpStats>,
    series: Option<Arc<istio::Series>>,
}

/// An endpoint that took the connection.
struct Connected {
    io: Io,
    _in_flight: InFlight,
    _at_endpoint: upstream::InFlightAt,
}

/// Serves a connection to its end. A push never closes it; a drain waits for it.
pub async fn serve(
    worker: Rc<Worker>,
    tcp: Arc<Tcp>,
    info: Rc<ConnInfo>,
    mut client: Io,
    record: Record,
    listener_log: Arc<[AccessLog]>,
) {
    let begin = Instant::now();
    let stats = worker.stats.tcp(&tcp.config.stat_prefix);
    stats.cx_total.inc();
    stats.cx_active.inc();
    let forced = worker.shared.drain.clone();
    let mut record = record;
    if access_log::asks(&tcp.access_log).exchange {
        record.told = Some(Rc::default());
    }
    let mut session = TcpSession {
        worker,
        tcp,
        info,
        record,
        listener_log,
        service: None,
        workload: None,
        upstream_principal: None,
        stats,
        local_principal: None,
        series: None,
    };
    let Some(mut server) = session.connect().await else {
        return;
    };
    session.series = istio::tcp_series(&session);
    if let Some(series) = &session.series {
        series.opened.inc();
    }
    let idle = session.tcp.config.idle_timeout.unwrap_or(IDLE_TIMEOUT);
    let idle = (!idle.is_zero()).then_some(idle);
    let max_duration = session.tcp.config.max_downstream_connection_duration.map(|max| begin + max);
    let TcpSession { record, series, stats, .. } = &mut session;
    let (mut up, mut down) = (0, 0);
    let moved = |direction, bytes| {
        let (total, counted) = match direction {
            Direction::ToServer => (&mut up, series.as_ref().map(|series| &series.received)),
            Direction::ToClient => (&mut down, series.as_ref().map(|series| &series.sent)),
        };
        *total += bytes;
        if let Some(counter) = counted {
            counter.add(bytes);
        }
    };
    let end = tokio::select! {
        (_, end) = net::copy_bidirectional(&mut client, &mut server.io, idle, moved) => Some(end),
        () = forced.forced() => None,
        () = over(max_duration) => {
            stats.max_duration.inc();
            record.termination = Some("max_connection_duration".into());
            record.flag(Flag::DT);
            None
        }
    };
    (record.bytes_received, record.bytes_sent) = (up, down);
    match end {
        Some(CopyEnd::Idle) => {
            stats.idle_timeout.inc();
            record.termination = Some("idle_timeout".into());
        }
        Some(CopyEnd::ClientFailed(_)) => {
            record.flag(Flag::DC);
            server.io.abort_on_drop();
        }
        Some(CopyEnd::ServerFailed(_)) => {
            record.flag(Flag::UC);
            client.abort_on_drop();
        }
        Some(CopyEnd::Finished) | None => {}
    }
}

/// Resolves at that time; never without one.
async fn over(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

impl TcpSession {
    /// Tries endpoints until one takes the connection, at most `max_connect_attempts` times.
    async fn connect(&mut self) -> Option<Connected> {
        let name = self.choose()?;
        self.record.cluster = Some(name.clone());
        let Some(cluster) = self.worker.snapshot().cluster(&name).cloned() else {
            self.stats.cx_no_route.inc();
            self.record.flag(Flag::NC);
            return None;
        };
        self.service = cluster.config.services.first().cloned();
        let counters = self.worker.stats.cluster(&name);
        let mut tried = Vec::new();
        let named = match cluster.forward_proxy.is_some() {
            false => None,
            true => Some(Box::pin(self.named(&cluster)).await?),
        };
        let client = Some((self.info.remote, self.info.local));
        let options = SendOptions { client, ..SendOptions::default() };
        for attempt in 0..self.tcp.config.max_connect_attempts.max(1) {
            self.back_off(attempt).await;
            let picked = match &named {
                Some(to) => Some((to.clone(), None)),
                None => self.pick(&cluster, &tried),
            };
            let Some((to, workload)) = picked else {
                counters.cx_none_healthy.inc();
                self.record.flag(Flag::UH);
                return None;
            };
            self.record.attempts += 1;
            self.record.upstream_host = Some(to.address());
            if let Some(told) = &self.record.told {
                told.attempt(&to);
            }
            self.workload = workload;
            counters.cx_total.inc();
            match self.worker.upstream.connect(&to, &options).await {
                Ok((mut io, facts, in_flight)) => {
                    if let Err(why) = self.tunnel(&cluster, &mut io).await {
                        counters.cx_connect_fail.inc();
                        self.report(&cluster, &to, Some(outlier::Outcome::LocalFailure));
                        self.record.flag(Flag::UF);
                        self.record.transport_failure = Some(why);
                        tried.push(to.endpoint.address.clone());
                        continue;
                    }
                    let tls = facts.tls.as_deref();
                    let peer = tls.and_then(|tls| tls.peer.as_ref());
                    self.upstream_principal = peer.and_then(|peer| peer.uri_sans.first().cloned());
                    let local = tls.and_then(|tls| tls.local.as_ref());
                    self.local_principal = local.and_then(|local| local.uri_sans.first().cloned());
                    self.record.upstream = Some(facts);
                    self.report(&cluster, &to, Some(outlier::Outcome::Status(200)));
                    let _at_endpoint = to.endpoint.start();
                    to.endpoint.traffic().neither.fetch_add(1, Ordering::Relaxed);
                    return Some(Connected { io, _in_flight: in_flight, _at_endpoint });
                }
                Err(error) => {
                    counters.cx_connect_fail.inc();
                    let overflow = matches!(error.failure, Failure::Overflow(_));
                    self.report(
                        &cluster,
                        &to,
                        if overflow { None } else { Some(outlier::Outcome::LocalFailure) },
                    );
                    let flag = if overflow { Flag::UO } else { Flag::UF };
                    self.record.flag(flag);
                    self.record.transport_failure = (!error.detail.is_empty()).then(|| error.detail.clone());
                    tried.push(to.endpoint.address.clone());
                }
            }
        }
        self.record.flag(Flag::URX);
        None
    }

    /// Where the name leads that the TLS client has brought along. `None`: nowhere.
    async fn named(&mut self, cluster: &Arc<Cluster>) -> Option<Rc<Destination>> {
        let cache = cluster.forward_proxy.as_ref()?;
        let filter = self.tcp.forward_proxy.as_ref();
        let port = filter.map_or_else(|| forward_proxy::default_port(cluster), |filter| filter.port);
        let info = self.info.clone();
        let host = info.sni.as_deref().unwrap_or("");
        let found = match host.is_empty() {
            true => None,
            false => Some(forward_proxy::find(&self.worker, cluster, cache, Target { host, port }).await),
        };
        // A filter that has asked for the name before the cluster does ends the connection without a word.
        let is_unknown = matches!(&found, Some(Err(why)) if *why != Refused::Ejected);
        let is_of_filter = is_unknown && filter.is_some_and(|filter| filter.cache == cache.config);
        let found = found.and_then(Result::ok);
        if found.is_none() && !is_of_filter {
            self.worker.stats.cluster(&cluster.config.name).cx_none_healthy.inc();
            self.record.flag(Flag::UH);
        }
        found
    }

    /// Goes through the endpoint, where it is a proxy.
    async fn tunnel(&self, cluster: &Cluster, io: &mut Io) -> Result<(), String> {
        let Some(target) = &self.tcp.config.tunnel_to else { return Ok(()) };
        if cluster.config.protocol == ir::HttpProtocol::Http2 {
            return Err(format!("no tunnel to {target} goes over HTTP/2"));
        }
        tunnel::open(io, target).await
    }

    /// Waits before another attempt, where the configuration says so.
    async fn back_off(&self, attempt: u32) {
        if let Some((base, max)) = self.tcp.config.connect_back_off.filter(|_| attempt > 0) {
            let time = self.worker.with_dice(|dice| engine::retry::back_off(base, max, attempt, dice));
            tokio::time::sleep(time).await;
        }
    }

    fn report(&self, cluster: &Cluster, to: &Destination, outcome: Option<outlier::Outcome>) {
        if let Some(config) = &cluster.config.outlier {
            cluster.report(&self.worker, config, to, outcome);
        }
    }

    fn choose(&self) -> Option<Str> {
        match &self.tcp.config.clusters {
            TcpClusters::Single(name) => Some(name.clone()),
            TcpClusters::Weighted(all) => {
                let weights = all.iter().map(|(_, weight)| *weight);
                let index = self.worker.with_dice(|dice| engine::dice::weighted(dice, weights))?;
                all.get(index).map(|(name, _)| name.clone())
            }
        }
    }

    fn pick(
        &self,
        cluster: &Cluster,
        tried: &[Address],
    ) -> Option<(Rc<Destination>, Option<Arc<ir::endpoint::WorkloadRef>>)> {
        if matches!(cluster.config.discovery, ClusterDiscovery::OriginalDst) {
            return self.info.original().map(|to| (self.worker.original(cluster, to), None));
        }
        let hash =
            self.tcp.config.hash_source_ip.then(|| cluster.hash_of_client(self.info.remote.ip())).flatten();
        let criteria = Some(&self.tcp.config.metadata_match);
        let Pick { index, panic } =
            cluster.pick(&self.worker, Asked { hash, criteria, avoid: &[] }, tried)?;
        if panic {
            self.worker.stats.cluster(&cluster.config.name).lb_healthy_panic.inc();
        }
        let endpoint = cluster.endpoints.endpoints().get(index);
        let workload = endpoint.and_then(|endpoint| endpoint.workload.clone());
        Some((Rc::new(cluster.destinations.get(index)?.clone()), workload))
    }
}

impl Drop for TcpSession {
    fn drop(&mut self) {
        self.stats.cx_active.dec();
        self.stats.cx_rx_bytes.add(self.record.bytes_received);
        self.stats.cx_tx_bytes.add(self.record.bytes_sent);
        if let Some(series) = &self.series {
            series.closed.inc();
        }
        // The listener's line comes first, and is of no type, as in Envoy.
        for (logs, kind) in
            [(&self.listener_log, LogType::NotSet), (&self.tcp.access_log, LogType::TcpConnectionEnd)]
        {
            self.record.kind = kind;
            let entry = Entry { record: &self.record, conn: &self.info, headers: &NoHeaders };
            access_log::write(logs, &entry, &self.worker.logs);
        }
    }
}
