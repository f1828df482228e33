//! Sidecar.

use std::collections::{BTreeMap, BTreeSet};

use super::common::{is_tls, port, protocol, protocol_of, selector};
use super::names::{HostsOf, domain, ip_address, is_label, namespaced_host, socket_path};
use super::{About, connection, header, tls};
use crate::reader::Item;

const WITHOUT_LISTENERS: [&str; 2] = ["outboundTrafficPolicy", "inboundConnectionPool"];

pub(super) fn check(spec: &Item<'_>, about: &About<'_>) {
    selector(spec, "workloadSelector", "labels");
    if !spec.has_some("egress")
        && !spec.has_some("ingress")
        && !WITHOUT_LISTENERS.iter().any(|part| spec.has(part))
    {
        return spec.invalid("needs egress, ingress, outboundTrafficPolicy or inboundConnectionPool".into());
    }
    let mut ports = BTreeSet::new();
    for listener in spec.each("ingress") {
        check_ingress(&listener);
        let number = listener.field("port").and_then(|port| port.field_int("number"));
        if listener.has("port") && !ports.insert(number.unwrap_or(0)) {
            listener.field_or_self("port").invalid("the port is given twice".into());
        }
    }
    connection::pool(spec, "inboundConnectionPool");
    check_egress(&spec.each("egress"), about);
    if let Some(policy) = spec.field("outboundTrafficPolicy") {
        check_outbound(&policy);
    }
}

fn check_ingress(listener: &Item<'_>) {
    let Some(port_item) = listener.field("port") else { return };
    check_port_name(&port_item);
    protocol(&port_item, "protocol");
    port(&port_item, "number", false);
    check_bind(listener);
    if let Some(endpoint) = listener.field("defaultEndpoint").filter(|item| !item.text().is_empty()) {
        check_endpoint(&endpoint);
    }
    if let Some(settings) = listener.field("tls") {
        check_tls(&settings, &port_item);
    }
    connection::pool(listener, "connectionPool");
    let http = listener.field("connectionPool").is_some_and(|pool| pool.has("http"));
    if http && !protocol_of(&port_item).is_some_and(|protocol| protocol.is_http()) {
        listener.field_or_self("connectionPool").warn("the port is not HTTP's, so only tcp applies");
    }
}

/// A name is optional, and `targetPort` means nothing.
fn check_port_name(port: &Item<'_>) {
    let name = port.field_text("name");
    if !name.is_empty() && !is_label(name) {
        port.field_or_self("name").invalid(format!("{name:?} is no name of a port"));
    }
    if port.field_int("targetPort").is_some_and(|target| target > 0) {
        port.field_or_self("targetPort").invalid("has no meaning in a Sidecar".into());
    }
}

fn check_bind(listener: &Item<'_>) {
    let bind = listener.field_text("bind");
    if !bind.is_empty() {
        listener.field_or_self("bind").judge(ip_address(bind));
    }
}

/// Where an ingress listener sends its traffic: the workload itself.
fn check_endpoint(endpoint: &Item<'_>) {
    let text = endpoint.text();
    if let Some(path) = text.strip_prefix("unix://") {
        return endpoint.judge(socket_path(path));
    }
    let local = ["127.0.0.1", "0.0.0.0", "[::1]", "[::]", ""];
    let good = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| local.contains(&host) && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !good {
        let forms = "127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT, :PORT or unix:///PATH";
        endpoint.invalid(format!("{text:?} is not of the form {forms}"));
    }
}

/// Fields of a server's TLS that a sidecar cannot honour.
const UNSUPPORTED: [&str; 4] = ["subjectAltNames", "credentialName", "credentialNames", "tlsCertificates"];

fn check_tls(settings: &Item<'_>, port: &Item<'_>) {
    for name in UNSUPPORTED.iter().filter(|name| settings.has_some(name)) {
        settings.field_or_self(name).invalid("is not supported in a Sidecar".into());
    }
    if settings.field_true("httpsRedirect") {
        settings.field_or_self("httpsRedirect").invalid("is not supported in a Sidecar".into());
    }
    let mode = settings.field_choice("mode", tls::SERVER_MODES);
    if matches!(mode, "ISTIO_MUTUAL" | "AUTO_PASSTHROUGH") {
        settings.field_or_self("mode").invalid(format!("{mode} is not possible in a Sidecar"));
    }
    if !is_tls(protocol_of(port)) {
        settings.invalid("only listeners of HTTPS and TLS can have it".into());
    }
    tls::server(settings);
}

fn check_egress(listeners: &[Item<'_>], about: &About<'_>) {
    let (mut ports, mut sockets) = (BTreeSet::new(), BTreeSet::new());
    for (index, listener) in listeners.iter().enumerate() {
        match listener.field("port") {
            None if index + 1 < listeners.len() => {
                listener.invalid("a listener without a port must be the last one".into());
            }
            None => {}
            Some(port) => {
                check_egress_port(listener, &port);
                let number = port.field_int("number").unwrap_or(0);
                let is_new = match number {
                    0 => sockets.insert(listener.field_text("bind")),
                    _ => ports.insert(number),
                };
                if !is_new {
                    port.invalid("the port or socket is given twice".into());
                }
            }
        }
        if listener.has("hosts") && !listener.has_some("hosts") {
            listener.field_or_self("hosts").invalid("needs at least one host".into());
        }
        check_hosts(&listener.each("hosts"), about);
    }
}

fn check_egress_port(listener: &Item<'_>, port_item: &Item<'_>) {
    check_port_name(port_item);
    protocol(port_item, "protocol");
    if port_item.field_int("number").unwrap_or(0) != 0 {
        port(port_item, "number", false);
        return check_bind(listener);
    }
    match listener.field_text("bind").strip_prefix("unix://") {
        Some(path) => listener.field_or_self("bind").judge(socket_path(path)),
        None => port_item.invalid("a port of 0 needs a bind of unix:///PATH".into()),
    }
    if listener.field_choice("captureMode", &["DEFAULT", "IPTABLES", "NONE"]) == "IPTABLES" {
        listener.field_or_self("captureMode").invalid("must be DEFAULT or NONE with a Unix socket".into());
    }
}

/// Hosts, and which of them say nothing new.
fn check_hosts(hosts: &[Item<'_>], about: &About<'_>) {
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for item in hosts {
        let text = item.text();
        item.judge(namespaced_host(text, HostsOf::Sidecar));
        let Some((namespace, host)) = text.split_once('/').filter(|(ns, _)| !ns.starts_with('~')) else {
            continue;
        };
        let namespace = if namespace == "." { about.namespace } else { namespace };
        let known = seen.entry(namespace).or_default();
        let covered =
            if host == "*" { !known.is_empty() } else { known.contains(host) || known.contains("*") };
        if covered {
            item.warn(format!("duplicated egress host: {text}"));
        }
        known.insert(host);
    }
    let everything = seen.get("*").is_some_and(|hosts| hosts.contains("*"));
    if let (true, Some(first)) = (everything && seen.len() > 1, hosts.first()) {
        first.warn("*/* selects every service, so the other hosts say nothing");
    }
}

fn check_outbound(policy: &Item<'_>) {
    let Some(proxy) = policy.field("egressProxy") else { return };
    if policy.field_choice("mode", &["REGISTRY_ONLY", "ALLOW_ANY"]) != "ALLOW_ANY" {
        return proxy.invalid("needs the mode ALLOW_ANY".into());
    }
    if let Some(host) = proxy.field("host") {
        host.judge(domain(host.text()));
    }
    if !proxy.has("port") {
        return proxy.invalid("port is required".into());
    }
    header::destination(&proxy);
}
