//! Everything about one request, from its head to its record.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stdx::{Str, turn};
use upstream::{RequestHead, ResponseHead};

use super::HttpConnection;
use super::body::Progress;
use super::outgoing::End;
use super::seen::{Seen, response_bytes};
use crate::access_log::{self, Flag, Record, Told};
use crate::config::routes::Routes;
use crate::config::snapshot::{AlpnOverride, Cluster, Hcm};
use crate::format::Entry;
use crate::telemetry::peer::Peer;
use crate::telemetry::{ClusterStats, Own, RouteStats, istio};
use crate::worker::Held;

/// The code of HTTP/2 for a stream that was not looked at (RFC 9113, section 7).
const REFUSED_STREAM: u32 = 7;

/// A request being served. Dropping it closes the record, whatever happened.
pub struct Context {
    pub conn: Rc<HttpConnection>,
    pub hcm: Arc<Hcm>,
    pub snapshot: Rc<Held>,
    pub head: RequestHead,
    pub record: Record,
    pub progress: Rc<Progress>,
    pub route: Option<ChosenRoute>,
    /// The cluster that the route leads to; `None` also if there is none of its name.
    pub cluster: Option<Arc<Cluster>>,
    /// Of the cluster whose response the client gets.
    pub upstream_stats: Option<Own<ClusterStats>>,
    /// Of the route, where it has numbers of its own and leads to a cluster.
    pub route_stats: Option<Arc<RouteStats>>,
    /// ALPN for the upstream connection, from a filter.
    pub alpn: Option<AlpnOverride>,
    pub is_grpc: bool,
    /// There is no request: its head could not be read.
    pub unread: bool,
    pub is_http2: bool,
    /// The client waits for a 100, which the upstream may give.
    pub expectation: Option<http1::Incoming<net::Io>>,
    /// Who the peers are, where that is known: the client, and whoever answered.
    pub downstream_peer: Option<Rc<Peer>>,
    pub upstream_peer: Option<Rc<Peer>>,
    /// The workload behind the endpoint that was chosen, from its metadata.
    pub endpoint_workload: Option<Arc<ir::endpoint::WorkloadRef>>,
    pub upstream_principal: Option<Str>,
    /// Ours, as the upstream saw it.
    pub local_principal: Option<Str>,
    pub service: Option<Arc<ir::cluster::ServiceRef>>,
    /// Of several clusters of a route the one that was chosen.
    pub weighted: Option<usize>,
    /// What filters have to remember until the response; most requests have nothing.
    pub filters: Option<Box<super::filters::State>>,
    /// Edits of the weighted cluster that was chosen.
    pub cluster_edits: Option<Box<ir::route::HeaderEdits>>,
    /// Values of `Set-Cookie` that make the client stick to its endpoint.
    pub sticky: Vec<String>,
    /// How long nothing may move on the stream; of the route, else the connection manager's.
    pub stream_idle: Option<Duration>,
    /// When all of request and response have to be over.
    pub deadline: Option<Instant>,
    /// The request was tried often enough, which the response says.
    pub given_up: bool,
    /// Whether the response has to carry our own metadata.
    pub tell_peer: bool,
    pub(super) response: Vec<(Box<str>, Box<[u8]>)>,
}

/// A route of a table that lives as long as the request.
#[derive(Clone)]
pub struct ChosenRoute {
    pub table: Arc<Routes>,
    pub vhost: usize,
    pub route: usize,
}

impl ChosenRoute {
    pub fn vhost(&self) -> &ir::VirtualHost {
        self.table.vhost(self.vhost)
    }

    /// What it says about filters, the most specific level first. `weighted` is the index of the cluster
    /// that was chosen of several.
    pub fn overrides(&self, weighted: Option<usize>) -> impl Iterator<Item = &engine::overrides::Overrides> {
        self.table.overrides(self.vhost, self.route, weighted)
    }

    pub fn route(&self) -> &ir::Route {
        self.table.route(self.vhost, self.route)
    }
}

impl Context {
    /// Opens the record. Inlined, so that it is made where it is to be.
    #[inline(always)]
    pub fn new(conn: Rc<HttpConnection>, hcm: Arc<Hcm>, head: RequestHead, is_http2: bool) -> Self {
        let snapshot = conn.worker.snapshot();
        let stream_idle = super::stream_idle_timeout(&hcm);
        let (progress, is_grpc, protocol) = (Rc::default(), head.is_grpc(), head.protocol());
        conn.requests.set(conn.requests.get() + 1);
        let stats = &conn.stats;
        stats.rq_total.inc();
        stats.rq_active.inc();
        match is_http2 {
            true => stats.rq_http2_total.inc(),
            false => stats.rq_http1_total.inc(),
        }
        let told = hcm.asks.exchange.then(|| Told::keep(&progress));
        // From here on nothing may panic: a record that would have to be dropped then is made on the stack
        // and copied.
        let record = Record::of_request(protocol, told);
        Context {
            is_grpc,
            conn,
            hcm,
            snapshot,
            head,
            record,
            progress,
            route: None,
            cluster: None,
            upstream_stats: None,
            route_stats: None,
            alpn: None,
            is_http2,
            expectation: None,
            unread: false,
            downstream_peer: None,
            upstream_peer: None,
            endpoint_workload: None,
            upstream_principal: None,
            local_principal: None,
            service: None,
            weighted: None,
            filters: None,
            cluster_edits: None,
            sticky: Vec::new(),
            given_up: false,
            stream_idle,
            deadline: None,
            tell_peer: false,
            response: Vec::new(),
        }
    }

    /// What the route says about filters, the most specific level first.
    pub fn overrides(&self) -> impl Iterator<Item = &engine::overrides::Overrides> {
        let weighted = self.weighted;
        self.route.iter().flat_map(move |it| it.overrides(weighted))
    }

    /// What filters remember.
    pub fn filter_state(&mut self) -> &mut super::filters::State {
        self.filters.get_or_insert_default()
    }

    /// Remembers of the response what the record wants to know.
    pub fn note_response(&mut self, head: &ResponseHead) {
        self.record.status = head.status();
        if let Some(told) = &self.record.told {
            told.answering();
            told.response_head_bytes.set(response_bytes(head));
        }
        for log in self.hcm.access_log.iter().filter(|log| log.filter.may_pass(head.status())) {
            for name in log.format.response_headers() {
                if let Some(value) = head.get(name) {
                    self.response.push((name.as_str().into(), value.into()));
                }
            }
        }
        if self.is_grpc {
            let said = head.get("grpc-status").and_then(super::body::number);
            // What is no gRPC has a status in its terms nevertheless; trailers may have another one.
            let meant = || (head.status() != 200).then(|| engine::grpc::status_of_http(head.status()));
            self.progress.grpc_status.set(said.or_else(meant));
        }
    }

    /// The client went away before it had its response.
    pub fn client_gone(&mut self) {
        self.record.flag(Flag::DC);
        self.record.details = "downstream_remote_disconnect".into();
        self.conn.stats.rq_rx_reset.inc();
    }

    /// The client takes nothing of its response any more.
    pub fn client_stalled(&mut self) {
        self.record.flag(Flag::SI);
        self.record.details = "stream_idle_timeout".into();
        self.conn.stats.rq_idle_timeout.inc();
    }

    /// The response's head is out, but its body broke.
    fn note_ending(&mut self) {
        match self.progress.ending.get() {
            End::Fine => {}
            End::TimedOut => {
                self.record.flag(Flag::UT);
                self.record.details = "response_timeout".into();
            }
            End::MaxDuration => {
                self.conn.stats.rq_max_duration_reached.inc();
                self.record.details = "max_duration_timeout".into();
            }
            End::Idle => {
                self.record.flag(Flag::SI);
                self.record.details = "stream_idle_timeout".into();
            }
            End::Broken if self.record.flags.has(Flag::DC) => {}
            End::Broken => {
                self.record.flag(Flag::UC);
                self.record.details = "upstream_reset_after_response_started{connection_termination}".into();
            }
            End::Malformed => {
                self.record.flag(Flag::UPE);
                self.record.details = "upstream_reset_after_response_started{protocol_error}".into();
            }
            End::Reset(code) => {
                self.record.flag(Flag::UR);
                self.record.details = match code {
                    REFUSED_STREAM => "upstream_reset_after_response_started{remote_refused_stream_reset}",
                    _ => "upstream_reset_after_response_started{remote_reset}",
                }
                .into();
            }
        }
    }

    /// Writes the line of a request whose redirect is followed; what comes next has one of its own.
    pub fn write_redirect(&mut self) {
        self.record.details = "internal_redirect".into();
        self.record.bytes_received = self.progress.request_bytes.get();
        self.write_line();
        self.record.attempts = 0;
        if let Some(told) = &self.record.told {
            told.forget();
        }
        self.response.clear();
    }

    fn write_line(&self) {
        if !self.hcm.access_log.is_empty() {
            let headers = Seen::new(self);
            let entry = Entry { record: &self.record, conn: &self.conn.info, headers: &headers };
            access_log::write(&self.hcm.access_log, &entry, &self.conn.worker.logs);
            self.conn.worker.log_later();
        }
    }

    /// Takes over into the record what is counted elsewhere while the request lasts.
    pub fn measure(&mut self) {
        let (progress, record) = (&self.progress, &mut self.record);
        if let Some(facts) = progress.left.take() {
            record.upstream = Some(facts);
        }
        record.bytes_received = progress.request_bytes.get();
        record.bytes_sent = progress.response_bytes.get();
        record.grpc_status = progress.grpc_status.get();
        let end: Option<Instant> = progress.request_end.get();
        record.request_end = end.map(|end| end.saturating_duration_since(record.started));
    }

    fn close(&mut self) {
        self.note_ending();
        self.measure();
        let record = &self.record;
        let elapsed = turn::now().saturating_duration_since(record.started);
        self.conn.stats.rq_time.add_time(elapsed);
        if let Some(of_cluster) = &self.upstream_stats {
            // From the end of the request on, as Envoy counts it.
            of_cluster.rq_time.add_time(elapsed.saturating_sub(record.request_end.unwrap_or_default()));
        }
        if let Some(of_route) = &self.route_stats {
            of_route.response(record.status);
            if self.upstream_stats.is_some() {
                of_route.rq_time.add_time(elapsed.saturating_sub(record.request_end.unwrap_or_default()));
            }
        }
        let stats = &self.conn.stats;
        stats.rq_active.dec();
        stats.response(record.status);
        stats.cx_rx_bytes.add(record.bytes_received);
        stats.cx_tx_bytes.add(record.bytes_sent);
        if let Some(reporter) = self.hcm.istio_stats {
            istio::report_request(self, reporter, elapsed);
        }
        self.write_line();
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.close();
    }
}
