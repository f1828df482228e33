//! One unit's resources.

use std::sync::Arc;

use ir::{Cluster, Resource};
use istio_api::mesh::proxy::parse_proxy_config;
use model::{Host, Node, NodeType};
use registry::View;

use crate::cluster::{fixed, outbound as outbound_clusters, passthrough};
use crate::egress::{self, Egress};
use crate::findings::Findings;
use crate::routes::memo::Memo;
use crate::routes::sidecar::Again;
use crate::settings::{Outbound, Settings};
use crate::unit::{Built, ScopeKey, Unit, scope};
use crate::{endpoints, gateway, inbound, name_table, outbound, proxy_headers, routes};

/// The resources of a unit. They depend on the unit itself, what `view` recorded meanwhile, and
/// [`scope`]`(view, node, unit)`: nothing else of the node is looked at.
pub fn build(view: &View<'_>, node: &Node, unit: &Unit) -> Built {
    build_in(view, &scope(view, node, unit), unit)
}

/// As [`build`], for all nodes of a scope.
pub fn build_in(view: &View<'_>, scope: &ScopeKey, unit: &Unit) -> Built {
    build_again(view, scope, unit, Again { memo: &mut Memo::default(), delta: None })
}

/// As [`build_in`], with what was made of the same unit and scope before. The result is the same, and what
/// the view records.
pub fn build_again(view: &View<'_>, scope: &ScopeKey, unit: &Unit, again: Again<'_>) -> Built {
    let mut settings = Settings::of(view.mesh(), &view.settings().features);
    if !scope.proxy_config.is_empty() {
        settings.proxy = parse_proxy_config(&scope.proxy_config).over(&settings.proxy).into();
    }
    if scope.sidecar.is_some() {
        settings.outbound = egress::policy(view, scope, &settings);
    }
    let findings = Findings::default();
    let resources = resources(view, scope, unit, &settings, &findings, again);
    Built { resources, findings: findings.into_vec() }
}

fn resources(
    view: &View<'_>,
    scope: &ScopeKey,
    unit: &Unit,
    settings: &Settings,
    findings: &Findings,
    again: Again<'_>,
) -> Vec<Resource> {
    let service = |host: &Host| match &scope.sidecar {
        None => view.service(&scope.namespace, host),
        // Several services have this host; the Sidecar says which is meant.
        Some(_) => Egress::of(view, scope).services(view).into_iter().find(|service| service.host == *host),
    };
    match unit {
        Unit::FixedClusters => clusters(fixed_clusters(scope, settings), settings),
        Unit::Clusters(host) => {
            let found = service(host);
            let found = found.map(|s| outbound_clusters::clusters(view, scope, settings, s));
            clusters(found.unwrap_or_default(), settings)
        }
        Unit::PassthroughClusters(host) => {
            let found = view.service(&scope.namespace, host);
            let found = found.map(|s| passthrough::clusters(view, scope, settings, s));
            clusters(found.unwrap_or_default(), settings)
        }
        Unit::Credential(name) => gateway::credentials::secrets(view, scope, name),
        Unit::InboundClusters => clusters(inbound::listener::clusters(view, scope, settings), settings),
        Unit::Endpoints { host, port } => {
            let found = service(host).map(|service| endpoints::assignments(view, scope, service, *port));
            let resource = |assignment| Resource::Endpoints(Arc::new(assignment));
            found.unwrap_or_default().into_iter().map(resource).collect()
        }
        Unit::VirtualOutbound => listener(Some(outbound::virtual_outbound::build(scope, settings))),
        Unit::VirtualInbound => listener(Some(inbound::listener::build(view, scope, settings, findings))),
        Unit::IngressListener { port } => {
            listener(inbound::listener::bound(view, scope, settings, findings, *port))
        }
        Unit::OutboundListener { address, port, entry } => {
            let egress = &Egress::of(view, scope);
            let key = (*address, *port);
            let cx = outbound::listener::Context { view, scope, settings, findings, egress, key };
            listener(Some(outbound::listener::build(entry, &cx)))
        }
        Unit::Routes { port } => {
            route(Some(routes::sidecar::of_port(view, scope, settings, *port, again)), settings)
        }
        Unit::ServiceRoutes { host, port } => {
            route(Some(routes::sidecar::of_service(view, scope, settings, host, *port)), settings)
        }
        Unit::ProxyRoutes { port } => {
            route(Some(routes::proxy::build(view, scope, settings, *port)), settings)
        }
        Unit::GatewayListener { bind, port } => {
            listener(gateway::listener::build(view, scope, settings, findings, (*bind, *port)))
        }
        Unit::GatewayRoutes { bind, port } => {
            route(gateway::routes::build(view, scope, settings, (*bind, *port)), settings)
        }
        Unit::GatewayServerRoutes { bind, port, gateway, server } => route(
            gateway::routes::build_server(view, scope, settings, (*bind, *port), gateway, server),
            settings,
        ),
        Unit::NameTable => vec![Resource::NameTable(Arc::new(name_table::build(view, scope)))],
    }
}

/// A gateway receives no captured connections, so it passes none on.
fn fixed_clusters(scope: &ScopeKey, settings: &Settings) -> Vec<Cluster> {
    let mut clusters = vec![fixed::black_hole(settings)];
    if scope.node_type == NodeType::Sidecar {
        clusters.push(fixed::passthrough(settings));
        clusters.push(fixed::inbound_passthrough(settings, Some(scope.wildcard())));
        if settings.outbound == Outbound::DynamicDns {
            clusters.push(fixed::dynamic_dns(settings, scope));
        }
    }
    clusters
}

fn clusters(clusters: Vec<Cluster>, settings: &Settings) -> Vec<Resource> {
    let told = |mut cluster| {
        proxy_headers::cluster(settings, &mut cluster);
        Resource::Cluster(Arc::new(cluster))
    };
    clusters.into_iter().map(told).collect()
}

fn listener(listener: Option<ir::Listener>) -> Vec<Resource> {
    listener.into_iter().map(|listener| Resource::Listener(Arc::new(listener))).collect()
}

fn route(route: Option<ir::RouteConfig>, settings: &Settings) -> Vec<Resource> {
    let told = |mut route| {
        proxy_headers::routes(settings, &mut route);
        Resource::Route(Arc::new(route))
    };
    route.into_iter().map(told).collect()
}
