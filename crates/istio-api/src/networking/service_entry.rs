//! ServiceEntry: <https://istio.io/latest/docs/reference/config/networking/service-entry/>.

use std::collections::{BTreeMap, BTreeSet};

use model::{Labels, Level, Protocol, Str};

use crate::codes;
use crate::reader::{Fields, Item};
use crate::units::ExportTo;
use crate::validate;

/// A service that no Kubernetes Service describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEntry {
    pub hosts: Vec<Str>,
    /// IP addresses or CIDR blocks, as written.
    pub addresses: Vec<Str>,
    pub ports: Vec<EntryPort>,
    pub location: Location,
    pub resolution: Resolution,
    pub endpoints: Vec<EntryEndpoint>,
    /// Pods of the namespace that are its endpoints.
    pub workload_selector: Option<Labels>,
    pub export_to: ExportTo,
    pub subject_alt_names: Vec<Str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPort {
    pub number: u16,
    pub name: Str,
    pub protocol: Protocol,
    pub target_port: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    #[default]
    MeshExternal,
    MeshInternal,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    #[default]
    None,
    Static,
    Dns,
    DnsRoundRobin,
    DynamicDns,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryEndpoint {
    /// An IP address when resolution is `Static`.
    pub address: Str,
    /// Service port name to this endpoint's port.
    pub ports: BTreeMap<Str, u16>,
    pub labels: Labels,
    pub network: Str,
    pub locality: Str,
    /// `None`: 1.
    pub weight: Option<u32>,
    pub service_account: Str,
    /// Field path: `spec.endpoints[0]`.
    pub path: Str,
}

const LOCATIONS: [(&str, Location); 2] =
    [("MESH_EXTERNAL", Location::MeshExternal), ("MESH_INTERNAL", Location::MeshInternal)];

const RESOLUTIONS: [(&str, Resolution); 5] = [
    ("NONE", Resolution::None),
    ("STATIC", Resolution::Static),
    ("DNS", Resolution::Dns),
    ("DNS_ROUND_ROBIN", Resolution::DnsRoundRobin),
    ("DYNAMIC_DNS", Resolution::DynamicDns),
];

pub(crate) fn read(spec: Fields<'_>) -> ServiceEntry {
    let hosts = spec.require("hosts");
    if let Some(item) = &hosts {
        validate::hosts(item, validate::HostUse::Entry);
    }
    let resolution_item = spec.get("resolution");
    let resolution = resolution_item.as_ref().and_then(|item| item.one_of(&RESOLUTIONS)).unwrap_or_default();
    if resolution != Resolution::Static {
        let item = resolution_item.as_ref().unwrap_or(spec.item());
        let message = "only resolution STATIC has an effect yet: this service is not added to the mesh";
        item.report(Level::Warning, codes::NO_EFFECT, message.into());
    }
    let endpoints = spec.get("endpoints");
    let selector = spec.get("workloadSelector");
    if let (Some(item), Some(_)) = (&selector, &endpoints) {
        item.invalid("cannot stand beside endpoints".into());
    }
    if let (Resolution::None, Some(item)) = (resolution, &endpoints) {
        item.invalid("resolution NONE takes no endpoints".into());
    }
    let entry = ServiceEntry {
        hosts: hosts.map(|item| item.strings()).unwrap_or_default(),
        addresses: spec.get("addresses").map(|item| read_addresses(&item, resolution)).unwrap_or_default(),
        ports: spec.get("ports").map(|item| read_ports(&item)).unwrap_or_default(),
        location: spec.get("location").and_then(|item| item.one_of(&LOCATIONS)).unwrap_or_default(),
        resolution,
        endpoints: endpoints.map(|item| read_endpoints(&item, resolution)).unwrap_or_default(),
        workload_selector: selector.and_then(|item| read_selector(&item)),
        export_to: spec.get("exportTo").map(|item| validate::export_to(&item)).unwrap_or_default(),
        subject_alt_names: spec.get("subjectAltNames").map(|item| item.strings()).unwrap_or_default(),
    };
    check_port_names(&spec, &entry);
    spec.finish();
    entry
}

fn read_addresses(item: &Item<'_>, resolution: Resolution) -> Vec<Str> {
    let mut addresses = Vec::new();
    for item in item.list() {
        let Some(address) = validate::address_or_block(&item) else { continue };
        if address.contains('/') {
            match resolution {
                Resolution::None | Resolution::Static => item.no_effect(),
                _ => item.invalid("an address block needs resolution NONE or STATIC".into()),
            }
        }
        addresses.push(address);
    }
    addresses
}

fn read_ports(item: &Item<'_>) -> Vec<EntryPort> {
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    item.objects(|fields| {
        let number = fields.require("number").and_then(|n| n.port());
        let name = fields.require("name").and_then(|n| n.non_empty());
        let protocol = fields.get("protocol").and_then(|p| validate::protocol(&p));
        let target_port = fields.get("targetPort").and_then(|t| t.port());
        if number.is_some_and(|n| !numbers.insert(n)) {
            fields.item().invalid("the port number is given twice".into());
        }
        if name.as_ref().is_some_and(|n| !names.insert(n.clone())) {
            fields.item().invalid("the port name is given twice".into());
        }
        fields.finish();
        let (number, name) = (number?, name?);
        // Unlike a Service's, the port's name says nothing about the protocol.
        let protocol = protocol.unwrap_or(Protocol::Auto);
        Some(EntryPort { number, name, protocol, target_port })
    })
}

fn read_endpoints(item: &Item<'_>, resolution: Resolution) -> Vec<EntryEndpoint> {
    item.objects(|fields| {
        let address = fields.get("address");
        let text = address.as_ref().and_then(|a| a.str()).unwrap_or_default();
        if text.starts_with("unix:") {
            address.iter().for_each(|item| item.no_effect());
        } else if resolution == Resolution::Static && text.parse::<std::net::IpAddr>().is_err() {
            address.as_ref().unwrap_or(fields.item()).invalid("STATIC needs an IP address".into());
        }
        let port = |(name, item): (Str, Item<'_>)| Some((name, item.port()?));
        let endpoint = EntryEndpoint {
            path: fields.path(),
            address: text,
            ports: fields
                .get("ports")
                .map(|item| item.entries().into_iter().filter_map(port).collect())
                .unwrap_or_default(),
            labels: fields.get("labels").map(|item| validate::labels(&item)).unwrap_or_default(),
            network: fields.get("network").and_then(|item| item.str()).unwrap_or_default(),
            locality: fields.get("locality").and_then(|item| item.str()).unwrap_or_default(),
            weight: fields.get("weight").and_then(|item| item.u32()),
            service_account: fields.get("serviceAccount").and_then(|item| item.str()).unwrap_or_default(),
        };
        fields.finish();
        Some(endpoint)
    })
}

fn read_selector(item: &Item<'_>) -> Option<Labels> {
    let fields = item.object()?;
    let labels = fields.get("labels").map(|item| validate::selector(&item)).unwrap_or_default();
    fields.finish();
    Some(labels)
}

/// Endpoints may only name ports that the service has.
fn check_port_names(spec: &Fields<'_>, entry: &ServiceEntry) {
    for endpoint in &entry.endpoints {
        for name in endpoint.ports.keys() {
            if !entry.ports.iter().any(|port| port.name == *name) {
                spec.item().invalid(format!("{}.ports.{name}: the service has no such port", endpoint.path));
            }
        }
    }
}
