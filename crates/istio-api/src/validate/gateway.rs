//! Gateway.

use std::collections::BTreeSet;

use super::common::{PROTOCOLS, is_tls, port, protocol_of};
use super::names::{HostsOf, ip_address, is_label, namespaced_host, socket_path};
use super::{About, tls};
use crate::reader::Item;

pub(super) fn check(spec: &Item<'_>, about: &About<'_>) {
    if !is_label(about.name) {
        spec.invalid(format!("{:?} is no name of a Gateway: it must be a DNS label", about.name));
    }
    if !spec.has_some("servers") {
        spec.invalid("needs at least one server".into());
    }
    let mut names = BTreeSet::new();
    for server in spec.each("servers") {
        check_server(&server);
        let Some(port) = server.field("port") else { continue };
        if !names.insert(port.field_text("name")) {
            port.invalid(format!("the port name {} is given twice", port.field_text("name")));
        }
        let redirects = server.field("tls").is_some_and(|tls| tls.field_true("httpsRedirect"));
        if redirects && !protocol_of(&port).is_some_and(|protocol| protocol.is_http()) {
            server.field_or_self("tls").warn("httpsRedirect has a meaning for HTTP servers only");
        }
    }
}

fn check_server(server: &Item<'_>) {
    if server.has("hosts") && !server.has_some("hosts") {
        server.field_or_self("hosts").invalid("needs at least one host".into());
    }
    for host in server.each("hosts") {
        host.judge(namespaced_host(host.text(), HostsOf::Gateway));
    }
    check_port(server);
    let settings = server.field("tls");
    if let Some(settings) = &settings {
        tls::server(settings);
    }
    let Some(protocol) = server.field("port").as_ref().and_then(protocol_of) else { return };
    match settings {
        None if is_tls(Some(protocol)) => server.invalid("a server of HTTPS or TLS needs tls".into()),
        Some(settings) if !is_tls(Some(protocol)) => {
            let mode = settings.field_choice("mode", tls::SERVER_MODES);
            let files = ["caCertificates", "privateKey", "serverCertificate"];
            // Only the redirect to HTTPS makes sense on a plain port.
            let redirect = matches!(mode, "PASSTHROUGH" | "AUTO_PASSTHROUGH")
                && !files.iter().any(|name| settings.has_some(name));
            if !protocol.is_http() || !redirect {
                settings
                    .invalid("only servers of HTTPS and TLS can have it, except for httpsRedirect".into());
            }
        }
        _ => {}
    }
}

fn check_port(server: &Item<'_>) {
    let bind = server.field_text("bind");
    let socket = bind.strip_prefix("unix://");
    if let Some(path) = socket {
        server.field_or_self("bind").judge(socket_path(path));
    } else if !bind.is_empty() {
        server.field_or_self("bind").judge(ip_address(bind));
    }
    let Some(item) = server.field("port") else { return };
    if item.has("protocol") && protocol_of(&item).is_none() {
        let text = item.field_text("protocol");
        item.field_or_self("protocol").invalid(format!("{text:?} is no protocol ({PROTOCOLS})"));
    }
    let number = item.field_int("number").unwrap_or(0);
    match socket {
        Some(_) if number != 0 => item.field_or_self("number").invalid("must be 0 with a Unix socket".into()),
        Some(_) => {}
        None if item.has("number") => port(&item, "number", false),
        None => {}
    }
    if item.field_int("targetPort").is_some_and(|target| target > 0) {
        item.field_or_self("targetPort").invalid("has no meaning at gateways".into());
    }
    if item.has("name") && !item.has_some("name") {
        item.field_or_self("name").invalid("must not be empty".into());
    }
}
