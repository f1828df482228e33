//! EndpointSlice: <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>.

use std::net::IpAddr;

use model::Str;

use crate::reader::Fields;

/// The label that names the Service whose endpoints these are.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// `discovery.k8s.io/v1` EndpointSlice: endpoints of a Service, listed by somebody else than us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    pub endpoints: Vec<SliceEndpoint>,
    pub ports: Vec<SlicePort>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// At least one; all are of the same backend.
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`; what is not said is true.
    pub ready: bool,
    pub zone: Str,
}

/// A port that all endpoints of the slice have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// Of the Service's port; empty if that has none.
    pub name: Str,
    pub port: u16,
}

pub(crate) fn read(document: &Fields<'_>) -> EndpointSlice {
    // Names are for EndpointSlices of addresses that only DNS knows: they have no address to offer.
    let by_name = document.get("addressType").is_some_and(|item| item.text() == "FQDN");
    let endpoints = document.get("endpoints").map(|item| item.objects(read_endpoint)).unwrap_or_default();
    let ports = document.get("ports").map(|item| item.objects(read_port)).unwrap_or_default();
    EndpointSlice { endpoints: if by_name { Vec::new() } else { endpoints }, ports }
}

fn read_endpoint(fields: Fields<'_>) -> Option<SliceEndpoint> {
    let addresses = fields.require("addresses").map(|item| item.strings()).unwrap_or_default();
    let addresses: Vec<IpAddr> = addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let ready = fields
        .get("conditions")
        .and_then(|item| item.object())
        .is_none_or(|conditions| conditions.get("ready").and_then(|ready| ready.bool()).unwrap_or(true));
    let zone = fields.get("zone").and_then(|item| item.str()).unwrap_or_default();
    (!addresses.is_empty()).then_some(SliceEndpoint { addresses, ready, zone })
}

fn read_port(fields: Fields<'_>) -> Option<SlicePort> {
    let name = fields.get("name").and_then(|item| item.str()).unwrap_or_default();
    let port = fields.get("port").and_then(|item| item.port())?;
    Some(SlicePort { name, port })
}
