//! What Envoy can do with a cluster and we cannot: refused by name rather than ignored.

use engine::Problem;

/// # Errors
/// The first field without effect.
pub fn cluster(it: &ir::Cluster) -> Result<(), Problem> {
    let common = &it.common_lb;
    let dns = &it.dns;
    let without_effect = [
        (!it.health_checks.is_empty(), "health_checks"),
        (it.subsets.is_some(), "lb_subset_config"),
        (it.close_connections_on_health_failure, "close_connections_on_host_health_failure"),
        (
            common.close_connections_on_host_set_change,
            "common_lb_config.close_connections_on_host_set_change",
        ),
        (
            common.hash_balance_factor.is_some(),
            "common_lb_config.consistent_hashing_lb_config.hash_balance_factor",
        ),
        (it.original_dst.header.is_some(), "original_dst_lb_config.use_http_header"),
        (it.original_dst.port_override.is_some(), "original_dst_lb_config.upstream_port_override"),
        (!dns.resolvers.is_empty() || dns.use_tcp, "typed_dns_resolver_config"),
    ];
    match without_effect.iter().find(|(set, _)| *set) {
        Some((_, field)) => Err(Problem::new(*field, "is not supported")),
        None => Ok(()),
    }
}

/// Says of a cluster of names which of its settings do nothing. Names are resolved by the system for each
/// new connection, so an answer is never older than these settings allow; but they do not choose it.
pub fn report_names(it: &ir::Cluster) {
    if !matches!(it.discovery, ir::ClusterDiscovery::StrictDns(_) | ir::ClusterDiscovery::LogicalDns(_)) {
        return;
    }
    let dns = &it.dns;
    let without_effect = [
        (dns.refresh_rate.is_some(), "dns_refresh_rate"),
        (dns.jitter.is_some(), "dns_jitter"),
        (dns.failure_refresh.is_some(), "dns_failure_refresh_rate"),
        (dns.respect_ttl, "respect_dns_ttl"),
        (dns.family != ir::dns::DnsFamily::default(), "dns_lookup_family"),
    ];
    let fields: Vec<&str> = without_effect.iter().filter(|(set, _)| *set).map(|(_, field)| *field).collect();
    if !fields.is_empty() {
        tracing::info!(cluster = %it.name, ?fields, "without effect: each new connection resolves its host");
    }
}

/// # Errors
/// The first field of a route's retry policy without effect.
pub fn routes(config: &ir::RouteConfig) -> Result<(), Problem> {
    for route in config.virtual_hosts.iter().flat_map(|host| &host.routes) {
        let ir::RouteAction::Forward(forward) = &route.action else { continue };
        let Some(retry) = &forward.retry else { continue };
        let without_effect = [
            (retry.per_try_idle_timeout.is_some_and(|it| !it.is_zero()), "per_try_idle_timeout"),
            (!retry.retriable_headers.is_empty(), "retriable_headers"),
            (!retry.retriable_request_headers.is_empty(), "retriable_request_headers"),
        ];
        if let Some((_, field)) = without_effect.iter().find(|(set, _)| *set) {
            let path = format!("routes[{}].route.retry_policy.{field}", route.name);
            return Err(Problem::new(path, "is not supported"));
        }
    }
    Ok(())
}
