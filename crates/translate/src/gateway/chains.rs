//! The filter chains of a gateway's servers that are not plain HTTP.

use std::sync::Arc;

use ir::filter::Reporter;
use ir::listener::TransportProtocol;
use ir::tcp::TcpClusters;
use ir::{Cidr, DownstreamTls, FilterChain, FilterChainMatch, TcpProxy, Terminal};
use istio_api::networking::{ServerTlsMode, VirtualService};
use model::{Host, Level, Origin};
use registry::{Config, Resolution, Service, View};
use stdx::Str;

use super::listener::server_route_name;
use super::routes::visible;
use super::servers::{self, Bound, Key};
use super::{credentials, hosts};
use crate::authz::{self, Selected};
use crate::findings::{Findings, GATEWAY_CONFLICT, NO_EFFECT};
use crate::l4::{self, Rule};
use crate::settings::Settings;
use crate::unit::ScopeKey;
use crate::{chains, hcm, names, tls};

/// What chains are built from.
pub struct Context<'a, 'v> {
    pub view: &'a View<'v>,
    pub scope: &'a ScopeKey,
    pub settings: &'a Settings,
    pub findings: &'a Findings,
    pub policies: &'a [Selected<'a>],
    pub key: Key,
}

/// The chains of a server.
pub fn of_server(bound: &Bound, cx: &Context<'_, '_>) -> Vec<FilterChain> {
    let Some(mode) = bound.tls_mode() else { return bytes(bound, None, cx) };
    match mode {
        ServerTlsMode::Passthrough => passed_on(bound, cx),
        ServerTlsMode::AutoPassthrough => to_services(bound, cx),
        _ => match terminated(bound, cx) {
            Some(context) if bound.is_https() => https(bound, context, cx).into_iter().collect(),
            Some(context) => bytes(bound, Some(context), cx),
            None => Vec::new(),
        },
    }
}

fn terminated(bound: &Bound, cx: &Context<'_, '_>) -> Option<DownstreamTls> {
    let server = bound.server()?;
    let written = server.tls.as_ref()?;
    let context = match credentials::unreachable(written, &cx.scope.namespace) {
        Some(problem) => Err(problem),
        None => tls::server(written, bound.is_https(), cx.settings),
    };
    match context {
        Ok(context) => Some(context),
        Err(problem) => {
            let field = format!("{}.tls.{}", server.path, problem.field);
            cx.findings.report(Level::Error, NO_EFFECT, &bound.gateway.object, &field, problem.message);
            None
        }
    }
}

fn https(bound: &Bound, context: DownstreamTls, cx: &Context<'_, '_>) -> Option<FilterChain> {
    let server = bound.server()?;
    let stat_prefix: Str = match &server.name {
        Some(name) => name.clone(),
        None => {
            format!("outbound_{}", names::listener(cx.key.0.unwrap_or(cx.scope.wildcard()), cx.key.1)).into()
        }
    };
    let routes = server_route_name(cx.key, &bound.gateway.object, &server.port.name);
    let manager =
        hcm::gateway(cx.settings, cx.scope.data_plane, stat_prefix, routes, authz::http(cx.policies));
    Some(FilterChain {
        name: Str::default(),
        matches: FilterChainMatch { server_names: bound.server_names(), ..FilterChainMatch::default() },
        tls: Some(context),
        transport_socket_connect_timeout: cx.settings.handshake_timeout(),
        filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        origin: Some(origin(bound)),
    })
}

/// Bytes, with or without TLS around them, by the first `tcp` rules of a VirtualService that applies.
fn bytes(bound: &Bound, context: Option<DownstreamTls>, cx: &Context<'_, '_>) -> Vec<FilterChain> {
    let Some(server) = bound.server() else { return Vec::new() };
    let gateway = bound.gateway_name();
    let at = l4::At { view: cx.view, scope: cx.scope, gateway: &gateway, port: server.port.number };
    let rules = rules_of(bound, cx);
    let (found, _) = l4::tcp(&rules, &[], &at);
    let server_names = if context.is_some() { bound.server_names() } else { Vec::new() };
    let timeout = context.as_ref().and(cx.settings.handshake_timeout());
    let chain = |rule: Rule| {
        let mut chain = to_clusters(rule, cx);
        chain.matches.server_names = server_names.clone();
        FilterChain { tls: context.clone(), transport_socket_connect_timeout: timeout, ..chain }
    };
    found.into_iter().map(chain).collect()
}

/// TLS by server name, as `tls` rules say.
fn passed_on(bound: &Bound, cx: &Context<'_, '_>) -> Vec<FilterChain> {
    let Some(server) = bound.server() else { return Vec::new() };
    let gateway = bound.gateway_name();
    let at = l4::At { view: cx.view, scope: cx.scope, gateway: &gateway, port: server.port.number };
    l4::tls(&rules_of(bound, cx), &[], &at).into_iter().map(|rule| to_clusters(rule, cx)).collect()
}

/// TLS whose server name is that of a cluster, from other networks of the mesh. Only mutual TLS of the
/// mesh goes through, so nobody comes past it.
fn to_services(bound: &Bound, cx: &Context<'_, '_>) -> Vec<FilterChain> {
    let mut built = Vec::new();
    for service in passed_to(bound, cx.view, cx.scope) {
        let rule = cx.view.destination_rule(&cx.scope.namespace, service);
        let subsets = rule.iter().flat_map(|rule| &rule.subsets).map(|merged| merged.subset.name.as_str());
        let subsets: Vec<&str> = std::iter::once("").chain(subsets).collect();
        for port in service.ports.iter().filter(|port| port.protocol != model::Protocol::Udp) {
            for subset in &subsets {
                let host = service.host.as_str();
                let matches = FilterChainMatch {
                    server_names: vec![names::outbound_sni(port.number, subset, host)],
                    transport_protocol: Some(TransportProtocol::Tls),
                    application_protocols: names::strs(&names::ALL_MTLS_ALPN),
                    ..FilterChainMatch::default()
                };
                let clusters = TcpClusters::Single(names::outbound_sni(port.number, subset, host));
                let origin = Origin { object: service.object.clone(), field: Str::default() };
                built.push(to_clusters(Rule { matches, clusters, origin }, cx));
            }
        }
    }
    built
}

/// The services of the mesh that a server with AUTO_PASSTHROUGH has hosts for.
pub fn passed_to<'v>(bound: &Bound, view: &View<'v>, scope: &ScopeKey) -> Vec<&'v Arc<Service>> {
    let hosts = bound.server().into_iter().flat_map(|server| &server.hosts);
    let hosts: Vec<Host> = hosts.map(|host| servers::host_of(host)).collect();
    let mut services = view.services(&scope.namespace);
    services.retain(|service| {
        let balanced = service.resolution == Resolution::ClientSideLb && !service.external;
        balanced && hosts.iter().any(|host| host.covers(&service.host))
    });
    services
}

/// The VirtualServices whose hosts are among those that the server has for them.
fn rules_of(bound: &Bound, cx: &Context<'_, '_>) -> Vec<Config<VirtualService>> {
    let Some(server) = bound.server() else { return Vec::new() };
    let gateway = &bound.gateway.object;
    let mut rules = cx.view.gateway_virtual_services(&gateway.namespace, &gateway.name);
    rules.retain(|rule| {
        let namespace = &rule.object.namespace;
        let wanted: Vec<Host> = rule.spec.hosts.iter().map(|host| cx.view.resolve(host, namespace)).collect();
        let served = servers::hosts_for(server, &gateway.namespace, namespace);
        visible(cx.view, cx.scope, rule) && !hosts::intersection(&served, &wanted).is_empty()
    });
    rules
}

fn to_clusters(rule: Rule, cx: &Context<'_, '_>) -> FilterChain {
    let prefix: Str = match &rule.clusters {
        TcpClusters::Single(name) => name.clone(),
        TcpClusters::Weighted(_) => {
            format!("{}.{}", rule.origin.object.name, rule.origin.object.namespace).into()
        }
    };
    let tunnel_to = l4::tunnel(cx.view, cx.scope, &rule.clusters);
    let proxy = TcpProxy {
        clusters: rule.clusters,
        tunnel_to,
        ..chains::tcp_proxy(cx.settings, prefix, Str::default())
    };
    let mut filters = authz::tcp(cx.policies);
    filters.extend(chains::tcp_stats(cx.scope.data_plane, Reporter::Gateway));
    FilterChain { matches: rule.matches, origin: Some(rule.origin), ..chains::tcp_chain("", filters, proxy) }
}

pub fn origin(bound: &Bound) -> Origin {
    let field = bound.server().map(|server| server.path.clone()).unwrap_or_default();
    Origin { object: bound.gateway.object.clone(), field }
}

/// Leaves of chains for the same connections the first: Envoy refuses a listener with both.
pub fn distinct(all: Vec<FilterChain>, cx: &Context<'_, '_>) -> Vec<FilterChain> {
    let mut kept: Vec<FilterChain> = Vec::new();
    for chain in all {
        match kept.iter().find(|known| overlap(&known.matches, &chain.matches)) {
            None => kept.push(chain),
            Some(winner) => {
                if let (Some(lost), Some(won)) = (&chain.origin, &winner.origin) {
                    let message = format!(
                        "this rule is ignored on port {}: {} of {} is for the same connections",
                        cx.key.1, won.field, won.object
                    );
                    cx.findings.report(Level::Warning, GATEWAY_CONFLICT, &lost.object, &lost.field, message);
                }
            }
        }
    }
    kept
}

/// Whether nothing but server names tells two chains apart, and these do not.
fn overlap(a: &FilterChainMatch, b: &FilterChainMatch) -> bool {
    let ranges = |m: &FilterChainMatch| -> (Vec<Cidr>, Vec<Cidr>) {
        (m.prefix_ranges.clone(), m.source_prefix_ranges.clone())
    };
    let same_names =
        a.server_names == b.server_names || a.server_names.iter().any(|name| b.server_names.contains(name));
    same_names && ranges(a) == ranges(b) && a.application_protocols == b.application_protocols
}
