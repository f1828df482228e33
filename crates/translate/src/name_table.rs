//! The names that the agent's DNS server knows: every service by all names it may be called.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ir::NameTable;
use ir::name_table::NameInfo;
use registry::{Resolution, Service, ServiceSource, View};

use crate::domains;
use crate::unit::ScopeKey;

/// The table of proxies in the scope's namespace.
pub fn build(view: &View<'_>, scope: &ScopeKey) -> NameTable {
    let mut table = NameTable::default();
    let services = view.services(&scope.namespace);
    let hosts: BTreeSet<&str> = services.iter().map(|service| service.host.as_str()).collect();
    for service in &services {
        let ips = addresses(view, service);
        if ips.is_empty() {
            continue;
        }
        let kubernetes = service.source == ServiceSource::Kubernetes;
        let full = NameInfo {
            ips,
            registry: if kubernetes { "Kubernetes" } else { "External" }.into(),
            shortname: if kubernetes { service.name.clone() } else { "".into() },
            namespace: if kubernetes { service.namespace.clone() } else { "".into() },
        };
        for name in domains::short_forms(service.host.as_str(), &scope.namespace, &scope.domain) {
            // A name that is spelled out somewhere is that service's, whoever comes first.
            if !name.ends_with('.') && !hosts.contains(name.as_str()) {
                table.table.entry(name).or_insert_with(|| full.clone());
            }
        }
        table.table.insert(service.host.to_str(), full);
    }
    table
}

/// Virtual addresses; the ready endpoints of a service without.
fn addresses(view: &View<'_>, service: &Service) -> Vec<IpAddr> {
    if service.resolution != Resolution::Headless {
        return service.addresses.clone();
    }
    let mut addresses = Vec::new();
    for port in &service.ports {
        let endpoints = view.endpoints(service, port.number);
        let serving = endpoints.iter().filter(|endpoint| endpoint.ready || service.publish_not_ready);
        addresses.extend(serving.map(|endpoint| endpoint.address));
    }
    addresses.sort();
    addresses.dedup();
    addresses
}
