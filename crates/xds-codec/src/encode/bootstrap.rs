//! The bootstrap.

use ir::Bootstrap;
use ir::bootstrap::BootstrapNode;

use super::{address, cluster, endpoint, listener, tls, wire};
use crate::pb::bootstrap::{self as pb, bootstrap as nested};
use crate::pb::core;

/// Encodes a bootstrap.
pub fn bootstrap(it: &Bootstrap) -> pb::Bootstrap {
    let static_resources = nested::StaticResources {
        listeners: it.listeners.iter().map(listener::listener).collect(),
        clusters: it.clusters.iter().map(cluster::cluster).collect(),
        secrets: it.secrets.iter().map(tls::secret).collect(),
    };
    let dynamic_resources = nested::DynamicResources {
        lds_config: it.lds.as_ref().map(wire::config_source),
        cds_config: it.cds.as_ref().map(wire::config_source),
        ads_config: it.ads.as_ref().map(wire::api_config_source),
        ..Default::default()
    };
    pb::Bootstrap {
        node: Some(node(&it.node)),
        static_resources: set(static_resources),
        dynamic_resources: set(dynamic_resources),
        overload_manager: it.overload.as_ref().map(overload),
        admin: it
            .admin
            .as_ref()
            .map(|admin| pb::Admin { address: Some(address::address(admin)), ..Default::default() }),
        ..Default::default()
    }
}

fn overload(it: &ir::Overload) -> crate::pb::overload::OverloadManager {
    use crate::pb::downstream_connections::DownstreamConnectionsConfig;
    use crate::pb::fixed_heap::FixedHeapConfig;
    use crate::pb::overload as pb;
    let heap = "envoy.resource_monitors.fixed_heap";
    let monitor = |name: &str, any| pb::ResourceMonitor {
        name: name.to_owned(),
        config_type: Some(pb::resource_monitor::ConfigType::TypedConfig(any)),
    };
    let fixed = it.max_heap_bytes.map(|max_heap_size_bytes| {
        monitor(heap, wire::pack(&FixedHeapConfig { max_heap_size_bytes, ..Default::default() }))
    });
    let connections = it.max_connections.map(|max| {
        let max_active_downstream_connections = i64::try_from(max).unwrap_or(i64::MAX);
        let config = DownstreamConnectionsConfig { max_active_downstream_connections };
        monitor("envoy.resource_monitors.global_downstream_max_connections", wire::pack(&config))
    });
    let action = |rule: &ir::OverloadRule| {
        let value = f64::from(rule.threshold) / 1_000_000.0;
        let trigger = pb::trigger::TriggerOneof::Threshold(pb::ThresholdTrigger { value });
        pb::OverloadAction {
            name: rule.action.name().to_owned(),
            triggers: vec![pb::Trigger { name: heap.to_owned(), trigger_oneof: Some(trigger) }],
            ..Default::default()
        }
    };
    pb::OverloadManager {
        refresh_interval: it.refresh_interval.map(wire::duration),
        resource_monitors: fixed.into_iter().chain(connections).collect(),
        actions: it.actions.iter().map(action).collect(),
        ..Default::default()
    }
}

/// Unset instead of empty.
fn set<T: Default + PartialEq>(it: T) -> Option<T> {
    (it != T::default()).then_some(it)
}

fn node(it: &BootstrapNode) -> core::Node {
    core::Node {
        id: it.id.to_string(),
        cluster: it.cluster.to_string(),
        metadata: (!it.metadata.is_empty()).then(|| wire::json_struct(&it.metadata)),
        locality: endpoint::locality(&it.locality),
        ..Default::default()
    }
}
