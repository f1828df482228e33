//! Endpoints.

use ir::endpoint::EndpointHealthCheck;
use ir::{Endpoint, Health, LoadAssignment, LocalityEndpoints};
use model::Locality;

use super::metadata::Builder;
use super::{address, wire};
use crate::names::{LB_METADATA, TRANSPORT_MATCH};
use crate::pb::core;
use crate::pb::endpoint::{self as pb, lb_endpoint::HostIdentifier};

/// Encodes the endpoints of a cluster.
pub fn load_assignment(it: &LoadAssignment) -> pb::ClusterLoadAssignment {
    pb::ClusterLoadAssignment {
        cluster_name: it.cluster_name.to_string(),
        endpoints: it.localities.iter().map(locality_endpoints).collect(),
        policy: it.overprovisioning_factor.map(|factor| pb::cluster_load_assignment::Policy {
            overprovisioning_factor: Some(wire::number(factor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn locality_endpoints(it: &LocalityEndpoints) -> pb::LocalityLbEndpoints {
    pb::LocalityLbEndpoints {
        locality: locality(&it.locality),
        lb_endpoints: it.endpoints.iter().map(endpoint).collect(),
        load_balancing_weight: wire::optional_number(it.weight),
        priority: it.priority,
        ..Default::default()
    }
}

pub(super) fn locality(it: &Locality) -> Option<core::Locality> {
    (*it != Locality::default()).then(|| core::Locality {
        region: it.region.to_string(),
        zone: it.zone.to_string(),
        sub_zone: it.sub_zone.to_string(),
    })
}

fn endpoint(it: &Endpoint) -> pb::LbEndpoint {
    let transport = it.transport_metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    pb::LbEndpoint {
        health_status: health(it.health).into(),
        metadata: Builder::default()
            .key(LB_METADATA, wire::json_struct(&it.lb_metadata))
            .key(TRANSPORT_MATCH, wire::text_struct(transport))
            .workload(it.workload.as_deref())
            .build(),
        load_balancing_weight: wire::optional_number(it.weight),
        host_identifier: Some(HostIdentifier::Endpoint(pb::Endpoint {
            address: Some(address::address(&it.address)),
            health_check_config: it.health_check.as_ref().map(|it| health_check(it)),
            hostname: it.hostname.to_string(),
            ..Default::default()
        })),
    }
}

fn health_check(it: &EndpointHealthCheck) -> pb::endpoint::HealthCheckConfig {
    pb::endpoint::HealthCheckConfig {
        port_value: it.port.map(u32::from).unwrap_or_default(),
        hostname: it.hostname.to_string(),
        address: it.address.as_ref().map(address::address),
        disable_active_health_check: it.disabled,
    }
}

fn health(it: Health) -> core::HealthStatus {
    match it {
        Health::Unknown => core::HealthStatus::Unknown,
        Health::Healthy => core::HealthStatus::Healthy,
        Health::Unhealthy => core::HealthStatus::Unhealthy,
        Health::Draining => core::HealthStatus::Draining,
        Health::Degraded => core::HealthStatus::Degraded,
    }
}
