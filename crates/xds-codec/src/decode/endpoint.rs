//! Endpoints.

use ir::endpoint::EndpointHealthCheck;
use ir::{Endpoint, Health, LoadAssignment, LocalityEndpoints};
use model::Locality;

use super::at::At;
use super::strict::{harmless, refuse};
use super::{address, metadata, wire};
use crate::names::{LB_METADATA, TRANSPORT_MATCH};
use crate::pb::core;
use crate::pb::endpoint::{self as pb, lb_endpoint::HostIdentifier};

/// Envoy's highest (least preferred) priority.
const MAX_PRIORITY: u32 = 128;

/// From EDS: it is asked for by its name.
pub(super) fn discovered(at: At<'_>, it: pb::ClusterLoadAssignment) -> LoadAssignment {
    let at_name = at.field("cluster_name");
    let assignment = load_assignment(at, it);
    if assignment.cluster_name.is_empty() {
        at_name.refuse("is required");
    }
    assignment
}

pub(super) fn load_assignment(at: At<'_>, it: pb::ClusterLoadAssignment) -> LoadAssignment {
    let pb::ClusterLoadAssignment { cluster_name, endpoints, named_endpoints, policy: rules } = it;
    refuse!(at; named_endpoints);
    let overprovisioning_factor = rules.and_then(|rules| policy(at.field("policy"), rules));
    let one = |(index, it)| locality_endpoints(at.index("endpoints", index), it);
    LoadAssignment {
        cluster_name: cluster_name.into(),
        localities: wire::exact(endpoints.into_iter().enumerate().map(one)),
        overprovisioning_factor,
    }
}

fn policy(at: At<'_>, it: pb::cluster_load_assignment::Policy) -> Option<u32> {
    let pb::cluster_load_assignment::Policy {
        drop_overloads,
        overprovisioning_factor,
        endpoint_stale_after,
        weighted_priority_health,
    } = it;
    refuse!(at; drop_overloads, endpoint_stale_after, weighted_priority_health);
    let factor = wire::optional_number(overprovisioning_factor);
    if factor.is_some_and(|factor| factor < 100) {
        at.field("overprovisioning_factor").refuse("must be at least 100");
    }
    factor
}

fn locality_endpoints(at: At<'_>, it: pb::LocalityLbEndpoints) -> LocalityEndpoints {
    let pb::LocalityLbEndpoints {
        locality: place,
        metadata,
        lb_endpoints,
        load_balancing_weight,
        priority,
        proximity,
        lb_config,
    } = it;
    harmless!(Metadata; metadata);
    refuse!(at; proximity, lb_config);
    if priority > MAX_PRIORITY {
        at.field("priority").refuse(format!("{priority} is more than {MAX_PRIORITY}"));
    }
    let one = |(index, it)| endpoint(at.index("lb_endpoints", index), it);
    LocalityEndpoints {
        locality: locality(place),
        weight: weight(at, load_balancing_weight),
        priority,
        endpoints: wire::exact(lb_endpoints.into_iter().enumerate().map(one)),
    }
}

pub(super) fn locality(it: Option<core::Locality>) -> Locality {
    let core::Locality { region, zone, sub_zone } = it.unwrap_or_default();
    Locality { region: region.into(), zone: zone.into(), sub_zone: sub_zone.into() }
}

fn weight(at: At<'_>, it: Option<crate::pb::google::UInt32Value>) -> Option<u32> {
    let weight = wire::optional_number(it);
    if weight == Some(0) {
        at.field("load_balancing_weight").refuse("must be at least 1");
    }
    weight
}

fn endpoint(at: At<'_>, it: pb::LbEndpoint) -> Endpoint {
    let pb::LbEndpoint { health_status, metadata: all, load_balancing_weight, host_identifier } = it;
    let host = match host_identifier {
        Some(HostIdentifier::Endpoint(it)) => host(at.field("endpoint"), it),
        Some(HostIdentifier::EndpointName(_)) => {
            at.unsupported("endpoint_name");
            Endpoint::new(address::address(at.field("endpoint_name"), None))
        }
        None => Endpoint::new(address::address(at.field("endpoint"), None)),
    };
    let mut keys = metadata::keys(all);
    let lb = keys.remove(LB_METADATA).map(metadata::json_map).unwrap_or_default();
    let at_metadata = at.field("metadata");
    let at_transport = at_metadata.key("filter_metadata", TRANSPORT_MATCH);
    let transport = keys.remove(TRANSPORT_MATCH).map(|it| metadata::texts(at_transport, it));
    Endpoint {
        weight: weight(at, load_balancing_weight),
        lb_metadata: lb,
        health: health(at.field("health_status"), health_status),
        transport_metadata: transport.unwrap_or_default(),
        workload: keys.workload(),
        ..host
    }
}

/// All that the inner message says.
fn host(at: At<'_>, it: pb::Endpoint) -> Endpoint {
    let pb::Endpoint {
        address: place,
        health_check_config,
        hostname,
        additional_addresses,
        observability_name,
    } = it;
    refuse!(at; additional_addresses);
    harmless!(Label; observability_name);
    Endpoint {
        hostname: hostname.into(),
        health_check: health_check_config
            .map(|it| health_check(at.field("health_check_config"), it))
            .filter(|it| *it != EndpointHealthCheck::default())
            .map(Box::new),
        ..Endpoint::new(address::address(at.field("address"), place))
    }
}

fn health_check(at: At<'_>, it: pb::endpoint::HealthCheckConfig) -> EndpointHealthCheck {
    let pb::endpoint::HealthCheckConfig { port_value, hostname, address: place, disable_active_health_check } =
        it;
    EndpointHealthCheck {
        port: (port_value != 0).then(|| wire::port(at.field("port_value"), port_value)),
        hostname: hostname.into(),
        address: place.map(|it| address::address(at.field("address"), Some(it))),
        disabled: disable_active_health_check,
    }
}

fn health(at: At<'_>, it: i32) -> Health {
    match wire::enumeration(at, it) {
        core::HealthStatus::Unknown => Health::Unknown,
        core::HealthStatus::Healthy => Health::Healthy,
        core::HealthStatus::Unhealthy | core::HealthStatus::Timeout => Health::Unhealthy,
        core::HealthStatus::Draining => Health::Draining,
        core::HealthStatus::Degraded => Health::Degraded,
    }
}
