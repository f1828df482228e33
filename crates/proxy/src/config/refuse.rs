//! What Envoy can do with a cluster and we cannot: refused by name rather than ignored.

use engine::Problem;

use super::checks;

/// # Errors
/// The first field without effect.
pub fn cluster(it: &ir::Cluster) -> Result<(), Problem> {
    let common = &it.common_lb;
    let is_forward_proxy = matches!(it.discovery, ir::ClusterDiscovery::DynamicForwardProxy(_));
    let without_effect = [
        (it.close_connections_on_health_failure, "close_connections_on_host_health_failure"),
        (
            common.close_connections_on_host_set_change,
            "common_lb_config.close_connections_on_host_set_change",
        ),
        (is_forward_proxy && it.subsets.is_some(), "lb_subset_config"),
    ];
    match without_effect.iter().find(|(set, _)| *set) {
        Some((_, field)) => Err(Problem::new(*field, "is not supported")),
        None => checks::check(it),
    }
}

/// Says of a cluster with health checks what is otherwise than in Envoy.
pub fn report_checks(it: &ir::Cluster) {
    let discovered =
        matches!(it.discovery, ir::ClusterDiscovery::Eds { .. } | ir::ClusterDiscovery::StrictDns(_));
    if discovered && !it.health_checks.is_empty() && !it.ignore_health_on_host_removal {
        tracing::info!(cluster = %it.name, "ignore_health_on_host_removal: false is without effect");
    }
}
