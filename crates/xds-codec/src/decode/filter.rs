//! Filters before the terminal one, on connections and on requests.

use ir::filter::Reporter;
use ir::rbac::RbacAction;
use ir::{ConnectionLimit, Direction, HttpFilter, NetworkFilter, Str};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{buffer, compressor, dns_cache, ext_authz, fault, header_mutation, jwt, rate_limit, rbac, wire};
use crate::names::{self, APPLICATION_PROTOCOLS};
use crate::pb::buffer::Buffer;
use crate::pb::compressor::Compressor;
use crate::pb::ext_authz::ExtAuthz;
use crate::pb::forward_proxy::FilterConfig as ForwardProxy;
use crate::pb::header_mutation::HeaderMutation;
use crate::pb::health_check::HealthCheck;
use crate::pb::jwt_authn::JwtAuthentication;
use crate::pb::local_ratelimit::LocalRateLimit;
use crate::pb::sni_forward_proxy::FilterConfig as SniForwardProxy;
use crate::pb::{
    connection_limit as pb_limit, core, cors, fault as pb_fault, filter_state, grpc_stats, http_rbac,
    network_rbac, set_filter_state,
};
use crate::{Any, istio};

pub(super) fn network_filter(at: At<'_>, direction: Direction, any: &Any) -> Option<NetworkFilter> {
    if wire::is::<network_rbac::Rbac>(any) {
        Some(network_rbac(at, wire::unpack(at, any)))
    } else if wire::is::<pb_limit::ConnectionLimit>(any) {
        Some(NetworkFilter::ConnectionLimit(connection_limit(at, wire::unpack(at, any))))
    } else if wire::is::<istio::PluginConfig>(any) {
        Some(NetworkFilter::IstioStats { reporter: reporter(at, direction, wire::unpack(at, any)) })
    } else if wire::is::<SniForwardProxy>(any) {
        let it = dns_cache::sni(at, wire::unpack(at, any));
        Some(NetworkFilter::SniDynamicForwardProxy(Box::new(it)))
    } else {
        wire::unknown_type(at, any);
        None
    }
}

fn network_rbac(at: At<'_>, it: network_rbac::Rbac) -> NetworkFilter {
    let network_rbac::Rbac {
        rules,
        matcher,
        shadow_rules,
        shadow_matcher,
        shadow_rules_stat_prefix,
        stat_prefix,
        enforcement_type,
        delay_deny,
    } = it;
    refuse!(at; matcher, shadow_matcher, enforcement_type, delay_deny);
    let filter = rbac::filter(at, stat_prefix, rules, shadow_rules, shadow_rules_stat_prefix);
    for (name, rules) in [("rules", &filter.rules), ("shadow_rules", &filter.shadow_rules)] {
        // Logs of connections have no metadata that could tell.
        if rules.as_ref().is_some_and(|rules| rules.action == RbacAction::Log) {
            at.field(name).field("action").refuse("LOG is supported for requests only");
        }
    }
    NetworkFilter::Rbac(filter)
}

fn connection_limit(at: At<'_>, it: pb_limit::ConnectionLimit) -> ConnectionLimit {
    let pb_limit::ConnectionLimit { stat_prefix, max_connections, delay, runtime_enabled } = it;
    let max_connections = max_connections.map_or(0, |it| it.value);
    if max_connections == 0 {
        at.field("max_connections").refuse("1 or more are needed");
    }
    ConnectionLimit {
        stat_prefix: wire::required(at.field("stat_prefix"), stat_prefix),
        max_connections,
        delay: wire::optional_duration(at.field("delay"), delay),
        enabled: runtime_enabled.is_none_or(|core::RuntimeFeatureFlag { default_value, runtime_key }| {
            harmless!(Runtime; runtime_key);
            wire::flag(default_value, true)
        }),
    }
}

/// `name` matters for filters that routes configure: they do it by that name.
pub(super) fn http_filter(at: At<'_>, direction: Direction, name: &str, any: &Any) -> Option<HttpFilter> {
    if wire::is::<http_rbac::Rbac>(any) {
        Some(HttpFilter::Rbac(rbac::http(at, wire::unpack(at, any))))
    } else if wire::is::<pb_fault::HttpFault>(any) {
        by_name(at, name, names::FAULT);
        Some(HttpFilter::Fault(Box::new(fault::fault(at, wire::unpack(at, any)))))
    } else if wire::is::<set_filter_state::Config>(any) {
        Some(HttpFilter::UpstreamAlpn { protocols: upstream_alpn(at, wire::unpack(at, any)) })
    } else if wire::is::<istio::AlpnConfig>(any) {
        Some(istio_alpn(at, wire::unpack(at, any)))
    } else if wire::is::<istio::PluginConfig>(any) {
        Some(HttpFilter::IstioStats { reporter: reporter(at, direction, wire::unpack(at, any)) })
    } else if wire::is::<istio::PeerMetadata>(any) {
        peer_metadata(at, wire::unpack(at, any));
        Some(HttpFilter::PeerMetadata)
    } else if wire::is::<grpc_stats::FilterConfig>(any) {
        let grpc_stats::FilterConfig {
            emit_filter_state,
            enable_upstream_stats,
            replace_dots_in_grpc_service_name,
            per_method_stat_specifier,
        } = wire::unpack(at, any);
        harmless!(Statistics; emit_filter_state, enable_upstream_stats, replace_dots_in_grpc_service_name,
            per_method_stat_specifier);
        Some(HttpFilter::GrpcStats)
    } else if wire::is::<cors::Cors>(any) {
        by_name(at, name, names::CORS);
        let cors::Cors {} = wire::unpack(at, any);
        Some(HttpFilter::Cors)
    } else {
        further(at, name, any)
    }
}

fn further(at: At<'_>, name: &str, any: &Any) -> Option<HttpFilter> {
    if wire::is::<JwtAuthentication>(any) {
        by_name(at, name, names::JWT_AUTHN);
        Some(HttpFilter::JwtAuthn(Box::new(jwt::filter(at, wire::unpack(at, any)))))
    } else if wire::is::<LocalRateLimit>(any) {
        by_name(at, name, names::LOCAL_RATE_LIMIT);
        Some(HttpFilter::LocalRateLimit(Box::new(rate_limit::local(at, wire::unpack(at, any)))))
    } else if wire::is::<ExtAuthz>(any) {
        by_name(at, name, names::EXT_AUTHZ);
        Some(HttpFilter::ExtAuthz(Box::new(ext_authz::filter(at, wire::unpack(at, any)))))
    } else if wire::is::<HeaderMutation>(any) {
        by_name(at, name, names::HEADER_MUTATION);
        Some(HttpFilter::HeaderMutation(Box::new(header_mutation::filter(at, wire::unpack(at, any)))))
    } else if wire::is::<Compressor>(any) {
        Some(HttpFilter::Compressor(Box::new(compressor::compressor(at, wire::unpack(at, any)))))
    } else if wire::is::<Buffer>(any) {
        by_name(at, name, names::BUFFER);
        Some(HttpFilter::Buffer { max_request_bytes: buffer::limit(at, wire::unpack(at, any)) })
    } else if wire::is::<HealthCheck>(any) {
        Some(HttpFilter::HealthCheck(Box::new(buffer::health_check(at, wire::unpack(at, any)))))
    } else if wire::is::<ForwardProxy>(any) {
        by_name(at, name, names::FORWARD_PROXY);
        Some(HttpFilter::DynamicForwardProxy(Box::new(dns_cache::http(at, wire::unpack(at, any)))))
    } else {
        wire::unknown_type(at, any);
        None
    }
}

/// Whether [`http_filter`] knows the type.
pub(super) fn is_known(any: &Any) -> bool {
    wire::is::<http_rbac::Rbac>(any)
        || wire::is::<pb_fault::HttpFault>(any)
        || wire::is::<set_filter_state::Config>(any)
        || wire::is::<istio::AlpnConfig>(any)
        || wire::is::<istio::PluginConfig>(any)
        || wire::is::<istio::PeerMetadata>(any)
        || wire::is::<grpc_stats::FilterConfig>(any)
        || wire::is::<cors::Cors>(any)
        || wire::is::<JwtAuthentication>(any)
        || wire::is::<LocalRateLimit>(any)
        || wire::is::<ExtAuthz>(any)
        || wire::is::<HeaderMutation>(any)
        || wire::is::<Compressor>(any)
        || wire::is::<Buffer>(any)
        || wire::is::<HealthCheck>(any)
        || wire::is::<ForwardProxy>(any)
}

/// Routes refer to a filter by its name.
fn by_name(at: At<'_>, name: &str, expected: &str) {
    if name != expected {
        at.refuse(format!("this filter must be named {expected}: routes refer to it by that name"));
    }
}

fn upstream_alpn(at: At<'_>, it: set_filter_state::Config) -> Vec<Str> {
    let set_filter_state::Config { mut on_request_headers, clear_route_cache } = it;
    refuse!(at; clear_route_cache);
    let (1, Some(value)) = (on_request_headers.len(), on_request_headers.pop()) else {
        at.field("on_request_headers").refuse("exactly one value is supported");
        return Vec::new();
    };
    let at = at.index("on_request_headers", 0);
    use filter_state::filter_state_value::{Key, SharedWithUpstream, Value};
    let filter_state::FilterStateValue {
        factory_key,
        read_only,
        shared_with_upstream,
        skip_if_empty,
        key,
        value,
    } = value;
    refuse!(at; read_only, skip_if_empty);
    let known = matches!(&key, Some(Key::ObjectKey(key)) if key == APPLICATION_PROTOCOLS)
        && (factory_key.is_empty() || factory_key == APPLICATION_PROTOCOLS);
    if !known {
        at.field("object_key").refuse(format!("only {APPLICATION_PROTOCOLS} is supported"));
    }
    if shared_with_upstream != SharedWithUpstream::Once as i32 {
        at.field("shared_with_upstream").refuse("only ONCE is supported");
    }
    let Some(Value::FormatString(format)) = value else {
        at.field("format_string").refuse("is required");
        return Vec::new();
    };
    let at = at.field("format_string");
    let text = wire::literal(at, wire::format_string(at, format).into());
    text.split(',').filter(|protocol| !protocol.is_empty()).map(Str::from).collect()
}

fn istio_alpn(at: At<'_>, it: istio::AlpnConfig) -> HttpFilter {
    let (mut http10, mut http11, mut http2) = (Vec::new(), Vec::new(), Vec::new());
    for (index, it) in it.alpn_override.into_iter().enumerate() {
        let istio::AlpnOverride { upstream_protocol, alpn_override } = it;
        let list = match upstream_protocol {
            istio::HTTP10 => &mut http10,
            istio::HTTP11 => &mut http11,
            istio::HTTP2 => &mut http2,
            other => {
                let at = at.index("alpn_override", index);
                at.field("upstream_protocol").refuse(format!("{other} is an unknown value"));
                continue;
            }
        };
        *list = wire::texts(alpn_override);
    }
    HttpFilter::IstioAlpn { http10, http11, http2 }
}

/// Ours is said, Istio's follows from the direction of the listener.
fn reporter(at: At<'_>, direction: Direction, it: istio::PluginConfig) -> Reporter {
    let istio::PluginConfig {
        disable_host_header_fallback,
        tcp_reporting_duration,
        metrics,
        definitions,
        reporter,
        rescoping_duration,
        scope_grace_period_duration,
        lateen_reporter,
    } = it;
    refuse!(at; tcp_reporting_duration, metrics, definitions, reporter);
    harmless!(Statistics; disable_host_header_fallback, rescoping_duration, scope_grace_period_duration);
    match (lateen_reporter.as_str(), direction) {
        ("source", _) => Reporter::Source,
        ("destination", _) => Reporter::Destination,
        ("gateway", _) => Reporter::Gateway,
        ("", Direction::Inbound) => Reporter::Destination,
        ("", Direction::Outbound | Direction::Unspecified) => Reporter::Source,
        (other, _) => {
            at.field("lateen_reporter").refuse(format!("{other:?} is unknown"));
            Reporter::Source
        }
    }
}

fn peer_metadata(at: At<'_>, it: istio::PeerMetadata) {
    let istio::PeerMetadata {
        downstream_discovery,
        upstream_discovery,
        downstream_propagation,
        upstream_propagation,
        shared_with_upstream,
        additional_labels,
    } = it;
    refuse!(at; additional_labels);
    harmless!(Statistics; shared_with_upstream);
    discovery(at, "downstream_discovery", downstream_discovery);
    discovery(at, "upstream_discovery", upstream_discovery);
    propagation(at, "downstream_propagation", downstream_propagation);
    propagation(at, "upstream_propagation", upstream_propagation);
}

fn discovery(at: At<'_>, name: &str, all: Vec<istio::DiscoveryMethod>) {
    for (index, it) in all.into_iter().enumerate() {
        let at = at.index(name, index);
        let istio::DiscoveryMethod { baggage, workload_discovery, istio_headers } = it;
        refuse!(at; baggage);
        // A second source of labels for metrics, asked if the headers were missing.
        harmless!(Statistics; workload_discovery);
        skipping(at, istio_headers);
    }
}

fn propagation(at: At<'_>, name: &str, all: Vec<istio::PropagationMethod>) {
    for (index, it) in all.into_iter().enumerate() {
        skipping(at.index(name, index), it.istio_headers);
    }
}

/// Metadata is only sent inside mutual TLS of our trust domain, never to what is outside.
fn skipping(_at: At<'_>, it: Option<istio::IstioHeaders>) {
    if let Some(istio::IstioHeaders { skip_external_clusters }) = it {
        harmless!(NoSuchMechanism; skip_external_clusters);
    }
}
