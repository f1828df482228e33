//! VirtualService.

use model::Host;

use super::common::{Exported, labels, port, visibility};
use super::http_route::{self, Place};
use super::names::{gateway_domain, is_label, subnet, wildcard_domain};
use super::{About, header, names, unreachable};
use crate::reader::Item;

pub(super) fn check(spec: &Item<'_>, about: &About<'_>) {
    let is_delegate = !spec.has_some("hosts");
    if is_delegate {
        for name in ["gateways", "tls", "tcp"].iter().filter(|name| spec.has_some(name)) {
            spec.field_or_self(name).invalid("a delegate, which has no hosts, cannot have this".into());
        }
    }
    gateway_names(spec);
    let gateways = spec.each("gateways");
    let at_gateway = !gateways.is_empty() && !gateways.iter().any(|gateway| gateway.text() == "mesh");
    check_hosts(spec, at_gateway);
    let place = Place { is_delegate, at_gateway };
    spec.each("http").iter().for_each(|route| http_route::check(route, place));
    spec.each("tls").iter().for_each(|route| check_tls(route, spec, at_gateway));
    spec.each("tcp").iter().for_each(check_tcp);
    if ["http", "tls", "tcp"].iter().all(|name| spec.each(name).is_empty()) {
        spec.invalid("needs http, tls or tcp routes".into());
    }
    visibility(spec, about.namespace, Exported::VirtualService);
    unreachable::check(spec);
}

/// `gateways`: `mesh`, `NAME` or `NAMESPACE/NAME`.
pub(super) fn gateway_names(at: &Item<'_>) {
    for item in at.each("gateways") {
        let text = item.text();
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_label(name) => {}
            Some(_) => item.invalid(format!("{text:?} is not of the form NAMESPACE/NAME")),
            None => {
                item.judge(names::domain(text));
                if let Some((name, rest)) = text.split_once('.') {
                    let namespace = rest.split('.').next().unwrap_or_default();
                    item.warn(format!(
                        "{text:?} is the legacy form of a gateway's name; prefer {namespace}/{name}"
                    ));
                }
            }
        }
    }
}

fn check_hosts(spec: &Item<'_>, at_gateway: bool) {
    let sni = spec.each("tls").iter().flat_map(|tls| tls.each("match")).any(|m| m.has_some("sniHosts"));
    let hosts = spec.each("hosts");
    let mut good = true;
    for item in &hosts {
        let text = item.text();
        let verdict = if at_gateway { gateway_domain(text, sni) } else { wildcard_domain(text) };
        match verdict {
            Err(_) if text.parse::<std::net::IpAddr>().is_ok() => {}
            Err(message) => {
                item.invalid(message);
                good = false;
            }
            Ok(()) if !at_gateway && text == "*" => {
                item.invalid("the host * is only possible at gateways, not in the mesh".into());
                good = false;
            }
            Ok(()) => {}
        }
    }
    if !good {
        return;
    }
    // Quadratic, over hosts that are different: bounded by the document's size in practice, and
    // cut here against hostile ones.
    for (index, item) in hosts.iter().enumerate().take(1000) {
        let host = Host::new(item.text());
        let twin = hosts.iter().take(index).find(|other| Host::new(other.text()).overlaps(&host));
        if let Some(other) = twin {
            item.invalid(format!("duplicate hosts: {} and {}", other.text(), item.text()));
        }
    }
}

fn check_tls(route: &Item<'_>, spec: &Item<'_>, at_gateway: bool) {
    if route.has("match") && !route.has_some("match") {
        route.invalid("a TLS route needs at least one match".into());
    }
    for condition in route.each("match") {
        if condition.has("sniHosts") && !condition.has_some("sniHosts") {
            condition.invalid("needs at least one host in sniHosts".into());
        }
        condition.each("sniHosts").iter().for_each(|host| check_sni(host, spec, at_gateway));
        check_l4_match(&condition);
    }
    check_destinations(route);
}

fn check_sni(item: &Item<'_>, spec: &Item<'_>, at_gateway: bool) {
    let text = item.text();
    let verdict = if at_gateway { gateway_domain(text, true) } else { wildcard_domain(text) };
    match verdict {
        Err(_) if text.parse::<std::net::IpAddr>().is_ok() => {
            item.warn(format!("{text:?} is an IP address, which server names cannot be for most clients"));
        }
        Err(message) => item.invalid(message),
        Ok(()) => {
            let sni = Host::new(text);
            let covered = |host: &Item<'_>| Host::new(host.text()).covers(&sni);
            if !spec.each("hosts").iter().any(covered) {
                item.invalid(format!("{text} is not covered by the hosts of this VirtualService"));
            }
        }
    }
}

fn check_tcp(route: &Item<'_>) {
    route.each("match").iter().for_each(check_l4_match);
    check_destinations(route);
}

fn check_l4_match(condition: &Item<'_>) {
    condition.each("destinationSubnets").iter().for_each(|item| item.judge(subnet(item.text())));
    port(condition, "port", true);
    labels(condition, "sourceLabels");
    gateway_names(condition);
}

fn check_destinations(route: &Item<'_>) {
    if !route.has_some("route") {
        route.invalid("needs a route with at least one destination".into());
    }
    let routes = route.each("route");
    for entry in &routes {
        if let Some(destination) = entry.field("destination") {
            header::destination(&destination);
        }
    }
    http_route::weights(route, &routes);
}
