//! WorkloadEntry and WorkloadGroup, and endpoints of a ServiceEntry.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::common::labels;
use super::names::{domain, socket_path};
use crate::reader::Item;

/// What an address may be, beside a Unix socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    Ip,
    IpOrName,
}

/// `ports`: the names of the service's ports, if there is a service.
pub(super) fn entry(item: &Item<'_>, ports: Option<&BTreeSet<&str>>, address: Address) {
    let text = item.field_text("address");
    let socket = text.strip_prefix("unix://");
    let at = item.field_or_self("address");
    if let Some(path) = socket {
        at.judge(socket_path(path));
        if ports.is_some_and(|ports| ports.len() != 1) {
            at.invalid("a Unix socket needs a service of exactly one port".into());
        }
    } else if text.is_empty() {
        if item.has_some("network") {
            item.warn("has a network and no address");
        } else if item.has("address") || item.has("network") {
            item.invalid("address is required".into());
        }
    } else if text.parse::<IpAddr>().is_err() && (address == Address::Ip || domain(text).is_err()) {
        let what = if address == Address::Ip { "no IP address" } else { "neither an IP address nor a name" };
        at.invalid(format!("{text:?} is {what}"));
    }
    check_ports(item, ports);
    labels(item, "labels");
}

/// An endpoint whose address is looked up.
pub(super) fn endpoint_of_dns(item: &Item<'_>, ports: &BTreeSet<&str>) {
    let text = item.field_text("address");
    if text.parse::<IpAddr>().is_err() && domain(text).is_err() {
        item.field_or_self("address").invalid(format!("{text:?} is neither an IP address nor a name"));
    }
    check_ports(item, Some(ports));
    labels(item, "labels");
}

/// Names of ports are judged by the schema; here they must be the service's.
fn check_ports(item: &Item<'_>, ports: Option<&BTreeSet<&str>>) {
    for (name, port) in item.each_entry("ports") {
        if ports.is_some_and(|ports| !ports.contains(name)) {
            port.invalid(format!("the service has no port {name}"));
        }
    }
}

pub(super) fn group(spec: &Item<'_>) {
    if let Some(metadata) = spec.field("metadata") {
        labels(&metadata, "labels");
    }
    let Some(probe) = spec.field("probe") else { return };
    let methods = ["httpGet", "tcpSocket", "exec", "grpc"];
    if !methods.iter().any(|name| probe.has(name)) {
        probe.invalid("needs httpGet, tcpSocket, exec or grpc".into());
    }
    for header in probe.field("httpGet").iter().flat_map(|get| get.each("httpHeaders")) {
        let name = header.field_text("name");
        // Stricter than the schema: Kubernetes knows no underscores there.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            header.field_or_self("name").invalid(format!("{name:?} is no name of a header"));
        }
    }
    if let Some(exec) = probe.field("exec").filter(|exec| exec.has("command") && !exec.has_some("command")) {
        exec.field_or_self("command").invalid("must not be empty".into());
    }
}
