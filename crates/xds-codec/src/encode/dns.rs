//! How host names of endpoints are resolved.

use ir::dns::{Dns, DnsFamily};

use super::{address, wire};
use crate::names;
use crate::pb::cluster::cluster::{DnsLookupFamily, RefreshRate};
use crate::pb::cluster::{self as pb};
use crate::pb::{cares, core};

/// Writes the fields into a cluster.
pub(super) fn dns(it: &Dns, cluster: &mut pb::Cluster) {
    cluster.dns_refresh_rate = wire::optional_duration(it.refresh_rate);
    cluster.dns_jitter = wire::optional_duration(it.jitter);
    cluster.dns_failure_refresh_rate = failure(it);
    cluster.respect_dns_ttl = it.respect_ttl;
    cluster.dns_lookup_family = family(it.family).into();
    cluster.typed_dns_resolver_config = resolver(it);
}

pub(super) fn family(it: DnsFamily) -> DnsLookupFamily {
    match it {
        DnsFamily::Auto => DnsLookupFamily::Auto,
        DnsFamily::V4Only => DnsLookupFamily::V4Only,
        DnsFamily::V6Only => DnsLookupFamily::V6Only,
        DnsFamily::V4Preferred => DnsLookupFamily::V4Preferred,
        DnsFamily::All => DnsLookupFamily::All,
    }
}

pub(super) fn failure(it: &Dns) -> Option<RefreshRate> {
    it.failure_refresh.map(|(base, max)| RefreshRate {
        base_interval: Some(wire::duration(base)),
        max_interval: wire::optional_duration(max),
    })
}

pub(super) fn resolver(it: &Dns) -> Option<core::TypedExtensionConfig> {
    if it.resolvers.is_empty() && !it.use_tcp {
        return None;
    }
    let config = cares::CaresDnsResolverConfig {
        resolvers: it.resolvers.iter().map(|it| address::address(&ir::Address::Socket(*it))).collect(),
        dns_resolver_options: it.use_tcp.then_some(core::DnsResolverOptions {
            use_tcp_for_dns_lookups: true,
            no_default_search_domain: false,
        }),
        ..Default::default()
    };
    Some(core::TypedExtensionConfig {
        name: names::CARES_RESOLVER.into(),
        typed_config: Some(wire::pack(&config)),
    })
}
