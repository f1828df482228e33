//! The filter chains of the services that share a listener as bytes.

use ir::filter::Reporter;
use ir::tcp::TcpClusters;
use ir::{FilterChain, FilterChainMatch, TcpProxy};
use model::{Host, Level, Origin};
use registry::Service;
use stdx::Str;

use super::entry::Bytes;
use super::listener::Context;
use crate::findings::LISTENER_CONFLICT;
use crate::{chains, domains, dynamic_dns, l4, names};

/// A chain, and whose it is.
pub struct Member {
    pub chain: FilterChain,
    pub host: Host,
}

/// The chains of all of them in order; of those for the same connections the first.
pub fn chains(bytes: &[Bytes], cx: &Context<'_, '_>) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for wanted in bytes {
        let Some(service) = cx.egress.service(cx.view, &wanted.host, cx.key.1) else { continue };
        for chain in of_service(wanted, service, cx) {
            match members.iter().find(|member| member.chain.matches == chain.matches) {
                None => members.push(Member { chain, host: wanted.host.clone() }),
                Some(winner) if winner.host == wanted.host => {}
                Some(winner) => report(service, &winner.host, cx),
            }
        }
    }
    members
}

fn of_service(wanted: &Bytes, service: &Service, cx: &Context<'_, '_>) -> Vec<FilterChain> {
    // Server names know whole labels only.
    if dynamic_dns::is_dynamic(service) && !wanted.host.as_str().starts_with("*.") {
        return Vec::new();
    }
    let mut rules = cx.view.virtual_services_for(&cx.scope.namespace, &wanted.host);
    cx.egress.keep_imported(cx.view, cx.key.1, &mut rules);
    let at = l4::At { view: cx.view, scope: cx.scope, gateway: "mesh", port: cx.key.1 };
    let (found, complete) = match wanted.tls {
        true => {
            let found = l4::tls(&rules, &wanted.blocks, &at);
            let complete = !found.is_empty();
            (found, complete)
        }
        false => l4::tcp(&rules, &wanted.blocks, &at),
    };
    let mut built: Vec<FilterChain> =
        found.into_iter().map(|rule| chain(rule.matches, rule.clusters, rule.origin, cx)).collect();
    if !complete {
        // A Sidecar's port may not be one of the service's; its only port is meant then.
        let port = match service.ports.as_slice() {
            [only] => only.number,
            _ => cx.key.1,
        };
        let matches = FilterChainMatch {
            server_names: if wanted.by_name { names_of(service, cx) } else { Vec::new() },
            prefix_ranges: wanted.blocks.clone(),
            ..FilterChainMatch::default()
        };
        let origin = Origin { object: service.object.clone(), field: Str::default() };
        let cluster = TcpClusters::Single(names::outbound(port, "", wanted.host.as_str()));
        let mut chain = chain(matches, cluster, origin, cx);
        if dynamic_dns::is_dynamic(service) {
            chain.filters.push(dynamic_dns::sni_filter(&wanted.host, cx.key.1, cx.scope));
        }
        built.push(chain);
    }
    built
}

/// The host, and for a service with other names all forms of these.
fn names_of(service: &Service, cx: &Context<'_, '_>) -> Vec<Str> {
    if service.host.as_str() == "*" {
        return Vec::new();
    }
    let mut names = vec![service.host.to_str()];
    for alias in &service.aliases {
        names.push(alias.to_str());
        let (namespace, domain) = (&cx.scope.namespace, &cx.view.settings().domain);
        names.extend(domains::short_forms(alias.as_str(), namespace, domain));
    }
    names.sort();
    names.dedup();
    names
}

fn chain(
    matches: FilterChainMatch,
    clusters: TcpClusters,
    origin: Origin,
    cx: &Context<'_, '_>,
) -> FilterChain {
    let prefix: Str = match &clusters {
        TcpClusters::Single(name) => name.clone(),
        TcpClusters::Weighted(_) => format!("{}.{}", origin.object.name, origin.object.namespace).into(),
    };
    let tunnel_to = l4::tunnel(cx.view, cx.scope, &clusters);
    let proxy = TcpProxy { clusters, tunnel_to, ..chains::tcp_proxy(cx.settings, prefix, Str::default()) };
    let stats = chains::tcp_stats(cx.scope.data_plane, Reporter::Source);
    FilterChain { matches, origin: Some(origin), ..chains::tcp_chain("", stats, proxy) }
}

fn report(loser: &Service, winner: &Host, cx: &Context<'_, '_>) {
    let (address, port) = cx.key;
    let winner = cx
        .egress
        .service(cx.view, winner, port)
        .map_or_else(|| winner.to_string(), |service| service.object.to_string());
    let message = format!(
        "{address}:{port} is the older {winner}'s: sidecars do not serve port {port} of {} as bytes",
        loser.host
    );
    cx.findings.report(Level::Warning, LISTENER_CONFLICT, &loser.object, "spec.ports", message);
}
