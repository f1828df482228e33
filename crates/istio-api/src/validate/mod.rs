//! Judgement of whole objects: the schema's check first, then Istio's semantic rules
//! (its `pkg/config/validation`), one file per kind. Rules look at the text that was written, so
//! every finding has its place; what the schema has already refused is not said again.

mod authorization_policy;
mod cel;
mod common;
mod connection;
mod destination_rule;
mod envoy_filter;
mod extensions;
mod gateway;
mod header;
pub(crate) mod headers;
mod http_action;
mod http_route;
mod locality;
mod metadata;
pub(crate) mod names;
mod regex;
mod request_authentication;
mod retries;
mod service;
mod service_entry;
mod sidecar;
mod telemetry;
mod tls;
mod unreachable;
pub(crate) mod url;
mod virtual_service;
mod workload;

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{Labels, ObjectRef, Str};

use crate::reader::Item;
use crate::schema::Resource;
use crate::schema::check::check;
use crate::units::PortRef;
use crate::yaml::{Node, Value};

pub(crate) use common::export_to;
pub(crate) use retries::check as retries;
pub(crate) use service::check as service;
pub(crate) use tls::client as client_tls;

/// What a rule may ask of the object around a value.
pub(crate) struct About<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub labels: &'a Labels,
    pub annotations: &'a BTreeMap<Str, Str>,
}

/// Reports everything that Istio would refuse about an object, or accept with a warning. `document`
/// is the whole of it.
pub(crate) fn object(
    document: &Item<'_>,
    resource: &Resource,
    object: &ObjectRef,
    labels: &Labels,
    annotations: &BTreeMap<Str, Str>,
) {
    let about = About { name: &object.name, namespace: &object.namespace, labels, annotations };
    let at = document.node();
    let empty = Node { line: at.line, column: at.column, value: Value::Map(Vec::new()) };
    let spec = match document.field("spec") {
        Some(spec) => spec,
        None if resource.spec.required => return document.invalid("spec is required".into()),
        None => Item::under("spec", &empty, document.cx()),
    };
    check(&spec, &resource.spec);
    metadata::check(document, resource.kind, &spec, &about);
    match resource.kind {
        "VirtualService" => virtual_service::check(&spec, &about),
        "DestinationRule" => destination_rule::check(&spec, &about),
        "Gateway" => gateway::check(&spec, &about),
        "ServiceEntry" => service_entry::check(&spec, &about),
        "Sidecar" => sidecar::check(&spec, &about),
        "WorkloadEntry" => workload::entry(&spec, None, workload::Address::IpOrName),
        "WorkloadGroup" => workload::group(&spec),
        "ProxyConfig" => common::selector(&spec, "selector", "matchLabels"),
        "EnvoyFilter" => envoy_filter::check(&spec),
        "AuthorizationPolicy" => authorization_policy::check(&spec),
        "PeerAuthentication" => common::selector(&spec, "selector", "matchLabels"),
        "RequestAuthentication" => request_authentication::check(&spec),
        "Telemetry" => telemetry::check(&spec),
        "WasmPlugin" => extensions::wasm_plugin(&spec),
        "TrafficExtension" => extensions::traffic_extension(&spec),
        _ => {}
    }
}

pub(crate) fn ip(item: &Item<'_>) -> Option<IpAddr> {
    let text = item.non_empty()?;
    let address = text.parse().ok();
    if address.is_none() {
        item.invalid(format!("{text:?} is no IP address"));
    }
    address
}

/// A port by number or by name.
pub(crate) fn port_ref(item: &Item<'_>) -> Option<PortRef> {
    if item.is_string() {
        let text = item.non_empty()?;
        // Kubernetes takes a string of digits for a name; nothing could be called that.
        return Some(text.parse().map_or(PortRef::Name(text), PortRef::Number));
    }
    item.port().map(PortRef::Number)
}
