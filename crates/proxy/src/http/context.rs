//! Everything about one request, from its head to its record.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Request as _;
use engine::route::RouteTable;
use ir::access_log::LogType;
use stdx::Str;
use upstream::{RequestHead, ResponseHead};

use super::HttpConnection;
use super::body::Progress;
use super::outgoing::End;
use crate::access_log::{self, Entry, Flag, Headers, Record};
use crate::config::snapshot::{AlpnOverride, Cluster, Hcm};
use crate::telemetry::istio;
use crate::telemetry::peer::Peer;
use crate::worker::Held;

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
    pub endpoint_workload: Option<ir::endpoint::WorkloadRef>,
    pub upstream_principal: Option<Str>,
    /// Ours, as the upstream saw it.
    pub local_principal: Option<Str>,
    pub service: Option<ir::cluster::ServiceRef>,
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
    /// Whether the response has to carry our own metadata.
    pub tell_peer: bool,
    response: Vec<(Box<str>, Box<[u8]>)>,
}

/// A route of a table that lives as long as the request.
#[derive(Clone)]
pub struct ChosenRoute {
    pub table: Arc<RouteTable>,
    pub vhost: usize,
    pub route: usize,
}

impl ChosenRoute {
    pub fn vhost(&self) -> &ir::VirtualHost {
        self.table.vhost(self.vhost)
    }

    pub fn route(&self) -> &ir::Route {
        self.table.route(self.vhost, self.route)
    }
}

impl Context {
    /// Opens the record.
    pub fn new(conn: Rc<HttpConnection>, head: RequestHead, is_http2: bool) -> Self {
        let hcm = conn.hcm();
        let snapshot = conn.worker.snapshot();
        let stream_idle = super::stream_idle_timeout(&hcm);
        let mut record = Record::new();
        record.protocol = Some(head.protocol());
        record.kind = LogType::DownstreamEnd;
        conn.requests.set(conn.requests.get() + 1);
        let stats = &conn.stats;
        stats.rq_total.inc();
        stats.rq_active.inc();
        match is_http2 {
            true => stats.rq_http2_total.inc(),
            false => stats.rq_http1_total.inc(),
        }
        Context {
            is_grpc: head.is_grpc(),
            conn,
            hcm,
            snapshot,
            head,
            record,
            progress: Rc::default(),
            route: None,
            cluster: None,
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
            stream_idle,
            deadline: None,
            tell_peer: false,
            response: Vec::new(),
        }
    }

    /// What the route says about filters, the most specific level first.
    pub fn overrides(&self) -> impl Iterator<Item = &engine::overrides::Overrides> {
        let chosen = self.route.as_ref();
        let weighted = self.weighted;
        chosen.into_iter().flat_map(move |it| it.table.overrides(it.vhost, it.route, weighted))
    }

    /// What filters remember.
    pub fn filter_state(&mut self) -> &mut super::filters::State {
        self.filters.get_or_insert_default()
    }

    /// Remembers of the response what the record wants to know.
    pub fn note_response(&mut self, head: &ResponseHead) {
        self.record.status = head.status();
        for log in self.hcm.access_log.iter().filter(|log| log.filter.may_pass(head.status())) {
            for name in log.format.response_headers() {
                if let Some(value) = head.joined(name) {
                    self.response.push((name.as_str().into(), value.into()));
                }
            }
        }
        if self.is_grpc
            && let Some(status) = head.get("grpc-status").and_then(super::body::number)
        {
            self.progress.grpc_status.set(Some(status));
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
                self.record.details =
                    format!("upstream_reset_after_response_started{{remote_reset|{code}}}").into();
            }
        }
    }

    /// Writes the line of a request whose redirect is followed; what comes next has one of its own.
    pub fn write_redirect(&mut self) {
        self.record.details = "internal_redirect".into();
        self.record.bytes_received = self.progress.request_bytes.get();
        self.write_line();
        self.record.attempts = 0;
        self.response.clear();
    }

    fn write_line(&self) {
        if !self.hcm.access_log.is_empty() {
            let headers = Logged(self);
            let entry = Entry { record: &self.record, conn: &self.conn.info, headers: &headers };
            access_log::write(&self.hcm.access_log, &entry, &self.conn.worker.logs);
            self.conn.worker.log_later();
        }
    }

    fn close(&mut self) {
        self.note_ending();
        if let Some(state) = self.filters.as_mut().filter(|state| !state.metadata.is_empty()) {
            self.record.metadata = Some(Box::new(std::mem::take(&mut state.metadata)));
        }
        let progress = &self.progress;
        let record = &mut self.record;
        record.bytes_received = progress.request_bytes.get();
        record.bytes_sent = progress.response_bytes.get();
        record.grpc_status = progress.grpc_status.get();
        let end: Option<Instant> = progress.request_end.get();
        record.request_end = end.map(|end| end.saturating_duration_since(record.started));
        let stats = &self.conn.stats;
        stats.rq_active.dec();
        stats.response(record.status);
        stats.cx_rx_bytes.add(record.bytes_received);
        stats.cx_tx_bytes.add(record.bytes_sent);
        if let Some(reporter) = self.hcm.istio_stats {
            istio::report_request(self, reporter);
        }
        self.write_line();
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.close();
    }
}

/// Headers as the access log sees them.
struct Logged<'a>(&'a Context);

impl Headers for Logged<'_> {
    fn request(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let head = &self.0.head;
        match name {
            _ if self.0.unread => None,
            ":method" => Some(head.method().into()),
            ":path" => Some(head.path().into()),
            ":authority" | "host" => Some(head.authority().into()),
            ":scheme" => Some(head.scheme().as_bytes().into()),
            name => head.header(name),
        }
    }

    fn response(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        if name == ":status" {
            return Some(self.0.record.status.to_string().into_bytes().into());
        }
        self.0.response.iter().find(|(n, _)| **n == *name).map(|(_, value)| Cow::Borrowed(&value[..]))
    }

    fn head(&self) -> Option<&RequestHead> {
        (!self.0.unread).then_some(&self.0.head)
    }

    fn trailer(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let trailers = self.0.progress.trailers.borrow();
        trailers.as_ref()?.get(name).map(|value| value.to_vec().into())
    }
}
