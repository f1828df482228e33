//! Counters with Envoy's names. Each worker has its own and is their only writer, so counting is
//! a plain load and store; who scrapes adds them up.

use std::sync::atomic::{AtomicU64, Ordering};

use identity::HandshakeStats;

use super::histogram::LazyHistogram;

/// A number that one thread changes and others read. As a gauge it goes down as well: sums over
/// workers are right because they wrap.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, n: u64) {
        // One writer: no need for an atomic addition.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub fn dec(&self) {
        self.add(1u64.wrapping_neg());
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a number only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// Counters of one scope.
pub trait Group: Default + Send + Sync + 'static {
    /// Every number with its name inside the scope.
    fn each(&self, see: &mut dyn FnMut(&'static str, Kind, u64));
    /// Every histogram with its name inside the scope.
    fn each_histogram(&self, see: &mut dyn FnMut(&'static str, &LazyHistogram));
}

macro_rules! kind {
    (gauge) => {
        Kind::Gauge
    };
    (counter) => {
        Kind::Counter
    };
}

macro_rules! group {
    ($(#[$doc:meta])* $group:ident { $($kind:ident $field:ident $name:literal,)* }
        $([$($histogram:ident $label:literal,)*])?) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $group { $(pub $field: Counter,)* $($(pub $histogram: LazyHistogram,)*)? }

        impl Group for $group {
            fn each(&self, see: &mut dyn FnMut(&'static str, Kind, u64)) {
                $(see($name, kind!($kind), self.$field.get());)*
            }

            fn each_histogram(&self, _see: &mut dyn FnMut(&'static str, &LazyHistogram)) {
                $($(_see($label, &self.$histogram);)*)?
            }
        }
    };
}

group! {
    /// `cluster.<name>.…`
    ClusterStats {
        counter cx_total "upstream_cx_total",
        gauge cx_active "upstream_cx_active",
        counter cx_http1_total "upstream_cx_http1_total",
        counter cx_http2_total "upstream_cx_http2_total",
        counter cx_connect_fail "upstream_cx_connect_fail",
        counter cx_connect_timeout "upstream_cx_connect_timeout",
        counter cx_destroy "upstream_cx_destroy",
        counter cx_none_healthy "upstream_cx_none_healthy",
        counter cx_tx_bytes "upstream_cx_tx_bytes_total",
        counter cx_rx_bytes "upstream_cx_rx_bytes_total",
        counter rq_total "upstream_rq_total",
        gauge rq_active "upstream_rq_active",
        counter rq_completed "upstream_rq_completed",
        counter rq_1xx "upstream_rq_1xx",
        counter rq_2xx "upstream_rq_2xx",
        counter rq_3xx "upstream_rq_3xx",
        counter rq_4xx "upstream_rq_4xx",
        counter rq_5xx "upstream_rq_5xx",
        counter rq_timeout "upstream_rq_timeout",
        counter rq_per_try_timeout "upstream_rq_per_try_timeout",
        counter rq_per_try_idle_timeout "upstream_rq_per_try_idle_timeout",
        counter rq_rx_reset "upstream_rq_rx_reset",
        counter rq_retry "upstream_rq_retry",
        counter rq_retry_success "upstream_rq_retry_success",
        counter rq_retry_limit_exceeded "upstream_rq_retry_limit_exceeded",
        counter rq_retry_overflow "upstream_rq_retry_overflow",
        counter rq_retry_backoff_exponential "upstream_rq_retry_backoff_exponential",
        counter rq_retry_backoff_ratelimited "upstream_rq_retry_backoff_ratelimited",
        counter rq_pending_overflow "upstream_rq_pending_overflow",
        counter lb_healthy_panic "lb_healthy_panic",
    }
    [
        rq_time "upstream_rq_time",
        cx_connect_ms "upstream_cx_connect_ms",
    ]
}

group! {
    /// `vhost.<virtual host>.route.<stat prefix>.…`
    RouteStats {
        counter rq_total "upstream_rq_total",
        counter rq_completed "upstream_rq_completed",
        counter rq_1xx "upstream_rq_1xx",
        counter rq_2xx "upstream_rq_2xx",
        counter rq_3xx "upstream_rq_3xx",
        counter rq_4xx "upstream_rq_4xx",
        counter rq_5xx "upstream_rq_5xx",
        counter rq_timeout "upstream_rq_timeout",
        counter rq_retry "upstream_rq_retry",
        counter rq_retry_success "upstream_rq_retry_success",
        counter rq_retry_limit_exceeded "upstream_rq_retry_limit_exceeded",
        counter rq_retry_overflow "upstream_rq_retry_overflow",
    }
    [
        rq_time "upstream_rq_time",
    ]
}

group! {
    /// `http.<stat prefix>.…`
    HttpStats {
        counter cx_total "downstream_cx_total",
        gauge cx_active "downstream_cx_active",
        counter cx_destroy "downstream_cx_destroy",
        counter cx_http1_total "downstream_cx_http1_total",
        counter cx_http2_total "downstream_cx_http2_total",
        counter cx_ssl_total "downstream_cx_ssl_total",
        counter cx_protocol_error "downstream_cx_protocol_error",
        counter cx_idle_timeout "downstream_cx_idle_timeout",
        counter cx_upgrades_total "downstream_cx_upgrades_total",
        gauge cx_upgrades_active "downstream_cx_upgrades_active",
        counter cx_drain_close "downstream_cx_drain_close",
        counter cx_max_duration_reached "downstream_cx_max_duration_reached",
        counter cx_keepalive_timeout "http2.keepalive_timeout",
        counter cx_rx_bytes "downstream_cx_rx_bytes_total",
        counter cx_tx_bytes "downstream_cx_tx_bytes_total",
        counter rq_total "downstream_rq_total",
        counter rq_http1_total "downstream_rq_http1_total",
        counter rq_http2_total "downstream_rq_http2_total",
        gauge rq_active "downstream_rq_active",
        counter rq_completed "downstream_rq_completed",
        counter rq_1xx "downstream_rq_1xx",
        counter rq_2xx "downstream_rq_2xx",
        counter rq_3xx "downstream_rq_3xx",
        counter rq_4xx "downstream_rq_4xx",
        counter rq_5xx "downstream_rq_5xx",
        counter rq_rx_reset "downstream_rq_rx_reset",
        counter rq_timeout "downstream_rq_timeout",
        counter rq_idle_timeout "downstream_rq_idle_timeout",
        counter rq_max_duration_reached "downstream_rq_max_duration_reached",
        counter rq_too_many_premature_resets "downstream_rq_too_many_premature_resets",
        counter rq_failed_path_normalization "downstream_rq_failed_path_normalization",
        counter rq_redirected_with_normalized_path "downstream_rq_redirected_with_normalized_path",
        counter rq_overload_close "downstream_rq_overload_close",
        counter no_route "no_route",
        counter no_cluster "no_cluster",
        counter rbac_allowed "rbac.allowed",
        counter rbac_denied "rbac.denied",
        counter rbac_shadow_allowed "rbac.shadow_allowed",
        counter rbac_shadow_denied "rbac.shadow_denied",
        counter cors_origin_valid "cors.origin_valid",
        counter cors_origin_invalid "cors.origin_invalid",
        counter rq_redirect "rq_redirect",
        counter rq_direct_response "rq_direct_response",
        counter internal_redirect_succeeded "passthrough_internal_redirect_succeeded",
        counter rls_injected "fault.response_rl_injected",
        counter faults_overflow "fault.faults_overflow",
        counter delays_injected "fault.delays_injected",
        counter aborts_injected "fault.aborts_injected",
    }
    [
        rq_time "downstream_rq_time",
        cx_length_ms "downstream_cx_length_ms",
    ]
}

group! {
    /// `listener.<address>.…`
    ListenerStats {
        counter cx_total "downstream_cx_total",
        gauge cx_active "downstream_cx_active",
        counter cx_destroy "downstream_cx_destroy",
        counter no_filter_chain_match "no_filter_chain_match",
        counter pre_cx_timeout "downstream_pre_cx_timeout",
        counter global_cx_overflow "downstream_global_cx_overflow",
        counter proxy_protocol_error "downstream_proxy_proto_error",
    }
}

group! {
    /// `tcp.<stat prefix>.…`
    TcpStats {
        counter cx_total "downstream_cx_total",
        gauge cx_active "downstream_cx_active",
        counter cx_no_route "downstream_cx_no_route",
        counter cx_rx_bytes "downstream_cx_rx_bytes_total",
        counter cx_tx_bytes "downstream_cx_tx_bytes_total",
        counter idle_timeout "idle_timeout",
        counter max_duration "max_downstream_connection_duration",
        counter rbac_allowed "rbac.allowed",
        counter rbac_denied "rbac.denied",
        counter rbac_shadow_allowed "rbac.shadow_allowed",
        counter rbac_shadow_denied "rbac.shadow_denied",
    }
}

group! {
    /// `connection_limit.<stat prefix>.…`
    ConnectionLimitStats {
        gauge active "active_connections",
        counter limited "limited_connections",
    }
}

group! {
    /// `<stat prefix>.http_local_rate_limit.…`
    RateLimitStats {
        counter enabled "enabled",
        counter enforced "enforced",
        counter ok "ok",
        counter rate_limited "rate_limited",
    }
}

group! {
    /// `http.<prefix>.ext_authz.…` and `cluster.<name>.ext_authz.…`
    AuthzStats {
        counter ok "ok",
        counter denied "denied",
        counter error "error",
        counter disabled "disabled",
        counter failure_mode_allowed "failure_mode_allowed",
    }
}

group! {
    /// `http.<prefix>.jwt_authn.…`
    JwtStats {
        counter allowed "allowed",
        counter denied "denied",
        counter cors_preflight_bypassed "cors_preflight_bypassed",
        counter fetch_success "jwks_fetch_success",
        counter fetch_failed "jwks_fetch_failed",
    }
}

group! {
    /// `http.<prefix>.compressor.<library>.gzip.…`: what clients take.
    CompressorStats {
        counter used "header_compressor_used",
        counter overshadowed "header_compressor_overshadowed",
        counter identity "header_identity",
        counter not_valid "header_not_valid",
        counter wildcard "header_wildcard",
        counter no_accept_header "no_accept_header",
        counter etag "not_compressed_etag",
    }
}

group! {
    /// `http.<prefix>.compressor.<library>.gzip.response.…`, and the same of requests.
    CompressionStats {
        counter compressed "compressed",
        counter not_compressed "not_compressed",
        counter too_small "content_length_too_small",
        counter plain_bytes "total_uncompressed_bytes",
        counter compressed_bytes "total_compressed_bytes",
    }
}

/// `listener.<address>.ssl.…`
impl Group for HandshakeStats {
    fn each(&self, see: &mut dyn FnMut(&'static str, Kind, u64)) {
        HandshakeStats::each(self, &mut |name, value| see(name, Kind::Counter, value));
    }

    fn each_histogram(&self, _see: &mut dyn FnMut(&'static str, &LazyHistogram)) {}
}

/// Counts a response by its class.
macro_rules! responses {
    ($($group:ident)*) => {$(
        impl $group {
            /// Counts a response.
            pub fn response(&self, status: u16) {
                self.rq_completed.inc();
                match status / 100 {
                    1 => self.rq_1xx.inc(),
                    2 => self.rq_2xx.inc(),
                    3 => self.rq_3xx.inc(),
                    4 => self.rq_4xx.inc(),
                    5 => self.rq_5xx.inc(),
                    _ => {}
                }
            }
        }
    )*};
}

responses! { ClusterStats RouteStats HttpStats }
