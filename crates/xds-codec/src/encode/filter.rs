//! Filters before the terminal one, on connections and on requests.

use ir::filter::Reporter;
use ir::{ConnectionLimit, HttpFilter, NetworkFilter, Str};

use super::{
    compressor, dns_cache, ext_authz, fault, header_mutation, jwt, listener, rate_limit, rbac, wire,
};
use crate::names::APPLICATION_PROTOCOLS;
use crate::pb::{
    connection_limit as pb_limit, core, cors, filter_state, google, grpc_stats, hcm, network_rbac, router,
    set_filter_state,
};
use crate::{Any, istio, names};

pub(super) fn network_filter(it: &NetworkFilter) -> crate::pb::listener::Filter {
    match it {
        NetworkFilter::Rbac(it) => {
            let config = network_rbac::Rbac {
                rules: it.rules.as_ref().map(rbac::rules),
                shadow_rules: it.shadow_rules.as_ref().map(rbac::rules),
                stat_prefix: it.stat_prefix.to_string(),
                shadow_rules_stat_prefix: it.shadow_stat_prefix.to_string(),
                ..Default::default()
            };
            listener::filter(names::NETWORK_RBAC, wire::pack(&config))
        }
        NetworkFilter::ConnectionLimit(it) => {
            listener::filter(names::CONNECTION_LIMIT, wire::pack(&connection_limit(it)))
        }
        NetworkFilter::IstioStats { reporter } => {
            listener::filter(names::ISTIO_STATS, wire::pack(&stats(*reporter)))
        }
        NetworkFilter::SniDynamicForwardProxy(it) => {
            listener::filter(names::SNI_FORWARD_PROXY, wire::pack(&dns_cache::sni(it)))
        }
    }
}

fn connection_limit(it: &ConnectionLimit) -> pb_limit::ConnectionLimit {
    // Enabled is what it is when nothing is said.
    let disabled = core::RuntimeFeatureFlag {
        default_value: Some(google::BoolValue { value: false }),
        runtime_key: "connection_limit.enabled".to_owned(),
    };
    pb_limit::ConnectionLimit {
        stat_prefix: it.stat_prefix.to_string(),
        max_connections: Some(google::UInt64Value { value: it.max_connections }),
        delay: wire::optional_duration(it.delay),
        runtime_enabled: (!it.enabled).then_some(disabled),
    }
}

pub(super) fn http_filter(it: &HttpFilter) -> hcm::HttpFilter {
    match it {
        HttpFilter::Rbac(it) => named(names::HTTP_RBAC, wire::pack(&rbac::http(it))),
        HttpFilter::Fault(it) => named(names::FAULT, wire::pack(&fault::fault(it))),
        HttpFilter::UpstreamAlpn { protocols } => {
            named(names::SET_FILTER_STATE, wire::pack(&upstream_alpn(protocols)))
        }
        HttpFilter::IstioAlpn { http10, http11, http2 } => {
            named(names::ISTIO_ALPN, wire::pack(&istio_alpn(http10, http11, http2)))
        }
        HttpFilter::IstioStats { reporter } => named(names::ISTIO_STATS, wire::pack(&stats(*reporter))),
        HttpFilter::PeerMetadata => named(names::PEER_METADATA, wire::pack(&peer_metadata())),
        HttpFilter::GrpcStats => named(names::GRPC_STATS, wire::pack(&grpc_stats::FilterConfig::default())),
        HttpFilter::Cors => named(names::CORS, wire::pack(&cors::Cors {})),
        HttpFilter::JwtAuthn(it) => named(names::JWT_AUTHN, wire::pack(&jwt::filter(it))),
        HttpFilter::LocalRateLimit(it) => named(names::LOCAL_RATE_LIMIT, wire::pack(&rate_limit::local(it))),
        HttpFilter::ExtAuthz(it) => named(names::EXT_AUTHZ, wire::pack(&ext_authz::filter(it))),
        HttpFilter::HeaderMutation(it) => {
            named(names::HEADER_MUTATION, wire::pack(&header_mutation::filter(it)))
        }
        HttpFilter::Compressor(it) => named(names::COMPRESSOR, wire::pack(&compressor::compressor(it))),
        HttpFilter::Buffer { max_request_bytes } => {
            named(names::BUFFER, wire::pack(&compressor::buffer(*max_request_bytes)))
        }
        HttpFilter::HealthCheck(it) => named(names::HEALTH_CHECK, wire::pack(&compressor::health_check(it))),
        HttpFilter::DynamicForwardProxy(it) => named(names::FORWARD_PROXY, wire::pack(&dns_cache::http(it))),
    }
}

/// The terminal HTTP filter, implied in `ir`.
pub(super) fn router(suppress_envoy_headers: bool) -> hcm::HttpFilter {
    named(names::ROUTER, wire::pack(&router::Router { suppress_envoy_headers, ..Default::default() }))
}

fn named(name: &str, config: Any) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: name.into(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

fn upstream_alpn(protocols: &[Str]) -> set_filter_state::Config {
    use filter_state::filter_state_value::{Key, SharedWithUpstream, Value};
    let list: Vec<&str> = protocols.iter().map(Str::as_str).collect();
    let value = filter_state::FilterStateValue {
        // Once: for the upstream connection of this request, not for those of internal listeners.
        shared_with_upstream: SharedWithUpstream::Once.into(),
        key: Some(Key::ObjectKey(APPLICATION_PROTOCOLS.into())),
        value: Some(Value::FormatString(wire::format_string(wire::literal(&list.join(","))))),
        ..Default::default()
    };
    set_filter_state::Config { on_request_headers: vec![value], ..Default::default() }
}

fn istio_alpn(http10: &[Str], http11: &[Str], http2: &[Str]) -> istio::AlpnConfig {
    let all = [(istio::HTTP10, http10), (istio::HTTP11, http11), (istio::HTTP2, http2)];
    let given = all.into_iter().filter(|(_, protocols)| !protocols.is_empty());
    let one = |(upstream_protocol, protocols)| istio::AlpnOverride {
        upstream_protocol,
        alpn_override: wire::texts(protocols),
    };
    istio::AlpnConfig { alpn_override: given.map(one).collect() }
}

fn stats(reporter: Reporter) -> istio::PluginConfig {
    let name = match reporter {
        Reporter::Source => "source",
        Reporter::Destination => "destination",
        Reporter::Gateway => "gateway",
    };
    istio::PluginConfig { lateen_reporter: name.into(), ..Default::default() }
}

/// In both directions; which one a listener is decides what of it happens.
fn peer_metadata() -> istio::PeerMetadata {
    let headers = || Some(istio::IstioHeaders::default());
    let discovery = || vec![istio::DiscoveryMethod { istio_headers: headers(), ..Default::default() }];
    let propagation = || vec![istio::PropagationMethod { istio_headers: headers() }];
    istio::PeerMetadata {
        downstream_discovery: discovery(),
        upstream_discovery: discovery(),
        downstream_propagation: propagation(),
        upstream_propagation: propagation(),
        ..Default::default()
    }
}
