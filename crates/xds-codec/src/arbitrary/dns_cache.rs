//! Names that requests and connections bring along.

use std::time::Duration;

use ir::dns_cache::{ForwardProxy, ForwardProxyOverride, SniForwardProxy};
use ir::{Dns, DnsCache};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{balance, text};

pub(super) fn cache() -> BoxedStrategy<DnsCache> {
    let time = || option::of((1000u64..10_000).prop_map(Duration::from_millis));
    let numbers = || option::of(1u32..);
    let dns = balance::names().prop_map(|(dns, _)| Dns { jitter: None, respect_ttl: false, ..dns });
    let names = vec((text::name(), text::port()), 0..3);
    (text::name(), dns, (time(), time(), time()), (numbers(), numbers()), names)
        .prop_map(|(name, dns, times, numbers, preresolve)| DnsCache {
            name,
            dns,
            min_refresh_rate: times.0,
            host_ttl: times.1,
            query_timeout: times.2,
            max_hosts: numbers.0,
            max_pending_requests: numbers.1,
            preresolve,
        })
        .boxed()
}

pub(super) fn cluster() -> impl Strategy<Value = ForwardProxy> {
    (cache(), any::<bool>()).prop_map(|(cache, allow_insecure_cluster_options)| ForwardProxy {
        cache,
        allow_insecure_cluster_options,
    })
}

pub(super) fn sni() -> impl Strategy<Value = SniForwardProxy> {
    (cache(), 1u16..).prop_map(|(cache, port)| SniForwardProxy { cache, port })
}

pub(super) fn per_route() -> impl Strategy<Value = ForwardProxyOverride> {
    prop_oneof![
        text::name().prop_map(ForwardProxyOverride::HostRewrite),
        text::header().prop_map(ForwardProxyOverride::HostRewriteHeader),
    ]
}
