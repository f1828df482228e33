//! Services from the objects that declare them.

use std::net::IpAddr;
use std::sync::Arc;

use istio_api::k8s::{ClusterIps, ServiceType};
use istio_api::networking::{Location, Resolution as EntryResolution};
use istio_api::{Document, Kind, PortRef, k8s, networking};
use model::{Host, Str};

use super::addresses;
use crate::{Export, Resolution, Service, ServicePort, ServiceSource, Snapshot};

/// A label for Services and ServiceEntries; its value does not matter.
const PORTS_AS_THEY_ARE: &str = "experimental.istio.io/disable-gateway-port-translation";

/// The hosts that an object declares.
pub(super) fn hosts_of(next: &Snapshot, document: &Document) -> Vec<Host> {
    let namespace = &document.object.namespace;
    match &document.body {
        Kind::Service(_) => vec![next.resolve(&document.object.name, namespace)],
        Kind::ServiceEntry(entry) => entry.hosts.iter().map(|host| next.resolve(host, namespace)).collect(),
        _ => Vec::new(),
    }
}

/// The services that an object declares; gives addresses to those that were not given one.
pub(super) fn make(next: &mut Snapshot, document: &Document) -> Vec<Service> {
    match &document.body {
        Kind::Service(spec) => make_service(next, document, spec).into_iter().collect(),
        Kind::ServiceEntry(spec) => make_entry(next, document, spec),
        _ => Vec::new(),
    }
}

fn make_service(next: &mut Snapshot, document: &Document, spec: &k8s::Service) -> Option<Service> {
    if matches!(spec.service_type, ServiceType::ExternalName(_)) {
        return None;
    }
    let object = &document.object;
    let addresses = match &spec.cluster_ips {
        ClusterIps::Given(addresses) => addresses.clone(),
        ClusterIps::Headless => Vec::new(),
        ClusterIps::Unset => addresses::allocate(next, object).into_iter().collect(),
    };
    // Istio's annotation is a comma separated list.
    let exported = document.annotations.get("networking.istio.io/exportTo");
    let exported: Vec<Str> =
        exported.map(|list| list.split(',').map(|v| v.trim().into()).collect()).unwrap_or_default();
    let headless = spec.cluster_ips == ClusterIps::Headless;
    // A name with a dot cannot be one of a Service, so this is always the full name.
    let host = next.resolve(&object.name, &object.namespace);
    let ports = spec.ports.iter().map(|port| ServicePort {
        number: port.port,
        name: port.name.clone(),
        protocol: port.protocol,
        target_port: port.target_port.clone(),
    });
    Some(Service {
        host: host.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        aliases: next.aliases.get(&host).map(|all| all.iter().cloned().collect()).unwrap_or_default(),
        addresses,
        blocks: Vec::new(),
        allocated: None,
        ports: ports.collect(),
        selector: (!spec.selector.is_empty()).then(|| spec.selector.clone()),
        resolution: if headless { Resolution::Headless } else { Resolution::ClientSideLb },
        external: false,
        publish_not_ready: spec.publish_not_ready,
        source: ServiceSource::Kubernetes,
        subject_alt_names: Vec::new(),
        export_to: Export::new(&exported, &next.mesh.default_service_export_to, &object.namespace),
        gateway_ports_as_they_are: document.labels.get(PORTS_AS_THEY_ARE).is_some(),
        created: document.created,
        object: object.clone(),
        listed: Arc::default(),
    })
}

/// One service per host.
fn make_entry(next: &mut Snapshot, document: &Document, spec: &networking::ServiceEntry) -> Vec<Service> {
    let resolution = match spec.resolution {
        EntryResolution::None => Resolution::Passthrough,
        EntryResolution::Static => Resolution::ClientSideLb,
        EntryResolution::Dns => Resolution::Dns { logical: false },
        EntryResolution::DnsRoundRobin => Resolution::Dns { logical: true },
        EntryResolution::DynamicDns => Resolution::DynamicDns,
    };
    let object = &document.object;
    let allocates = resolution != Resolution::Passthrough
        && spec.addresses.is_empty()
        && document.labels.get("networking.istio.io/enable-autoallocate-ip") != Some("false");
    let ports: Vec<ServicePort> = spec
        .ports
        .iter()
        .map(|port| ServicePort {
            number: port.number,
            name: port.name.clone(),
            protocol: port.protocol,
            target_port: PortRef::Number(port.target_port.unwrap_or(port.number)),
        })
        .collect();
    let listed = Arc::new(spec.endpoints.clone());
    let export_to = Export::new(&spec.export_to, &next.mesh.default_service_export_to, &object.namespace);
    let visibility = next.mesh.service_entry_visibility.as_ref().filter(|it| it.apply_to_sidecars);
    let visibility = visibility.map(|it| it.of(&object.namespace, &next.namespace_labels(&object.namespace)));
    let export_to = export_to.capped(visibility.unwrap_or_default(), &object.namespace);
    let service = |host: &Str| {
        let host = next.resolve(host, &object.namespace);
        Service {
            // An address for a wildcard is one for many names, which something else has to tell apart.
            allocated: match allocates && (!host.is_wildcard() || resolution == Resolution::DynamicDns) {
                true => addresses::allocate_entry(next, &object.namespace, &host),
                false => None,
            },
            host,
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            aliases: Vec::new(),
            addresses: spec.addresses.iter().filter_map(|a| address(a)).collect(),
            blocks: spec.addresses.iter().filter_map(|a| block(a)).collect(),
            ports: ports.clone(),
            selector: spec.workload_selector.clone().filter(|selector| !selector.is_empty()),
            resolution,
            external: spec.location == Location::MeshExternal,
            publish_not_ready: false,
            source: ServiceSource::ServiceEntry,
            subject_alt_names: spec.subject_alt_names.clone(),
            export_to: export_to.clone(),
            gateway_ports_as_they_are: document.labels.get(PORTS_AS_THEY_ARE).is_some(),
            created: document.created,
            object: object.clone(),
            listed: listed.clone(),
        }
    };
    spec.hosts.iter().map(service).collect()
}

/// An address by itself, which a block of one address is as well.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| cidr(text).filter(is_one).map(|(address, _)| address))
}

fn block(text: &str) -> Option<(IpAddr, u8)> {
    cidr(text).filter(|block| !is_one(block))
}

fn is_one((address, length): &(IpAddr, u8)) -> bool {
    *length == if address.is_ipv4() { 32 } else { 128 }
}

fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}
