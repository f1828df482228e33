//! ServiceEntry.

use std::collections::BTreeSet;

use model::Protocol;

use super::common::{Exported, protocol_of, selector, visibility};
use super::names::{domain, is_label, subnet, whole_wildcard, wildcard_domain};
use super::workload::{self, Address};
use super::{About, common};
use crate::reader::Item;

const RESOLUTIONS: &[&str] = &["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"];

pub(super) fn check(spec: &Item<'_>, about: &About<'_>) {
    let resolution = spec.field_choice("resolution", RESOLUTIONS);
    selector(spec, "workloadSelector", "labels");
    let hosts = spec.each("hosts");
    for host in hosts.iter().filter(|host| host.text() != "*") {
        host.judge(wildcard_domain(host.text()));
        if let (Err(message), true) = (whole_wildcard(host.text()), resolution != "DYNAMIC_DNS") {
            host.warn(message);
        }
    }
    spec.each("addresses").iter().for_each(|address| address.judge(subnet(address.text())));
    check_ports(spec, resolution, about);
    let ports: BTreeSet<&str> = spec.each("ports").iter().map(|port| port.field_text("name")).collect();
    match resolution {
        "STATIC" => {
            for endpoint in spec.each("endpoints") {
                workload::entry(&endpoint, Some(&ports), Address::Ip);
            }
        }
        "DNS" | "DNS_ROUND_ROBIN" => check_dns(spec, &hosts, &ports),
        "DYNAMIC_DNS" => check_dynamic(spec, &hosts, about),
        _ if spec.has("workloadSelector") => {
            spec.field_or_self("workloadSelector").warn("means nothing with the resolution NONE");
        }
        _ => {}
    }
    if resolution != "NONE" && hosts.len() > 1 {
        let other =
            |port: &Item<'_>| !protocol_of(port).is_some_and(|p| p.is_http() || common::is_tls(Some(p)));
        if let Some(port) = spec.each("ports").iter().find(|port| other(port)) {
            port.invalid("several hosts cannot be told apart on a port that is neither HTTP nor TLS".into());
        }
    }
    visibility(spec, about.namespace, Exported::ServiceEntry);
}

fn check_ports(spec: &Item<'_>, resolution: &str, about: &About<'_>) {
    let opted_out = about
        .labels
        .get("networking.istio.io/enable-autoallocate-ip")
        .is_some_and(|v| v.eq_ignore_ascii_case("false"));
    let without_address = !spec.has_some("addresses") && (resolution == "NONE" || opted_out);
    for port in spec.each("ports") {
        let name = port.field_text("name");
        if port.has("name") && !is_label(name) {
            port.field_or_self("name").invalid(format!("{name:?} is no name of a port"));
        }
        common::protocol(&port, "protocol");
        if without_address && matches!(port.field_text("protocol"), "" | "TCP") {
            port.warn("a port of TCP needs addresses, unless they are allocated");
        }
    }
}

fn check_dns(spec: &Item<'_>, hosts: &[Item<'_>], ports: &BTreeSet<&str>) {
    if !spec.has_some("endpoints") {
        for host in hosts.iter().filter(|host| domain(host.text()).is_err()) {
            host.invalid("without endpoints, hosts must be full names that DNS can resolve".into());
        }
    }
    for endpoint in spec.each("endpoints") {
        workload::endpoint_of_dns(&endpoint, ports);
    }
    let tcp = |protocol| matches!(protocol, Some(Protocol::Tcp | Protocol::Https | Protocol::Tls));
    let has_tcp = spec.each("ports").iter().any(|port| tcp(protocol_of(port)));
    if spec.has_some("addresses") && has_tcp && hosts.len() > 1 {
        spec.warn("several hosts cannot be told apart by an address on a port of TCP");
    }
}

fn check_dynamic(spec: &Item<'_>, hosts: &[Item<'_>], about: &About<'_>) {
    for host in hosts.iter().filter(|host| !host.text().starts_with('*')) {
        host.invalid("DYNAMIC_DNS is for wildcards only".into());
    }
    for name in ["addresses", "endpoints"].iter().filter(|name| spec.has_some(name)) {
        spec.field_or_self(name)
            .invalid("cannot be set with DYNAMIC_DNS: names are resolved as they are asked for".into());
    }
    for port in spec.each("ports") {
        let text = port.field_text("protocol").to_ascii_uppercase();
        if !matches!(text.as_str(), "HTTP" | "HTTP2" | "GRPC" | "TLS") {
            port.invalid("DYNAMIC_DNS is for HTTP, HTTP2, GRPC and TLS only".into());
        }
    }
    let waypoint = about.labels.get("istio.io/use-waypoint").filter(|v| !v.is_empty());
    let uses_waypoint = waypoint.is_some_and(|value| !value.eq_ignore_ascii_case("none"));
    if uses_waypoint && spec.field_choice("location", &["MESH_EXTERNAL", "MESH_INTERNAL"]) == "MESH_INTERNAL"
    {
        spec.invalid("MESH_INTERNAL with DYNAMIC_DNS cannot go through a waypoint".into());
    }
}
