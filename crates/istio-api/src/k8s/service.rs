//! Service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Labels, Protocol, Str};

use crate::reader::{Fields, Item};
use crate::units::PortRef;
use crate::validate;

/// `v1` Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    pub cluster_ips: ClusterIps,
    pub ports: Vec<ServicePort>,
    /// Empty: none; endpoints come from elsewhere.
    pub selector: Labels,
    pub service_type: ServiceType,
    /// Endpoints count whether they are ready or not.
    pub publish_not_ready: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClusterIps {
    /// To be allocated.
    #[default]
    Unset,
    /// `clusterIP: None`.
    Headless,
    Given(Vec<IpAddr>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    #[default]
    ClusterIp,
    NodePort,
    LoadBalancer,
    /// Another name for this host.
    ExternalName(Str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// May be empty if it is the only one.
    pub name: Str,
    pub port: u16,
    pub target_port: PortRef,
    pub protocol: Protocol,
}

pub(crate) fn read(spec: Fields<'_>) -> Service {
    let service = Service {
        cluster_ips: read_cluster_ips(&spec),
        ports: spec.get("ports").map(|item| read_ports(&item)).unwrap_or_default(),
        selector: spec.get("selector").map(|item| item.labels()).unwrap_or_default(),
        service_type: read_type(&spec),
        publish_not_ready: spec.get("publishNotReadyAddresses").and_then(|i| i.bool()).unwrap_or(false),
    };
    // Settings of nodes, load balancers and address families that Istio does not read either.
    for name in ["ipFamilies", "ipFamilyPolicy", "externalIPs", "externalTrafficPolicy"] {
        spec.get(name);
    }
    for name in ["allocateLoadBalancerNodePorts", "loadBalancerIP", "healthCheckNodePort"] {
        spec.get(name);
    }
    spec.finish_lenient();
    service
}

fn read_cluster_ips(spec: &Fields<'_>) -> ClusterIps {
    let one = spec.get("clusterIP");
    let many = spec.get("clusterIPs").map(|item| item.list()).unwrap_or_default();
    let items = if many.is_empty() { one.into_iter().collect() } else { many };
    let mut addresses = Vec::new();
    for item in items {
        match item.str() {
            Some(text) if text == "None" => return ClusterIps::Headless,
            Some(text) if text.is_empty() => {}
            Some(_) => addresses.extend(validate::ip(&item)),
            None => {}
        }
    }
    if addresses.is_empty() { ClusterIps::Unset } else { ClusterIps::Given(addresses) }
}

fn read_type(spec: &Fields<'_>) -> ServiceType {
    let external = spec.get("externalName");
    let Some(item) = spec.get("type") else { return ServiceType::ClusterIp };
    let names = [("ClusterIP", 0), ("NodePort", 1), ("LoadBalancer", 2), ("ExternalName", 3)];
    match item.one_of(&names) {
        Some(1) => ServiceType::NodePort,
        Some(2) => ServiceType::LoadBalancer,
        Some(3) => match external.and_then(|host| host.non_empty()) {
            Some(host) => ServiceType::ExternalName(host),
            None => {
                item.invalid("ExternalName needs externalName".into());
                ServiceType::ClusterIp
            }
        },
        _ => ServiceType::ClusterIp,
    }
}

fn read_ports(item: &Item<'_>) -> Vec<ServicePort> {
    let mut seen = BTreeSet::new();
    item.objects(|fields| {
        let port = fields.require("port").and_then(|item| item.port());
        let name = fields.get("name").and_then(|item| item.str()).unwrap_or_default();
        let transport = fields.get("protocol").and_then(|item| item.str()).unwrap_or_default();
        let app_protocol = fields.get("appProtocol").and_then(|item| item.str());
        let target = fields.get("targetPort").and_then(|item| validate::port_ref(&item));
        fields.get("nodePort");
        let place = fields.item().clone();
        fields.finish_lenient();
        let port = port?;
        if !seen.insert((port, transport.eq_ignore_ascii_case("UDP"))) {
            place.invalid(format!("the port {port} is given twice"));
            return None;
        }
        Some(ServicePort {
            target_port: target.unwrap_or(PortRef::Number(port)),
            protocol: Protocol::select(port, &name, app_protocol.as_deref(), &transport),
            name,
            port,
        })
    })
}
