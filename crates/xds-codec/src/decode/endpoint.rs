//! Endpoints.

use ir::{Endpoint, Health, LoadAssignment, LocalityEndpoints};
use model::Locality;

use super::at::At;
use super::strict::{harmless, refuse};
use super::{address, metadata, wire};
use crate::names::TRANSPORT_MATCH;
use crate::pb::core;
use crate::pb::endpoint::{self as pb, lb_endpoint::HostIdentifier};

/// Envoy's highest (least preferred) priority.
const MAX_PRIORITY: u32 = 128;
/// Envoy's default share of hosts, in percent, that a priority is thought to have to spare.
const OVERPROVISIONING: u32 = 140;

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
    if let Some(rules) = rules {
        policy(at.field("policy"), rules);
    }
    let one = |(index, it)| locality_endpoints(at.index("endpoints", index), it);
    LoadAssignment {
        cluster_name: cluster_name.into(),
        localities: endpoints.into_iter().enumerate().map(one).collect(),
    }
}

fn policy(at: At<'_>, it: pb::cluster_load_assignment::Policy) {
    let pb::cluster_load_assignment::Policy {
        drop_overloads,
        overprovisioning_factor,
        endpoint_stale_after,
        weighted_priority_health,
    } = it;
    refuse!(at; drop_overloads, endpoint_stale_after, weighted_priority_health);
    if overprovisioning_factor.is_some_and(|it| it.value != OVERPROVISIONING) {
        at.field("overprovisioning_factor").refuse("only 140 is supported");
    }
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
        endpoints: lb_endpoints.into_iter().enumerate().map(one).collect(),
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
    let place = match host_identifier {
        Some(HostIdentifier::Endpoint(it)) => host(at.field("endpoint"), it),
        Some(HostIdentifier::EndpointName(_)) => {
            at.unsupported("endpoint_name");
            address::address(at.field("endpoint_name"), None)
        }
        None => address::address(at.field("endpoint"), None),
    };
    let mut keys = metadata::keys(all);
    let transport = keys.remove(TRANSPORT_MATCH).unwrap_or_default();
    let at_transport = at.field("metadata");
    Endpoint {
        address: place,
        weight: weight(at, load_balancing_weight),
        health: health(at.field("health_status"), health_status),
        transport_metadata: metadata::texts(at_transport.key("filter_metadata", TRANSPORT_MATCH), transport),
        workload: keys.workload(),
    }
}

fn host(at: At<'_>, it: pb::Endpoint) -> ir::Address {
    let pb::Endpoint {
        address: place,
        health_check_config,
        hostname,
        additional_addresses,
        observability_name,
    } = it;
    refuse!(at; additional_addresses);
    // Read by health checks and by `auto_host_rewrite` only; both are refused where they are set.
    harmless!(NoSuchMechanism; health_check_config, hostname);
    harmless!(Label; observability_name);
    address::address(at.field("address"), place)
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
