//! The record of one request or connection: filled in while it is served, written once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use identity::TlsInfo;
use ir::access_log::LogType;
use stdx::{Str, turn};
use upstream::Facts;

use super::Told;

/// What happened to a request (or to a connection that carries no requests).
#[derive(Debug)]
pub struct Record {
    pub started: Instant,
    pub protocol: Option<&'static str>,
    /// 0 if there was no response.
    pub status: u16,
    pub flags: Flags,
    pub details: Cow<'static, str>,
    pub termination: Option<Cow<'static, str>>,
    pub transport_failure: Option<String>,
    /// Why there was no TLS with the client.
    pub downstream_failure: Option<String>,
    pub kind: LogType,
    /// It was a health check, of the filter of this name.
    pub health_check: bool,
    unique_id: OnceCell<[u8; 36]>,
    /// Bytes of the request's body, or from the client.
    pub bytes_received: u64,
    /// Bytes of the response's body, or to the client.
    pub bytes_sent: u64,
    pub attempts: u32,
    pub cluster: Option<Str>,
    pub upstream_host: Option<ir::Address>,
    /// The connection of the last attempt; `None`: there was none.
    pub upstream: Option<Rc<Facts>>,
    /// Of a connection that did not come to stand.
    pub upstream_local: Option<SocketAddr>,
    /// What some formats ask for.
    pub told: Option<Rc<Told>>,
    /// The client as believed from `x-forwarded-for`, where that is not the TCP peer.
    pub remote: Option<SocketAddr>,
    pub route_name: Option<Str>,
    /// From the start to the last byte of the request.
    pub request_end: Option<Duration>,
    /// From the start to the first byte of the response from upstream.
    pub response_begin: Option<Duration>,
    /// Of a gRPC call, from headers or trailers.
    pub grpc_status: Option<u32>,
}

impl Record {
    #[inline(always)]
    pub fn new() -> Self {
        Record {
            started: turn::now(),
            protocol: None,
            status: 0,
            flags: Flags::default(),
            details: Cow::Borrowed(""),
            termination: None,
            transport_failure: None,
            downstream_failure: None,
            kind: LogType::NotSet,
            health_check: false,
            unique_id: OnceCell::new(),
            bytes_received: 0,
            bytes_sent: 0,
            attempts: 0,
            cluster: None,
            upstream_host: None,
            upstream: None,
            upstream_local: None,
            told: None,
            remote: None,
            route_name: None,
            request_end: None,
            response_begin: None,
            grpc_status: None,
        }
    }

    /// Of a request that begins now.
    #[inline(always)]
    pub fn of_request(protocol: &'static str, told: Option<Rc<Told>>) -> Self {
        Record { protocol: Some(protocol), kind: LogType::DownstreamEnd, told, ..Record::new() }
    }

    /// When it began. Only logs and policies ask, so only for them the other clock is read.
    pub fn started_at(&self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_sub(self.started.elapsed()).unwrap_or(now)
    }

    /// A UUID of its own, the same whenever it is asked for.
    pub fn unique_id(&self) -> [u8; 36] {
        *self.unique_id.get_or_init(|| crate::text::uuid(super::sink::random(), super::sink::random()))
    }

    /// Our address on the connection of the last attempt.
    pub fn local_to_upstream(&self) -> Option<SocketAddr> {
        self.upstream.as_ref().map_or(self.upstream_local, |facts| facts.local)
    }

    pub fn upstream_tls(&self) -> Option<&TlsInfo> {
        self.upstream.as_ref()?.tls.as_deref()
    }

    pub fn flag(&mut self, flag: Flag) {
        self.flags.set(flag);
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! flags {
    ($($flag:ident $long:literal,)*) => {
        /// Envoy's response flags.
        /// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage#config-access-log-format-response-flags>.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(clippy::upper_case_acronyms)]
        pub enum Flag { $($flag,)* }

        const FLAGS: &[(Flag, &str, &str)] = &[$((Flag::$flag, stringify!($flag), $long),)*];
    };
}

flags! {
    LH "FailedLocalHealthCheck",
    UH "NoHealthyUpstream",
    UT "UpstreamRequestTimeout",
    LR "LocalReset",
    UR "UpstreamRemoteReset",
    UF "UpstreamConnectionFailure",
    UC "UpstreamConnectionTermination",
    UO "UpstreamOverflow",
    NR "NoRouteFound",
    DI "DelayInjected",
    FI "FaultInjected",
    RL "RateLimited",
    UAEX "UnauthorizedExternalService",
    RLSE "RateLimitServiceError",
    DC "DownstreamConnectionTermination",
    URX "UpstreamRetryLimitExceeded",
    SI "StreamIdleTimeout",
    IH "InvalidEnvoyRequestHeaders",
    DPE "DownstreamProtocolError",
    UMSDR "UpstreamMaxStreamDurationReached",
    RFCF "ResponseFromCacheFilter",
    NFCF "NoFilterConfigFound",
    DT "DurationTimeout",
    UPE "UpstreamProtocolError",
    NC "NoClusterFound",
    OM "OverloadManagerTerminated",
    DF "DnsResolutionFailed",
    DO "DropOverload",
    DR "DownstreamRemoteReset",
}

/// [`Flag`]s, in the order in which they were set, as Envoy writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    bits: u32,
    /// Five bits per flag, the first lowest, counted from 1.
    order: u64,
}

/// So many fit into the order; no request gets near it.
const MAX_ORDERED: u32 = 12;

impl Flags {
    pub const ALL: Flags = Flags { bits: u32::MAX, order: 0 };

    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    pub fn has(self, flag: Flag) -> bool {
        self.bits & (1 << flag as u32) != 0
    }

    pub fn intersects(self, other: Flags) -> bool {
        self.bits & other.bits != 0
    }

    fn set(&mut self, flag: Flag) {
        let before = self.bits.count_ones();
        if !self.has(flag) && before < MAX_ORDERED {
            self.bits |= 1 << flag as u32;
            self.order |= (flag as u64 + 1) << (5 * before);
        }
    }

    /// Appends the short names, joined by commas; `-` if there are none.
    pub fn write(self, out: &mut Vec<u8>) {
        self.join(out, |(_, short, _)| short);
    }

    /// Appends the long names, joined by commas; `-` if there are none.
    pub fn write_long(self, out: &mut Vec<u8>) {
        self.join(out, |(_, _, long)| long);
    }

    fn join(self, out: &mut Vec<u8>, name: impl Fn(&(Flag, &'static str, &'static str)) -> &'static str) {
        if self.is_empty() {
            return out.push(b'-');
        }
        let at = |n: u32| ((self.order >> (5 * n)) & 31) as usize;
        let flags =
            (0..self.bits.count_ones().min(MAX_ORDERED)).filter_map(|n| FLAGS.get(at(n).wrapping_sub(1)));
        for (i, flag) in flags.enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name(flag).as_bytes());
        }
    }

    /// The set of flags with these short names.
    pub fn by_names(names: &[Str]) -> Result<Self, String> {
        let mut all = Flags::default();
        for name in names {
            let known = FLAGS.iter().find(|(_, short, _)| *short == name.as_str());
            let (flag, ..) = known.ok_or_else(|| format!("unknown response flag {name:?}"))?;
            all.bits |= 1 << *flag as u32;
        }
        Ok(all)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Vec::new();
        self.write(&mut names);
        f.write_str(&String::from_utf8_lossy(&names))
    }
}
