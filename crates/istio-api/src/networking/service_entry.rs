//! ServiceEntry: <https://istio.io/latest/docs/reference/config/networking/service-entry/>.

use std::collections::BTreeMap;

use model::{Labels, Protocol, Str};

use super::workload_entry::{self, WorkloadEntry, WorkloadSelector};
use crate::reader::{Absent, Fields, Item, Read};
use crate::schema::macros::message;
use crate::schema::rules::{NOT_EVERY_HOST, SERVICE_ENTRY, UNIQUE_PORTS};
use crate::schema::{choice, list, object, port, text, texts};
use crate::units::ExportTo;

message! {
    /// A service that no Kubernetes Service describes.
    table SPEC {
        /// Names or wildcards.
        "hosts" = list(&text().rules(NOT_EVERY_HOST)).min(1).max(256).required(),
        /// IP addresses or blocks of them.
        "addresses" = list(&text().max(64)).max(256),
        "ports" = list(&object(&PORT)).max(256).key("name").rules(UNIQUE_PORTS),
        "location" = choice(&["MESH_EXTERNAL", "MESH_INTERNAL"]),
        /// How the addresses of endpoints are found.
        "resolution" = choice(&["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]),
        "endpoints" = list(&workload_entry::SCHEMA).max(4096),
        /// Pods and WorkloadEntries of the namespace that are its endpoints.
        "workloadSelector" = object(&WorkloadSelector::MESSAGE),
        /// Namespaces that see it, `.` for its own, `*` for all (without), `~` for none.
        "exportTo" = texts(),
        /// One of these must be in the server's certificate.
        "subjectAltNames" = texts(),
    }
    rules SERVICE_ENTRY;
}

message! {
    /// A port of the service.
    table PORT {
        "number" = port().required(),
        "protocol" = text().max(256),
        "name" = text().max(256).required(),
        /// The port of endpoints; number without.
        "targetPort" = port(),
    }
}

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
    /// Pods and WorkloadEntries of the namespace that are its endpoints.
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
    let resolution = spec.get("resolution").and_then(|item| item.one_of(&RESOLUTIONS)).unwrap_or_default();
    let selector: Option<WorkloadSelector> = Absent::from_item(spec.get("workloadSelector"));
    let entry = ServiceEntry {
        hosts: Absent::from_item(spec.get("hosts")),
        addresses: Absent::from_item(spec.get("addresses")),
        ports: spec.get("ports").map(|item| item.objects(read_port)).unwrap_or_default(),
        location: spec.get("location").and_then(|item| item.one_of(&LOCATIONS)).unwrap_or_default(),
        resolution,
        endpoints: spec.get("endpoints").map(|item| read_endpoints(&item)).unwrap_or_default(),
        workload_selector: selector.map(|selector| selector.labels),
        export_to: Absent::from_item(spec.get("exportTo")),
        subject_alt_names: Absent::from_item(spec.get("subjectAltNames")),
    };
    spec.finish();
    entry
}

fn read_port(fields: Fields<'_>) -> Option<EntryPort> {
    let number = fields.get("number").and_then(|n| n.port());
    let name: Str = Absent::from_item(fields.get("name"));
    let protocol = fields.get("protocol").and_then(|p| p.str()).and_then(|text| Protocol::by_name(&text));
    let target_port = fields.get("targetPort").and_then(|t| t.port());
    fields.finish();
    // Unlike a Service's, the port's name says nothing about the protocol.
    Some(EntryPort { number: number?, name, protocol: protocol.unwrap_or(Protocol::Auto), target_port })
}

fn read_endpoints(item: &Item<'_>) -> Vec<EntryEndpoint> {
    let endpoint = |item: &Item<'_>| {
        let entry = WorkloadEntry::read(item)?;
        Some(EntryEndpoint {
            path: item.path(),
            address: entry.address,
            ports: entry.ports,
            labels: entry.labels,
            network: entry.network,
            locality: entry.locality,
            weight: entry.weight,
            service_account: entry.service_account,
        })
    };
    item.list().iter().filter_map(endpoint).collect()
}
