//! The bootstrap.

use ir::Bootstrap;
use ir::bootstrap::{AdsConfig, BootstrapNode};

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
        lds_config: it.lds_over_ads.then(wire::ads),
        cds_config: it.cds_over_ads.then(wire::ads),
        ads_config: it.ads.as_ref().map(ads_config),
        ..Default::default()
    };
    pb::Bootstrap {
        node: Some(node(&it.node)),
        static_resources: set(static_resources),
        dynamic_resources: set(dynamic_resources),
        admin: it
            .admin
            .as_ref()
            .map(|admin| pb::Admin { address: Some(address::address(admin)), ..Default::default() }),
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

fn ads_config(it: &AdsConfig) -> core::ApiConfigSource {
    use core::api_config_source::ApiType;
    core::ApiConfigSource {
        api_type: if it.delta { ApiType::DeltaGrpc } else { ApiType::Grpc }.into(),
        transport_api_version: core::ApiVersion::V3.into(),
        grpc_services: vec![wire::envoy_grpc(&it.cluster, &it.metadata)],
        set_node_on_first_message_only: true,
        ..Default::default()
    }
}
