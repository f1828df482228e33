//! References to hosts, subsets, ports and gateways that are not there (IST0101).

use istio_api::Kind;
use istio_api::networking::{Destination, DestinationRule, ServiceEntry, VirtualService};
use model::{Finding, Host, Level, ObjectRef};

use super::finding;
use crate::codes;
use crate::config::Spec;
use crate::{Config, GatewayRef, Snapshot, View};

pub(super) fn find(snapshot: &Snapshot, found: &mut Vec<Finding>) {
    let view = View::new(snapshot);
    for config in snapshot.objects_of(VirtualService::KIND).filter_map(|d| Config::<VirtualService>::of(d)) {
        gateways(snapshot, &config, found);
        delegates(&view, &config, found);
        for route in config.spec.http.iter().flat_map(|rule| &rule.routes) {
            let field = format!("{}.destination", route.path);
            destination(&view, &config.object, &field, &route.destination, found);
        }
    }
    for config in snapshot.objects_of(DestinationRule::KIND).filter_map(|d| Config::<DestinationRule>::of(d))
    {
        rule_host(snapshot, &config, found);
    }
}

fn gateways(snapshot: &Snapshot, config: &Config<VirtualService>, found: &mut Vec<Finding>) {
    for (index, text) in config.spec.gateways.iter().enumerate() {
        let GatewayRef::Named { namespace, name } = GatewayRef::parse(text, &config.object.namespace) else {
            continue;
        };
        if snapshot.object(&ObjectRef::new("Gateway", &namespace, &name)).is_none() {
            let message = format!("Referenced gateway not found: {text:?}");
            let field = format!("spec.gateways[{index}]");
            found.push(finding(snapshot, Level::Error, codes::NOT_FOUND, &config.object, &field, message));
        }
    }
}

fn delegates(view: &View<'_>, config: &Config<VirtualService>, found: &mut Vec<Finding>) {
    for rule in &config.spec.http {
        let Some(delegate) = &rule.delegate else { continue };
        let own = &config.object.namespace;
        let namespace = if delegate.namespace.is_empty() { own } else { &delegate.namespace };
        if view.delegate(own, namespace, &delegate.name).is_none() {
            let message = format!(
                "Referenced delegate not found: {:?}; this rule is skipped",
                format!("{namespace}/{}", delegate.name)
            );
            let field = format!("{}.delegate", rule.path);
            let snapshot = view.snapshot();
            found.push(finding(snapshot, Level::Warning, codes::NOT_FOUND, &config.object, &field, message));
        }
    }
}

fn destination(view: &View<'_>, object: &ObjectRef, field: &str, to: &Destination, found: &mut Vec<Finding>) {
    let snapshot = view.snapshot();
    let mut error = |part: &str, message: String| {
        let field = format!("{field}.{part}");
        found.push(finding(snapshot, Level::Error, codes::NOT_FOUND, object, &field, message));
    };
    let host = view.resolve(&to.host, &object.namespace);
    let Some(service) = view.service(&object.namespace, &host) else {
        if !declared(snapshot, &host) {
            error("host", format!("Referenced host not found: {:?}; requests for it will fail", &*to.host));
        }
        return;
    };
    if let Some(port) = to.port.filter(|port| service.port(*port).is_none()) {
        error("port.number", format!("Referenced host:port not found: \"{}:{port}\"", to.host));
    }
    let Some(subset) = &to.subset else { return };
    let rule = view.destination_rule(&object.namespace, service);
    if rule.is_none_or(|rule| rule.subset(subset).is_none()) {
        let what = format!("{}+{subset}", to.host);
        error("subset", format!("Referenced host+subset in destinationrule not found: {what:?}"));
    }
}

/// Whether a host is declared by something that has no effect yet, which has been said already.
fn declared(snapshot: &Snapshot, host: &Host) -> bool {
    let entries = snapshot.objects_of(ServiceEntry::KIND).filter_map(|d| Config::<ServiceEntry>::of(d));
    let covers = |config: &Config<ServiceEntry>| {
        config.spec.hosts.iter().any(|text| snapshot.resolve(text, &config.object.namespace).covers(host))
    };
    let external = |document: &std::sync::Arc<istio_api::Document>| {
        matches!(&document.body, Kind::Service(_))
            && snapshot.resolve(&document.object.name, &document.object.namespace) == *host
    };
    entries.into_iter().any(|config| covers(&config)) || snapshot.objects_of("Service").any(external)
}

fn rule_host(snapshot: &Snapshot, config: &Config<DestinationRule>, found: &mut Vec<Finding>) {
    let host = snapshot.resolve(&config.spec.host, &config.object.namespace);
    let known = match host.is_wildcard() {
        true => snapshot.services.keys().any(|service| host.covers(service)),
        false => snapshot.services.contains_key(&host),
    };
    if !known && !declared(snapshot, &host) {
        let message =
            format!("Referenced host not found: {:?}; this rule applies to nothing", &*config.spec.host);
        found.push(finding(snapshot, Level::Warning, codes::NOT_FOUND, &config.object, "spec.host", message));
    }
}
