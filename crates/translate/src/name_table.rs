//! The names that the agent's DNS server knows: every service by all names it may be called.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ir::NameTable;
use ir::name_table::NameInfo;
use registry::{Endpoint, Resolution, Service, ServiceSource, View};
use stdx::Str;

use crate::domains;
use crate::egress::Egress;
use crate::unit::ScopeKey;

/// The table of proxies in the scope's namespace.
pub fn build(view: &View<'_>, scope: &ScopeKey) -> NameTable {
    let mut table = NameTable::default();
    let services = Egress::of(view, scope).services(view);
    let hosts: BTreeSet<&str> = services.iter().map(|service| service.host.as_str()).collect();
    for service in &services {
        let ips = addresses(view, service, scope);
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
        for (pod, ips) in pods(view, service) {
            let shortname = format!("{pod}.{}", service.name).into();
            let own = NameInfo { ips: ips.into_iter().collect(), shortname, ..full.clone() };
            table.table.entry(format!("{pod}.{}", service.host).into()).or_insert_with(|| own.clone());
            for name in domains::short_forms(service.host.as_str(), &scope.namespace, &scope.domain) {
                let name = Str::from(format!("{pod}.{name}"));
                if !name.ends_with('.') && !hosts.contains(name.as_str()) {
                    table.table.entry(name).or_insert_with(|| own.clone());
                }
            }
        }
        table.table.insert(service.host.to_str(), full);
    }
    table
}

/// Virtual addresses; the ready endpoints of a service without. Names of which nothing is known but
/// where they are resolved are left to whoever is asked next.
fn addresses(view: &View<'_>, service: &Service, scope: &ScopeKey) -> Vec<IpAddr> {
    if service.resolution != Resolution::Headless {
        return service.addresses_for(scope.dns);
    }
    endpoints(view, service)
        .into_iter()
        .map(|endpoint| endpoint.address)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Those of all ports that serve.
fn endpoints(view: &View<'_>, service: &Service) -> Vec<Endpoint> {
    let mut all = Vec::new();
    for port in &service.ports {
        let endpoints = view.endpoints(service, port.number);
        all.extend(endpoints.iter().filter(|e| e.ready || service.publish_not_ready).cloned());
    }
    all
}

/// The pods of a headless service by names of their own, as a StatefulSet's: `POD.SERVICE.…`.
fn pods(view: &View<'_>, service: &Service) -> BTreeMap<Str, BTreeSet<IpAddr>> {
    let mut pods: BTreeMap<Str, BTreeSet<IpAddr>> = BTreeMap::new();
    if service.resolution == Resolution::Headless {
        for endpoint in endpoints(view, service) {
            let named = endpoint.workload.hostname.as_ref().zip(endpoint.workload.subdomain.as_ref());
            if let Some((hostname, subdomain)) = named
                && *subdomain == service.name
            {
                pods.entry(hostname.clone()).or_default().insert(endpoint.address);
            }
        }
    }
    pods
}
