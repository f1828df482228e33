//! Names that requests bring along: `resolution: DYNAMIC_DNS` of ServiceEntries, and
//! `ALLOW_ANY_DYNAMIC_DNS` of the mesh. Envoy's dynamic forward proxy resolves them; clusters and filters
//! with the same cache belong together.

use std::net::{Ipv4Addr, SocketAddr};

use ir::cluster::TlsFromRequest;
use ir::dns::DnsFamily;
use ir::dns_cache::{ForwardProxy, SniForwardProxy};
use ir::{ClusterDiscovery, Dns, DnsCache, HttpFilter, NetworkFilter};
use model::{Host, Protocol};
use registry::{Resolution, Service};

use crate::settings::{Outbound, Settings};
use crate::unit::ScopeKey;

/// Istio's name of the cache for hosts that nobody declared.
const ANYBODY: &str = "allow_any_dfp_dns_cache";
/// Where the agent answers for names of the mesh.
const AGENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 15053);

/// Whether the service's names are resolved as they are asked for.
pub fn is_dynamic(service: &Service) -> bool {
    service.resolution == Resolution::DynamicDns
}

/// What such services may speak: there is a name in it.
pub fn is_served(protocol: Protocol) -> bool {
    protocol == Protocol::Tls || protocol.is_http()
}

/// The names of a service: `*.example.com`.
pub fn of_service(host: &Host, scope: &ScopeKey) -> DnsCache {
    DnsCache {
        name: format!("{host}_dfp_dns_cache").into(),
        dns: Dns { family: family(scope), ..Dns::default() },
        ..DnsCache::default()
    }
}

/// Names that nobody declared. Where the agent answers for names, it answers for these, too.
pub fn of_anybody(settings: &Settings, scope: &ScopeKey) -> DnsCache {
    let resolvers = if scope.dns { vec![AGENT] } else { Vec::new() };
    DnsCache {
        name: ANYBODY.into(),
        dns: Dns { family: family(scope), resolvers, ..Dns::default() },
        max_hosts: Some(settings.features.allow_any_dynamic_dns_max_hosts),
        ..DnsCache::default()
    }
}

fn family(scope: &ScopeKey) -> DnsFamily {
    if scope.ipv6 { DnsFamily::V6Only } else { DnsFamily::V4Only }
}

/// Endpoints are what names resolve to. Where TLS does not both ask for the name and expect it, or where
/// there is no TLS, Envoy wants to hear that this is meant.
pub fn discovery(cache: DnsCache, names: Option<&TlsFromRequest>) -> ClusterDiscovery {
    let allow_insecure_cluster_options = !names.is_some_and(|it| it.sni && it.san_validation);
    ClusterDiscovery::DynamicForwardProxy(Box::new(ForwardProxy { cache, allow_insecure_cluster_options }))
}

/// What resolves the hosts of requests: of a service on the listener, and of anybody.
pub fn http_filters(host: Option<&Host>, settings: &Settings, scope: &ScopeKey) -> Vec<HttpFilter> {
    let service = host.map(|host| of_service(host, scope));
    let anybody = (settings.outbound == Outbound::DynamicDns).then(|| of_anybody(settings, scope));
    service.into_iter().chain(anybody).map(|cache| HttpFilter::DynamicForwardProxy(Box::new(cache))).collect()
}

/// What resolves the names of TLS clients.
pub fn sni_filter(host: &Host, port: u16, scope: &ScopeKey) -> NetworkFilter {
    let cache = of_service(host, scope);
    NetworkFilter::SniDynamicForwardProxy(Box::new(SniForwardProxy { cache, port }))
}
