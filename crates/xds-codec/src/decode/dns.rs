//! How host names of endpoints are resolved.

use std::net::SocketAddr;
use std::time::Duration;

use ir::dns::{Dns, DnsFamily};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{address, wire};
use crate::pb::cluster::cluster::{DnsLookupFamily, RefreshRate};
use crate::pb::{cares, core, getaddrinfo, google};

/// The fields of a cluster that concern names.
pub(super) struct Fields {
    pub dns_refresh_rate: Option<google::Duration>,
    pub dns_jitter: Option<google::Duration>,
    pub dns_failure_refresh_rate: Option<RefreshRate>,
    pub respect_dns_ttl: bool,
    pub dns_lookup_family: i32,
    pub dns_resolvers: Vec<core::Address>,
    pub use_tcp_for_dns_lookups: bool,
    pub dns_resolution_config: Option<core::DnsResolutionConfig>,
    pub typed_dns_resolver_config: Option<core::TypedExtensionConfig>,
}

pub(super) fn dns(at: At<'_>, it: Fields) -> Dns {
    let refresh_rate = wire::optional_duration(at.field("dns_refresh_rate"), it.dns_refresh_rate);
    if refresh_rate.is_some_and(|rate| rate <= Duration::from_millis(1)) {
        at.field("dns_refresh_rate").refuse("must be more than 1 ms");
    }
    let mut dns = Dns {
        refresh_rate,
        jitter: wire::optional_duration(at.field("dns_jitter"), it.dns_jitter),
        failure_refresh: it
            .dns_failure_refresh_rate
            .map(|it| failure(at.field("dns_failure_refresh_rate"), it)),
        respect_ttl: it.respect_dns_ttl,
        family: family(at.field("dns_lookup_family"), it.dns_lookup_family),
        resolvers: resolvers(at, "dns_resolvers", it.dns_resolvers),
        use_tcp: it.use_tcp_for_dns_lookups,
    };
    if let Some(it) = it.dns_resolution_config {
        let core::DnsResolutionConfig { resolvers: all, dns_resolver_options } = it;
        let at = at.field("dns_resolution_config");
        dns.resolvers = resolvers(at, "resolvers", all);
        dns.use_tcp |= options(at.field("dns_resolver_options"), dns_resolver_options);
    }
    if let Some(core::TypedExtensionConfig { name, typed_config }) = it.typed_dns_resolver_config {
        harmless!(Label; name);
        let at = at.field("typed_dns_resolver_config");
        typed(at.field("typed_config"), typed_config.unwrap_or_default(), &mut dns);
    }
    dns
}

pub(super) fn typed(at: At<'_>, any: crate::Any, dns: &mut Dns) {
    if wire::is::<getaddrinfo::GetAddrInfoDnsResolverConfig>(&any) {
        let getaddrinfo::GetAddrInfoDnsResolverConfig { num_retries, num_resolver_threads } =
            wire::unpack(at, &any);
        harmless!(Tuning; num_retries, num_resolver_threads);
        return;
    }
    if !wire::is::<cares::CaresDnsResolverConfig>(&any) {
        return wire::unknown_type(at, &any);
    }
    let cares::CaresDnsResolverConfig {
        resolvers: all,
        use_resolvers_as_fallback,
        filter_unroutable_families,
        dns_resolver_options,
        udp_max_queries,
        query_timeout_seconds,
        query_tries,
        rotate_nameservers,
        edns0_max_payload_size,
        max_udp_channel_duration,
        reinit_channel_on_timeout,
        qcache_max_ttl,
    } = wire::unpack(at, &any);
    refuse!(at; use_resolvers_as_fallback, filter_unroutable_families);
    harmless!(Tuning; udp_max_queries, query_timeout_seconds, query_tries, rotate_nameservers,
        edns0_max_payload_size, max_udp_channel_duration, reinit_channel_on_timeout, qcache_max_ttl);
    dns.resolvers = resolvers(at, "resolvers", all);
    dns.use_tcp |= options(at.field("dns_resolver_options"), dns_resolver_options);
}

fn options(at: At<'_>, it: Option<core::DnsResolverOptions>) -> bool {
    let core::DnsResolverOptions { use_tcp_for_dns_lookups, no_default_search_domain } =
        it.unwrap_or_default();
    refuse!(at; no_default_search_domain);
    use_tcp_for_dns_lookups
}

fn resolvers(at: At<'_>, name: &str, all: Vec<core::Address>) -> Vec<SocketAddr> {
    let mut found = Vec::with_capacity(all.len());
    for (index, it) in all.into_iter().enumerate() {
        let at = at.index(name, index);
        match address::address(at, Some(it)) {
            ir::Address::Socket(address) => found.push(address),
            _ => at.refuse("must be an address and a port"),
        }
    }
    found
}

pub(super) fn failure(at: At<'_>, it: RefreshRate) -> (Duration, Option<Duration>) {
    let RefreshRate { base_interval, max_interval } = it;
    let base = wire::optional_duration(at.field("base_interval"), base_interval).unwrap_or_default();
    let max = wire::optional_duration(at.field("max_interval"), max_interval);
    if base <= Duration::from_millis(1) || max.is_some_and(|max| max < base) {
        at.refuse("base_interval must be more than 1 ms and at most max_interval");
    }
    (base, max)
}

pub(super) fn family(at: At<'_>, it: i32) -> DnsFamily {
    match wire::enumeration(at, it) {
        DnsLookupFamily::Auto => DnsFamily::Auto,
        DnsLookupFamily::V4Only => DnsFamily::V4Only,
        DnsLookupFamily::V6Only => DnsFamily::V6Only,
        DnsLookupFamily::V4Preferred => DnsFamily::V4Preferred,
        DnsLookupFamily::All => DnsFamily::All,
    }
}
