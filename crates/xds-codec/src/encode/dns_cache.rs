//! Names that requests and connections bring along.

use ir::DnsCache;
use ir::dns_cache::{ForwardProxy, ForwardProxyOverride, SniForwardProxy};

use super::{dns, wire};
use crate::names;
use crate::pb::cluster::cluster::CustomClusterType;
use crate::pb::core::{SocketAddress, socket_address::PortSpecifier as AddressPort};
use crate::pb::dns_cache::{self as pb, DnsCacheCircuitBreakers};
use crate::pb::forward_proxy::filter_config::ImplementationSpecifier;
use crate::pb::forward_proxy::per_route_config::HostRewriteSpecifier;
use crate::pb::forward_proxy_cluster::cluster_config::ClusterImplementationSpecifier;
use crate::pb::sni_forward_proxy::filter_config::PortSpecifier;
use crate::pb::{forward_proxy, forward_proxy_cluster, sni_forward_proxy};

pub(super) fn cluster_type(it: &ForwardProxy) -> CustomClusterType {
    let config = forward_proxy_cluster::ClusterConfig {
        allow_insecure_cluster_options: it.allow_insecure_cluster_options,
        cluster_implementation_specifier: Some(ClusterImplementationSpecifier::DnsCacheConfig(cache(
            &it.cache,
        ))),
        ..Default::default()
    };
    CustomClusterType { name: names::FORWARD_PROXY_CLUSTER.into(), typed_config: Some(wire::pack(&config)) }
}

pub(super) fn http(it: &DnsCache) -> forward_proxy::FilterConfig {
    forward_proxy::FilterConfig {
        implementation_specifier: Some(ImplementationSpecifier::DnsCacheConfig(cache(it))),
        ..Default::default()
    }
}

pub(super) fn per_route(it: &ForwardProxyOverride) -> forward_proxy::PerRouteConfig {
    let specifier = match it {
        ForwardProxyOverride::HostRewrite(host) => HostRewriteSpecifier::HostRewriteLiteral(host.to_string()),
        ForwardProxyOverride::HostRewriteHeader(name) => {
            HostRewriteSpecifier::HostRewriteHeader(name.to_string())
        }
    };
    forward_proxy::PerRouteConfig { host_rewrite_specifier: Some(specifier) }
}

pub(super) fn sni(it: &SniForwardProxy) -> sni_forward_proxy::FilterConfig {
    sni_forward_proxy::FilterConfig {
        dns_cache_config: Some(cache(&it.cache)),
        port_specifier: Some(PortSpecifier::PortValue(it.port.into())),
        ..Default::default()
    }
}

fn cache(it: &DnsCache) -> pb::DnsCacheConfig {
    let breaker = it
        .max_pending_requests
        .map(|max| DnsCacheCircuitBreakers { max_pending_requests: wire::optional_number(Some(max)) });
    let name = |(host, port): &(ir::Str, u16)| SocketAddress {
        address: host.to_string(),
        port_specifier: Some(AddressPort::PortValue((*port).into())),
        ..Default::default()
    };
    pb::DnsCacheConfig {
        name: it.name.to_string(),
        dns_lookup_family: dns::family(it.dns.family).into(),
        dns_refresh_rate: wire::optional_duration(it.dns.refresh_rate),
        dns_min_refresh_rate: wire::optional_duration(it.min_refresh_rate),
        host_ttl: wire::optional_duration(it.host_ttl),
        max_hosts: wire::optional_number(it.max_hosts),
        dns_failure_refresh_rate: dns::failure(&it.dns),
        dns_cache_circuit_breaker: breaker,
        typed_dns_resolver_config: dns::resolver(&it.dns),
        preresolve_hostnames: it.preresolve.iter().map(name).collect(),
        dns_query_timeout: wire::optional_duration(it.query_timeout),
        ..Default::default()
    }
}
