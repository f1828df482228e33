//! The clusters that every sidecar has, and those towards its own application.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ir::cluster::{ServiceRef, Thresholds};
use ir::endpoint::LocalityEndpoints;
use ir::{Address, Cluster, ClusterDiscovery, Endpoint, HttpProtocol, LbPolicy, LoadAssignment};
use model::{Origin, Protocol};
use stdx::Str;

use super::dynamic;
use crate::settings::Settings;
use crate::unit::ScopeKey;
use crate::{dynamic_dns, names};

/// Connections to the application come from here, so that the capture rules let them pass.
const LOOPBACK_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));
const LOOPBACK_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6));

/// Nobody is there.
pub fn black_hole(settings: &Settings) -> Cluster {
    nobody(names::BLACK_HOLE_CLUSTER, settings)
}

fn nobody(name: &str, settings: &Settings) -> Cluster {
    let nobody = LoadAssignment { cluster_name: name.into(), ..Default::default() };
    Cluster {
        connect_timeout: Some(settings.connect_timeout),
        ..Cluster::new(name, ClusterDiscovery::Static(nobody))
    }
}

/// To wherever the connection was going.
pub fn passthrough(settings: &Settings) -> Cluster {
    Cluster {
        connect_timeout: Some(settings.connect_timeout),
        lb_policy: LbPolicy::ClusterProvided,
        protocol: HttpProtocol::UseDownstream,
        thresholds: Thresholds::UNLIMITED,
        idle_timeout: Some(Duration::from_secs(300)),
        ..Cluster::new(names::PASSTHROUGH_CLUSTER, ClusterDiscovery::OriginalDst)
    }
}

/// Requests to hosts that nobody declared, under `ALLOW_ANY_DYNAMIC_DNS`: to whatever these resolve to.
pub fn dynamic_dns(settings: &Settings, scope: &ScopeKey) -> Cluster {
    let name = names::DYNAMIC_DNS_CLUSTER;
    let written = settings.outbound_tls.as_ref();
    let transport = dynamic::transport(written, &[], Protocol::Auto, scope, settings);
    if transport.closed {
        return nobody(name, settings);
    }
    let cache = dynamic_dns::of_anybody(settings, scope);
    Cluster {
        name: name.into(),
        discovery: dynamic_dns::discovery(cache, transport.names.as_ref()),
        tls: transport.tls,
        tls_from_request: transport.names.map(Box::new),
        ..passthrough(settings)
    }
}

/// To the application, on a port that no service exposes.
pub fn inbound_passthrough(settings: &Settings, address: Option<IpAddr>) -> Cluster {
    Cluster {
        name: names::INBOUND_PASSTHROUGH_CLUSTER.into(),
        bind_source: Some(loopback(address)),
        ..passthrough(settings)
    }
}

/// To the application, on a port of a service.
pub fn inbound(
    settings: &Settings,
    target_port: u16,
    protocol: Protocol,
    address: Option<IpAddr>,
    services: Vec<Arc<ServiceRef>>,
    origin: Option<Origin>,
) -> Cluster {
    Cluster {
        alt_stat_name: inbound_stat_name(settings, target_port, services.first().map(Arc::as_ref)),
        connect_timeout: Some(settings.connect_timeout),
        lb_policy: LbPolicy::ClusterProvided,
        protocol: upstream_protocol(protocol),
        thresholds: Thresholds::UNLIMITED,
        bind_source: Some(loopback(address)),
        services,
        origin,
        ..Cluster::new(names::inbound(target_port), ClusterDiscovery::OriginalDst)
    }
}

/// To the application that listens at the loopback address alone, in the place of wherever the connection
/// was going.
pub fn send_to_localhost(cluster: &mut Cluster, port: u16, address: Option<IpAddr>) {
    let ipv6 = address.is_some_and(|address| address.is_ipv6());
    let host = if ipv6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
    send_to(cluster, Address::Socket(SocketAddr::new(host, port)));
    cluster.bind_source = None;
}

/// Puts an address in the place of the one that the client asked for.
pub fn send_to(cluster: &mut Cluster, address: Address) {
    let locality = LocalityEndpoints {
        locality: Default::default(),
        weight: None,
        priority: 0,
        endpoints: vec![Endpoint::new(address)],
    };
    let cluster_name = cluster.name.clone();
    let only = LoadAssignment { cluster_name, localities: vec![locality], ..LoadAssignment::default() };
    cluster.discovery = ClusterDiscovery::Static(only);
    cluster.lb_policy = LbPolicy::RoundRobin;
}

/// As `inboundClusterStatName` of the mesh configuration has it.
fn inbound_stat_name(settings: &Settings, target_port: u16, service: Option<&ServiceRef>) -> Option<Str> {
    let pattern = Some(&settings.inbound_stat_name).filter(|pattern| !pattern.is_empty())?;
    let service = service?;
    let short = format!("{}.{}", service.name, service.namespace);
    let name = pattern
        .replace("%SERVICE%", &short)
        .replace("%SERVICE_NAME%", &service.name)
        .replace("%SERVICE_FQDN%", &service.host)
        .replace("%TARGET_PORT%", &target_port.to_string())
        .replace("%SERVICE_PORT%", &target_port.to_string());
    Some(name.into())
}

/// What HTTP a port is spoken to.
pub fn upstream_protocol(protocol: Protocol) -> HttpProtocol {
    if protocol.is_http2() {
        HttpProtocol::Http2
    } else if protocol == Protocol::Auto {
        HttpProtocol::UseDownstream
    } else {
        HttpProtocol::Http1
    }
}

fn loopback(address: Option<IpAddr>) -> IpAddr {
    if address.is_some_and(|address| address.is_ipv6()) { LOOPBACK_V6 } else { LOOPBACK_V4 }
}
