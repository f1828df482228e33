//! Names that requests and connections bring along.

use std::time::Duration;

use ir::cluster::TlsFromRequest;
use ir::dns_cache::{ForwardProxy, ForwardProxyOverride, SniForwardProxy};
use ir::{Cluster, ClusterDiscovery, Dns, DnsCache, Str};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{address, dns, wire};
use crate::pb::cluster::cluster::CustomClusterType;
use crate::pb::core::{self, SocketAddress};
use crate::pb::dns_cache::{self as pb, DnsCacheCircuitBreakers};
use crate::pb::forward_proxy::filter_config::ImplementationSpecifier;
use crate::pb::forward_proxy::per_route_config::HostRewriteSpecifier;
use crate::pb::forward_proxy_cluster::cluster_config::ClusterImplementationSpecifier;
use crate::pb::sni_forward_proxy::filter_config::PortSpecifier;
use crate::pb::{forward_proxy, forward_proxy_cluster, sni_forward_proxy};

/// Envoy's least `dns_min_refresh_rate`.
const LEAST_REFRESH_RATE: Duration = Duration::from_secs(1);

pub(super) fn cluster_type(at: At<'_>, it: CustomClusterType) -> Option<ForwardProxy> {
    let CustomClusterType { name, typed_config } = it;
    harmless!(Label; name);
    let at = at.field("typed_config");
    let any = typed_config.unwrap_or_default();
    if !wire::is::<forward_proxy_cluster::ClusterConfig>(&any) {
        wire::unknown_type(at, &any);
        return None;
    }
    let forward_proxy_cluster::ClusterConfig {
        allow_insecure_cluster_options,
        allow_coalesced_connections,
        cluster_implementation_specifier,
    } = wire::unpack(at, &any);
    refuse!(at; allow_coalesced_connections);
    let config = match cluster_implementation_specifier {
        Some(ClusterImplementationSpecifier::DnsCacheConfig(it)) => Some(it),
        Some(ClusterImplementationSpecifier::SubClustersConfig(_)) => {
            at.unsupported("sub_clusters_config");
            return None;
        }
        None => None,
    };
    Some(ForwardProxy { cache: cache(at.field("dns_cache_config"), config), allow_insecure_cluster_options })
}

/// Who is expected behind a name, where TLS is spoken: whoever the request names, unless the cluster says
/// that this may be otherwise. Without options for HTTP Envoy sets those of the deprecated fields.
pub(super) fn expect_names(at: At<'_>, cluster: &mut Cluster, has_options: bool) {
    let is_plain = cluster.tls.is_none() && cluster.transport_matches.is_empty();
    let ClusterDiscovery::DynamicForwardProxy(proxy) = &cluster.discovery else { return };
    if has_options {
        let both = cluster.tls_from_request.as_ref().is_some_and(|it| it.sni && it.san_validation);
        if !both && !proxy.allow_insecure_cluster_options {
            at.refuse(
                "auto_sni and auto_san_validation must be set where allow_insecure_cluster_options is not",
            );
        }
    } else if !is_plain {
        let names = TlsFromRequest { sni: true, san_validation: true, header: None };
        cluster.tls_from_request = Some(Box::new(names));
    }
}

pub(super) fn http(at: At<'_>, it: forward_proxy::FilterConfig) -> DnsCache {
    let forward_proxy::FilterConfig {
        save_upstream_address,
        allow_dynamic_host_from_filter_state,
        implementation_specifier,
    } = it;
    refuse!(at; save_upstream_address, allow_dynamic_host_from_filter_state);
    let config = match implementation_specifier {
        Some(ImplementationSpecifier::DnsCacheConfig(it)) => Some(it),
        Some(ImplementationSpecifier::SubClusterConfig(_)) => {
            at.unsupported("sub_cluster_config");
            return DnsCache::default();
        }
        None => None,
    };
    cache(at.field("dns_cache_config"), config)
}

pub(super) fn per_route(_: At<'_>, it: forward_proxy::PerRouteConfig) -> Option<ForwardProxyOverride> {
    let rewrite = match it.host_rewrite_specifier? {
        HostRewriteSpecifier::HostRewriteLiteral(host) => ForwardProxyOverride::HostRewrite(host.into()),
        HostRewriteSpecifier::HostRewriteHeader(name) => {
            ForwardProxyOverride::HostRewriteHeader(name.to_ascii_lowercase().into())
        }
    };
    Some(rewrite)
}

pub(super) fn sni(at: At<'_>, it: sni_forward_proxy::FilterConfig) -> SniForwardProxy {
    let sni_forward_proxy::FilterConfig { dns_cache_config, save_upstream_address, port_specifier } = it;
    refuse!(at; save_upstream_address);
    // Envoy has no default of its own either: what is not said is 0.
    let port = match port_specifier {
        Some(PortSpecifier::PortValue(port)) => port,
        None => 0,
    };
    let port = u16::try_from(port).ok().filter(|port| *port > 0).unwrap_or_else(|| {
        at.field("port_value").refuse("must be a port");
        0
    });
    SniForwardProxy { cache: cache(at.field("dns_cache_config"), dns_cache_config), port }
}

fn cache(at: At<'_>, it: Option<pb::DnsCacheConfig>) -> DnsCache {
    if it.is_none() {
        at.refuse("is required");
    }
    let pb::DnsCacheConfig {
        name,
        dns_lookup_family,
        dns_refresh_rate,
        dns_min_refresh_rate,
        host_ttl,
        max_hosts,
        disable_dns_refresh_on_failure,
        dns_failure_refresh_rate,
        dns_cache_circuit_breaker,
        use_tcp_for_dns_lookups,
        dns_resolution_config,
        typed_dns_resolver_config,
        preresolve_hostnames,
        dns_query_timeout,
        key_value_config,
        resolved_address_filter,
    } = it.unwrap_or_default();
    refuse!(at; disable_dns_refresh_on_failure, key_value_config, resolved_address_filter,
        use_tcp_for_dns_lookups, dns_resolution_config);
    let time = |name, value| wire::optional_duration(at.field(name), value);
    let failure_refresh =
        dns_failure_refresh_rate.map(|it| dns::failure(at.field("dns_failure_refresh_rate"), it));
    let mut names = Dns {
        refresh_rate: time("dns_refresh_rate", dns_refresh_rate),
        family: dns::family(at.field("dns_lookup_family"), dns_lookup_family),
        failure_refresh,
        ..Dns::default()
    };
    if names.refresh_rate.is_some_and(|rate| rate < Duration::from_millis(1)) {
        at.field("dns_refresh_rate").refuse("must be 1 ms or more");
    }
    if let Some(core::TypedExtensionConfig { name, typed_config }) = typed_dns_resolver_config {
        harmless!(Label; name);
        let at = at.field("typed_dns_resolver_config");
        dns::typed(at.field("typed_config"), typed_config.unwrap_or_default(), &mut names);
    }
    let min_refresh_rate = time("dns_min_refresh_rate", dns_min_refresh_rate);
    if min_refresh_rate.is_some_and(|rate| rate < LEAST_REFRESH_RATE) {
        at.field("dns_min_refresh_rate").refuse("must be 1 s or more");
    }
    let host_ttl = time("host_ttl", host_ttl);
    if host_ttl == Some(Duration::ZERO) {
        at.field("host_ttl").refuse("must be more than 0");
    }
    let max_hosts = wire::optional_number(max_hosts);
    if max_hosts == Some(0) {
        at.field("max_hosts").refuse("must be more than 0");
    }
    let pending = dns_cache_circuit_breaker
        .and_then(|DnsCacheCircuitBreakers { max_pending_requests }| max_pending_requests);
    DnsCache {
        name: wire::required(at.field("name"), name),
        dns: names,
        min_refresh_rate,
        host_ttl,
        max_hosts,
        max_pending_requests: wire::optional_number(pending),
        query_timeout: time("dns_query_timeout", dns_query_timeout),
        preresolve: preresolved(at, preresolve_hostnames),
    }
}

fn preresolved(at: At<'_>, all: Vec<SocketAddress>) -> Vec<(Str, u16)> {
    let each = all.into_iter().enumerate();
    let each = each.map(|(index, it)| address::socket(at.index("preresolve_hostnames", index), it));
    each.map(|(host, port)| (host.into(), port)).collect()
}
